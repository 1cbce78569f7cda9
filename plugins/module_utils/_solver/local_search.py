# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Make the placement of a relaxation keep all rules, and improve it by small steps. PRIVATE to the collection.

``branch_and_bound`` needs good placements early: one that is as good as the bound ends the search. Deterministic.
"""

from __future__ import annotations

from typing import Iterator, Sequence

from .model import STICKY, Address, NodeLoad, Objective, Placed
from .packing import Step
from .weighted_state import WeightedState

# Larger problems are repaired but not improved: the number of exchanges grows with the square of the addresses.
_MOST_ADDRESSES = 300


class LocalSearch:
    """A search for a better placement of some addresses, each of weight 1, with at most ``most_moves`` moves."""

    def __init__(
        self, addresses: Sequence[Address], nodes: Sequence[NodeLoad], policy: str, most_moves: int | None
    ) -> None:
        self.addresses = addresses
        self.nodes = nodes
        self.policy = policy
        self.most_moves = len(addresses) if most_moves is None else most_moves
        self.possible = [frozenset(address.nodes) for address in addresses] if self._is_small() else []

    def _is_small(self) -> bool:
        return len(self.addresses) <= _MOST_ADDRESSES

    def improved(self, placement: Placed) -> tuple[int | None, ...]:
        """Return a placement that keeps the rules, no worse than the part of ``placement`` that keeps them."""
        state = WeightedState(self.addresses, self.nodes, ())
        for address, node in enumerate(placement):
            if node is not None and state.fits(address, node):
                state.move(address, node)
        self._assign_the_rest(state)
        if self._is_small():
            while sum(self._improve(state, address) for address in range(len(self.addresses))):
                pass
        return state.placement()

    def _assign_the_rest(self, state: WeightedState) -> None:
        for address, node in enumerate(state.node_of):
            if node == state.unassigned:
                steps = next(self._insertions(state, address), None)
                if steps is not None:
                    state.make(steps)

    def _insertions(self, state: WeightedState, address: int) -> Iterator[list[Step]]:
        """Yield the steps that assign an address; those that move another address away come last."""
        ranked = sorted(self.addresses[address].nodes, key=lambda node: (state.load[node], node))
        yield from ([(address, node)] for node in ranked if state.fits(address, node))
        if not self._is_small():
            return
        for node in ranked:
            for other in [other for other, used in enumerate(state.node_of) if used == node]:
                state.move(other, state.unassigned)
                fits = state.fits(address, node)
                targets = [to for to in self.addresses[other].nodes if to != node and state.fits(other, to)]
                state.move(other, node)
                if fits:
                    yield from ([(address, node), (other, to)] for to in targets)

    def _objective(self, state: WeightedState) -> Objective:
        first, second = (state.moves, state.squares) if self.policy == STICKY else (state.squares, state.moves)
        return state.node_of.count(state.unassigned), state.overlap, first, second

    def _improve(self, state: WeightedState, address: int) -> bool:
        """Make the first step or exchange of an address that improves the objective; return whether there is one."""
        return any(self._make(state, steps) for steps in self._changes(state, address))

    def _changes(self, state: WeightedState, address: int) -> Iterator[list[Step]]:
        origin = state.node_of[address]
        if origin == state.unassigned:
            yield from self._insertions(state, address)
            return
        for node in self.addresses[address].nodes:
            if node != origin:
                yield [(address, node)]
        for other in range(address + 1, len(self.addresses)):
            node = state.node_of[other]
            # The node of the unassigned is possible for no address.
            if node != origin and node in self.possible[address] and origin in self.possible[other]:
                yield [(address, node), (other, origin)]

    def _make(self, state: WeightedState, steps: list[Step]) -> bool:
        """Make the steps if they keep the rules and improve the objective; return whether they were made."""
        if not self._may_improve(state, steps):
            return False
        before, moves = self._objective(state), state.moves
        origins = [(address, state.node_of[address]) for address, _node in steps]
        state.clear(steps)
        for address, node in steps:
            if not state.fits(address, node):
                break
            state.move(address, node)
        else:
            if self._objective(state) < before and state.moves <= max(self.most_moves, moves):
                return True
        state.make(origins)
        return False

    def _may_improve(self, state: WeightedState, steps: list[Step]) -> bool:
        """Return whether steps improve overlap, moves or squares; the rules are not checked."""
        overlap = moves = 0
        for address, node in steps:
            one, origin = self.addresses[address], state.node_of[address]
            if origin == state.unassigned:
                return True
            if one.held:
                moves += (node not in one.current) - (origin not in one.current)
            overlap += state.overlap_change(one, origin, node)
        if len({self.addresses[address].owner for address, _node in steps}) < len(steps):
            # An exchange of siblings does not change how many are in each domain.
            overlap = 0
        squares = 0
        if len(steps) == 1:
            squares = 2 * (state.load[node] - state.load[origin] + 1)
        first, second = (moves, squares) if self.policy == STICKY else (squares, moves)
        return (overlap, first, second) < (0, 0, 0)
