# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The interfaces of a host that may hold egress IPs, and the route out of each. PRIVATE to the collection. No I/O.

Packets from an egress IP on the primary interface use the main routing table. Those from an egress IP on another
interface leave through that interface: by our own table with its networks and its gateway, or by the table of its VRF.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from .._common.addresses import VERSIONS, of_version, outermost, parse_interface
from .host import Document, Host, held_addresses, is_global, is_ours
from .node_state import NodeState
from .numbers import PROTOCOL
from .options import DataPlaneOptions

# {IP version: sysctl with which packets on bridges pass iptables}; a bridge has attributes of the same meaning.
CALL_IPTABLES = {4: "net.bridge.bridge-nf-call-iptables", 6: "net.bridge.bridge-nf-call-ip6tables"}
# Kinds of interfaces that connect containers and virtual machines of the host itself.
_INWARD = ("veth", "netkit", "tun")


@dataclass(frozen=True)
class Exit:
    """How packets leave through an interface: by `table`, with our routes {IP version: {network: gateway or ""}}.

    `vrf` is the VRF device of the interface, empty for none; the table of a VRF gets no routes from us.
    """

    table: int
    routes: Mapping[int, Mapping[str, str]]
    vrf: str = ""


def usable_interfaces(host: Host, primary: str, claimed: Collection[str]) -> list[dict[str, Any]]:
    """Return [{interface, addresses: [address/prefix length]}] of the interfaces that may hold egress IPs.

    The primary interface comes first; while it has no link, other nodes cannot reach the tunnel, and the list is empty.
    Other interfaces without a link are left out, and so are the egress IPs (`claimed` ones, and those with our label).
    """
    others = sorted(item["ifname"] for item in host.interfaces if item["ifname"] != primary and _leads_out(host, item))
    found = [{"interface": name, "addresses": own_networks(host, name, claimed)} for name in (primary, *others)]
    found = [item for item in found if item["addresses"] and _has_link(host, item["interface"])]
    return found if found and found[0]["interface"] == primary else []


def own_networks(host: Host, interface: str, claimed: Collection[str]) -> list[str]:
    """Return the host's own addresses on the interface as `address/prefix length`, without the egress IPs."""
    ours = held_addresses(host, claimed)
    return [
        f"{address['local']}/{address['prefixlen']}"
        for name, address in host.addresses()
        if name == interface and is_own(address) and address["local"] not in ours
    ]


def routers(host: Host, interfaces: Collection[str]) -> dict[str, list[str]]:
    """Return {interface: [the router of each IP version]} of those of these interfaces that have one."""
    found = {name: [host.gateway(name, version) for version in VERSIONS] for name in interfaces}
    return {name: [gateway for gateway in gateways if gateway] for name, gateways in found.items() if any(gateways)}


def is_own(address: Document) -> bool:
    """Return whether an address is a lasting one of the host; the temporary ones of RFC 8981 change regularly."""
    return is_global(address) and not address.get("temporary") and not address.get("tentative")


def exits(host: Host, state: NodeState) -> dict[str, Exit]:
    """Return {interface: Exit} of the interfaces with held egress IPs of `state`, without the primary one."""
    others = {item.interface for item in state.held} - {state.interface}
    return {name: _exit(host, name, state.options) for name in others}


def foreign_tables(host: Host, primary: str, options: DataPlaneOptions) -> list[str]:
    """Return a sentence for each foreign rule that looks up our table for an interface."""
    names = [item["interface"] for item in usable_interfaces(host, primary, ()) if item["interface"] != primary]
    tables = {_table(host, name, options): name for name in names if not _vrf_of(host, name)}
    problems = [
        f"egress_ip_table_base: the foreign rule with priority {rule['priority']} looks up table {rule['table']}, ours"
        f" for egress IPs on {tables[int(rule['table'])]}"
        for rule in host.rules[4] + host.rules[6]
        if rule.get("protocol") != str(PROTOCOL) and int(rule.get("table", 0)) in tables
    ]
    return list(dict.fromkeys(problems))


def _table(host: Host, name: str, options: DataPlaneOptions) -> int:
    """Return the number of an interface's table: after those of the egress IPs, by the interface index."""
    return options.last_table + 1 + int((host.interface(name) or {}).get("ifindex", 0))


def _vrf_of(host: Host, name: str) -> Document | None:
    """Return the document of the interface's VRF, or None."""
    master = host.interface((host.interface(name) or {}).get("master", ""))
    return master if master and _kind(master) == "vrf" else None


def _exit(host: Host, name: str, options: DataPlaneOptions) -> Exit:
    vrf = _vrf_of(host, name)
    if vrf:
        return Exit(vrf["linkinfo"]["info_data"]["table"], {version: {} for version in VERSIONS}, vrf["ifname"])
    own = [parse_interface(text, name).network for text in own_networks(host, name, ())]
    networks = [str(network) for network in own if network.num_addresses > 1]
    routes: dict[int, dict[str, str]] = {}
    for version in VERSIONS:
        gateway = host.gateway(name, version)
        default = {"default": gateway} if gateway else {}
        routes[version] = {**dict.fromkeys(of_version(networks, version), ""), **default}
    return Exit(_table(host, name, options), routes)


def _leads_out(host: Host, interface: Document) -> bool:
    """Return whether an interface leads to other hosts and resolves their addresses."""
    if is_ours(interface) or not resolves(interface):
        return False
    ports = [item for item in host.interfaces if item.get("master") == interface["ifname"]]
    return _kind(interface) != "bridge" or any(_kind(port) not in _INWARD for port in ports)


def leads_inward(host: Host, name: str) -> bool:
    """Return whether an interface certainly leads to containers or VMs of the host: a tap, or a bridge of such ports.

    A veth may also be the uplink of a host that is a container.
    """
    interface = host.interface(name) or {}
    return _kind(interface) == "tun" or (_kind(interface) == "bridge" and not _leads_out(host, interface))


def resolves(interface: Document) -> bool:
    """Return whether the interface resolves the addresses of neighbours, with ARP or neighbour discovery."""
    return "BROADCAST" in interface["flags"] and "NOARP" not in interface["flags"]


def filtered_bridge_versions(host: Host, name: str, sysctls: Mapping[str, str]) -> list[int]:
    """Return the IP versions whose packets pass iptables on this interface, because it is a bridge or on top of one.

    `sysctls` are those of CALL_IPTABLES. The kernel then translates replies before it takes them from the bridge. A
    reply for the pod of another node, whose route leads back to the bridge, is bridged to the port from which it came,
    and so dropped.
    """
    interface = host.interface(name) or {}
    below = host.interface(interface.get("link", "")) if _kind(interface) in ("macvlan", "ipvlan") else None
    bridge = below or interface
    if _kind(bridge) != "bridge":
        return []
    own = bridge["linkinfo"].get("info_data", {})
    return [
        version
        for version, sysctl in CALL_IPTABLES.items()
        if sysctls.get(sysctl) == "1" or own.get(sysctl.rpartition(".")[2].replace("bridge-", "").replace("-", "_"))
    ]


def outward_bridges(host: Host, state: NodeState) -> list[str]:
    """Return the sorted bridges that lead to other hosts: those of egress IPs, and those with a port to the outside."""
    used = {state.interface, *(item.interface for item in state.held)}
    bridges = [item for item in host.interfaces if _kind(item) == "bridge"]
    return sorted(item["ifname"] for item in bridges if item["ifname"] in used or _leads_out(host, item))


def bridged_networks(host: Host, outward: Collection[str]) -> tuple[str, ...]:
    """Return the sorted networks of containers and VMs, those on bridges other than `outward` ones."""
    bridges = [item for item in host.interfaces if _kind(item) == "bridge" and item["ifname"] not in outward]
    addresses = [address for item in bridges for address in item.get("addr_info", ()) if is_global(address)]
    texts = [f"{address['local']}/{address['prefixlen']}" for address in addresses if "local" in address]
    return tuple(map(str, outermost(parse_interface(text, "addresses").network for text in texts)))


def _has_link(host: Host, name: str) -> bool:
    interface = host.interface(name)
    return interface is not None and "LOWER_UP" in interface["flags"]


def _kind(interface: Document) -> str:
    return str(interface.get("linkinfo", {}).get("info_kind", ""))
