# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where the addresses of one lost node go while all others stay. PRIVATE to the collection.

No two addresses of a node have the same owner, so the lost addresses do not exclude each other: each has its own
possible nodes. The result minimizes, in this order: the addresses without a node; the domain overlap; the sum of
squares of the loads; the sum of the distances from the lost node in the ring of all nodes; the addresses that are not
on their last node. Where weights differ, each counts as their mean in the sum of squares.

Without overlap this is the minimum of a separable convex function over a polymatroid: to fill the cheapest place that
still can be filled is optimal, and an augmenting path shows whether it can. ``one_loss_flow`` handles the other cases.
Deterministic: no I/O, clock or randomness.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter, deque
from heapq import heappop, heappush
from itertools import chain
from types import MappingProxyType
from typing import AbstractSet, Dict, Iterator, List, Mapping, NamedTuple, Sequence, Tuple

from .model import NodeLoad

UNLIMITED = 1 << 60
FAMILIES = (4, 6)
_NO_OVERLAP: Mapping[int, int] = MappingProxyType({})

# The possible nodes of addresses by their load, each list in order.
ByLoad = Dict[int, List[int]]
# The numbers of kinds in order.
Kinds = Tuple[int, ...]
# A node and an IP version: the addresses of this version on it.
Arc = Tuple[int, int]


class Lost(NamedTuple):
    """A lost address: its IP version (4 or 6), and the number of its ``kind``, which has the possible nodes.

    The nodes in ``taken`` have another address of its owner. Of a spread owner, ``domains`` has the failure domain of
    each node, and ``overlap`` {domain: number of siblings there}. ``last`` is the node that the last result has.
    """

    family: int
    kind: int
    taken: AbstractSet[int] = frozenset()
    last: int | None = None
    weight: int = 1
    domains: Sequence[int] = ()
    overlap: Mapping[int, int] = _NO_OVERLAP

    def overlap_on(self, node: int) -> int:
        """Return how many siblings are in the failure domain of a node."""
        return self.overlap.get(self.domains[node], 0) if self.domains else 0


class NodeRing:
    """All nodes in ring order. ``kinds[number]`` are the possible nodes of a kind of address.

    ``closed`` are nodes that get nothing; the caller may add to it between two losses.
    """

    def __init__(self, nodes: Sequence[NodeLoad], kinds: Sequence[AbstractSet[int]]) -> None:
        self.loads = [node.load for node in nodes]
        self.free = [_unlimited(node.free) for node in nodes]
        self.free_by_family = {family: [_unlimited(node.free_for(family)) for node in nodes] for family in FAMILIES}
        self.limits_families = any(limit != UNLIMITED for limits in self.free_by_family.values() for limit in limits)
        self.kinds = kinds
        self.closed: set[int] = set()
        self._by_load: dict[Kinds, ByLoad] = {}
        self._merged_nodes: dict[tuple[Kinds, tuple[int, ...]], list[int]] = {}

    def distance(self, origin: int, node: int) -> int:
        """Return the distance from one node to another in the ring."""
        return (node - origin) % len(self.loads)

    def can_take(self, node: int, origin: int, address: Lost) -> bool:
        """Return whether a node can take a lost address of the node ``origin`` alone."""
        has_capacity = self.free[node] and self.free_by_family[address.family][node]
        return bool(has_capacity) and node != origin and node not in address.taken and node not in self.closed

    def ranked(self, kinds: Kinds, origin: int, count: int, weight: int) -> Iterator[tuple[int, int]]:
        """Yield (node, number of the place on it) for ``count`` addresses, the cheapest place first.

        Of equal cost, the nearest to ``origin`` in the ring comes first. ``weight`` is the sum of the weights.
        """
        later = iter(sorted(self.by_load(kinds)))
        heap: list[tuple[int, int, int]] = []
        _push(heap, next(later, None), 1, count, weight)
        while heap:
            cost = heap[0][0]
            numbers: dict[int, int] = {}
            while heap and heap[0][0] == cost:
                _cost, load, number = heappop(heap)
                numbers[load] = number
                if number < count:
                    _push(heap, load, number + 1, count, weight)
                if number == 1:
                    _push(heap, next(later, None), 1, count, weight)
            nodes = self._merged(kinds, tuple(numbers))
            middle = bisect_right(nodes, origin)
            for index in range(middle - len(nodes), middle):
                yield nodes[index], numbers[self.loads[nodes[index]]]

    def by_load(self, kinds: Kinds) -> ByLoad:
        """Return the possible nodes of any of these kinds, without those that are full."""
        if kinds not in self._by_load:
            found: ByLoad = {}
            for node in sorted({node for kind in kinds for node in self.kinds[kind] if self.free[node]}):
                found.setdefault(self.loads[node], []).append(node)
            self._by_load[kinds] = found
        return self._by_load[kinds]

    def _merged(self, kinds: Kinds, loads: tuple[int, ...]) -> list[int]:
        """Return the nodes with any of these loads in ring order."""
        by_load = self._by_load[kinds]
        if len(loads) == 1:
            return by_load[loads[0]]
        key = kinds, loads
        if key not in self._merged_nodes:
            self._merged_nodes[key] = sorted(node for load in loads for node in by_load[load])
        return self._merged_nodes[key]


def _unlimited(limit: int | None) -> int:
    return UNLIMITED if limit is None else limit


def _push(heap: list[tuple[int, int, int]], load: int | None, number: int, count: int, weight: int) -> None:
    """Add the places of this number on all nodes with this load."""
    if load is not None:
        heappush(heap, (place_cost(load, number, count, weight), load, number))


def place_cost(load: int, number: int, count: int, weight: int) -> int:
    """Return how much the place ``number``, from 1, on a node with a load adds to the sum of squares.

    ``count`` addresses have the sum ``weight`` of weights; the result is multiplied by ``count``, to be an integer.
    """
    return 2 * count * load + (2 * number - 1) * weight


def reassign(fleet: NodeRing, origin: int, lost: Sequence[Lost]) -> list[int | None]:
    """Return the best node of each lost address of the node ``origin``, None if it has none."""
    loss = _Loss(fleet, origin, lost)
    loss.fill()
    if loss.is_proven and loss.keep_last():
        return loss.nodes
    # Most losses need no flow and do not load this.
    from .one_loss_flow import minimize  # noqa: PLC0415

    return minimize(fleet, origin, lost)


class _Loss:
    """The lost addresses of one node, and where they go.

    ``unplaced`` and ``movable`` are the addresses that may still get a node, and those that may change theirs.
    """

    def __init__(self, fleet: NodeRing, origin: int, lost: Sequence[Lost]) -> None:
        self.fleet, self.origin, self.lost = fleet, origin, lost
        self.nodes: list[int | None] = [None] * len(lost)
        self.count = [0] * len(fleet.loads)
        self.arc_count: Counter[Arc] = Counter()
        self.last: dict[int, list[int]] = {}
        for number, address in enumerate(lost):
            if address.last is not None and fleet.can_take(address.last, origin, address):
                self.last.setdefault(address.last, []).append(number)
        # Those without a last node come first: for the others their last node is better.
        numbers = sorted(range(len(lost)), key=lambda n: lost[n].last is not None) if self.last else range(len(lost))
        self.unplaced = dict.fromkeys(numbers)
        self.movable = dict.fromkeys(self.unplaced)
        self.is_spread = any(address.domains for address in lost)
        self.least = [self._least_overlap(address) if address.domains else 0 for address in lost if self.is_spread]

    @property
    def is_proven(self) -> bool:
        """Whether the result is the best: without spread owners always, else if all are where they overlap least."""
        return not self.is_spread or None not in self.nodes

    def _least_overlap(self, address: Lost) -> int:
        """Return the least domain overlap on a node that can take the address alone."""
        best = UNLIMITED
        for node in self.fleet.kinds[address.kind]:
            if address.overlap_on(node) < best and self.fleet.can_take(node, self.origin, address):
                best = address.overlap_on(node)
                if not best:
                    break
        return best

    def _allows(self, number: int, node: int) -> bool:
        """Return whether an address may be on a node; a spread one only where it overlaps least."""
        address = self.lost[number]
        return (
            node not in address.taken
            and node in self.fleet.kinds[address.kind]
            and (not address.domains or address.overlap_on(node) == self.least[number])
        )

    def fill(self) -> None:
        """Fill the cheapest places first, each only if the places before it stay filled."""
        # Nodes that get no further address.
        finished = {self.origin}
        kinds: Kinds | None = self._kinds()
        while kinds is not None and self.unplaced:
            # A search that fails leaves fewer addresses, often only those of few nodes.
            kinds = self._fill_nodes_of(kinds, finished)

    def _kinds(self) -> Kinds:
        """Return the kinds of the addresses that may still get a node, or give up a place for one that may."""
        return tuple(sorted({self.lost[number].kind for number in self.movable}))

    def _fill_nodes_of(self, kinds: Kinds, finished: set[int]) -> Kinds | None:
        """Fill places until no address or no node is left; return the kinds that are left if they become fewer."""
        closed, free, count = self.fleet.closed, self.fleet.free, self.count
        weight = sum(address.weight for address in self.lost)
        for node, number in self.fleet.ranked(kinds, self.origin, len(self.lost), weight):
            if node in closed or node in finished or not count[node] < number <= free[node]:
                continue
            if self._fill_place(node):
                if not self.unplaced:
                    return None
                continue
            finished.add(node)
            self._drop_hopeless()
            left = self._kinds()
            if left != kinds:
                return left
        return None

    def _drop_hopeless(self) -> None:
        """Give up the addresses that no node can take, even alone."""
        for number in [*self.unplaced]:
            address = self.lost[number]
            nodes = chain.from_iterable(self.fleet.by_load((address.kind,)).values())
            if not any(
                self._allows(number, node) and self.fleet.can_take(node, self.origin, address) for node in nodes
            ):
                del self.unplaced[number], self.movable[number]

    def _fill_place(self, node: int) -> bool:
        """Put one more address on a node, moving others if needed; return whether it is possible."""
        preferred = self.last.get(node)
        for number in chain(preferred, self.unplaced) if preferred else self.unplaced:
            if (
                number in self.unplaced
                and self._allows(number, node)
                and self._is_open((node, self.lost[number].family))
            ):
                self._put(number, node)
                return True
        return self._augment(node)

    def _is_open(self, arc: Arc) -> bool:
        """Return whether a node can take one more address of an IP version, as far as its limit for that goes."""
        if not self.fleet.limits_families:
            return True
        return self.arc_count[arc] < self.fleet.free_by_family[arc[1]][arc[0]]

    def _put(self, number: int, node: int) -> None:
        self.nodes[number] = node
        self.count[node] += 1
        if self.fleet.limits_families:
            self.arc_count[node, self.lost[number].family] += 1
        del self.unplaced[number]

    def _remove(self, number: int, node: int) -> None:
        self.nodes[number] = None
        self.count[node] -= 1
        if self.fleet.limits_families:
            self.arc_count[node, self.lost[number].family] -= 1
        self.unplaced[number] = None

    def _augment(self, start: int) -> bool:
        """Put an address on the node ``start`` by a chain: each takes the place of the next one, the last is unplaced.

        No address that a search reaches without success is part of a later chain.
        """
        # Arc: the address that leaves it, None for those of the first node. Address: the arc that it would enter.
        leaving: dict[Arc, int | None] = {}
        entering: dict[int, Arc] = {}
        queue: deque[Arc] = deque()
        self._reach_arcs(start, None, leaving, queue)
        while queue:
            arc = queue.popleft()
            for number in self.movable:
                node = self.nodes[number]
                enters = self.lost[number].family == arc[1] and node != arc[0] and self._allows(number, arc[0])
                if number in entering or not enters:
                    continue
                entering[number] = arc
                if node is None:
                    self._apply(number, entering, leaving)
                    return True
                self._reach_arcs(node, number, leaving, queue)
        for number in entering:
            del self.movable[number]
        return False

    def _reach_arcs(self, node: int, leaver: int | None, leaving: dict[Arc, int | None], queue: deque[Arc]) -> None:
        """Add the arcs through which one more address can come to a node, once ``leaver`` has left it."""
        for family in FAMILIES:
            arc = node, family
            is_left = leaver is not None and self.lost[leaver].family == family
            if arc not in leaving and (is_left or self._is_open(arc)):
                leaving[arc] = leaver
                queue.append(arc)

    def _apply(self, unplaced: int, entering: Mapping[int, Arc], leaving: Mapping[Arc, int | None]) -> None:
        """Make the changes of a chain."""
        changes: list[tuple[int, int]] = []
        number: int | None = unplaced
        while number is not None:
            arc = entering[number]
            changes.append((number, arc[0]))
            number = leaving[arc]
        for number, _target in changes[1:]:
            self._remove(number, self.nodes[number] or 0)
        for number, target in changes:
            self._put(number, target)

    def keep_last(self) -> bool:
        """Put the most addresses on their last nodes, with as many on each node; return whether they are the most."""
        most = sum(min(len(numbers), self.count[node]) for node, numbers in self.last.items())
        if self._count_kept() == most:
            return True
        quota = self.count[:]
        for number, node in enumerate(self.nodes):
            if node is not None:
                self._remove(number, node)
        self.movable = dict.fromkeys(self.unplaced)
        for node, numbers in self.last.items():
            for number in numbers:
                is_open = self.count[node] < quota[node] and self._is_open((node, self.lost[number].family))
                if is_open and number in self.unplaced and self._allows(number, node):
                    self._put(number, node)
        missing = [node for node, count in enumerate(quota) for _place in range(count - self.count[node])]
        filled = all(self._fill_place(node) for node in missing)
        return filled and self._count_kept() == most

    def _count_kept(self) -> int:
        return sum(address.last is not None and address.last == node for address, node in zip(self.lost, self.nodes))
