# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A placement with weighted loads, changed step by step, its objective and its limits. PRIVATE to the collection."""

from __future__ import annotations

from collections import Counter
from typing import Sequence

from .model import Address, NodeLoad, Placed, intern_nodes
from .packing import Step


class WeightedState:
    """``node_of``: the node of each address, ``unassigned`` for none; ``load``: the load of each node, by weight.

    ``squares``, ``moves`` and ``overlap`` are the terms of the objective.
    """

    def __init__(self, addresses: Sequence[Address], nodes: Sequence[NodeLoad], placement: Placed) -> None:
        self.addresses = addresses
        self.unassigned = len(nodes)
        self.node_of = [self.unassigned] * len(addresses)
        self.load = [node.load for node in nodes] + [0]
        self.squares = sum(load * load for load in self.load)
        self.overlap = 0
        self.moves = sum(address.held for address in addresses)
        self._free: list[dict[int | None, int | None]] = [
            {None: node.free, 4: node.free_by_family[0], 6: node.free_by_family[1]} for node in nodes
        ]
        self.node_set, self.node_sets = intern_nodes(addresses)
        allowed = [frozenset(each) for each in self.node_sets]
        self._allowed = [allowed[number] for number in self.node_set]
        self._owners: set[tuple[int, int]] = set()
        self._in_domain: Counter[tuple[int, int]] = Counter()
        for number, node in enumerate(placement):
            self.move(number, self.unassigned if node is None else node)

    def placement(self) -> tuple[int | None, ...]:
        """Return the node of each address, None for an unassigned one."""
        return tuple([None if node == self.unassigned else node for node in self.node_of])

    def fits(self, address: int, node: int) -> bool:
        """Return whether a node is possible for the address, below its limits, and without a sibling of it."""
        one, free = self.addresses[address], self._free[node]
        if node not in self._allowed[address] or (one.owner, node) in self._owners:
            return False
        return free[None] != 0 and free[one.family] != 0

    def overlap_change(self, one: Address, origin: int, node: int) -> int:
        """Return the change of the overlap if an address alone goes from one node to another."""
        if not one.domains or one.domains[origin] == one.domains[node]:
            return 0
        before, after = one.domains[origin], one.domains[node]
        change = self._in_domain[one.owner, after] - self._in_domain[one.owner, before] + 1
        return change + one.taken.count(after) - one.taken.count(before)

    def move(self, address: int, node: int) -> None:
        """Bring an address to another node; the caller checks that it fits."""
        one, before = self.addresses[address], self.node_of[address]
        if before != self.unassigned:
            self._count(one, before, -1)
        if node != self.unassigned:
            self._count(one, node, 1)
        self.node_of[address] = node

    def clear(self, steps: Sequence[Step]) -> None:
        """Unassign the addresses of ``steps``."""
        for address, _node in steps:
            self.move(address, self.unassigned)

    def make(self, steps: Sequence[Step]) -> None:
        """Make ``steps`` all at once: an address may take the place of a sibling."""
        self.clear(steps)
        for address, node in steps:
            self.move(address, node)

    def _count(self, one: Address, node: int, change: int) -> None:
        load = self.load[node]
        self.load[node] = after = load + change * one.weight
        self.squares += after * after - load * load
        if node in one.current:
            self.moves -= change
        free = self._free[node]
        for key in (None, one.family):
            limit = free[key]
            if limit is not None:
                free[key] = limit - change
        (self._owners.add if change > 0 else self._owners.discard)((one.owner, node))
        if one.domains:
            self._count_domain(one, one.domains[node], change)

    def _count_domain(self, one: Address, domain: int, change: int) -> None:
        key = one.owner, domain
        before = self._in_domain[key]
        self._in_domain[key] = after = before + change
        self.overlap += change * (min(before, after) + one.taken.count(domain))
