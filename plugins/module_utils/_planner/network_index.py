# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which networks contain an address, for many nodes at once. PRIVATE to the collection."""

from __future__ import annotations


class NetworkIndex:
    """The networks of all nodes by prefix length. Nodes share few networks, so few lookups answer for all of them."""

    def __init__(self, nodes):
        """``nodes`` is an iterable of Node."""
        self._nodes = {}
        self._lengths = {4: set(), 6: set()}
        self._reserved = set()
        self._around = {}
        for node in nodes:
            for network in {own.network for each in node.networks for own in each.addresses}:
                version, spare = network.version, network.max_prefixlen - network.prefixlen
                key = (version, spare, int(network.network_address) >> spare)
                if key not in self._nodes:
                    self._nodes[key] = []
                    self._lengths[version].add(spare)
                    self._reserved.update((version, first) for first in _ends(network))
                self._nodes[key].append(node)
        # Addresses that differ in these last bits alone are in the same networks.
        self._alike = {version: min(spares, default=0) for version, spares in self._lengths.items()}

    def around(self, version, value):
        """Return the keys of the networks that contain the address of this IP version and value."""
        block = version, value >> self._alike[version]
        if block not in self._around:
            keys = [(version, spare, value >> spare) for spare in sorted(self._lengths[version])]
            self._around[block] = tuple(key for key in keys if key in self._nodes)
        return self._around[block]

    def nodes_in(self, keys):
        """Return the nodes with a network of those that ``around`` gave, sorted by name."""
        found = {node.name: node for key in keys for node in self._nodes[key]}
        return tuple(found[name] for name in sorted(found))

    def is_at_an_end(self, version, value):
        """Tell whether the address is the first or the last one of some network."""
        return (version, value) in self._reserved


def _ends(network):
    return int(network.network_address), int(network.broadcast_address)
