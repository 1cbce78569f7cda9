# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Cheapest flow of items through gates, on plain integers. PRIVATE to the collection.

Every item passes one of its routes: a gate, then that gate's parents up to a gate without parent. A gate lets
``capacity`` items pass. A gate without parent asks a price that rises with each item, so that a price of squares
makes loads flat. The costs may be integers of any size, which is how several aims in a strict order become one sum.

The method is that of successive shortest paths with potentials: items come in one by one, and each takes the
cheapest way in, other items stepping aside where that pays. The result is the cheapest of all.
"""

from __future__ import annotations

import heapq
from dataclasses import dataclass


@dataclass(frozen=True)
class Gate:
    """A passage. ``capacity`` None: no limit.

    Without ``parent`` it asks ``weight * (2 * (load + k) + 1)`` of the item that comes after k others.
    """

    capacity: int | None = None
    parent: int | None = None
    load: int = 0
    weight: int = 0


def cheapest_flow(gates, routes):
    """Return for each item the gate that it enters by.

    ``gates`` is a list of Gate; ``routes`` holds for each item a dict {index of a gate: cost}, with costs of 0 and
    more. Every item needs a route to a gate of unlimited capacity, so that there is always a way.
    """
    flow = _Flow(gates, routes)
    for item in range(len(routes)):
        flow.insert(item)
    return flow.entered


class _Flow:
    """The state: which gate each item entered by, and how many items have passed each gate.

    Vertices of the search are gates (0 and up) and items (-1 - item). ``_potential`` keeps the cost of every step
    that is still possible at 0 or more, as Dijkstra's method wants it.
    """

    def __init__(self, gates, routes):
        self.entered = [None] * len(routes)
        self._gates = gates
        self._routes = routes
        self._passed = [0] * len(gates)
        self._members = [set() for gate in gates]
        self._children = [[] for gate in gates]
        for index, gate in enumerate(gates):
            if gate.parent is not None:
                self._children[gate.parent].append(index)
        self._gate_potential = [0] * len(gates)
        self._item_potential = [0] * len(routes)

    def insert(self, item):
        """Let one more item in by the cheapest way."""
        routes, potential = self._routes[item], self._gate_potential
        self._item_potential[item] = max(potential[gate] - cost for gate, cost in routes.items())
        exit_gate, previous = self._search(-1 - item)
        self._passed[exit_gate] += 1
        vertex = exit_gate
        while vertex in previous:
            before = previous[vertex]
            self._step(before, vertex)
            vertex = before

    def _search(self, start):
        """Return the last gate of the cheapest way out, and each vertex's predecessor on it."""
        final, previous = {}, {}
        tentative, queue = {start: 0}, [(0, start)]
        best, exit_gate = None, None
        while queue and (best is None or queue[0][0] < best):
            distance, vertex = heapq.heappop(queue)
            if vertex in final:
                continue
            final[vertex] = distance
            if vertex >= 0 and self._gates[vertex].parent is None and not self._is_full(vertex):
                price = distance + self._price(vertex) + self._gate_potential[vertex]
                if best is None or price < best:
                    best, exit_gate = price, vertex
            for target, cost in self._steps(vertex):
                reached = distance + cost
                if target not in final and (target not in tentative or reached < tentative[target]):
                    tentative[target] = reached
                    previous[target] = vertex
                    heapq.heappush(queue, (reached, target))
        self._raise_potentials(final, best)
        return exit_gate, previous

    def _steps(self, vertex):
        """Yield (vertex, reduced cost) for each step that is possible from ``vertex``."""
        gate_potential = self._gate_potential
        if vertex < 0:
            item = -1 - vertex
            base, entered = self._item_potential[item], self.entered[item]
            for gate, cost in self._routes[item].items():
                if gate != entered:
                    yield gate, cost + base - gate_potential[gate]
            return
        base, parent = gate_potential[vertex], self._gates[vertex].parent
        if parent is not None and not self._is_full(vertex):
            yield parent, base - gate_potential[parent]
        for child in self._children[vertex]:
            if self._passed[child]:
                yield child, base - gate_potential[child]
        for item in self._members[vertex]:
            yield -1 - item, base - self._item_potential[item] - self._routes[item][vertex]

    def _step(self, before, after):
        """Make one step of the way: an item enters or leaves a gate, or a passage is used or given back."""
        if before < 0:
            self.entered[-1 - before] = after
            self._members[after].add(-1 - before)
        elif after < 0:
            self._members[before].discard(-1 - after)
        elif self._gates[before].parent == after:
            self._passed[before] += 1
        else:
            self._passed[after] -= 1

    def _is_full(self, gate):
        capacity = self._gates[gate].capacity
        return capacity is not None and self._passed[gate] >= capacity

    def _price(self, gate):
        return self._gates[gate].weight * (2 * (self._gates[gate].load + self._passed[gate]) + 1)

    def _raise_potentials(self, final, best):
        for vertex, distance in final.items():
            if distance < best and vertex < 0:
                self._item_potential[-1 - vertex] += distance - best
            elif distance < best:
                self._gate_potential[vertex] += distance - best
