# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where the addresses of one lost node go, as a flow of least cost. PRIVATE to the collection.

It finds the optimum of ``one_loss`` in all cases, but takes longer. The flow goes from an address to a node's arc for
its IP version, then to the node, then over one of its places; it grows by shortest paths, so that it is always the
cheapest one of its size.
"""

from __future__ import annotations

from collections import deque
from heapq import nsmallest
from typing import Dict, Optional, Sequence, Tuple

from .one_loss import FAMILIES, Lost, NodeRing, place_cost

# ("address", number, 0), ("arc", node, family) or ("node", node, 0).
_Vertex = Tuple[str, int, int]
_Parents = Dict[_Vertex, Optional[_Vertex]]


def minimize(fleet: NodeRing, origin: int, lost: Sequence[Lost]) -> list[int | None]:
    """Return what ``one_loss.reassign`` returns."""
    flow = _Flow(fleet, origin, lost)
    while flow.grow():
        pass
    return flow.nodes


class _Flow:
    def __init__(self, fleet: NodeRing, origin: int, lost: Sequence[Lost]) -> None:
        self.fleet, self.origin, self.lost = fleet, origin, lost
        self.weight = sum(address.weight for address in lost)
        self.nodes: list[int | None] = [None] * len(lost)
        self.count: dict[int, int] = {}
        self.members: dict[tuple[int, int], list[int]] = {}
        # The terms of the objective as digits of one number.
        size = len(lost)
        self.ring_unit = size + 1
        self.place_unit = self.ring_unit * (size * len(fleet.loads) + 1)
        highest = place_cost(max(fleet.loads, default=0), size, size, self.weight)
        self.overlap_unit = self.place_unit * (size * highest + 1)
        self.costs = [self._costs(address) for address in lost]

    def _costs(self, address: Lost) -> dict[int, int]:
        """Return {node: cost apart from its place} of the nodes that an address needs at most, one for each address.

        On one of the cheapest nodes, as many as there are addresses, there is no other address; to go there is better
        than to go to a node beyond them.
        """
        fleet, origin = self.fleet, self.origin
        usable = (
            (address.overlap_on(node), fleet.loads[node], fleet.distance(origin, node), node)
            for node in fleet.kinds[address.kind]
            if fleet.can_take(node, origin, address)
        )
        return {
            node: overlap * self.overlap_unit + distance * self.ring_unit + (address.last != node)
            for overlap, _load, distance, node in nsmallest(len(self.lost), usable)
        }

    def grow(self) -> bool:
        """Place one more address at the least cost; return whether a path exists."""
        distances, parents = self._shortest()
        ends = [
            (distances["node", node, 0] + self._next_place(node), node)
            for kind, node, _family in distances
            if kind == "node" and self.count.get(node, 0) < self.fleet.free[node]
        ]
        if not ends:
            return False
        self._apply(min(ends)[1], parents)
        return True

    def _next_place(self, node: int) -> int:
        number = self.count.get(node, 0) + 1
        return self.place_unit * place_cost(self.fleet.loads[node], number, len(self.lost), self.weight)

    def _shortest(self) -> tuple[dict[_Vertex, int], _Parents]:
        """Return the distances from the addresses without a node, and the vertex before each (Bellman-Ford)."""
        starts: list[_Vertex] = [("address", number, 0) for number, node in enumerate(self.nodes) if node is None]
        distances: dict[_Vertex, int] = dict.fromkeys(starts, 0)
        parents: _Parents = dict.fromkeys(starts)
        queue: deque[_Vertex] = deque(starts)
        queued = {*starts}
        while queue:
            vertex = queue.popleft()
            queued.discard(vertex)
            for other, cost in self._arcs(vertex):
                distance = distances[vertex] + cost
                if other not in distances or distance < distances[other]:
                    distances[other], parents[other] = distance, vertex
                    if other not in queued:
                        queued.add(other)
                        queue.append(other)
        return distances, parents

    def _arcs(self, vertex: _Vertex) -> list[tuple[_Vertex, int]]:
        """Return (vertex, cost) of the arcs with free capacity."""
        kind, number, family = vertex
        if kind == "address":
            own = self.lost[number].family
            return [
                (("arc", node, own), cost) for node, cost in self.costs[number].items() if node != self.nodes[number]
            ]
        if kind == "arc":
            back = [
                (("address", other, 0), -self.costs[other][number]) for other in self.members.get((number, family), ())
            ]
            is_open = len(self.members.get((number, family), ())) < self.fleet.free_by_family[family][number]
            return [*back, (("node", number, 0), 0)] if is_open else back
        return [(("arc", number, each), 0) for each in FAMILIES if self.members.get((number, each))]

    def _apply(self, end: int, parents: _Parents) -> None:
        """Move each address of the path to the arc behind it."""
        path: list[_Vertex] = [("node", end, 0)]
        while (parent := parents[path[-1]]) is not None:
            path.append(parent)
        changes = [(number, arc[1]) for (kind, number, _version), arc in zip(path[1:], path) if kind == "address"]
        for number, _node in changes:
            self._remove(number)
        for number, node in changes:
            self._put(number, node)

    def _remove(self, number: int) -> None:
        node = self.nodes[number]
        if node is not None:
            self.count[node] -= 1
            self.members[node, self.lost[number].family].remove(number)

    def _put(self, number: int, node: int) -> None:
        self.nodes[number] = node
        self.count[node] = self.count.get(node, 0) + 1
        self.members.setdefault((node, self.lost[number].family), []).append(number)
