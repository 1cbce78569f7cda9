# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A host as `ip -json` describes it: parsing, our own items on it, and conflicts with others. PRIVATE. No I/O."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Dict, Tuple

from .._common.addresses import version_of
from .._common.errors import CommandError
from .esp import Esp
from .numbers import ALIAS, LABEL, MAIN_TABLE, PROTOCOL, ROUTER_ADVERTISEMENT
from .options import DataPlaneOptions

# One JSON object of `ip -json`: an interface, an address, a route, a neighbour or a rule.
Document = Dict[str, Any]
Documents = Tuple[Document, ...]

# Commands for `ip -batch` (4) and `ip -6 -batch` (6); the first lists all but the rules for both IP versions.
READ_BATCH = {
    4: (
        "address show",
        f"route show table all protocol {PROTOCOL}",
        "neighbour show nud permanent",
        "rule show",
        "route show default table all",
    ),
    6: ("rule show",),
}


@dataclass(frozen=True)
class Host:
    """The output of READ_BATCH as documents of `ip`; rules as {IP version: documents}.

    `routes` are ours, `default_routes` those of all other tables and both IP versions. `listening` are the interfaces
    on which the kernel itself processes router advertisements and has received some. `policies` are ours, see
    `xfrm_policies`. `new_mac` is a random MAC address for a new tunnel device, `not_routing`
    are the IP versions whose forwarding was off before the first run. `esp` are our ESP states and policies,
    `tunnel_secrets` {fingerprint: secret} those that the node has. `idle_networks` are the CIDRs of container networks
    that may have no bridge now, on a node that needs them.
    """

    interfaces: Documents
    routes: Documents
    neighbours: Documents
    default_routes: Documents
    rules: Mapping[int, Documents]
    listening: tuple[str, ...] = ()
    policies: frozenset[str] = frozenset()
    new_mac: str = ""
    not_routing: frozenset[int] = frozenset()
    esp: Esp = Esp()
    tunnel_secrets: Mapping[str, str] = field(default_factory=dict, repr=False)
    idle_networks: tuple[str, ...] = ()

    def interface(self, name: str) -> Document | None:
        """Return the document of the interface, or None."""
        return next((item for item in self.interfaces if item["ifname"] == name), None)

    def macs(self) -> frozenset[str]:
        """Return the MAC addresses of all interfaces."""
        return frozenset(item["address"] for item in self.interfaces if "address" in item)

    def mtu(self, name: str) -> int:
        """Return the MTU of an interface in bytes, 1500 for an interface that does not exist."""
        return int((self.interface(name) or {}).get("mtu", 1500))

    def default_interface(self) -> str | None:
        """Return the name of the interface with the best default route, IPv4 before IPv6, or None."""
        routes = [route for route in self.default_routes if "dev" in route and _in_main(route)]
        return str(min(routes, key=_cost)["dev"]) if routes else None

    def gateway(self, interface: str, version: int) -> str:
        """Return the gateway of the best default route of an interface, in any table; empty without one."""
        routes = [r for r in self.default_routes if r.get("dev") == interface and r.get("gateway")]
        routes = [route for route in routes if version_of(route["gateway"]) == version]
        best = min(routes, key=lambda route: (not _in_main(route), *_cost(route)), default=None)
        return str(best["gateway"]) if best else ""

    def gateways(self) -> list[str]:
        """Return the sorted addresses of the routers of all default routes."""
        hops = [hop for route in self.default_routes for hop in (route, *route.get("nexthops", ()))]
        # An IPv4 route through an IPv6 router has `via` in place of `gateway`.
        return sorted({hop.get("gateway") or hop["via"]["host"] for hop in hops if "gateway" in hop or "via" in hop})

    def advertised(self) -> list[str]:
        """Return the sorted interfaces with a route or address that may come from a router advertisement."""
        routes = [route for route in self.default_routes if route.get("protocol") == ROUTER_ADVERTISEMENT]
        addressed = {name for name, a in self.addresses() if a["family"] == "inet6" and a.get("dynamic")}
        return sorted({route["dev"] for route in routes if "dev" in route} | addressed)

    def addresses(self) -> Iterator[tuple[str, Document]]:
        """Yield (interface, addr_info document) of every address of the host."""
        for interface in self.interfaces:
            for address in interface.get("addr_info", ()):
                if "local" in address:
                    yield interface["ifname"], address


def parse_host(texts: Mapping[int, str]) -> Host:
    """Return the Host of {IP version: output of `ip -N -details -json -batch` for READ_BATCH}.

    A host without IPv6 has no text for it. Raises CommandError for output of another form.
    """
    interfaces, routes, neighbours, rules, defaults = _documents(texts[4], READ_BATCH[4])
    rules6 = _documents(texts[6], READ_BATCH[6])[0] if 6 in texts else ()
    foreign = tuple(route for route in defaults if route.get("protocol") != str(PROTOCOL))
    return Host(interfaces, routes, neighbours, foreign, {4: rules, 6: rules6})


def _in_main(route: Document) -> bool:
    return int(route.get("table", MAIN_TABLE)) == MAIN_TABLE


def _cost(route: Document) -> tuple[bool, int]:
    """Return the sort key of a default route: IPv4 before IPv6, then the metric."""
    return ":" in route.get("gateway", ""), route.get("metric", 0)


def _documents(text: str, commands: Sequence[str]) -> list[Documents]:
    """Return one list of documents per command."""
    decoder = json.JSONDecoder(object_pairs_hook=_document)
    documents: list[Documents] = []
    position = 0
    while position < len(text):
        if text[position].isspace():
            position += 1
            continue
        try:
            document, position = decoder.raw_decode(text, position)
        except ValueError:
            raise CommandError(f"ip -json: the output is not JSON: {text[position : position + 80]!r}") from None
        documents.append(tuple(item for item in document if item))
    if len(documents) != len(commands):
        raise CommandError(f"ip -json: printed {len(documents)} documents for {len(commands)} commands")
    return documents


def is_our_device(host: Host, name: str) -> bool:
    """Return whether the interface `name` exists and has our alias."""
    interface = host.interface(name)
    return interface is not None and is_ours(interface)


def held_addresses(host: Host, claimed: Collection[str]) -> dict[str, str]:
    """Return {egress IP: interface} of our addresses on this host: those with our label, and those in `claimed`."""
    return {address["local"]: name for name, address in host.addresses() if is_egress_address(name, address, claimed)}


def is_global(address: Document) -> bool:
    """Return whether an address is valid beyond its link and host."""
    return address.get("scope") in ("global", "0")


def is_ours(interface: Document) -> bool:
    """Return whether an interface document describes our tunnel device."""
    return str(interface.get("ifalias", "")).partition(":")[0] == ALIAS


def is_egress_address(name: str, address: Document, claimed: Collection[str]) -> bool:
    """Return whether an addr_info document on the interface `name` describes an egress IP that we put there."""
    single: bool = address.get("prefixlen") == (32 if address["family"] == "inet" else 128)
    labelled: bool = address.get("label") == f"{name}:{LABEL}"
    return labelled or (single and address["local"] in claimed)


def foreign_uses(host: Host, options: DataPlaneOptions, claimed_device: bool) -> list[str]:
    """Return one sentence for each number and name of `options` that others already use on this host.

    `claimed_device`: the tunnel device on the host is ours.
    """
    problems = [problem for rule in host.rules[4] + host.rules[6] for problem in _rule_conflicts(rule, options)]
    problems += [
        f"egress_ip_table_base: {user} in table {table}, within the collection's {options.first_table} to"
        f" {options.last_table}"
        for table, user in _foreign_tables(host)
        if options.first_table <= table <= options.last_table
    ]
    # Many programs add the same rule for both IP versions.
    return list(dict.fromkeys(problems)) + ([] if claimed_device else _foreign_devices(host, options))


def _rule_conflicts(rule: Document, options: DataPlaneOptions) -> Iterator[str]:
    """Yield a sentence for each of our numbers that a foreign rule uses."""
    if rule.get("protocol") == str(PROTOCOL):
        return
    rule_mask = int(rule.get("fwmask", "0xffffffff"), 0) if "fwmark" in rule else 0
    if rule_mask & options.mark_mask:
        yield (
            f"egress_ip_mark_mask: {options.mark_mask:#x} overlaps with the mark {rule['fwmark']}/{rule_mask:#x} of the"
            f" foreign rule with priority {rule['priority']}; choose free bits"
        )
    if options.rule_priority <= rule["priority"] <= options.last_priority:
        yield (
            f"egress_ip_rule_priority: a foreign rule has priority {rule['priority']}, in our {options.rule_priority}"
            f" to {options.last_priority}"
        )
    table = int(rule.get("table", 0))
    if options.first_table <= table <= options.last_table:
        yield (
            f"egress_ip_table_base: the foreign rule with priority {rule['priority']} looks up table {table},"
            f" within the collection's {options.first_table} to {options.last_table}"
        )


def _foreign_tables(host: Host) -> Iterator[tuple[int, str]]:
    """Yield (number, use) of the routing tables that others fill."""
    for route in host.default_routes:
        yield int(route.get("table", MAIN_TABLE)), "there is a foreign default route"
    for interface in host.interfaces:
        link = interface.get("linkinfo", {})
        if link.get("info_kind") == "vrf":
            yield link["info_data"]["table"], f"the VRF {interface['ifname']} has its routes"


def _foreign_devices(host: Host, options: DataPlaneOptions) -> list[str]:
    problems: list[str] = []
    for interface in host.interfaces:
        if interface["ifname"] == options.tunnel_device:
            problems.append(
                f"egress_ip_tunnel_device: {options.tunnel_device} is the name of a foreign interface; choose another"
            )
        elif not is_ours(interface) and _vxlan_port(interface) == options.tunnel_port:
            problems.append(
                f"egress_ip_tunnel_port: the foreign interface {interface['ifname']} uses UDP port"
                f" {options.tunnel_port}; choose another port"
            )
    return problems


def _vxlan_port(interface: Document) -> int | None:
    info = interface.get("linkinfo", {})
    return info.get("info_data", {}).get("port") if info.get("info_kind") == "vxlan" else None


def _document(pairs: list[tuple[str, Any]]) -> Document:
    """Return the object with these keys. `ip -json` before 6.14 repeats keys: those after `encap` are the tunnel's."""
    document: Document = {}
    encap: Document | None = None
    flat = False
    for key, value in pairs:
        if key == "encap" and isinstance(value, dict):
            encap = {**value, "kind": value.get("encap_type")}
        elif key == "encap":
            encap, flat = {"kind": value}, True
        elif encap is not None and flat and key in ("id", "src", "dst", "ttl", "tos", "csum"):
            encap.setdefault(key, value)
        else:
            document[key] = value
    return document if encap is None else {**document, "encap": encap}
