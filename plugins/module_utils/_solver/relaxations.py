# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The relaxations of a branch, and the lower bounds that they give. PRIVATE to the collection.

Each flow is a relaxation: it ignores the rules that it cannot express, so its cost is a lower bound. ``overlap_bound``
adds the least overlap of each owner of several groups, and ``owner_bound`` combines it with loads and moves.
"""

from __future__ import annotations

from functools import cached_property
from typing import NamedTuple, Optional, Sequence, Tuple

from .branches import ROOT, Branch, branches_on_move, branches_on_range
from .deadline import Deadline
from .min_cost_flow import Potential, minimize_cost
from .model import (
    STICKY,
    Address,
    NodeLoad,
    Objective,
    Placed,
    bans_against,
    count_moves,
    count_squares,
    first_conflict,
    objective,
    weights,
)
from .move_cap import closest_to_cap
from .overlap_bound import overlap_of
from .owner_bound import Prices, owner_costs
from .packing import Packing, most_overlap
from .spread_groups import Bounds, SpreadGroup

Placement = Tuple[Optional[int], ...]

# How many relaxations the two other bounds of a branch take, measured with 60 addresses on 12 nodes.
_COST_OF_OTHER_BOUNDS = 3
# The most prices, one for each address and node, of the bound by owners.
_MOST_PRICES = 20_000


class Relaxed(NamedTuple):
    """A packing of least cost with the potential that proves it, and the lower bound that it gives (None: not yet)."""

    packing: Packing
    placement: Placement
    potential: Potential
    value: Objective | None = None


class Bound(NamedTuple):
    """The lower bound of all placements of a branch, the relaxation that gives it, and the branches that follow.

    A placement without branches is the best one of its branch. ``placements`` are those of all relaxations.
    """

    value: Objective
    relaxed: Relaxed
    branches: Sequence[Branch]
    placements: Sequence[Placement]


class Budget:
    """The work that a search may still do, counted in addresses of its relaxations, and its deadline."""

    def __init__(self, deadline: Deadline, left: float = float("inf")) -> None:
        self.deadline = deadline
        self.left = left

    def is_spent(self) -> bool:
        """Return whether the search has to end."""
        return self.left <= 0 or self.deadline()


class Relaxations:
    """Addresses and nodes with the crossing rules, and the bounds of branches."""

    def __init__(
        self,
        addresses: Sequence[Address],
        nodes: Sequence[NodeLoad],
        policy: str,
        most_moves: int | None,
        budget: Budget,
    ) -> None:
        self.addresses = addresses
        self.nodes = nodes
        self.policy = policy
        self.most_moves = most_moves
        self.budget = budget
        self.scale = most_overlap(addresses) + 1
        self.root: Bound | None = None

    def objective(self, placement: Placed) -> Objective:
        """Return the objective, which is least in the best placement."""
        return objective(self.addresses, self.nodes, self.policy, placement)

    @cached_property
    def merged(self) -> tuple[list[Address], list[NodeLoad]]:
        """The addresses and nodes of the relaxation that does not distinguish families."""
        return _with_nodes_of_siblings(self.addresses), _without_family_limits(self.addresses, self.nodes)

    def bound(self, branch: Branch = ROOT, start: Placement | None = None) -> Bound | None:
        """Return the Bound of a branch; None if no placement belongs to it."""
        self.budget.left -= len(self.addresses)
        prices = weights(self.addresses, self.nodes, self.policy)
        free = self._minimized(prices, branch, start)
        if not all(group.keeps_ranges() for group in free.packing.groups):
            return None
        bound = self._bound_with_cap(free, branch, start)
        if bound is None or not bound.branches:
            return bound
        self.budget.left -= _COST_OF_OTHER_BOUNDS * len(self.addresses)
        # Where families are not distinguished, no siblings share a node, and the cost contains the overlap of an owner
        # whose addresses have different possible nodes. That is another relaxation, and often a better bound.
        merged = self._minimized(prices, branch, start, merged=True)
        unassigned, _overlap, *rest = self.objective(merged.placement)
        value = unassigned, merged.packing.counted_overlap(), rest[0], rest[1]
        possible = (node if node in address.nodes else None for address, node in zip(self.addresses, merged.placement))
        placements = (*bound.placements, tuple(possible))
        value = max(bound.value, value, self._value_by_owners(free, free if bound.value > value else merged))
        return bound._replace(value=value, placements=placements)

    def _value_by_owners(self, free: Relaxed, relaxed: Relaxed) -> Objective:
        """Return the bound that the prices of a relaxation give with the overlap of each owner.

        The owners of several groups are those of ``free``, where families are distinguished. Bans can make an owner one
        group there and several in ``relaxed``, whose cost then lacks the overlap between them: that gives no bound.
        """
        packing, placement = relaxed.packing, relaxed.placement
        several = {owner for owner, groups in free.packing.groups_by_owner().items() if len(groups) > 1}
        unknown = packing.relaxed.keys() - several
        if not several or unknown or len(self.addresses) * len(self.nodes) > _MOST_PRICES:
            return 0, 0, 0, 0
        squares, moves = count_squares(self.nodes, placement), count_moves(self.addresses, placement)
        overlap = sum(overlap_of([group]) for group in packing.groups if group.owner not in several)
        cost = packing.square * squares + packing.move * moves + packing.overlap_cost * overlap
        cost += packing.unassigned_cost * placement.count(None)
        costs = owner_costs(free.packing, Prices(packing, relaxed.potential))
        # Rounded up to a multiple of the scale, as the cost of each placement is one.
        left, terms = -(-(cost - costs.now + costs.least) // self.scale), []
        for term in (packing.unassigned_cost, packing.overlap_cost, max(packing.square, packing.move)):
            number, left = divmod(left, term // self.scale)
            terms.append(number)
        return terms[0], terms[1], terms[2], left

    def _bound_with_cap(self, free: Relaxed, branch: Branch, start: Placement | None) -> Bound | None:
        """Return the Bound of a relaxation ``free`` of the cap on moves; None if no placement keeps the cap."""
        if self.most_moves is None or count_moves(self.addresses, free.placement) <= self.most_moves:
            return self._bound_of(free, branch)
        fewest = self._minimized(weights(self.addresses, self.nodes, STICKY), branch, start)
        if count_moves(self.addresses, fewest.placement) > self.most_moves:
            # Other branches may need fewer moves, for example one with fewer assigned addresses.
            branches = self._bound_of(fewest, branch).branches
            return self._bound_of(free, branch)._replace(branches=branches) if branches else None
        return self._capped(branch, fewest.placement, free.placement)

    def _minimized(
        self,
        prices: tuple[int, int],
        branch: Branch,
        start: Placement | None,
        merged: bool = False,
    ) -> Relaxed:
        bounds = Bounds(dict(branch.ranges), relax=True, scale=self.scale)
        problem = self.merged if merged else (self.addresses, self.nodes)
        packing = Packing(*problem, *prices, branch.banned, bounds)
        potential = minimize_cost(packing, start)
        return Relaxed(packing, packing.placement(), potential)

    def _bound_of(self, relaxed: Relaxed, branch: Branch) -> Bound:
        """Return the Bound that a relaxation gives, with branches if its placement breaks a rule or costs more."""
        packing, placement = relaxed.packing, relaxed.placement
        unassigned, overlap, *rest = self.objective(placement)
        branches: list[Branch] = []
        conflict = first_conflict(self.addresses, placement)
        if conflict:
            branches = [branch.without(bans) for bans in bans_against(self.addresses, placement, conflict)]
        counted = packing.counted_overlap()
        if counted < overlap:
            overlap = counted
            several = [groups for groups in packing.groups_by_owner().values() if len(groups) > 1]
            order = sorted(several, key=lambda groups: _counted_overlap(packing, groups) - overlap_of(groups))
            options = (branches_on_range(branch, groups) for groups in order)
            branches = branches or next((each for each in options if each), [])
        value = unassigned, overlap, rest[0], rest[1]
        return Bound(value, relaxed._replace(value=value), branches, (placement,))

    def _capped(self, branch: Branch, fewest: Placement, flattest: Placement) -> Bound:
        """Approach the cap from both sides: ``fewest`` keeps it, ``flattest`` breaks it and is flatter.

        A price per move at which both cost the same gives the next placement between them. If none is cheaper, both are
        cheapest at this price, which gives the bound.
        """
        cap = self.most_moves or 0
        while True:
            more_moves = count_moves(self.addresses, flattest) - count_moves(self.addresses, fewest)
            saving = count_squares(self.nodes, fewest) - count_squares(self.nodes, flattest)
            relaxed = self._minimized((more_moves, saving), branch, fewest)
            middle = relaxed.placement
            price, least = (
                more_moves * count_squares(self.nodes, each) + saving * count_moves(self.addresses, each)
                for each in (fewest, middle)
            )
            if price == least:
                break
            if count_moves(self.addresses, middle) <= cap:
                fewest = middle
            else:
                flattest = middle
        fewest = closest_to_cap(relaxed.packing, flattest, fewest, cap)
        # Placements of equally many addresses have squares of equal parity.
        squares = -((saving * cap - least) // more_moves)
        squares += (squares - count_squares(self.nodes, fewest)) % 2
        relaxed.packing.make([(one, _number(relaxed.packing, node)) for one, node in enumerate(fewest)])
        relaxed = relaxed._replace(placement=fewest)
        bound = self._bound_of(relaxed, branch)
        if squares == count_squares(self.nodes, fewest):
            return bound
        moves = -((more_moves * squares - least) // saving)
        branches = bound.branches or branches_on_move(branch, self.addresses, fewest, flattest)
        value = (*bound.value[:2], squares, moves)
        return Bound(value, relaxed._replace(value=value), branches, (fewest,))


def _with_nodes_of_siblings(addresses: Sequence[Address]) -> list[Address]:
    """Return the addresses, those of a spread owner with the possible nodes of all its addresses."""
    possible: dict[int, set[int]] = {}
    for address in addresses:
        if address.domains:
            possible.setdefault(address.owner, set()).update(address.nodes)
    shared = {owner: tuple(sorted(nodes)) for owner, nodes in possible.items()}
    return [
        address._replace(nodes=shared[address.owner]) if address.owner in shared else address for address in addresses
    ]


def _without_family_limits(addresses: Sequence[Address], nodes: Sequence[NodeLoad]) -> list[NodeLoad]:
    """Return the nodes with one limit for all addresses in place of those by family."""
    wanted = {4: [0] * len(nodes), 6: [0] * len(nodes)}
    for address in addresses:
        for number in address.nodes:
            wanted[address.family][number] += 1
    found = []
    for number, node in enumerate(nodes):
        most = 0
        for family, counts in wanted.items():
            limit = node.free_for(family)
            most += counts[number] if limit is None else min(limit, counts[number])
        found.append(NodeLoad(node.load, most if node.free is None else min(node.free, most)))
    return found


def _number(packing: Packing, node: int | None) -> int:
    return packing.unassigned if node is None else node


def _counted_overlap(packing: Packing, groups: Sequence[SpreadGroup]) -> int:
    """Return the overlap of an owner's groups that a packing counts if none of them is unassigned."""
    least = packing.relaxed.get(groups[0].owner)
    return sum(overlap_of([group]) for group in groups) if least is None else least.overlap
