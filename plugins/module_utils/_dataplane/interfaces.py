# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The interfaces of a host that may bear egress IPs, and the way out of each. PRIVATE to the collection. Pure.

An egress IP on the primary interface leaves by the main routing table. One on another interface leaves by that
interface: by a table of ours with its networks and its gateway, or by the table of the VRF that it belongs to.
"""

from __future__ import annotations

from dataclasses import dataclass

from .._common.addresses import VERSIONS, of_version, parse_interface
from .host import PROTOCOL, held_addresses, is_global, is_ours

# Kinds of interfaces that lead to containers and virtual machines of the host itself.
_INWARD = ("veth", "tun")


@dataclass(frozen=True)
class Exit:
    """How packets leave by an interface: the table to look up, and {IP version: {network: gateway or ""}} to put there.

    `vrf` is the VRF device that the interface belongs to, whose table is not ours to fill.
    """

    table: int
    routes: dict
    vrf: str = ""


def bearing(host, primary, claimed):
    """Return [{interface, addresses: [address/prefix length]}] of what has a link and may bear egress IPs.

    The primary interface comes first. Without a link there, nobody reaches this node's tunnel, and nothing bears any.
    The egress IPs are left out.
    """
    others = sorted(item["ifname"] for item in host.interfaces if item["ifname"] != primary and _leads_out(host, item))
    found = [{"interface": name, "addresses": own_networks(host, name, claimed)} for name in (primary, *others)]
    found = [item for item in found if item["addresses"] and _has_link(host.interface(item["interface"]))]
    return found if found and found[0]["interface"] == primary else []


def own_networks(host, interface, claimed):
    """Return the host's own addresses on the interface as `address/prefix length`, the egress IPs left out."""
    ours = held_addresses(host, claimed)
    return [
        f"{address['local']}/{address['prefixlen']}"
        for name, address in host.addresses()
        if name == interface and is_own(address) and address["local"] not in ours
    ]


def is_own(address):
    """Tell whether this is one of the host's lasting addresses; the temporary ones of RFC 8981 change by themselves."""
    return is_global(address) and not address.get("temporary") and not address.get("tentative")


def exits(host, state):
    """Return {interface: Exit} of the interfaces that hold egress IPs of a NodeState, but for the primary one."""
    others = {item.interface for item in state.held} - {state.interface}
    return {name: _exit(host, name, state.options) for name in others}


def foreign_tables(host, primary, options):
    """Return a sentence for each foreign rule that looks up the table that an interface would have."""
    names = [item["interface"] for item in bearing(host, primary, ()) if item["interface"] != primary]
    tables = {_table(host, name, options): name for name in names if not _vrf_of(host, name)}
    problems = [
        f"egress_ip_table_base: the foreign rule with priority {rule['priority']} looks up table {rule['table']}, ours"
        f" for egress IPs on {tables[int(rule['table'])]}"
        for rule in host.rules[4] + host.rules[6]
        if rule.get("protocol") != str(PROTOCOL) and int(rule.get("table", 0)) in tables
    ]
    return list(dict.fromkeys(problems))


def _table(host, name, options):
    """Return the number of an interface's table: above those of the egress IPs, as the interfaces are numbered."""
    return options.table_base + options.max_index + 1 + (host.interface(name) or {}).get("ifindex", 0)


def _vrf_of(host, name):
    """Return the document of the VRF that an interface belongs to, None without one."""
    master = host.interface((host.interface(name) or {}).get("master", ""))
    return master if master and _kind(master) == "vrf" else None


def _exit(host, name, options):
    vrf = _vrf_of(host, name)
    if vrf:
        return Exit(vrf["linkinfo"]["info_data"]["table"], {version: {} for version in VERSIONS}, vrf["ifname"])
    own = [parse_interface(text, name).network for text in own_networks(host, name, ())]
    networks = [str(network) for network in own if network.num_addresses > 1]
    routes = {version: dict.fromkeys(of_version(networks, version), "") for version in VERSIONS}
    for version in VERSIONS:
        gateway = host.gateway(name, version)
        routes[version].update({"default": gateway} if gateway else {})
    return Exit(_table(host, name, options), routes)


def _leads_out(host, interface):
    """Tell whether an interface is on a wire on which one can ask who has an address."""
    if is_ours(interface) or not resolves(interface):
        return False
    ports = [item for item in host.interfaces if item.get("master") == interface["ifname"]]
    return _kind(interface) != "bridge" or any(_kind(port) not in _INWARD for port in ports)


def resolves(interface):
    """Tell whether neighbours on an interface are found by asking, with ARP or neighbour discovery."""
    return "BROADCAST" in interface["flags"] and "NOARP" not in interface["flags"]


def _has_link(interface):
    return "LOWER_UP" in interface["flags"]


def _kind(interface):
    return interface.get("linkinfo", {}).get("info_kind", "")
