# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Addresses, rules, routes and neighbours as iproute2 says them. PRIVATE to the collection.

Everything of ours that `ip` manages is an `IpState`: sets of the very words that follow `ip rule add`,
`ip route add` and so on. What is wanted and what `ip -json` shows are brought to the same words, so the difference
is a difference of sets, and the way back is the same difference the other way round.

Per node, with P = rule_priority and T = table_base:

    P    fwmark 0/MASK goto P+5         ordinary traffic passes us by
    P+1  iif lo goto P+5                so do the node's own packets, the tunnel's outer ones among them
    P+2  fwmark K/MASK lookup main      one for each egress IP that the node holds: this is the claim
    P+3  fwmark K/MASK lookup T+index   one for each egress IP: through the tunnel to its holder
    P+4  unreachable                    a marked packet without a way never leaves by another one
    P+5  nop
"""

from __future__ import annotations

import functools
import json
from dataclasses import dataclass, fields

from ._addresses import parse_address
from ._errors import CommandError

# Marks rules, routes and neighbours as ours (`protocol` of rtnetlink; 225 is given to nobody).
PROTOCOL = 225
ALIAS = "netops.egress_ip"
LABEL = "egress"
# RFC 7600's dummy address: the tunnel device needs one for the reverse path check, and it never leaves the node.
DUMMY_ADDRESS = "192.0.0.8/32"
VXLAN_OVERHEAD = 50

MAIN_TABLE = 254
_UNICAST, _UNREACHABLE = "1", "7"

READ_BATCH = (
    "address show",
    "rule show",
    f"route show table all protocol {PROTOCOL}",
    "neighbour show nud permanent",
    "route show default table main",
)


@dataclass(frozen=True)
class IpState:
    """What `ip` shows of ours, each item in the words of the command; `links` has one item or none."""

    links: frozenset = frozenset()
    rules: frozenset = frozenset()
    routes: frozenset = frozenset()
    neighbours: frozenset = frozenset()
    addresses: frozenset = frozenset()

    def to_dict(self):
        """Return the state as a JSON-safe dict of sorted lists."""
        return {field.name: sorted(getattr(self, field.name)) for field in fields(self)}


@dataclass(frozen=True)
class Host:
    """What one reading of `ip` says about the host: the documents of READ_BATCH."""

    interfaces: tuple
    rules: tuple
    routes: tuple
    neighbours: tuple
    default_routes: tuple

    def interface(self, name):
        """Return the interface's document, or None."""
        return next((item for item in self.interfaces if item["ifname"] == name), None)

    def mtu(self, name):
        """Return the MTU of an interface in bytes; Ethernet's when the interface is not there yet."""
        return (self.interface(name) or {}).get("mtu", 1500)

    def default_interface(self):
        """Return the name of the interface with the best default route, or None."""
        routes = sorted((r for r in self.default_routes if "dev" in r), key=lambda r: r.get("metric", 0))
        return routes[0]["dev"] if routes else None

    def addresses(self):
        """Yield (interface, addr_info document) of every address of the host."""
        for interface in self.interfaces:
            for address in interface.get("addr_info", ()):
                if "local" in address:
                    yield interface["ifname"], address


def parse_host(text):
    """Read what `ip -N -details -json -batch READ_BATCH` printed; raises CommandError when it is something else."""
    decoder = json.JSONDecoder(object_pairs_hook=_last_key_wins_but_encap)
    documents, position = [], 0
    while position < len(text):
        if text[position].isspace():
            position += 1
            continue
        try:
            document, position = decoder.raw_decode(text, position)
        except ValueError:
            raise CommandError(f"ip -json: printed what is not JSON: {text[position : position + 80]!r}") from None
        documents.append(tuple(item for item in document if item))
    if len(documents) != len(READ_BATCH):
        raise CommandError(f"ip -json: gave {len(documents)} documents for {len(READ_BATCH)} commands")
    return Host(*documents)


def current_ip(host, options, claimed):
    """Return the IpState of ours that `host` shows; `claimed` are addresses that we are on record to have put there."""
    device = options.tunnel_device
    return IpState(
        links=frozenset(_link_words(item) for item in host.interfaces if item["ifname"] == device and _is_ours(item)),
        rules=frozenset(_rule_words(rule) for rule in host.rules if rule.get("protocol") == str(PROTOCOL)),
        routes=frozenset(_route_words(route) for route in host.routes),
        neighbours=frozenset(
            f"{n['dst']} lladdr {n.get('lladdr')} dev {n['dev']}"
            for n in host.neighbours
            if n.get("protocol") == str(PROTOCOL)
        ),
        addresses=frozenset(_our_addresses(host, device if is_our_device(host, device) else None, claimed)),
    )


def desired_ip(state, marks, mtu):
    """Return the IpState that `state` asks for on a node whose egress interface has this MTU (bytes)."""
    options = state.options
    device = options.tunnel_device
    return IpState(
        links=frozenset([_link(device, options.tunnel_port, mtu - VXLAN_OVERHEAD)]),
        rules=frozenset(_desired_rules(state, marks)),
        routes=frozenset(
            f"default encap ip id {options.tunnel_vni} dst {ip} via {_gateway(index)} dev {device} onlink"
            f" table {options.table_base + index}"
            for ip, index in marks.items()
        ),
        neighbours=frozenset(f"{_gateway(index)} lladdr {mac_of(ip)} dev {device}" for ip, index in marks.items()),
        addresses=frozenset(
            [f"{DUMMY_ADDRESS} dev {device}"] + [address_words(item.egress_ip, item.interface) for item in state.held]
        ),
    )


def batch(current, desired):
    """Return the lines for `ip -batch` that lead from one IpState to the other; [] when they are equal.

    Additions come before removals, but the device goes first: what was bound to an old one went with it.
    """
    lines = []
    if current.links != desired.links:
        lines += [f"link delete {words.split()[0]}" for words in current.links]
        lines += [f"link add {words}" for words in desired.links]
        lines += [f"link set {words.split()[0]} alias {ALIAS} up" for words in desired.links]
        current = _without_device(current)
    add, remove = _differences(current, desired), _differences(desired, current)
    relabelled = {_address_key(words) for words in add["addresses"]} & {_address_key(w) for w in remove["addresses"]}
    lines += [f"address delete {key}" for key in sorted(relabelled)]
    lines += [f"rule add {words} protocol {PROTOCOL}" for words in add["rules"]]
    lines += [f"address add {words}" for words in add["addresses"]]
    lines += [f"neighbour replace {words} nud permanent protocol {PROTOCOL}" for words in add["neighbours"]]
    lines += [f"route replace {words} protocol {PROTOCOL}" for words in add["routes"]]
    replaced = {_table(words) for words in add["routes"]}
    lines += [
        f"route flush table {_table(w)} protocol {PROTOCOL}" for w in remove["routes"] if _table(w) not in replaced
    ]
    replaced = {words.split()[0] for words in add["neighbours"]}
    lines += [f"neighbour delete {w}" for w in remove["neighbours"] if w.split()[0] not in replaced]
    lines += [f"address delete {_address_key(w)}" for w in remove["addresses"] if _address_key(w) not in relabelled]
    lines += [f"rule delete {words} protocol {PROTOCOL}" for words in remove["rules"]]
    return lines


def foreign_uses(host, options, claimed_device):
    """Return what on this host already uses the numbers and names that `options` give us, one sentence each.

    `claimed_device` says that the tunnel device is ours already.
    """
    mask, low = options.mark_mask, options.rule_priority
    problems = []
    for rule in host.rules:
        ours = rule.get("protocol") == str(PROTOCOL)
        rule_mask = int(rule.get("fwmask", "0xffffffff"), 0) if "fwmark" in rule else 0
        if not ours and rule_mask & mask:
            problems.append(
                f"egress_ip_mark_mask: {mask:#x} overlaps with the mark {rule['fwmark']}/{rule_mask:#x} of the foreign"
                f" rule with priority {rule['priority']}; choose free bits"
            )
        if not ours and low <= rule["priority"] <= low + 5:
            problems.append(
                f"egress_ip_rule_priority: a foreign rule has priority {rule['priority']}, in our {low} to {low + 5}"
            )
        table = int(rule.get("table", 0))
        if not ours and options.table_base < table <= options.table_base + options.max_index:
            problems.append(
                f"egress_ip_table_base: the foreign rule with priority {rule['priority']} looks up table {table},"
                f" within our {options.table_base + 1} to {options.table_base + options.max_index}"
            )
    return problems + _foreign_devices(host, options, claimed_device)


def is_our_device(host, name):
    """Tell whether the interface `name` exists and bears our alias."""
    interface = host.interface(name)
    return interface is not None and _is_ours(interface)


def held_addresses(host, claimed):
    """Return {egress IP: interface} of the addresses on this host that are ours: labelled, or in `claimed`."""
    return {address["local"]: name for name, address in host.addresses() if _is_egress_address(name, address, claimed)}


@functools.lru_cache(maxsize=None)
def mac_of(egress_ip):
    """Return the MAC address that stands for an egress IP in the tunnel: 02:e1 and the address's four bytes."""
    return "02:e1:" + ":".join(f"{byte:02x}" for byte in parse_address(egress_ip, "egressIP").packed)


def address_words(egress_ip, interface):
    """Return the words that put an egress IP on an interface; a label shows a person whose it is where it fits."""
    label = f"{interface}:{LABEL}"
    return f"{egress_ip}/32 dev {interface}" + (f" label {label}" if len(label) <= 15 else "")


def _gateway(index):
    """Return the next hop that stands for an egress IP on the tunnel device: link-local, one per index."""
    return f"169.254.{index >> 8}.{index & 0xFF}"


def _link(device, port, mtu):
    return f"{device} mtu {mtu} type vxlan external dstport {port}"


def _link_words(interface):
    data = interface.get("linkinfo", {}).get("info_data", {})
    if (
        interface.get("linkinfo", {}).get("info_kind") != "vxlan"
        or not data.get("external")
        or "UP" not in interface["flags"]
    ):
        return f"{interface['ifname']} is not an external vxlan device that is up"
    return _link(interface["ifname"], data.get("port"), interface["mtu"])


def _is_ours(interface):
    return interface.get("ifalias") == ALIAS


def _desired_rules(state, marks):
    options = state.options
    low, mask = options.rule_priority, options.mark_mask
    yield f"priority {low} fwmark 0x0/{mask:#x} goto {low + 5}"
    yield f"priority {low + 1} iif lo goto {low + 5}"
    for item in state.held:
        yield f"priority {low + 2} fwmark {options.mark(marks[item.egress_ip]):#x}/{mask:#x} lookup {MAIN_TABLE}"
    for index in marks.values():
        yield f"priority {low + 3} fwmark {options.mark(index):#x}/{mask:#x} lookup {options.table_base + index}"
    yield f"priority {low + 4} unreachable"
    yield f"priority {low + 5} nop"


def _rule_words(rule):
    words = f"priority {rule['priority']}"
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
    target = f"encap ip id {encap.get('id')} dst {encap.get('dst')} " if encap else ""
    kind = "" if route.get("type", _UNICAST) == _UNICAST else f"{route['type']} "
    via = f"via {route['gateway']} " if "gateway" in route else ""
    onlink = "onlink " if "onlink" in route.get("flags", ()) else ""
    return f"{kind}{route['dst']} {target}{via}dev {route.get('dev')} {onlink}table {route.get('table', MAIN_TABLE)}"


def _last_key_wins_but_encap(pairs):
    """Read an object in which `ip -json` repeats keys: what stands between `encap` and `ttl` is the tunnel's."""
    document, encap = {}, None
    for key, value in pairs:
        if key == "encap":
            encap = {"kind": value}
        elif encap is not None and key in ("id", "src", "dst", "ttl", "tos"):
            encap.setdefault(key, value)
        else:
            document[key] = value
    if encap is not None:
        document["encap"] = encap
    return document


def _our_addresses(host, device, claimed):
    for name, address in host.addresses():
        if address["family"] != "inet":
            continue
        if name == device:
            yield f"{address['local']}/{address['prefixlen']} dev {name}"
        elif _is_egress_address(name, address, claimed):
            label = address.get("label", name)
            yield f"{address['local']}/{address['prefixlen']} dev {name}" + (f" label {label}" if label != name else "")


def _is_egress_address(name, address, claimed):
    return address.get("label") == f"{name}:{LABEL}" or (address["local"] in claimed and address.get("prefixlen") == 32)


def _address_key(words):
    return " ".join(words.split()[:3])


def _table(words):
    return words.split()[-1]


def _differences(have, want):
    """Return {kind: sorted items of `want` that `have` lacks}."""
    return {field.name: sorted(getattr(want, field.name) - getattr(have, field.name)) for field in fields(IpState)}


def _without_device(state):
    """Return the state as it is when the tunnel device has just been deleted or was not there."""
    device = _device_of(state)
    return IpState(
        rules=state.rules,
        addresses=frozenset(words for words in state.addresses if words.split()[2] != device),
    )


def _device_of(state):
    return next((words.split()[0] for words in state.links), None)


def _vxlan_port(interface):
    info = interface.get("linkinfo", {})
    return info.get("info_data", {}).get("port") if info.get("info_kind") == "vxlan" else None


def _foreign_devices(host, options, claimed_device):
    if claimed_device:
        return []
    problems = []
    for interface in host.interfaces:
        if interface["ifname"] == options.tunnel_device:
            problems.append(
                f"egress_ip_tunnel_device: there is a foreign interface {options.tunnel_device}; choose another name"
            )
        elif not _is_ours(interface) and _vxlan_port(interface) == options.tunnel_port:
            problems.append(
                f"egress_ip_tunnel_port: the foreign interface {interface['ifname']} uses UDP port"
                f" {options.tunnel_port}; choose another port"
            )
    return problems
