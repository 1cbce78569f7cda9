# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Find the packing of least cost: start close to it, then apply improving cycles until none is left. PRIVATE.

A path in the residual graph takes an address off a node and brings it to another one, where another address may have
to leave in turn. The sink, between the node with one address less and the one with one more, closes it to a cycle. A
flow has the least cost exactly when no cycle has a negative cost. The start affects only the time.
"""

from __future__ import annotations

import heapq
from typing import Callable, Collection, Iterable, Iterator, Sequence

from .model import Placed
from .packing import NOT_PLACED_YET, Packing, Shift
from .residual_graph import ADDRESS, DomainVertex, Vertex
from .spread_groups import SpreadGroup

Check = Callable[[Packing, int, int], bool]

# More than any cost.
_INFINITY = 1 << 200


def minimize_cost(packing: Packing, start: Placed | None = None) -> Potential:
    """Bring the packing to its least cost; return the Potential that proves it. ``start``: a placement close to it."""
    fill(packing, [[] if node is None else [node] for node in start] if start else packing.current)
    _level(packing)
    while True:
        packing.relabel_members()
        potential = Potential(packing)
        if not potential.improvements:
            return potential
        for steps in potential.improvements:
            packing.shift(steps)


def fill(packing: Packing, places: Sequence[Collection[int]]) -> None:
    """Place all addresses of an empty packing: on the nodes to try first, else on the least loaded possible node.

    In the first round no member enters a domain where it would overlap.
    """
    for is_refused in (_is_refused, _is_blocked) if packing.groups else (_is_blocked,):
        _fill_places(packing, places, is_refused)
        _fill_least_loaded(packing, is_refused)
    packing.relabel_members()


def _fill_places(packing: Packing, places: Sequence[Collection[int]], is_refused: Check) -> None:
    for address, nodes in enumerate(places):
        if packing.node_of[address] == NOT_PLACED_YET:
            packing.enter(address, _first_that_fits(packing, address, nodes, is_refused))
        elif packing.node_of[address] == packing.unassigned:
            packing.make([(address, _first_that_fits(packing, address, nodes, is_refused))])


def _first_that_fits(packing: Packing, address: int, nodes: Collection[int], is_refused: Check) -> int:
    """Return the first of the nodes that is not refused, else the node of the unassigned."""
    allowed = packing.allowed[packing.kind[address]]
    for node in sorted(nodes) if len(nodes) > 1 else nodes:
        if node in allowed and not is_refused(packing, address, node):
            return node
    return packing.unassigned


def _is_blocked(packing: Packing, address: int, node: int) -> bool:
    return packing.has_sibling(address, node) or not packing.fits(address, node)


def _is_refused(packing: Packing, address: int, node: int) -> bool:
    return _is_blocked(packing, address, node) or packing.entry_cost(address, node) > 0


def _by_choices(packing: Packing, addresses: Iterable[int]) -> list[tuple[tuple[int, ...], list[int]]]:
    """Return (possible nodes, addresses) for each set of possible nodes, the smallest sets first."""
    kinds: dict[int, list[int]] = {}
    for address in addresses:
        kinds.setdefault(packing.kind[address], []).append(address)
    found = [(packing.choices[kind], members) for kind, members in kinds.items()]
    return sorted(found, key=lambda pair: (len(pair[0]), pair[1][0]))


def _fill_least_loaded(packing: Packing, is_refused: Check) -> None:
    """Bring every unassigned address to its least loaded possible node that is not refused."""
    unassigned = [address for address, node in enumerate(packing.node_of) if node == packing.unassigned]
    for choices, addresses in _by_choices(packing, unassigned):
        heap = [(packing.load[node], node) for node in choices if not packing.is_full(node)]
        heapq.heapify(heap)
        for address in addresses:
            refused = []
            while heap and is_refused(packing, address, heap[0][1]):
                refused.append(heapq.heappop(heap))
            if heap:
                load, node = heap[0]
                packing.make([(address, node)])
                heapq.heapreplace(heap, (load + 1, node))
            for entry in refused:
                heapq.heappush(heap, entry)
            if heap and packing.is_full(heap[0][1]):
                heap = [entry for entry in heap if not packing.is_full(entry[1])]
                heapq.heapify(heap)


def _level(packing: Packing) -> None:
    """Move addresses from the most to the least loaded of their possible nodes, one by one, while that saves."""
    placed = [address for address, node in enumerate(packing.node_of) if node != packing.unassigned]
    for choices, addresses in _by_choices(packing, placed):
        inside: dict[int, list[int]] = {}
        for address in addresses:
            inside.setdefault(packing.node_of[address], []).append(address)
        for node, found in inside.items():
            # Taken from the end: displaced addresses move first.
            displaced = [address for address in found if node not in packing.current[address]]
            found[:] = [address for address in found if node in packing.current[address]] + displaced
        low = [(packing.load[node], node) for node in choices]
        high = [(-packing.load[node], node) for node in inside]
        heapq.heapify(low)
        heapq.heapify(high)
        while low and high:
            (load, node), (negative, origin) = low[0], high[0]
            if load != packing.load[node] or packing.is_full(node):
                heapq.heappop(low)
                if load != packing.load[node]:
                    heapq.heappush(low, (packing.load[node], node))
                continue
            if -negative - load < 2:
                break
            address = inside[origin].pop()
            if _may_save(packing, address, node) and packing.shift([(address, origin, node)]):
                heapq.heapreplace(low, (load + 1, node))
                heapq.heapreplace(high, (negative + 1, origin))
            if not inside[origin]:
                high = [entry for entry in high if entry[1] != origin]
                heapq.heapify(high)


def _may_save(packing: Packing, address: int, node: int) -> bool:
    """Return whether it may be allowed and save cost to bring an address to a node; limits are not checked."""
    if packing.has_sibling(address, node):
        return False
    origin = packing.node_of[address]
    more = packing.next_price(node) + packing.price(address, node)
    return address in packing.group_of or more < packing.last_price(origin) + packing.price(address, origin)


class Potential:
    """Label-correcting shortest paths in the residual graph, from the sink.

    ``cost[arc]``: the cost of the shortest path to an arc, starting from removing one address of a node.
    ``preempted[address]``: that to an address which has to leave its place for a sibling, where it is less than through
    its arc. ``domain_cost[vertex]``: that to one more member of a spread group in a domain; the cost of an empty domain
    is the one of None.

    ``improvements``: the steps of cycles of negative cost. If there are none, the costs are a potential that proves
    that the packing has the least cost. Costs can be negative, so an arc can be expanded more than once.
    """

    def __init__(self, packing: Packing) -> None:
        self.packing = packing
        self.cost = [_INFINITY] * len(packing.node_of_arc)
        self.preempted: dict[int, int] = {}
        self.domain_cost: dict[DomainVertex, int] = {}
        self.improvements: list[list[Shift]] = []
        # The vertex before each vertex on its shortest path, None for the sink.
        self._arc_predecessor: list[Vertex | None] = [None] * len(packing.node_of_arc)
        self._domain_predecessor: dict[DomainVertex, Vertex] = {}
        # The vertex before each address of ``preempted``; the others leave by their arcs.
        self._preempted_by: dict[int, Vertex] = {}
        # For each kind, and each (layout, domain): the least cost at which its nodes were relaxed, and those nodes
        # where siblings were in the way.
        self._cheapest_expansion: dict[int | tuple[int, int | None], tuple[int, Sequence[int]]] = {}
        self._heap: list[tuple[int, int]] = []
        self._to_expand: list[int] = []
        self._search()

    def _search(self) -> None:
        packing = self.packing
        for node, classes in enumerate(packing.classes):
            if classes:
                self.cost[node] = -packing.last_price(node)
                self._heap.append((self.cost[node], node))
        heapq.heapify(self._heap)
        closing = {}
        while self._heap and not self.improvements:
            cost, arc = heapq.heappop(self._heap)
            if cost != self.cost[arc]:
                continue
            self._expand_arc(arc, cost)
            while self._to_expand and not self.improvements:
                self._expand_preempted(self._to_expand.pop())
            node = packing.node_of_arc[arc]
            if arc == node != packing.unassigned and not packing.is_full(node):
                gain = cost + packing.next_price(node)
                if gain < 0:
                    closing[arc] = gain
        if not self.improvements:
            ordered = sorted(closing, key=lambda arc: (closing[arc], arc))
            self.improvements = [self._steps(list(self._path_back(arc, None))) for arc in ordered]

    def _expand_arc(self, arc: int, cost: int) -> None:
        """Relax the other arcs of an arc's node, and those reachable for the addresses that leave by it."""
        packing = self.packing
        node = packing.node_of_arc[arc]
        family_arcs = packing.family_arcs.get(node, ())
        if arc != node:
            if packing.arc_count[arc] < packing.arc_limit[arc]:
                self._relax_arc(node, cost, arc)
        else:
            for other in family_arcs:
                if packing.arc_count[other]:
                    self._relax_arc(other, cost, arc)
        for key, members in packing.classes[node].items():
            kind, at_current = divmod(key, 2)
            if key < 0:
                self._leave_group(members, arc, cost)
            elif not family_arcs or packing.arc_of[kind][node] == arc:
                self._expand_class(kind, cost + (packing.move if at_current else 0), members)
        for address in packing.displaced[node]:
            if not family_arcs or packing.arc(address, node) == arc:
                self._relax_current(address, cost - packing.price(address, node))

    def _expand_preempted(self, address: int) -> None:
        """Continue from an address whose place a sibling takes."""
        if address in self.packing.group_of:
            group = self.packing.group_of[address]
            self._relax_domain(
                group, group.domain(self.packing.node_of[address]), self.preempted[address], ADDRESS - address
            )
            return
        self._expand_class(
            self.packing.kind[address], self.preempted[address] + self.packing.move_cost[address], (address,)
        )
        self._relax_current(address, self.preempted[address])

    def _expand_class(self, kind: int, cost: int, addresses: Collection[int]) -> None:
        """Relax the possible nodes of addresses of one kind, which can all leave at ``cost``."""
        packing, arcs = self.packing, self.packing.arc_of[kind]
        least, nodes = self._cheapest_expansion.get(kind, (_INFINITY, ()))
        if cost < least:
            nodes = (*packing.choices[kind], packing.unassigned)
        elif cost > least:
            nodes = [node for node in nodes if cost < self.cost[arcs[node]]]
        nodes = self._relax_unblocked(addresses, cost, nodes, packing.has_sibling)
        if packing.family_arcs:
            nodes = self._relax_unblocked(
                addresses, cost, nodes, lambda address, node: packing.occupant(address, arcs[node]) is not None
            )
        for node in nodes:
            if cost < self.cost[arcs[node]]:
                for address in addresses:
                    self._preempt(address, node, cost)
        if cost <= least:
            self._cheapest_expansion[kind] = cost, nodes

    def _relax_unblocked(
        self, addresses: Collection[int], cost: int, nodes: Sequence[int], is_blocked: Callable[[int, int], bool]
    ) -> Sequence[int]:
        """Relax the nodes, each from the first address that is not blocked there; return the nodes that are left."""
        for address in addresses:
            if not nodes:
                break
            self._drop_preempted(address, cost)
            arcs = self.packing.arc_of[self.packing.kind[address]]
            blocked: list[int] = []
            if self.packing.places[address]:
                blocked = [node for node in nodes if is_blocked(address, node)]
            for node in set(nodes).difference(blocked) if blocked else nodes:
                if cost < self.cost[arcs[node]]:
                    self._relax_arc(arcs[node], cost, ADDRESS - address)
            nodes = blocked
        return nodes

    def _relax_current(self, address: int, cost: int) -> None:
        packing = self.packing
        self._drop_preempted(address, cost + packing.move_cost[address])
        for current_node in packing.current[address]:
            arc = packing.arc(address, current_node)
            if current_node != packing.node_of[address] and cost < self.cost[arc]:
                if packing.occupant(address, arc) is None:
                    self._relax_arc(arc, cost, ADDRESS - address)
                else:
                    self._preempt(address, current_node, cost)

    def _preempt(self, address: int, node: int, cost: int) -> None:
        """Let an address take the place of a sibling, at the cost of the arc."""
        sibling = self.packing.occupant(address, self.packing.arc(address, node))
        if sibling is not None and sibling != address:
            self._enter_preempted(sibling, cost, ADDRESS - address)

    def _enter_preempted(self, address: int, cost: int, source: Vertex) -> None:
        """Let an address leave its place, the arc of which is reached at ``cost``."""
        cost -= self.packing.price(address, self.packing.node_of[address])
        if cost < self.preempted.get(address, _INFINITY) and not self.improvements:
            self._detect_cycle(ADDRESS - address, source)
            self.preempted[address], self._preempted_by[address] = cost, source
            self._to_expand.append(address)

    def _leave_group(self, addresses: Iterable[int], arc: int, cost: int) -> None:
        """Relax the domain vertices of the members of a spread group that can leave by an arc."""
        packing = self.packing
        for address in addresses:
            node, group = packing.node_of[address], packing.group_of[address]
            domain, free = group.domain(node), cost - packing.price(address, node)
            if domain is None:
                free -= group.last_unassigned_cost()
            if packing.arc(address, node) == arc and free < self.domain_cost.get((group.number, domain), _INFINITY):
                self._drop_preempted(address, free + packing.move_cost[address])
                self._relax_domain(group, domain, free, ADDRESS - address)

    def _relax_domain(self, group: SpreadGroup, domain: int | None, cost: int, source: Vertex) -> None:
        """Relax the vertex of a domain (None: no domain yet)."""
        vertex = group.number, domain
        if cost >= self.domain_cost.get(vertex, _INFINITY) or self.improvements:
            return
        if vertex in self.domain_cost:
            self._detect_cycle(vertex, source)
        self.domain_cost[vertex], self._domain_predecessor[vertex] = cost, source
        if domain is None:
            for other in group.priced():
                self._relax_domain(group, other, cost + group.entry_cost(other), vertex)
        else:
            saving = group.exit_saving(domain)
            if saving is not None:
                self._relax_domain(group, None, cost - saving, vertex)
        self._expand_domain(group, domain, cost, vertex)

    def _expand_domain(self, group: SpreadGroup, domain: int | None, cost: int, vertex: DomainVertex) -> None:
        """Relax the nodes of a domain, or (None) of all empty domains."""
        packing, first = self.packing, group.members[0]
        move_cost, arcs = cost + packing.move_cost[first], packing.arc_of[packing.kind[first]]
        least, nodes = self._cheapest_expansion.get((group.layout, domain), (_INFINITY, ()))
        if move_cost < least:
            nodes = group.parts.get(domain, ())
        elif move_cost > least:
            nodes = [node for node in nodes if move_cost < self.cost[arcs[node]]]
        left = [node for node in nodes if not self._relax_from_domain(group, domain, node, move_cost, vertex)]
        if move_cost <= least:
            self._cheapest_expansion[group.layout, domain] = move_cost, left
        for current_node in group.current:
            if domain in (None, group.domain(current_node)):
                self._relax_from_domain(group, domain, current_node, cost, vertex)
        if domain is None:
            self._relax_arc(packing.unassigned, move_cost + group.entry_cost(None), vertex)

    def _relax_from_domain(
        self, group: SpreadGroup, domain: int | None, node: int, cost: int, vertex: DomainVertex
    ) -> bool:
        """Relax a node, preempting a sibling of another group if needed; return whether no sibling was in the way."""
        packing, first = self.packing, group.members[0]
        if domain is None and group.is_priced(group.domain(node)):
            return False
        arc = packing.arc(first, node)
        sibling = packing.occupant(first, arc)
        if sibling is None:
            self._relax_arc(arc, cost, vertex)
        elif packing.group_of[sibling] is not group and cost < self.cost[arc]:
            self._enter_preempted(sibling, cost, vertex)
        return sibling is None

    def _drop_preempted(self, address: int, cost: int) -> None:
        """Forget that ``address`` can leave its place for a sibling if leaving by its arc costs less."""
        if (
            address in self.preempted
            and self.preempted[address] + self.packing.move_cost[address] > cost
            and not self.improvements
        ):
            self._detect_cycle(ADDRESS - address, self.packing.arc(address, self.packing.node_of[address]))
            del self.preempted[address], self._preempted_by[address]

    def _relax_arc(self, arc: int, cost: int, source: Vertex) -> None:
        if cost < self.cost[arc] and not self.improvements:
            if self.cost[arc] < _INFINITY:
                self._detect_cycle(arc, source)
            self.cost[arc] = cost
            self._arc_predecessor[arc] = source
            heapq.heappush(self._heap, (cost, arc))

    def _predecessor(self, point: Vertex) -> Vertex | None:
        if isinstance(point, tuple):
            return self._domain_predecessor[point]
        if point >= 0:
            return self._arc_predecessor[point]
        address = ADDRESS - point
        return (
            self._preempted_by[address]
            if address in self.preempted
            else self.packing.arc(address, self.packing.node_of[address])
        )

    def _detect_cycle(self, point: Vertex, source: Vertex) -> None:
        """Report an improvement if the cheaper path to ``point`` closes a cycle."""
        before: Vertex | None = source
        while before is not None and before != point:
            before = self._predecessor(before)
        if before is not None:
            self.improvements.append(self._steps(_rotated([*self._path_back(source, point)])))

    def _path_back(self, point: Vertex | None, end: Vertex | None) -> Iterator[Vertex]:
        """Yield the vertices of the path backwards from ``point`` up to ``end``."""
        while point is not None:
            yield point
            if point == end:
                return
            point = self._predecessor(point)

    def _steps(self, points: Sequence[Vertex]) -> list[Shift]:
        """Return the steps of a path, given backwards: each address goes to the arc or place that follows it."""
        packing, target = self.packing, self.packing.unassigned
        steps: list[Shift] = []
        for number, point in enumerate(points):
            if isinstance(point, tuple):
                continue
            if point >= 0:
                target = packing.node_of_arc[point]
            else:
                if number:
                    steps.append((ADDRESS - point, packing.node_of[ADDRESS - point], target))
                target = packing.node_of[ADDRESS - point]
        return steps


def _rotated(cycle: Sequence[Vertex]) -> list[Vertex]:
    """Return the vertices of a cycle from one that is not a domain vertex to itself."""
    first = next(number for number, point in enumerate(cycle) if not isinstance(point, tuple))
    return [*cycle[first:], *cycle[: first + 1]]
