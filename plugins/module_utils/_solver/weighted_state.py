# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Addresses of different weight in nodes: who is where, what still fits. PRIVATE to the collection."""

from __future__ import annotations

from collections import Counter


class WeightedState:
    """What is counted of a placement that may change.

    ``where``: each address's node, ``unassigned`` for those that have none yet. ``load``: what each node bears, by
    weight. ``squares``, ``moves``, ``domain overlap``: the objective.
    """

    def __init__(self, addresses, nodes, placement):
        self.addresses = addresses
        self.unassigned = len(nodes)
        self.node_of = [self.unassigned] * len(addresses)
        self.load = [node.load for node in nodes] + [0]
        self.squares = sum(load * load for load in self.load)
        self.overlap = 0
        self.moves = sum(address.held for address in addresses)
        self._leave_group = [{None: node.free, 4: node.free_by_family[0], 6: node.free_by_family[1]} for node in nodes]
        self._allowed = {id(address.nodes): address.nodes for address in addresses}
        self._allowed = {key: frozenset(each) for key, each in self._allowed.items()}
        self._mates = set()
        self._in_domain = Counter()
        for address, node in enumerate(placement):
            self.move(address, node)

    def placement(self):
        """Return each address's node, a tuple."""
        return tuple(self.node_of)

    def fits(self, address, node):
        """Tell whether the address may be in a node, which has a place for it and nothing of its owner."""
        one = self.addresses[address]
        if node not in self._allowed[id(one.nodes)]:
            return False
        free = self._leave_group[node]
        return (one.owner, node) not in self._mates and free[None] != 0 and free[one.family] != 0

    def move(self, address, node):
        """Bring an address into another node; that it fits is for others to see to."""
        one, before = self.addresses[address], self.node_of[address]
        if before != self.unassigned:
            self._count(one, before, -1)
        if node != self.unassigned:
            self._count(one, node, 1)
        self.node_of[address] = node

    def clear(self, steps):
        """Bring the addresses of ``steps``, (address, to), unassigned."""
        for address, _room in steps:
            self.move(address, self.unassigned)

    def make(self, steps):
        """Make ``steps``, (address, to), all at once: one of an owner may take the place of another."""
        self.clear(steps)
        for address, node in steps:
            self.move(address, node)

    def _count(self, one, node, change):
        load = self.load[node]
        self.load[node] = after = load + change * one.weight
        self.squares += after * after - load * load
        if node in one.current:
            self.moves -= change
        free = self._leave_group[node]
        for key in (None, one.family):
            if free[key] is not None:
                free[key] -= change
        (self._mates.add if change > 0 else self._mates.discard)((one.owner, node))
        if one.domains:
            self._count_domain(one, one.domains[node], change)

    def _count_domain(self, one, domain, change):
        key = one.owner, domain
        before = self._in_domain[key]
        self._in_domain[key] = after = before + change
        taken = domain in one.taken
        self.overlap += max(0, after + taken - 1) - max(0, before + taken - 1)
