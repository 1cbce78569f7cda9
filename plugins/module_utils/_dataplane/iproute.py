# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Desired and current addresses, rules, routes and neighbours, in the words of iproute2. PRIVATE. No I/O.

All our items that `ip` manages are an `IpState` per IP version: sets of the words that follow `ip rule add`,
`ip route add` and so on. The desired state and the output of `ip -json` are written in the same words, so a change is a
difference of sets, and its rollback is the reverse difference.

Rules per node and IP version, with P = rule_priority and T = table_base; `numbers` has the offsets:

    P      fwmark 0/MASK goto END         ordinary traffic skips our rules
    P      fwmark MASK/MASK goto END      so do packets of selected pods to destinations without an egress IP
    P+1    iif lo goto END                so do the node's own packets, among them the tunnel's outer packets
    P+2    fwmark K/GROUP goto G          one per group of marks: the kernel evaluates rules one by one, so a packet
                                          skips the rules of other groups
    G      nop                            P+3, P+6 ...
    G+1    fwmark K/MASK lookup main      one per held egress IP: this is the claim; a table other than main for an
                                          address that is not on the primary interface
    G+2    fwmark K/MASK lookup T+index   one per egress IP: through the tunnel to its holder
    END-1  unreachable                    a marked packet without a route never leaves by another one
    END    nop
    END+1  fwmark 0/MASK iif lo uidrange U-U lookup T
                                          one per range of users whose packets need a mark, see `host_users`

On a node with such users, P+1 is `iif lo ipproto 17 dport PORT goto END`: their packets follow their marks, those of
the tunnel do not.
"""

from __future__ import annotations

import functools
import hashlib
import itertools
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, fields, replace
from types import MappingProxyType
from typing import Mapping, Sequence

from .._common.addresses import VERSIONS, WORDS, of_version, parse_address, version_of
from .host import Document, Host, is_egress_address, is_global, is_our_device, is_ours
from .host_users import ANY, own_packets, user_routes, user_rules, users_of
from .interfaces import Exit
from .node_state import Held, NodeState
from .numbers import (
    ALIAS,
    DUMMY_ADDRESS,
    GROUP_CLAIM,
    GROUP_START,
    GROUP_TUNNEL,
    LABEL,
    LAST_METRIC,
    MAIN_TABLE,
    PROTOCOL,
    RULE_BYPASS,
    RULE_END,
    RULE_FIRST_GROUP,
    RULE_GROUPS,
    RULE_LOCAL,
    RULES_PER_GROUP,
    VRF_PRIORITY,
    VXLAN_OVERHEAD,
)
from .options import DataPlaneOptions

# Types of routes and actions of rules (RTN_UNICAST, FR_ACT_UNREACHABLE), as `ip -N` prints them.
_UNICAST, _UNREACHABLE = "1", "7"
# The words for the other types of our routes (RTN_UNREACHABLE, RTN_THROW).
_ROUTE_TYPES = {"7": "unreachable", "9": "throw"}
# `ip -N` prints the number of a protocol behind this word.
_PROTOCOL_NUMBER = "ipproto-"
# Receivers drop UDP over IPv6 without a checksum.
_CHECKSUM = {4: "", 6: " csum"}
_NO_ENCAP = dict.fromkeys(("kind", "id", "src", "dst"))


@dataclass(frozen=True)
class IpState:
    """Our items of one IP version, each in the words of the `ip` command that adds it.

    The tunnel device serves both versions; it is the one item of `links` in the state for IPv4.
    """

    links: frozenset[str] = frozenset()
    rules: frozenset[str] = frozenset()
    routes: frozenset[str] = frozenset()
    neighbours: frozenset[str] = frozenset()
    addresses: frozenset[str] = frozenset()

    def to_dict(self) -> dict[str, list[str]]:
        """Return the state as a JSON-safe dict of sorted lists."""
        return {field.name: sorted(getattr(self, field.name)) for field in fields(self)}


# {IP version: IpState}
IpStates = Mapping[int, IpState]
# {IP version: CIDRs}
Excluded = Mapping[int, Sequence[str]]
_NOTHING_EXCLUDED: Excluded = MappingProxyType({})


def current_ip(host: Host, options: DataPlaneOptions, claimed: Collection[str]) -> dict[int, IpState]:
    """Return the {IP version: IpState} of our items on `host`; `claimed` are the egress IPs of the node's record."""
    device = options.tunnel_device
    links = [_link_words(item) for item in host.interfaces if item["ifname"] == device and is_ours(item)]
    routes = {_route_words(route): _address_in(route) for route in host.routes}
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


def desired_ip(
    state: NodeState,
    marks: Mapping[str, int],
    mtu: int,
    exits: Mapping[str, Exit],
    mac: str,
    excluded: Excluded = _NOTHING_EXCLUDED,
) -> dict[int, IpState]:
    """Return the {IP version: IpState} for `state`; `mtu` is that of the primary interface in bytes.

    `marks` is {egress IP: index}, `exits` {interface: Exit} of the other interfaces with egress IPs,
    `mac` the MAC address of the tunnel device. `excluded` are the networks that are no destinations of egress IPs.
    """
    options = state.options
    macs = macs_of(marks)
    link = _link(options.tunnel_device, mac, options.tunnel_port, mtu - VXLAN_OVERHEAD)
    return {
        version: replace(
            _desired(state, marks, macs, exits, version, excluded),
            links=frozenset([link] if version == 4 else ()),
        )
        for version in VERSIONS
    }


def _desired(
    state: NodeState,
    marks: Mapping[str, int],
    macs: Mapping[str, str],
    exits: Mapping[str, Exit],
    version: int,
    excluded: Excluded,
) -> IpState:
    """Return the IpState of one IP version without the link; empty if the node has no endpoint of this version."""
    options, source, own = state.options, state.endpoint(version), of_version(marks, version)
    users = [*users_of(state).get(version, ())]
    if not source or not (own or users):
        return IpState()
    device, kind = options.tunnel_device, WORDS[version]
    held = [item for item in state.held if version_of(item.egress_ip) == version]
    dummy = [f"{DUMMY_ADDRESS} dev {device}"] if version == 4 else []
    rules = _desired_rules(options, {ip: marks[ip] for ip in own}, held, exits, bool(users)) if own else ()
    return IpState(
        rules=frozenset((*rules, *user_rules(options, users))),
        routes=frozenset(
            f"default encap {kind} id {options.tunnel_vni} src {source} dst {state.far_end(ip)}{_CHECKSUM[version]}"
            f" via {_gateway(marks[ip], version)} dev {device} onlink table {options.table_base + marks[ip]}"
            for ip in own
        )
        | {route for name, exit_ in exits.items() for route in _exit_routes(name, exit_, version)}
        | frozenset(user_routes(options, version, source, excluded.get(version, ())) if users else ()),
        neighbours=frozenset(f"{_gateway(marks[ip], version)} lladdr {macs[ip]} dev {device}" for ip in own),
        addresses=frozenset(dummy + [address_words(item.egress_ip, item.interface) for item in held]),
    )


def batches(current: IpStates, desired: IpStates) -> dict[int, list[str]]:
    """Return {IP version: lines for `ip -batch`} that lead from `current` to `desired`; no lines when equal."""
    old, new = current[4].links, desired[4].links
    if old == new:
        return {version: _batch(current[version], desired[version]) for version in VERSIONS}
    lines = [f"link delete {words.split()[0]}" for words in old]
    lines += [f"link add {words}" for words in new]
    # The alias contains the port too: iproute2 before 5.12 does not print that of an external device.
    lines += [f"link set {words.split()[0]} alias {ALIAS}:{words.split()[-1]} up" for words in new]
    gone = next((words.split()[0] for words in old), None)
    rest = {version: _batch(_without_device(current[version], gone), desired[version]) for version in VERSIONS}
    return {**rest, 4: lines + rest[4]}


def _batch(current: IpState, desired: IpState) -> list[str]:
    """Return the lines for one IP version and an unchanged device. Additions come before removals."""
    lines: list[str] = []
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
        # `ip route delete` does not accept an encapsulation.
        f"route flush table {_table(w)} protocol {PROTOCOL}" if " encap " in w else f"route delete {w}"
        for w in gone
    ]
    changed = {words.split()[0] for words in add["neighbours"]}
    lines += [f"neighbour delete {w}" for w in remove["neighbours"] if w.split()[0] not in changed]
    lines += [f"address delete {_address_key(w)}" for w in remove["addresses"] if _address_key(w) not in relabelled]
    lines += [f"rule delete {words} protocol {PROTOCOL}" for words in sorted(remove["rules"], key=_rank, reverse=True)]
    return lines


def macs_of(egress_ips: Iterable[str]) -> dict[str, str]:
    """Return {egress IP: inner destination MAC of its packets in the tunnel}, the same on all nodes of a fleet.

    02:e1 and the four bytes of an IPv4 address; for IPv6 06 and a hash of 40 bits, and after a collision the next hash.
    """
    egress_ips = list(egress_ips)
    macs = {ip: _mac_of(ip, 0) for ip in of_version(egress_ips, 4)}
    taken: set[str] = set()
    for ip in sorted(of_version(egress_ips, 6)):
        macs[ip] = next(mac for mac in (_mac_of(ip, attempt) for attempt in itertools.count()) if mac not in taken)
        taken.add(macs[ip])
    return macs


@functools.lru_cache(maxsize=None)
def _mac_of(address: str, attempt: int) -> str:
    packed = parse_address(address, "address").packed
    data = b"\x02\xe1" + packed
    if version_of(address) == 6:
        data = b"\x06" + hashlib.sha256(packed + bytes([attempt])).digest()[:5]
    return ":".join(f"{byte:02x}" for byte in data)


def address_words(egress_ip: str, interface: str) -> str:
    """Return the words that add an egress IP to an interface.

    IPv4: with our label where the kernel's 15 characters allow it. IPv6: without duplicate address detection, which the
    probe has done, and deprecated, so that the host does not choose it as source of its own connections.
    """
    if version_of(egress_ip) == 6:
        return f"{egress_ip}/128 dev {interface} nodad preferred_lft 0"
    label = f"{interface}:{LABEL}"
    return f"{egress_ip}/32 dev {interface}" + (f" label {label}" if len(label) <= 15 else "")


def _gateway(index: int, version: int) -> str:
    """Return the next hop on the tunnel device for the egress IP with this index: a link-local address."""
    return f"169.254.{index >> 8}.{index & 0xFF}" if version == 4 else f"fe80::{index:x}"


def _those_of(version: int, items: Mapping[str, str]) -> frozenset[str]:
    """Return the words of {words: address} whose address is of this IP version."""
    return frozenset(words for words, address in items.items() if version_of(address) == version)


def _link(device: str, mac: str, port: object, mtu: int) -> str:
    """Return the words that create the tunnel device.

    They include the MAC: otherwise udev sets another one later, and the kernel then drops the neighbours. It differs
    between nodes, for VXLAN drops frames whose inner source is the MAC of its own device.
    """
    return f"{device} address {mac} mtu {mtu} type vxlan external dstport {port}"


def _link_words(interface: Document) -> str:
    data = interface.get("linkinfo", {}).get("info_data", {})
    if (
        interface.get("linkinfo", {}).get("info_kind") != "vxlan"
        or not data.get("external")
        or "UP" not in interface["flags"]
    ):
        return f"{interface['ifname']} is not an external vxlan device that is up"
    port = data.get("port") or interface.get("ifalias", "").partition(":")[2]
    return _link(interface["ifname"], interface.get("address", ""), port, interface["mtu"])


def _exit_routes(interface: str, exit_: Exit, version: int) -> Iterator[str]:
    for network, gateway in exit_.routes[version].items():
        via = f"via {gateway} dev {interface} onlink" if gateway else f"dev {interface}"
        yield f"{network} {via} table {exit_.table}"


def _desired_rules(
    options: DataPlaneOptions,
    marks: Mapping[str, int],
    held: Iterable[Held],
    exits: Mapping[str, Exit],
    has_users: bool,
) -> Iterator[str]:
    low, end, mask = options.rule_priority, options.rule_priority + RULE_END, options.mark_mask
    for vrf in sorted({exit_.vrf for exit_ in exits.values()} - {""}):
        yield f"priority {VRF_PRIORITY} not fwmark 0x0/{mask:#x} iif {vrf} lookup {MAIN_TABLE}"
    yield f"priority {low + RULE_BYPASS} fwmark 0x0/{mask:#x} goto {end}"
    yield f"priority {low + RULE_BYPASS} fwmark {mask:#x}/{mask:#x} goto {end}"
    yield f"priority {low + RULE_LOCAL} {own_packets(options) if has_users else 'iif lo'} goto {end}"
    for index in {options.group(index): index for index in marks.values()}.values():
        start, mark = _start(options, index), options.mark(index) & options.group_mask
        yield f"priority {low + RULE_GROUPS} fwmark {mark:#x}/{options.group_mask:#x} goto {start}"
        yield f"priority {start + GROUP_START} nop"
    for item in held:
        index = marks[item.egress_ip]
        table = exits[item.interface].table if item.interface in exits else MAIN_TABLE
        words = f"fwmark {options.mark(index):#x}/{mask:#x} lookup {table}"
        yield f"priority {_start(options, index) + GROUP_CLAIM} {words}"
    for index in marks.values():
        words = f"fwmark {options.mark(index):#x}/{mask:#x} lookup {options.table_base + index}"
        yield f"priority {_start(options, index) + GROUP_TUNNEL} {words}"
    yield f"priority {end - 1} unreachable"
    yield f"priority {end} nop"


def _start(options: DataPlaneOptions, index: int) -> int:
    """Return the priority of the first rule of an index's group."""
    return options.rule_priority + RULE_FIRST_GROUP + RULES_PER_GROUP * options.group(index)


def _rank(words: str) -> tuple[bool, bool, str]:
    """Return the sort key in which rules are added: targets of `goto` first, and `unreachable` last."""
    return ("nop" not in words, "unreachable" in words, words)


def _rule_words(rule: Document) -> str:
    words = f"priority {rule['priority']}" + (" not" if "not" in rule else "")
    if "fwmark" in rule:
        words += f" fwmark {int(rule['fwmark'], 0):#x}/{int(rule.get('fwmask', '0xffffffff'), 0):#x}"
    if "iif" in rule:
        words += f" iif {rule['iif']}"
    if "uid_start" in rule:
        words += f" uidrange {rule['uid_start']}-{rule['uid_end']}"
    if "ipproto" in rule:
        words += f" ipproto {str(rule['ipproto']).replace(_PROTOCOL_NUMBER, '')}"
    if "dport" in rule:
        words += f" dport {rule['dport']}"
    if "goto" in rule:
        return f"{words} goto {rule['goto']}"
    if "nop" in rule:
        return f"{words} nop"
    if rule.get("action") == _UNREACHABLE:
        return f"{words} unreachable"
    return f"{words} lookup {rule.get('table', 0)}"


def _route_words(route: Document) -> str:
    table, kind = f"table {route.get('table', MAIN_TABLE)}", route.get("type", _UNICAST)
    if kind in _ROUTE_TYPES:
        metric = f"metric {LAST_METRIC} " if route.get("metric") == LAST_METRIC else ""
        return f"{_ROUTE_TYPES[kind]} {_typed_destination(route)} {metric}{table}"
    encap = route.get("encap", {})
    target = "encap {kind} id {id} src {src} dst {dst} ".format_map({**_NO_ENCAP, **encap}) if encap else ""
    target += "csum " if encap.get("csum") else ""
    typed = "" if kind == _UNICAST else f"{kind} "
    via = f"via {route['gateway']} " if "gateway" in route else ""
    source = f"src {route['prefsrc']} " if "prefsrc" in route else ""
    onlink = "onlink " if "onlink" in route.get("flags", ()) else ""
    return f"{typed}{route['dst']} {target}{via}dev {route.get('dev')} {source}{onlink}{table}"


def _typed_destination(route: Document) -> str:
    """Return the destination of a route without a device; in IPv6 only, the kernel names the one for loopback."""
    if route["dst"] != "default":
        return str(route["dst"])
    return ANY[6 if "dev" in route else 4]


def _address_in(route: Document) -> str:
    """Return an address of the IP version of a route."""
    if route.get("type") in _ROUTE_TYPES:
        return _typed_destination(route).split("/", 1)[0]
    return str(route.get("gateway") or route.get("prefsrc") or route["dst"].split("/")[0])


def _our_addresses(host: Host, device: str | None, claimed: Collection[str]) -> dict[str, str]:
    """Return {words: address} of our addresses; the link-local address of the tunnel device is the kernel's."""
    return {
        _address_words(name, address): address["local"]
        for name, address in host.addresses()
        if (name == device and is_global(address)) or is_egress_address(name, address, claimed)
    }


def _address_words(name: str, address: Document) -> str:
    words = [f"{address['local']}/{address['prefixlen']} dev {name}"]
    words += ["nodad"] if address.get("nodad") else []
    words += ["preferred_lft 0"] if address.get("preferred_life_time") == 0 else []
    words += [f"label {address['label']}"] if address.get("label", name) != name else []
    return " ".join(words)


def _address_key(words: str) -> str:
    """Return the words that identify an address for `ip address delete`."""
    return " ".join(words.split()[:3])


def _route_key(words: str) -> tuple[str, ...]:
    """Return what identifies a route for the kernel: the destination and the table, and the type if it has one."""
    first, second, *_rest = words.split(maxsplit=2)
    return (*((first, second) if first in _ROUTE_TYPES.values() else (first,)), _table(words))


def _table(words: str) -> str:
    return words.rsplit(maxsplit=1)[-1]


def _differences(have: IpState, want: IpState) -> dict[str, list[str]]:
    """Return {kind: sorted items of `want` that `have` lacks}."""
    return {field.name: sorted(getattr(want, field.name) - getattr(have, field.name)) for field in fields(IpState)}


def _without_device(state: IpState, device: str | None) -> IpState:
    """Return the state after the tunnel device was deleted; `device` is None if there was none."""
    return IpState(
        rules=state.rules,
        routes=frozenset(words for words in state.routes if f" dev {device} " not in words),
        addresses=frozenset(words for words in state.addresses if words.split()[2] != device),
    )
