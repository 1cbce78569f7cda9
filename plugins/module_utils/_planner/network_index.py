# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The networks of many nodes, indexed by the addresses that they contain. PRIVATE to the collection. Pure."""

from __future__ import annotations

from typing import Iterable, Tuple

from .._common.addresses import Network
from .nodes import Node

# A network: its IP version, the number of its host bits, its prefix as an integer.
NetworkKey = Tuple[int, int, int]


class NetworkIndex:
    """The networks of all nodes by prefix length. Nodes share few networks, so few lookups suffice for all nodes."""

    def __init__(self, nodes: Iterable[Node]) -> None:
        self._nodes: dict[NetworkKey, list[Node]] = {}
        self._lengths: dict[int, set[int]] = {4: set(), 6: set()}
        self._reserved: set[tuple[int, int]] = set()
        self._containing: dict[tuple[int, int], tuple[NetworkKey, ...]] = {}
        for node in nodes:
            for network in {own.network for each in node.networks for own in each.addresses}:
                version, spare = network.version, network.max_prefixlen - network.prefixlen
                key = (version, spare, int(network.network_address) >> spare)
                if key not in self._nodes:
                    self._nodes[key] = []
                    self._lengths[version].add(spare)
                    self._reserved.update((version, first) for first in _ends(network))
                self._nodes[key].append(node)
        # Addresses that differ only in this number of last bits are in the same networks.
        self._host_bits = {version: min(spares, default=0) for version, spares in self._lengths.items()}

    def containing(self, version: int, value: int) -> tuple[NetworkKey, ...]:
        """Return the networks that contain the address of this IP version and integer value."""
        block = version, value >> self._host_bits[version]
        if block not in self._containing:
            keys = [(version, spare, value >> spare) for spare in sorted(self._lengths[version])]
            self._containing[block] = tuple(key for key in keys if key in self._nodes)
        return self._containing[block]

    def nodes_in(self, keys: Iterable[NetworkKey]) -> tuple[Node, ...]:
        """Return the nodes with one of these networks, sorted by name."""
        found = {node.name: node for key in keys for node in self._nodes[key]}
        return tuple(found[name] for name in sorted(found))

    def is_network_or_broadcast(self, version: int, value: int) -> bool:
        """Return whether the address is the first or the last one of a network."""
        return (version, value) in self._reserved


def _ends(network: Network) -> tuple[int, int]:
    return int(network.network_address), int(network.broadcast_address)
