# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Level the loads of addresses whose weights differ. PRIVATE to the collection.

The flattest load is NP-hard to find then (with two nodes it is the partition problem). A local search starts from a
placement of the least domain overlap and keeps it: an address moves to another node, or changes places with a lighter
one. Small problems are searched exhaustively; ``at_least`` is a lower bound for the others.

A plan applied to itself moves nothing: the end of the search does not depend on the current nodes, and the result of an
exhaustive search counts only if it is complete.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from heapq import heapify, heappop, heappush
from itertools import islice
from typing import Iterable, Iterator, NamedTuple, Sequence

from .model import Address, NodeLoad, Placed
from .packing import Step
from .weighted_bound import at_least
from .weighted_exhaustive import search_exhaustively
from .weighted_state import WeightedState

# How many of the least loaded nodes an address tries.
_LOWEST = 8


class Leveled(NamedTuple):
    """``nodes``: the node of each address; ``exact``: whether no placement has a better objective.

    ``at_least``: a lower bound on the squares of all placements; None if this placement reaches it.
    """

    nodes: Placed
    exact: bool
    at_least: int | None


def level(addresses: Sequence[Address], nodes: Sequence[NodeLoad], start: Placed, most_moves: int | None) -> Leveled:
    """Level the loads of ``start``, in which all addresses have a node and the domain overlap is the least.

    The result has at most ``most_moves`` moves; None: any number.
    """
    cap = len(addresses) if most_moves is None else most_moves
    state = WeightedState(addresses, nodes, start)
    _Descent(state, cap).run()
    placement, flattest, exact = search_exhaustively(addresses, nodes, state, cap)
    squares = WeightedState(addresses, nodes, placement).squares
    least = squares if flattest else at_least(addresses, nodes, placement, cap)
    return Leveled(placement, exact, None if least == squares else least)


class _Descent:
    """Moves of one address and exchanges of two, each of which makes the load flatter or saves moves."""

    def __init__(self, state: WeightedState, most_moves: int) -> None:
        self.state, self.addresses = state, state.addresses
        self.most_moves, self.overlap = most_moves, state.overlap
        # The least reduction of the squares that is worth a move.
        self.gain = 0
        self.lightest = min((address.weight for address in self.addresses), default=0)
        # The nodes of each set of possible nodes by load, and the sets that contain a node.
        self.ladders = [sorted((state.load[node], node) for node in each) for each in state.node_sets]
        self.ladders_of_node: list[list[list[tuple[int, int]]]] = [[] for _node in state.load]
        for ladder, each in zip(self.ladders, state.node_sets):
            for node in each:
                self.ladders_of_node[node].append(ladder)
        self.noted = list(state.load)
        # The addresses on a node by weight.
        self.inside: list[list[tuple[int, int]]] = [[] for _node in state.load]
        for number, node in enumerate(state.node_of):
            insort(self.inside[node], (self.addresses[number].weight, number))

    def run(self) -> None:
        """Make changes until none helps. If moves are limited, those that need none come first, then
        those that help most."""
        order = sorted(range(len(self.addresses)), key=lambda number: (-self.addresses[number].weight, number))
        if self.state.moves < self.most_moves < len(self.addresses):
            self.gain = self.state.squares + 1
            self._repeat(order)
            self._make_best_moves()
        self._repeat(order)

    def _repeat(self, order: Sequence[int]) -> None:
        """Improve all addresses until none can be."""
        while sum(map(self._improve, order)):
            pass

    def _make_best_moves(self) -> None:
        """Make the changes that reduce the squares most, each to an eighth, until the moves are used up."""
        heap = [(-self._most_gain(number), number) for number in range(len(self.addresses))]
        heapify(heap)
        while heap and self.state.moves < self.most_moves:
            noted, address = heappop(heap)
            most = min(-noted, self._most_gain(address))
            if heap and most < -heap[0][0]:
                heappush(heap, (-most, address))
                continue
            self.gain = most - most // 8
            if self.gain <= 0:
                break
            left = self._most_gain(address) if self._improve(address) else self.gain - 1
            heappush(heap, (-left, address))
        self.gain = 0

    def _improve(self, address: int) -> bool:
        """Make the first change that helps by which an address leaves its node; return whether there was one."""
        one, origin = self.addresses[address], self.state.node_of[address]
        if not one.current or origin in one.current:
            # A change that brings another address back to its current node is found from there.
            least = max(1, self.gain) if one.current else 1
            if self._most_gain(address) < least:
                return False
        return any(self._make(steps) for steps in self._changes(address))

    def _most_gain(self, address: int) -> int:
        """Return an upper bound on how much a change of an address reduces the squares."""
        gap = self.state.load[self.state.node_of[address]] - self.ladders[self.state.node_set[address]][0][0]
        less = min(self.addresses[address].weight, gap // 2)
        return 2 * less * (gap - less)

    def _changes(self, address: int) -> Iterator[list[Step]]:
        """Yield the steps of the changes that may help."""
        state, one, origin = self.state, self.addresses[address], self.state.node_of[address]
        stays = origin in one.current and state.moves >= self.most_moves
        if stays:
            return
        ladder, load = self.ladders[state.node_set[address]], state.load[origin]
        for _load, node in self._open(address, islice(ladder, bisect_left(ladder, (load - one.weight,)))):
            yield [(address, node)]
        if one.weight > self.lightest:
            for _load, node in ladder[: min(_LOWEST, bisect_left(ladder, (load - 1,)))]:
                for other in self._lighter(node, one.weight, load - state.load[node]):
                    yield [(address, node), (other, origin)]
        if one.current and origin not in one.current:
            for node in sorted(one.current):
                yield [(address, node)]
                yield from ([(address, node), (other, origin)] for _weight, other in tuple(self.inside[node]))

    def _open(self, address: int, ladder: Iterable[tuple[int, int]]) -> list[tuple[int, int]]:
        """Return the first nodes of a ladder that have a place for an address."""
        return list(islice((pair for pair in ladder if self.state.fits(address, pair[1])), _LOWEST))

    def _lighter(self, node: int, weight: int, gap: int) -> list[int]:
        """Return the addresses of a node that may change places with one of ``weight`` whose node has ``gap`` more
        load.

        The exchange that makes the loads most equal comes first.
        """
        inside = self.inside[node]
        fit = inside[bisect_left(inside, (weight - gap + 1,)) : bisect_left(inside, (weight,))]
        return [other for _weight, other in sorted(fit, key=lambda pair: (abs(2 * (weight - pair[0]) - gap), pair[1]))]

    def _make(self, steps: list[Step]) -> bool:
        """Make the steps if they are allowed and help enough; return whether they were made."""
        state = self.state
        before, origins = (state.squares, state.moves), [(address, state.node_of[address]) for address, _node in steps]
        state.clear(steps)
        fit = all(state.fits(address, node) for address, node in steps)
        if fit:
            state.make(steps)
        allowed = fit and state.overlap <= self.overlap and state.moves <= self.most_moves
        enough = before[0] - state.squares >= self.gain * (state.moves - before[1])
        if allowed and enough and (state.squares, state.moves) < before:
            self._note(origins)
            return True
        state.make(origins)
        return False

    def _note(self, origins: Sequence[Step]) -> None:
        """Update the sorted lists of nodes and addresses after the addresses of ``origins`` have left these nodes."""
        state = self.state
        for address, origin in origins:
            entry, inside = (self.addresses[address].weight, address), self.inside[origin]
            del inside[bisect_left(inside, entry)]
            insort(self.inside[state.node_of[address]], entry)
        for node in {node for address, origin in origins for node in (origin, state.node_of[address])}:
            for ladder in self.ladders_of_node[node]:
                del ladder[bisect_left(ladder, (self.noted[node], node))]
                insort(ladder, (state.load[node], node))
            self.noted[node] = state.load[node]
