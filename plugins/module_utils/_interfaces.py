# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The interfaces of a host that may bear egress IPs, and the way out of each. PRIVATE to the collection. Pure.

An egress IP on the primary interface leaves by the main routing table. One on another interface leaves by that
interface: by a table of ours with its networks and its gateway, or by the table of the VRF that it belongs to.
"""

from __future__ import annotations

from dataclasses import dataclass

from ._addresses import VERSIONS, of_version, parse_interface
from ._host import held_addresses, is_global, is_ours

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

    The primary interface comes first. The egress IPs are left out.
    """
    others = sorted(item["ifname"] for item in host.interfaces if item["ifname"] != primary and _leads_out(host, item))
    found = [{"interface": name, "addresses": own_networks(host, name, claimed)} for name in (primary, *others)]
    return [item for item in found if item["addresses"] and _has_link(host.interface(item["interface"]))]


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
    # Above the tables of the egress IPs, numbered as the interfaces are.
    first_table = state.options.table_base + state.options.max_index
    others = {item.interface for item in state.held} - {state.interface}
    return {name: _exit(host, name, first_table) for name in others}


def _exit(host, name, first_table):
    interface = host.interface(name) or {}
    vrf = host.interface(interface.get("master", "")) or {}
    if _kind(vrf) == "vrf":
        return Exit(vrf["linkinfo"]["info_data"]["table"], {version: {} for version in VERSIONS}, vrf["ifname"])
    own = [parse_interface(text, name).network for text in own_networks(host, name, ())]
    networks = [str(network) for network in own if network.num_addresses > 1]
    routes = {version: dict.fromkeys(of_version(networks, version), "") for version in VERSIONS}
    for version in VERSIONS:
        gateway = host.gateway(name, version)
        routes[version].update({"default": gateway} if gateway else {})
    return Exit(first_table + interface.get("ifindex", 0), routes)


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
