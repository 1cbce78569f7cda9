# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Exhaustive search for small problems with different weights. PRIVATE to the collection.

Branch and bound over the addresses, the heaviest first.
"""

from __future__ import annotations

from collections import Counter
from typing import Hashable, Iterable, Iterator, Sequence

from .model import Address, NodeLoad, Placed
from .weighted_state import WeightedState

# The most addresses of a search, and the steps after which it stops.
_MOST_ADDRESSES = 20
_MOST_STEPS = 40_000


def search_exhaustively(
    addresses: Sequence[Address], nodes: Sequence[NodeLoad], best: WeightedState, most_moves: int
) -> tuple[Placed, bool, bool]:
    """Return the best placement found, whether it is the flattest, and whether it has the fewest moves of the flattest.

    ``best`` is the WeightedState of a placement that assigns all addresses with the least overlap.
    """
    if len(addresses) > _MOST_ADDRESSES:
        return best.placement(), False, False
    flatter = _Search(addresses, nodes, best, (best.squares - 1, most_moves), 0)
    if not flatter.complete:
        return best.placement(), False, False
    best = WeightedState(addresses, nodes, flatter.found or best.placement())
    with_fewer_moves = _Search(addresses, nodes, best, (best.squares, best.moves - 1), 1)
    return with_fewer_moves.found or best.placement(), True, with_fewer_moves.complete


class _Search:
    """``found``: the placement with least squares (0) or moves (1), and not more of either than ``most``; or None.

    ``complete``: whether the search ended within the limit of steps. If moves are not limited, the search for the least
    squares does not depend on the current nodes.
    """

    def __init__(
        self,
        addresses: Sequence[Address],
        nodes: Sequence[NodeLoad],
        best: WeightedState,
        most: tuple[int, int],
        objective: int,
    ) -> None:
        self.addresses = addresses
        self.state = WeightedState(addresses, nodes, ())
        self.most = list(most)
        self.objective = objective
        self.overlap = best.overlap
        moves_count = objective == 1 or most[1] < len(addresses)
        # Symmetry: of equal addresses, a later one gets no lower node; of equal empty nodes, only the first is tried.
        self.twin = _first_equal(_address_keys(addresses, moves_count))
        self.shape = _first_equal(_node_keys(addresses, nodes, moves_count))
        self.empty = [node.load for node in nodes]
        self.order = sorted(
            range(len(addresses)), key=lambda address: (-addresses[address].weight, self.twin[address], address)
        )
        self.steps = _MOST_STEPS
        self.found: Placed | None = None
        self._assign_from(0)
        self.complete = self.steps > 0

    def _assign_from(self, depth: int) -> None:
        """Place the addresses from ``depth`` on in all ways that may be better."""
        self.steps -= 1
        state = self.state
        if self.steps <= 0 or not self._may_be_better(depth):
            return
        if depth == len(self.order):
            self.found = state.placement()
            self.most[self.objective] = (state.squares, state.moves)[self.objective] - 1
            return
        address = self.order[depth]
        for node in self._open_nodes(address, self.order[depth - 1] if depth else None):
            state.move(address, node)
            self._assign_from(depth + 1)
            state.move(address, state.unassigned)

    def _open_nodes(self, address: int, before: int | None) -> list[int]:
        """Return the nodes to try for an address, the least loaded first; ``before`` is the address before it."""
        state, tried, found = self.state, set(), []
        first = state.node_of[before] if before is not None and self.twin[before] == self.twin[address] else 0
        for node in sorted(self.addresses[address].nodes, key=lambda node: (state.load[node], node)):
            like = self.shape[node] if state.load[node] == self.empty[node] else ~node
            if node >= first and like not in tried and state.fits(address, node):
                tried.add(like)
                found.append(node)
        return found

    def _may_be_better(self, depth: int) -> bool:
        state, left = self.state, [self.addresses[address] for address in self.order[depth:]]
        if state.overlap > self.overlap:
            return False
        if state.moves - sum(bool(address.current) for address in left) > self.most[1]:
            return False
        apart = sum(
            address.weight * (address.weight + 2 * min(state.load[node] for node in address.nodes)) for address in left
        )
        return state.squares + max(apart, self._divided_growth(left)) <= self.most[0]

    def _divided_growth(self, left: Sequence[Address]) -> int:
        """Return the least growth of the squares if addresses could be divided among all their nodes."""
        loads = sorted(self.state.load[node] for node in {node for address in left for node in address.nodes})
        total, count = sum(address.weight for address in left), 0
        while count < len(loads) and loads[count] * count <= total:
            total += loads[count]
            count += 1
        if not count:
            return 0
        low, more = divmod(total, count)
        return (count - more) * low**2 + more * (low + 1) ** 2 - sum(load * load for load in loads[:count])


def _first_equal(keys: Iterable[Hashable]) -> list[int]:
    """Return the number of the first equal key for each of the keys."""
    first: dict[Hashable, int] = {}
    return [first.setdefault(each, number) for number, each in enumerate(keys)]


def _address_keys(addresses: Sequence[Address], moves_count: bool) -> Iterator[Hashable]:
    """Yield a key for each address; addresses of equal keys are interchangeable."""
    sizes = Counter(address.owner for address in addresses)
    for number, address in enumerate(addresses):
        alone = sizes[address.owner] == 1 and not address.domains
        current = address.current if moves_count else ()
        yield (address.weight, address.family, address.nodes, current) if alone else number


def _node_keys(addresses: Sequence[Address], nodes: Sequence[NodeLoad], moves_count: bool) -> Iterator[Hashable]:
    """Yield a key for each node; without addresses, nodes of equal keys are interchangeable."""
    marks = [set(address.nodes) for address in addresses] + (
        [address.current for address in addresses] if moves_count else []
    )
    for number, node in enumerate(nodes):
        yield (
            node,
            tuple(number in each for each in marks),
            tuple(address.domains[number:][:1] for address in addresses),
        )
