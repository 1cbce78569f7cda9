# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Branch and bound for the rules that a flow cannot express. PRIVATE to the collection.

There are three such *crossing rules*: no two siblings on a node whose families have arcs of their own, the overlap
between spread groups of one owner, and the cap on moves. ``relaxations`` has the lower bound of a branch.
``local_search`` turns the placement of the relaxation into one that keeps all rules. The search ends when the best
placement is as good as the lowest bound; until then it branches on a rule that the relaxation of the lowest bound
breaks (``branches``). A search that has not ended after a second asks ``mixed_integer`` for the best placement.
"""

from __future__ import annotations

import heapq
from collections import Counter
from functools import cached_property
from typing import Mapping, NamedTuple, Sequence

from .branches import ROOT, Branch
from .deadline import Deadline
from .local_search import LocalSearch
from .min_cost_flow import fill
from .mixed_integer import best_placement as mixed_integer_placement
from .model import (
    STICKY,
    Address,
    NodeLoad,
    Objective,
    Placed,
    count_moves,
    count_overlap,
    first_conflict,
    keeps_rules,
    weights,
)
from .packing import Packing, Step
from .relaxations import Bound, Budget, Placement, Relaxations
from .remainder import remainder
from .spread_groups import shared_domains
from .tie_break import first_by_name

# How many addresses all relaxations of the tie-break may have together: about one second.
_TIE_BREAK_LIMIT = 10_000
# The same limit for a search before it asks the library for the best placement.
_BEFORE_THE_LIBRARY = 2_000
# How many open branches a search keeps: some tens of MiB.
_MOST_OPEN = 20_000


class SearchResult(NamedTuple):
    """A placement, and the lower bound of its objective if it is not proven to be the best, else None."""

    placement: Placement
    at_least: Objective | None = None


def fewest_moves(addresses: Sequence[Address], nodes: Sequence[NodeLoad], deadline: Deadline) -> SearchResult:
    """Return a placement of the fewest moves; the deadline may end the search for it."""
    packing = Packing(addresses, nodes, *weights(addresses, nodes, STICKY))
    fill(packing, packing.current)
    placement = packing.placement()
    at_rest = all(node is not None and packing.price(address, node) == 0 for address, node in enumerate(placement))
    if at_rest and count_overlap(addresses, placement) == 0:
        # Each address has a node, and each that can stay does.
        return SearchResult(placement)
    return _Problem(addresses, nodes, STICKY, None, Budget(deadline)).search()


def keeps_crossing_rules(packing: Packing, placement: Placed) -> bool:
    """Return whether a placement of a packing keeps the crossing rules, except the cap on moves."""
    return first_conflict(packing.addresses, placement) is None and not shared_domains(packing, placement)


def best_placement(
    addresses: Sequence[Address], nodes: Sequence[NodeLoad], policy: str, most_moves: int | None, deadline: Deadline
) -> SearchResult:
    """Return the best placement with at most ``most_moves`` moves (None: any number).

    It is the best by the objective unless the deadline ends the search. Among equal ones it is the first by name as far
    as the limit of the tie-break allows.
    """
    problem = _Problem(addresses, nodes, policy, most_moves, Budget(deadline))
    found = problem.search()
    if found.at_least is not None:
        return found
    wanted = problem.objective(found.placement)
    problem.budget = Budget(deadline, _TIE_BREAK_LIMIT)
    root = problem.root
    if (
        root is None
        or wanted != root.relaxed.value
        or len(root.relaxed.packing.groups_by_owner()) < len(root.relaxed.packing.groups)
    ):
        return SearchResult(_first_by_checks(problem, found.placement, wanted))
    # All placements that are as good are ties of the root's packing.
    packing = root.relaxed.packing
    first_by_name(packing, root.relaxed.potential, deadline, RuleCheck(problem, found.placement, wanted))
    return SearchResult(packing.placement())


def _first_by_checks(problem: _Problem, best: Placement, wanted: Objective) -> Placement:
    """Return the first placement by name that is as good: search for each address and each node it prefers."""
    for address, one in enumerate(problem.addresses):
        for node in one.ranked():
            if node == best[address] or problem.budget.is_spent():
                break
            found = problem.placement_with((*best[:address], node), wanted, best)
            if found is not None:
                best = found
                break
    return best


class RuleCheck:
    """Checks whether changes that do not change the cost of a packing also keep the crossing rules."""

    def __init__(self, problem: _Problem, start: Placement, wanted: Objective) -> None:
        self.problem = problem
        self.start = start
        self.wanted = wanted

    @cached_property
    def _siblings(self) -> dict[int, list[int]]:
        """The addresses of each owner."""
        found: dict[int, list[int]] = {}
        for number, address in enumerate(self.problem.addresses):
            found.setdefault(address.owner, []).append(number)
        return found

    def nodes_of_siblings(self, packing: Packing, steps: Sequence[Step]) -> dict[int, int]:
        """Return the node of each address whose owner has an address in ``steps``."""
        owners = {packing.addresses[address].owner for address, _node in steps}
        return {number: packing.node_of[number] for owner in owners for number in self._siblings[owner]}

    def accepts(self, packing: Packing, before: Mapping[int, int]) -> bool:
        """Return whether a packing keeps the rules and has the wanted objective.

        It had before it changed; ``before`` has the nodes of the changed addresses and their siblings at that time.
        """
        addresses = [packing.addresses[number] for number in before]
        nodes = [packing.node_of[number] for number in before]
        after, then = (
            [None if node == packing.unassigned else node for node in part] for part in (nodes, before.values())
        )
        if first_conflict(addresses, after) is not None:
            return False
        change = Counter(nodes)
        change.subtract(before.values())
        loads = ((packing.load[node], more) for node, more in change.items() if node != packing.unassigned)
        squares = sum(load * load - (load - more) ** 2 for load, more in loads)
        return not (squares or change[packing.unassigned]) and all(
            count(addresses, after) == count(addresses, then) for count in (count_moves, count_overlap)
        )

    def replace(self, address: int, before: Placement, after: Placement) -> Placement:
        """Return a placement that is as good, with ``address`` where ``after`` has it, and those before it unchanged.

        If there is none, it is ``before``.
        """
        fixed = (*before[:address], after[address])
        return self.problem.placement_with(fixed, self.wanted, before) or before


class _Problem(Relaxations):
    """Addresses and nodes with the crossing rules, and the searches for their best placement."""

    def placement_with(self, fixed: Placed, wanted: Objective, start: Placement) -> Placement | None:
        """Return a placement as good as ``wanted`` where the first addresses are on ``fixed`` nodes; or None.

        ``start`` is a placement close to it.
        """
        swapped = self._exchanged(fixed, wanted, start)
        if swapped is not None:
            return swapped
        count = len(fixed)
        moves = count_moves(self.addresses[:count], fixed)
        left = remainder(self.addresses, self.nodes, dict(enumerate(fixed)))
        rest = _Problem(left.addresses, left.nodes, self.policy, None, self.budget)
        limits = (limit for node in rest.nodes for limit in (node.free, *node.free_by_family))
        overfull = any(limit is not None and limit < 0 for limit in limits)
        if overfull or first_conflict(self.addresses, fixed) or self.budget.is_spent():
            return None
        if self.most_moves is not None:
            rest.most_moves = self.most_moves - moves
        overlap = count_overlap(self.addresses[:count], fixed)
        unassigned = sum(node is None for node in fixed)
        offset = (unassigned, overlap, *((moves, 0) if self.policy == STICKY else (0, moves)))
        first, second, third, fourth = (total - part for total, part in zip(wanted, offset))
        found = rest.search_for((first, second, third, fourth), start[count:])
        return None if found is None else (*fixed, *found)

    def _exchanged(self, fixed: Placed, wanted: Objective, start: Placement) -> Placement | None:
        """Return ``start`` with the last address of ``fixed`` on its node, by a move or an exchange; or None."""
        address, node = len(fixed) - 1, fixed[-1]
        for other in (None, *(one for one in range(len(fixed), len(start)) if start[one] == node)):
            changed = list(start)
            changed[address] = node
            if other is not None:
                if start[address] is not None and start[address] not in self.addresses[other].nodes:
                    continue
                changed[other] = start[address]
                two = [self.addresses[address], self.addresses[other]]
                # An exchange leaves the loads as they are, so the moves have to be as many.
                if count_moves(two, [node, start[address]]) != count_moves(two, [start[address], node]):
                    continue
            if self.is_allowed(changed) and self.objective(changed) == wanted:
                return tuple(changed)
        return None

    def is_allowed(self, placement: Placed) -> bool:
        if self.most_moves is not None and count_moves(self.addresses, placement) > self.most_moves:
            return False
        return keeps_rules(self.addresses, self.nodes, placement)

    def search(self) -> SearchResult:
        """Return the best placement by the objective, or the best one found and a lower bound."""
        search = _Search(self)
        self.budget.left = _BEFORE_THE_LIBRARY
        search.run(None)
        if search.at_least is not None and not self.budget.deadline():
            exact = mixed_integer_placement(
                self.addresses, self.nodes, self.policy, self.most_moves, self.budget.deadline
            )
            if exact is not None and self.is_allowed(exact) and search.confirms(self.objective(exact)):
                return SearchResult(exact)
            self.budget.left = float("inf")
            search.resume(None)
        return search.found()

    def search_for(self, wanted: Objective, start: Placement) -> Placement | None:
        """Return a placement as good as ``wanted``; None if there is none, or none is found."""
        search = _Search(self, repairs=False)
        search.run(wanted, start)
        best = search.best
        return best if best is not None and self.objective(best) <= wanted else None


class _Search:
    """A best-first search. ``best``: the best placement so far; ``at_least``: the lower bound of the others.

    With ``repairs`` the local search improves the placement of each relaxation, else only that of the first one.
    """

    def __init__(self, problem: _Problem, repairs: bool = True) -> None:
        self.problem = problem
        self._repairs = repairs
        self.best: Placement | None = None
        self.best_value: Objective | None = None
        self.at_least: Objective | None = None
        self._queue: list[tuple[Objective, int, int, tuple[Placement, Sequence[Branch]]]] = []
        self._pushed = 0
        self._local = LocalSearch(problem.addresses, problem.nodes, problem.policy, problem.most_moves)

    def found(self) -> SearchResult:
        """Return the best placement with the lower bound unless it is proven."""
        best = self.best if self.best is not None else (None,) * len(self.problem.addresses)
        return SearchResult(best, self.at_least)

    def run(self, wanted: Objective | None, start: Placement | None = None) -> None:
        """Search until the best placement is proven, one as good as ``wanted`` is found, or the budget is spent."""
        root = self.problem.bound(ROOT, start)
        if root is None:
            return
        self.problem.root = root
        self._add(root, root.value, 0, wanted)
        self.resume(wanted)

    def confirms(self, value: Objective) -> bool:
        """Return whether what was found so far does not contradict that this is the least value."""
        is_possible = self.at_least is None or value >= self.at_least
        return is_possible and (self.best_value is None or value <= self.best_value)

    def resume(self, wanted: Objective | None) -> None:
        """Continue a search that a spent budget has ended."""
        self.at_least = None
        while self._queue:
            value, depth, _number, (placement, branches) = self._queue[0]
            if self.best_value is not None and (value >= self.best_value or (wanted and self.best_value <= wanted)):
                return
            if self.problem.budget.is_spent() or len(self._queue) > _MOST_OPEN:
                self.at_least = value
                return
            heapq.heappop(self._queue)
            for branch in branches:
                child = self.problem.bound(branch, placement)
                if child is not None:
                    self._add(child, max(child.value, value), depth - 1, wanted)

    def _add(self, bound: Bound, value: Objective, depth: int, wanted: Objective | None) -> None:
        """Queue a branch unless it is too bad; of equal bounds the deepest branch comes first."""
        if wanted is not None and value > wanted:
            return
        if self.best_value is None or value < self.best_value:
            for placement in bound.placements:
                self._improve(placement)
            if bound.branches:
                self._pushed += 1
                entry = bound.relaxed.placement, bound.branches
                heapq.heappush(self._queue, (value, depth, self._pushed, entry))

    def _improve(self, placement: Placement) -> None:
        """Keep a placement, or the one that the local search makes of it, if it is the best so far."""
        problem = self.problem
        candidates = [placement] if problem.is_allowed(placement) else []
        better = self.best_value is None or problem.objective(placement) < self.best_value
        if better and (self._repairs or not self._pushed):
            candidates.append(self._local.improved(placement))
        for each in candidates:
            value = problem.objective(each)
            if problem.is_allowed(each) and (self.best_value is None or value < self.best_value):
                self.best, self.best_value = each, value
