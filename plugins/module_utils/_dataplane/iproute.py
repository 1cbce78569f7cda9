# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Addresses, rules, routes and neighbours as iproute2 says them. PRIVATE to the collection.

Everything of ours that `ip` manages is an `IpState` for each IP version: sets of the very words that follow
`ip rule add`, `ip route add` and so on. What is wanted and what `ip -json` shows are brought to the same words, so the
difference is a difference of sets, and the way back is the same difference the other way round.

Per node and IP version, with P = rule_priority and T = table_base:

    P      fwmark 0/MASK goto END         ordinary traffic passes us by
    P      fwmark MASK/MASK goto END      and what a selected pod sends to where it needs no egress IP
    P+1    iif lo goto END                so do the node's own packets, the tunnel's outer ones among them
    P+2    fwmark K/GROUP goto G          one for each group of marks: the kernel goes through rules one by one, and a
                                          packet need not meet those of other groups
    G      nop                            P+3, P+6 ...
    G+1    fwmark K/MASK lookup main      one for each egress IP that the node holds: this is the claim; another table
                                          than main where the address is on another interface than the primary one
    G+2    fwmark K/MASK lookup T+index   one for each egress IP: through the tunnel to its holder
    END-1  unreachable                    a marked packet without a way never leaves by another one
    END    nop
"""

from __future__ import annotations

import functools
import hashlib
import itertools
from dataclasses import dataclass, fields, replace

from .._common.addresses import VERSIONS, WORDS, of_version, parse_address, version_of
from .host import ALIAS, LABEL, MAIN_TABLE, PROTOCOL, is_egress_address, is_global, is_our_device, is_ours

# Replies that come in by a VRF must leave it before the kernel's own rule for VRFs, which has priority 1000.
VRF_PRIORITY = 990
# RFC 7600's dummy address: the tunnel device needs one for the reverse path check, and it never leaves the node.
DUMMY_ADDRESS = "192.0.0.8/32"
# Headers of the inner Ethernet frame, IPv6, UDP and VXLAN (14 + 40 + 8 + 8): one MTU for both IP versions.
VXLAN_OVERHEAD = 70

_UNICAST, _UNREACHABLE = "1", "7"
# UDP over IPv6 is dropped without one.
_CHECKSUM = {4: "", 6: " csum"}
_NO_ENCAP = dict.fromkeys(("kind", "id", "src", "dst"))


@dataclass(frozen=True)
class IpState:
    """What `ip` shows of ours for one IP version, each item in the words of the command.

    The tunnel device serves both versions; it is the one item of `links` in the state for IPv4.
    """

    links: frozenset = frozenset()
    rules: frozenset = frozenset()
    routes: frozenset = frozenset()
    neighbours: frozenset = frozenset()
    addresses: frozenset = frozenset()

    def to_dict(self):
        """Return the state as a JSON-safe dict of sorted lists."""
        return {field.name: sorted(getattr(self, field.name)) for field in fields(self)}


def current_ip(host, options, claimed):
    """Return the {IP version: IpState} of ours on `host`; `claimed` are those we are on record to hold."""
    device = options.tunnel_device
    links = [_link_words(item) for item in host.interfaces if item["ifname"] == device and is_ours(item)]
    routes = {_route_words(r): r["gateway"] if r.get("gateway") else r["dst"].split("/")[0] for r in host.routes}
    neighbours = {
        f"{n['dst']} lladdr {n.get('lladdr')} dev {n['dev']}": n["dst"]
        for n in host.neighbours
        if n.get("protocol") == str(PROTOCOL)
    }
    addresses = _our_addresses(host, device if is_our_device(host, device) else None, claimed)
    return {
        version: IpState(
            links=frozenset(links if version == 4 else ()),
            rules=frozenset(_rule_words(rule) for rule in host.rules[version] if rule.get("protocol") == str(PROTOCOL)),
            routes=_those_of(version, routes),
            neighbours=_those_of(version, neighbours),
            addresses=_those_of(version, addresses),
        )
        for version in VERSIONS
    }


def desired_ip(state, marks, mtu, exits):
    """Return the {IP version: IpState} that `state` asks for where the egress interface has this MTU (bytes).

    `exits` {interface: _interfaces.Exit} are the interfaces with egress IPs besides the primary one.
    """
    options = state.options
    macs = macs_of(marks)
    link = _link(options.tunnel_device, _mac_of(state.endpoints[0]), options.tunnel_port, mtu - VXLAN_OVERHEAD)
    return {
        version: replace(_desired(state, marks, macs, exits, version), links=frozenset([link] if version == 4 else ()))
        for version in VERSIONS
    }


def _desired(state, marks, macs, exits, version):
    """Return the IpState for one IP version, but for the link; empty where the node has no address of this version."""
    options, source, own = state.options, state.endpoint(version), of_version(marks, version)
    if not source or not own:
        return IpState()
    device, kind = options.tunnel_device, WORDS[version]
    held = [item for item in state.held if version_of(item.egress_ip) == version]
    dummy = [f"{DUMMY_ADDRESS} dev {device}"] if version == 4 else []
    return IpState(
        rules=frozenset(_desired_rules(options, {ip: marks[ip] for ip in own}, held, exits)),
        routes=frozenset(
            f"default encap {kind} id {options.tunnel_vni} src {source} dst {state.far_end(ip)}{_CHECKSUM[version]}"
            f" via {_gateway(marks[ip], version)} dev {device} onlink table {options.table_base + marks[ip]}"
            for ip in own
        )
        | {route for name, way in exits.items() for route in _exit_routes(name, way, version)},
        neighbours=frozenset(f"{_gateway(marks[ip], version)} lladdr {macs[ip]} dev {device}" for ip in own),
        addresses=frozenset(dummy + [address_words(item.egress_ip, item.interface) for item in held]),
    )


def batches(current, desired):
    """Return {IP version: lines for `ip -batch`} from one {IP version: IpState} to the other; no lines when equal."""
    old, new = current[4].links, desired[4].links
    if old == new:
        return {version: _batch(current[version], desired[version]) for version in VERSIONS}
    lines = [f"link delete {words.split()[0]}" for words in old]
    lines += [f"link add {words}" for words in new]
    # The port stands in the alias too: iproute2 before 5.12 does not show that of an external device.
    lines += [f"link set {words.split()[0]} alias {ALIAS}:{words.split()[-1]} up" for words in new]
    gone = next((words.split()[0] for words in old), None)
    rest = {version: _batch(_without_device(current[version], gone), desired[version]) for version in VERSIONS}
    return {**rest, 4: lines + rest[4]}


def _batch(current, desired):
    """Return the lines for one IP version and an unchanged device. Additions come before removals."""
    lines = []
    add, remove = _differences(current, desired), _differences(desired, current)
    relabelled = {_address_key(words) for words in add["addresses"]} & {_address_key(w) for w in remove["addresses"]}
    lines += [f"address delete {key}" for key in sorted(relabelled)]
    lines += [f"rule add {words} protocol {PROTOCOL}" for words in sorted(add["rules"], key=_rank)]
    lines += [f"address add {words}" for words in add["addresses"]]
    lines += [f"neighbour replace {words} nud permanent protocol {PROTOCOL}" for words in add["neighbours"]]
    lines += [f"route replace {words} protocol {PROTOCOL}" for words in add["routes"]]
    replaced = {_route_key(words) for words in add["routes"]}
    gone = [words for words in remove["routes"] if _route_key(words) not in replaced]
    lines += [
        # ip cannot delete a route by the words of its encapsulation.
        f"route flush table {_table(w)} protocol {PROTOCOL}" if " encap " in w else f"route delete {w}"
        for w in gone
    ]
    replaced = {words.split()[0] for words in add["neighbours"]}
    lines += [f"neighbour delete {w}" for w in remove["neighbours"] if w.split()[0] not in replaced]
    lines += [f"address delete {_address_key(w)}" for w in remove["addresses"] if _address_key(w) not in relabelled]
    lines += [f"rule delete {words} protocol {PROTOCOL}" for words in sorted(remove["rules"], key=_rank, reverse=True)]
    return lines


def macs_of(egress_ips):
    """Return {egress IP: the MAC address that stands for it in the tunnel}, the same on all nodes of a fleet.

    02:e1 and the four bytes of an IPv4 address; 06 and a hash of 40 bits for IPv6, in which a second address with the
    same hash gets the next one. A node's own address gives the MAC address of its tunnel device in the same way.
    """
    macs = {ip: _mac_of(ip, 0) for ip in of_version(egress_ips, 4)}
    taken = set()
    for ip in sorted(of_version(egress_ips, 6)):
        macs[ip] = next(mac for mac in (_mac_of(ip, attempt) for attempt in itertools.count()) if mac not in taken)
        taken.add(macs[ip])
    return macs


@functools.lru_cache(maxsize=None)
def _mac_of(address, attempt=0):
    packed = parse_address(address, "address").packed
    data = b"\x02\xe1" + packed
    if version_of(address) == 6:
        data = b"\x06" + hashlib.sha256(packed + bytes([attempt])).digest()[:5]
    return ":".join(f"{byte:02x}" for byte in data)


def address_words(egress_ip, interface):
    """Return the words that put an egress IP on an interface.

    IPv4: a label shows a person whose it is where it fits. IPv6: without duplicate detection, which was done before,
    and deprecated, or the host would take it for traffic of its own.
    """
    if version_of(egress_ip) == 6:
        return f"{egress_ip}/128 dev {interface} nodad preferred_lft 0"
    label = f"{interface}:{LABEL}"
    return f"{egress_ip}/32 dev {interface}" + (f" label {label}" if len(label) <= 15 else "")


def _gateway(index, version):
    """Return the next hop that stands for an egress IP on the tunnel device: link-local, one per index."""
    return f"169.254.{index >> 8}.{index & 0xFF}" if version == 4 else f"fe80::{index:x}"


def _those_of(version, items):
    """Return those of {words: address} that are of this IP version."""
    return frozenset(words for words, address in items.items() if version_of(address) == version)


def _link(device, mac, port, mtu):
    """Return the words that make the tunnel device.

    With its address: udev gives another one to a device that came without, at any time after, and with that the kernel
    forgets the neighbours. It must differ from node to node, or VXLAN drops what others send.
    """
    return f"{device} address {mac} mtu {mtu} type vxlan external dstport {port}"


def _link_words(interface):
    data = interface.get("linkinfo", {}).get("info_data", {})
    if (
        interface.get("linkinfo", {}).get("info_kind") != "vxlan"
        or not data.get("external")
        or "UP" not in interface["flags"]
    ):
        return f"{interface['ifname']} is not an external vxlan device that is up"
    port = data.get("port") or interface.get("ifalias", "").partition(":")[2]
    return _link(interface["ifname"], interface.get("address"), port, interface["mtu"])


def _exit_routes(interface, way, version):
    for network, gateway in way.routes[version].items():
        via = f"via {gateway} dev {interface} onlink" if gateway else f"dev {interface}"
        yield f"{network} {via} table {way.table}"


def _desired_rules(options, marks, held, exits):
    low, end, mask = options.rule_priority, options.last_priority, options.mark_mask
    for vrf in sorted({way.vrf for way in exits.values()} - {""}):
        yield f"priority {VRF_PRIORITY} not fwmark 0x0/{mask:#x} iif {vrf} lookup {MAIN_TABLE}"
    yield f"priority {low} fwmark 0x0/{mask:#x} goto {end}"
    yield f"priority {low} fwmark {mask:#x}/{mask:#x} goto {end}"
    yield f"priority {low + 1} iif lo goto {end}"
    for index in {options.group(index): index for index in marks.values()}.values():
        start, mark = _start(options, index), options.mark(index) & options.group_mask
        yield f"priority {low + 2} fwmark {mark:#x}/{options.group_mask:#x} goto {start}"
        yield f"priority {start} nop"
    for item in held:
        index = marks[item.egress_ip]
        table = exits[item.interface].table if item.interface in exits else MAIN_TABLE
        yield f"priority {_start(options, index) + 1} fwmark {options.mark(index):#x}/{mask:#x} lookup {table}"
    for index in marks.values():
        words = f"fwmark {options.mark(index):#x}/{mask:#x} lookup {options.table_base + index}"
        yield f"priority {_start(options, index) + 2} {words}"
    yield f"priority {end - 1} unreachable"
    yield f"priority {end} nop"


def _start(options, index):
    """Return the priority of the first rule of an index's group."""
    return options.rule_priority + 3 + 3 * options.group(index)


def _rank(words):
    """Order rules for adding: what others lead to first, and what refuses last."""
    return ("nop" not in words, "unreachable" in words, words)


def _rule_words(rule):
    words = f"priority {rule['priority']}" + (" not" if "not" in rule else "")
    if "fwmark" in rule:
        words += f" fwmark {int(rule['fwmark'], 0):#x}/{int(rule.get('fwmask', '0xffffffff'), 0):#x}"
    if "iif" in rule:
        words += f" iif {rule['iif']}"
    if "goto" in rule:
        return f"{words} goto {rule['goto']}"
    if "nop" in rule:
        return f"{words} nop"
    if rule.get("action") == _UNREACHABLE:
        return f"{words} unreachable"
    return f"{words} lookup {rule.get('table', 0)}"


def _route_words(route):
    encap = route.get("encap", {})
    target = "encap {kind} id {id} src {src} dst {dst} ".format_map({**_NO_ENCAP, **encap}) if encap else ""
    target += "csum " if encap.get("csum") else ""
    kind = "" if route.get("type", _UNICAST) == _UNICAST else f"{route['type']} "
    via = f"via {route['gateway']} " if "gateway" in route else ""
    onlink = "onlink " if "onlink" in route.get("flags", ()) else ""
    return f"{kind}{route['dst']} {target}{via}dev {route.get('dev')} {onlink}table {route.get('table', MAIN_TABLE)}"


def _our_addresses(host, device, claimed):
    """Return {words: address}. Of the tunnel device's addresses the link-local one is the kernel's."""
    return {
        _address_words(name, address): address["local"]
        for name, address in host.addresses()
        if (name == device and is_global(address)) or is_egress_address(name, address, claimed)
    }


def _address_words(name, address):
    words = [f"{address['local']}/{address['prefixlen']} dev {name}"]
    words += ["nodad"] if address.get("nodad") else []
    words += ["preferred_lft 0"] if address.get("preferred_life_time") == 0 else []
    words += [f"label {address['label']}"] if address.get("label", name) != name else []
    return " ".join(words)


def _address_key(words):
    return " ".join(words.split()[:3])


def _route_key(words):
    """Return what the kernel tells routes apart by: the destination and the table."""
    return words.split()[0], _table(words)


def _table(words):
    return words.split()[-1]


def _differences(have, want):
    """Return {kind: sorted items of `want` that `have` lacks}."""
    return {field.name: sorted(getattr(want, field.name) - getattr(have, field.name)) for field in fields(IpState)}


def _without_device(state, device):
    """Return the state as it is when the tunnel device has just been deleted or was not there."""
    return IpState(
        rules=state.rules,
        routes=frozenset(words for words in state.routes if f" dev {device} " not in words),
        addresses=frozenset(words for words in state.addresses if words.split()[2] != device),
    )
