# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A host as iproute2 shows it: what is read, what of it is ours, what is in our way. PRIVATE. Pure."""

from __future__ import annotations

import json
from dataclasses import dataclass

from .._common.addresses import version_of
from .._common.errors import CommandError

# Marks rules, routes and neighbours as ours (`protocol` of rtnetlink; 225 is given to nobody).
PROTOCOL = 225
# Mark the tunnel device and the addresses as ours.
ALIAS = "netops.egress_ip"
LABEL = "egress"
MAIN_TABLE = 254
_ROUTER_ADVERTISEMENT = "9"

# What `ip -batch` and `ip -6 -batch` read; the first shows addresses, routes and neighbours of both IP versions.
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
    """What one reading of `ip` says about the host: the documents of READ_BATCH, rules as {IP version: tuple}.

    `default_routes` are those of all tables but ours, of both IP versions. `listening` are the interfaces on which the
    kernel itself heeds router advertisements and has heard some. `policies` are ours, see `_dataplane.xfrm_policies`.
    """

    interfaces: tuple
    routes: tuple
    neighbours: tuple
    default_routes: tuple
    rules: dict
    listening: tuple = ()
    policies: frozenset = frozenset()

    def interface(self, name):
        """Return the interface's document, or None."""
        return next((item for item in self.interfaces if item["ifname"] == name), None)

    def macs(self):
        """Return the MAC addresses of all interfaces, as a frozenset."""
        return frozenset(item["address"] for item in self.interfaces if "address" in item)

    def mtu(self, name):
        """Return the MTU of an interface in bytes; Ethernet's when the interface is not there yet."""
        return (self.interface(name) or {}).get("mtu", 1500)

    def default_interface(self):
        """Return the name of the interface with the best default route, IPv4 before IPv6, or None."""
        routes = [route for route in self.default_routes if "dev" in route and _in_main(route)]
        return min(routes, key=_cost, default={}).get("dev")

    def gateway(self, interface, version):
        """Return the gateway of an interface's best default route, in any table; empty without one."""
        routes = [r for r in self.default_routes if r.get("dev") == interface and r.get("gateway")]
        routes = [route for route in routes if version_of(route["gateway"]) == version]
        return min(routes, key=lambda route: (not _in_main(route), *_cost(route)), default={}).get("gateway", "")

    def gateways(self):
        """Return the sorted addresses of the routers that default routes go by."""
        hops = [hop for route in self.default_routes for hop in (route, *route.get("nexthops", ()))]
        # An IPv4 route by way of an IPv6 router has `via` in place of `gateway`.
        return sorted({hop.get("gateway") or hop["via"]["host"] for hop in hops if "gateway" in hop or "via" in hop})

    def advertised(self):
        """Return the interfaces with something that may come from a router advertisement: a route, an address."""
        routes = [route for route in self.default_routes if route.get("protocol") == _ROUTER_ADVERTISEMENT]
        addressed = {name for name, a in self.addresses() if a["family"] == "inet6" and a.get("dynamic")}
        return sorted({route["dev"] for route in routes if "dev" in route} | addressed)

    def addresses(self):
        """Yield (interface, addr_info document) of every address of the host."""
        for interface in self.interfaces:
            for address in interface.get("addr_info", ()):
                if "local" in address:
                    yield interface["ifname"], address


def parse_host(texts):
    """Read {IP version: what `ip -N -details -json -batch` printed of READ_BATCH}; raises CommandError if it cannot.

    A host without IPv6 has no text for it.
    """
    interfaces, routes, neighbours, rules, defaults = _documents(texts[4], READ_BATCH[4])
    (rules6,) = _documents(texts[6], READ_BATCH[6]) if 6 in texts else ((),)
    foreign = tuple(route for route in defaults if route.get("protocol") != str(PROTOCOL))
    return Host(interfaces, routes, neighbours, foreign, {4: rules, 6: rules6})


def _in_main(route):
    return int(route.get("table", MAIN_TABLE)) == MAIN_TABLE


def _cost(route):
    return ":" in route.get("gateway", ""), route.get("metric", 0)


def _documents(text, commands):
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
    if len(documents) != len(commands):
        raise CommandError(f"ip -json: gave {len(documents)} documents for {len(commands)} commands")
    return documents


def is_our_device(host, name):
    """Tell whether the interface `name` exists and bears our alias."""
    interface = host.interface(name)
    return interface is not None and is_ours(interface)


def held_addresses(host, claimed):
    """Return {egress IP: interface} of the addresses on this host that are ours: labelled, or in `claimed`."""
    return {address["local"]: name for name, address in host.addresses() if is_egress_address(name, address, claimed)}


def is_global(address):
    """Tell whether an address is valid beyond its link and host."""
    return address.get("scope") in ("global", "0")


def is_ours(interface):
    """Tell whether an interface document is of our tunnel device."""
    return interface.get("ifalias", "").partition(":")[0] == ALIAS


def is_egress_address(name, address, claimed):
    """Tell whether an addr_info document on the interface `name` is an egress IP of ours."""
    alone = address.get("prefixlen") == (32 if address["family"] == "inet" else 128)
    return address.get("label") == f"{name}:{LABEL}" or (address["local"] in claimed and alone)


def foreign_uses(host, options, claimed_device):
    """Return what on this host already uses the numbers and names that `options` give us, one sentence each.

    `claimed_device` says that the tunnel device is ours already.
    """
    mask, low, last = options.mark_mask, options.rule_priority, options.last_priority
    problems = []
    for rule in host.rules[4] + host.rules[6]:
        ours = rule.get("protocol") == str(PROTOCOL)
        rule_mask = int(rule.get("fwmask", "0xffffffff"), 0) if "fwmark" in rule else 0
        if not ours and rule_mask & mask:
            problems.append(
                f"egress_ip_mark_mask: {mask:#x} overlaps with the mark {rule['fwmark']}/{rule_mask:#x} of the foreign"
                f" rule with priority {rule['priority']}; choose free bits"
            )
        if not ours and low <= rule["priority"] <= last:
            problems.append(
                f"egress_ip_rule_priority: a foreign rule has priority {rule['priority']}, in our {low} to {last}"
            )
        table = int(rule.get("table", 0))
        if not ours and options.table_base < table <= options.table_base + options.max_index:
            problems.append(
                f"egress_ip_table_base: the foreign rule with priority {rule['priority']} looks up table {table},"
                f" within our {options.table_base + 1} to {options.table_base + options.max_index}"
            )
    for table, what in _foreign_tables(host):
        if options.table_base < table <= options.table_base + options.max_index:
            problems.append(
                f"egress_ip_table_base: {what} in table {table}, within our {options.table_base + 1} to"
                f" {options.table_base + options.max_index}"
            )
    # Many programs make the same rule for both IP versions.
    return list(dict.fromkeys(problems)) + _foreign_devices(host, options, claimed_device)


def _foreign_tables(host):
    """Yield (number, text) of the routing tables that others fill."""
    for route in host.default_routes:
        yield int(route.get("table", MAIN_TABLE)), "there is a foreign default route"
    for interface in host.interfaces:
        link = interface.get("linkinfo", {})
        if link.get("info_kind") == "vrf":
            yield link["info_data"]["table"], f"the VRF {interface['ifname']} has its routes"


def _last_key_wins_but_encap(pairs):
    """Read an object in which `ip -json` before 6.14 repeats keys: what stands behind `encap` is the tunnel's."""
    document, encap, flat = {}, None, False
    for key, value in pairs:
        if key == "encap" and isinstance(value, dict):
            encap = {**value, "kind": value.get("encap_type")}
        elif key == "encap":
            encap, flat = {"kind": value}, True
        elif flat and key in ("id", "src", "dst", "ttl", "tos", "csum"):
            encap.setdefault(key, value)
        else:
            document[key] = value
    if encap is not None:
        document["encap"] = encap
    return document


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
        elif not is_ours(interface) and _vxlan_port(interface) == options.tunnel_port:
            problems.append(
                f"egress_ip_tunnel_port: the foreign interface {interface['ifname']} uses UDP port"
                f" {options.tunnel_port}; choose another port"
            )
    return problems
