# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The settings of the failover's state machine, from the record of a node. PRIVATE to the collection. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping

from .._common.addresses import of_version, parse_address, parse_interface
from .._dataplane.failover import Failover, Peer, Standby
from .._dataplane.host import Host
from .._dataplane.interfaces import own_networks
from .._dataplane.node_state import NodeState
from .._failover.values import Duty, FailoverSettings, Neighbour


def settings_of(state: NodeState, host: Host, present: Mapping[str, str], taken: Collection[str]) -> FailoverSettings:
    """Return the FailoverSettings of a node with this state, which has a failover.

    `present` {egress IP: interface} are the addresses of the record that the host has, `taken` those that it took over.
    """
    failover = state.failover or Failover(after=0.0)
    peers: dict[str, set[Neighbour]] = {}
    macs: dict[str, str] = {}
    for interface, peer in _peers(state):
        peers.setdefault(peer.name, set()).add(Neighbour(interface, peer.address))
        macs[peer.mac] = peer.name
    return FailoverSettings(
        name=state.name,
        duties=tuple(map(_duty, state.standbys)),
        held=present,
        taken=tuple(sorted(ip for ip in present if ip in taken)),
        peers={name: tuple(sorted(places, key=str)) for name, places in sorted(peers.items())},
        macs=macs,
        witnesses=tuple(_witnesses(state, failover, host)),
        owners={ip: item.name for item in state.egressips for ip in item.egress_ips},
        own_macs=host.macs(),
        limits=failover.capacity,
        after=failover.after,
        strict=failover.strict,
    )


def _duty(item: Standby) -> Duty:
    return Duty(item.egress_ip, item.interface, tuple(peer.name for peer in item.order[:-1]))


def _peers(state: NodeState) -> Iterator[tuple[str, Peer]]:
    """Yield (interface, node) of the other nodes that may hold an address of this node's."""
    for item in state.standbys:
        for peer in item.order:
            if peer.name != state.name:
                yield item.interface, peer


def _witnesses(state: NodeState, failover: Failover, host: Host) -> Iterator[Neighbour]:
    """Yield the witnesses on the interfaces whose networks contain them."""
    for interface in sorted({item.interface for item in state.standbys}):
        networks = [parse_interface(text, interface).network for text in own_networks(host, interface, ())]
        for text in failover.witnesses:
            address = parse_address(text, "witness")
            if address.is_link_local or any(address in network for network in networks):
                yield Neighbour(interface, text)


def own_addresses(host: Host, interface: str, claimed: Collection[str]) -> dict[int, str]:
    """Return {IP version: the address with which this host asks others on an interface}; for IPv6 a link-local one."""
    own = of_version(own_networks(host, interface, claimed), 4)
    local = [
        str(address["local"])
        for name, address in host.addresses()
        if name == interface and ":" in address["local"] and parse_address(address["local"], name).is_link_local
    ]
    return {version: found[0].split("/")[0] for version, found in ((4, own), (6, local)) if found}
