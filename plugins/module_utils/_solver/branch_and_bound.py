# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Branch and bound for the rules that a flow cannot express. PRIVATE to the collection.

There are three such *crossing rules*: no two siblings on a node whose families have arcs of their own, the overlap
between spread groups of one owner, and the cap on moves. Each flow is a relaxation and gives a lower bound;
``overlap_bound`` adds the least overlap of each owner of several groups, and ``owner_bound`` combines it with loads and
moves. ``local_search`` turns the placement of the relaxation into one that keeps all rules. The search ends when the
best placement is as good as the lowest bound; until then it branches on a rule that the relaxation of the lowest bound
breaks. A search that has not ended after a second asks ``mixed_integer`` for the best placement.
"""

from __future__ import annotations

import heapq
from collections import Counter
from functools import cached_property
from typing import Mapping, NamedTuple, Optional, Sequence, Tuple

from .deadline import Deadline
from .local_search import LocalSearch
from .min_cost_flow import Potential, fill, minimize_cost
from .mixed_integer import best_placement as mixed_integer_placement
from .model import (
    STICKY,
    Address,
    Bans,
    NodeLoad,
    Objective,
    Placed,
    bans_against,
    count_moves,
    count_overlap,
    count_squares,
    first_conflict,
    keeps_rules,
    objective,
    weights,
)
from .move_cap import closest_to_cap
from .overlap_bound import overlap_of
from .owner_bound import Prices, owner_costs
from .packing import Packing, Step, most_overlap
from .remainder import remainder
from .spread_groups import Bounds, DomainArc, Range, SpreadGroup, shared_domains
from .tie_break import first_by_name

Placement = Tuple[Optional[int], ...]

# How many addresses all relaxations of the tie-break may have together: about one second.
_TIE_BREAK_LIMIT = 10_000
# How many relaxations the two other bounds of a branch take, measured with 60 addresses on 12 nodes.
_COST_OF_OTHER_BOUNDS = 3
# The same limit for a search before it asks the library for the best placement.
_BEFORE_THE_LIBRARY = 2_000
# How many open branches a search keeps: some tens of MiB.
_MOST_OPEN = 20_000
# The most prices, one for each address and node, of the bound by owners.
_MOST_PRICES = 20_000


class Found(NamedTuple):
    """A placement, and the lower bound of its objective if it is not proven to be the best, else None."""

    placement: Placement
    at_least: Objective | None = None


class _Branch(NamedTuple):
    """The restrictions of a branch: (address, node) pairs that are banned, and ranges of the arcs into domains."""

    banned: Bans = frozenset()
    ranges: tuple[tuple[DomainArc, Range], ...] = ()

    def without(self, banned: Bans) -> _Branch:
        """Return this branch with more pairs banned."""
        return self._replace(banned=self.banned | banned)

    def with_range(self, arc: DomainArc, allowed: Range) -> _Branch:
        """Return this branch with another range of an arc."""
        return self._replace(ranges=tuple({**dict(self.ranges), arc: allowed}.items()))


_ROOT = _Branch()


class _Relaxed(NamedTuple):
    """A packing of least cost with the potential that proves it, and the lower bound that it gives (None: not yet)."""

    packing: Packing
    placement: Placement
    potential: Potential
    value: Objective | None = None


class _Bound(NamedTuple):
    """The lower bound of all placements of a branch, the relaxation that gives it, and the branches that follow.

    A placement without branches is the best one of its branch. ``placements`` are those of all relaxations.
    """

    value: Objective
    relaxed: _Relaxed
    branches: Sequence[_Branch]
    placements: Sequence[Placement]


class Budget:
    """The work that a search may still do, counted in addresses of its relaxations, and its deadline."""

    def __init__(self, deadline: Deadline, left: float = float("inf")) -> None:
        self.deadline = deadline
        self.left = left

    def is_spent(self) -> bool:
        """Return whether the search has to end."""
        return self.left <= 0 or self.deadline()


def fewest_moves(addresses: Sequence[Address], nodes: Sequence[NodeLoad], deadline: Deadline) -> Found:
    """Return a placement of the fewest moves; the deadline may end the search for it."""
    packing = Packing(addresses, nodes, *weights(addresses, nodes, STICKY))
    fill(packing, packing.current)
    placement = packing.placement()
    at_rest = all(node is not None and packing.price(address, node) == 0 for address, node in enumerate(placement))
    if at_rest and count_overlap(addresses, placement) == 0:
        # Each address has a node, and each that can stay does.
        return Found(placement)
    return _Problem(addresses, nodes, STICKY, None, Budget(deadline)).search()


def keeps_crossing_rules(packing: Packing, placement: Placed) -> bool:
    """Return whether a placement of a packing keeps the crossing rules, except the cap on moves."""
    return first_conflict(packing.addresses, placement) is None and not shared_domains(packing, placement)


def best_placement(
    addresses: Sequence[Address], nodes: Sequence[NodeLoad], policy: str, most_moves: int | None, deadline: Deadline
) -> Found:
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
        return Found(_first_by_checks(problem, found.placement, wanted))
    # All placements that are as good are ties of the root's packing.
    packing = root.relaxed.packing
    first_by_name(packing, root.relaxed.potential, deadline, RuleCheck(problem, found.placement, wanted))
    return Found(packing.placement())


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


class _Problem:
    """Addresses and nodes with the crossing rules."""

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
        self.root: _Bound | None = None

    def objective(self, placement: Placed) -> Objective:
        """Return the objective, which is least in the best placement."""
        return objective(self.addresses, self.nodes, self.policy, placement)

    @cached_property
    def merged(self) -> tuple[list[Address], list[NodeLoad]]:
        """The addresses and nodes of the relaxation that does not distinguish families."""
        return _with_nodes_of_siblings(self.addresses), _without_family_limits(self.addresses, self.nodes)

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

    def search(self) -> Found:
        """Return the best placement by the objective, or the best one found and a lower bound."""
        search = _Search(self)
        self.budget.left = _BEFORE_THE_LIBRARY
        search.run(None)
        if search.at_least is not None and not self.budget.deadline():
            exact = mixed_integer_placement(
                self.addresses, self.nodes, self.policy, self.most_moves, self.budget.deadline
            )
            if exact is not None and self.is_allowed(exact) and search.confirms(self.objective(exact)):
                return Found(exact)
            self.budget.left = float("inf")
            search.resume(None)
        return search.found()

    def search_for(self, wanted: Objective, start: Placement) -> Placement | None:
        """Return a placement as good as ``wanted``; None if there is none, or none is found."""
        search = _Search(self, repairs=False)
        search.run(wanted, start)
        best = search.best
        return best if best is not None and self.objective(best) <= wanted else None

    def bound(self, branch: _Branch = _ROOT, start: Placement | None = None) -> _Bound | None:
        """Return the _Bound of a branch; None if no placement belongs to it."""
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

    def _value_by_owners(self, free: _Relaxed, relaxed: _Relaxed) -> Objective:
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

    def _bound_with_cap(self, free: _Relaxed, branch: _Branch, start: Placement | None) -> _Bound | None:
        """Return the _Bound of a relaxation ``free`` of the cap on moves; None if no placement keeps the cap."""
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
        branch: _Branch,
        start: Placement | None,
        merged: bool = False,
    ) -> _Relaxed:
        bounds = Bounds(dict(branch.ranges), relax=True, scale=self.scale)
        problem = self.merged if merged else (self.addresses, self.nodes)
        packing = Packing(*problem, *prices, branch.banned, bounds)
        potential = minimize_cost(packing, start)
        return _Relaxed(packing, packing.placement(), potential)

    def _bound_of(self, relaxed: _Relaxed, branch: _Branch) -> _Bound:
        """Return the _Bound that a relaxation gives, with branches if its placement breaks a rule or costs more."""
        packing, placement = relaxed.packing, relaxed.placement
        unassigned, overlap, *rest = self.objective(placement)
        branches: list[_Branch] = []
        conflict = first_conflict(self.addresses, placement)
        if conflict:
            branches = [branch.without(bans) for bans in bans_against(self.addresses, placement, conflict)]
        counted = packing.counted_overlap()
        if counted < overlap:
            overlap = counted
            several = [groups for groups in packing.groups_by_owner().values() if len(groups) > 1]
            order = sorted(several, key=lambda groups: _counted_overlap(packing, groups) - overlap_of(groups))
            options = (_branches_on_range(branch, groups) for groups in order)
            branches = branches or next((each for each in options if each), [])
        value = unassigned, overlap, rest[0], rest[1]
        return _Bound(value, relaxed._replace(value=value), branches, (placement,))

    def _capped(self, branch: _Branch, fewest: Placement, flattest: Placement) -> _Bound:
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
        branches = bound.branches or _branches_on_move(branch, self.addresses, fewest, flattest)
        value = (*bound.value[:2], squares, moves)
        return _Bound(value, relaxed._replace(value=value), branches, (fewest,))


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
        self._queue: list[tuple[Objective, int, int, tuple[Placement, Sequence[_Branch]]]] = []
        self._pushed = 0
        self._local = LocalSearch(problem.addresses, problem.nodes, problem.policy, problem.most_moves)

    def found(self) -> Found:
        """Return the best placement with the lower bound unless it is proven."""
        best = self.best if self.best is not None else (None,) * len(self.problem.addresses)
        return Found(best, self.at_least)

    def run(self, wanted: Objective | None, start: Placement | None = None) -> None:
        """Search until the best placement is proven, one as good as ``wanted`` is found, or the budget is spent."""
        root = self.problem.bound(_ROOT, start)
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

    def _add(self, bound: _Bound, value: Objective, depth: int, wanted: Objective | None) -> None:
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


def _branches_on_move(branch: _Branch, addresses: Sequence[Address], fewest: Placed, flattest: Placed) -> list[_Branch]:
    """Return two branches: the first address that moves only in ``flattest`` has to stay, or has to move."""
    number, address = next(
        (number, address)
        for number, address in enumerate(addresses)
        if fewest[number] in address.current and flattest[number] not in address.current
    )
    return [
        branch.without(frozenset((number, node) for node in address.nodes if node not in address.current)),
        branch.without(frozenset((number, node) for node in address.current)),
    ]


def _branches_on_range(branch: _Branch, groups: Sequence[SpreadGroup]) -> list[_Branch]:
    """Return two branches that split the range of an arc into the domain where most of an owner's members are."""
    totals: dict[int, int] = {}
    for group in groups:
        for domain, count in group.inside.items():
            totals[domain] = totals.get(domain, 0) + count
    for domain in sorted(totals, key=lambda each: (-totals[each] - groups[0].taken.get(each, 0), each)):
        for group in groups:
            count = group.inside.get(domain, 0)
            least, most = group.ranges.get(domain, Range(0, len(group.members)))
            if count > least:
                arc = tuple(group.members), domain
                return [
                    branch.with_range(arc, Range(least, count - 1)),
                    branch.with_range(arc, Range(count, most)),
                ]
    return _branches_on_unassigned(branch, groups)


def _branches_on_unassigned(branch: _Branch, groups: Sequence[SpreadGroup]) -> list[_Branch]:
    """Return two branches that split the range of an arc which an unassigned member of an owner could use.

    What an unassigned member saves is only estimated while a range leaves open in which domain it would be.
    """
    arcs = ((group, domain) for group in groups if group.unassigned for domain in group.parts if domain is not None)
    for group, domain in arcs:
        least, most = group.ranges.get(domain, Range(0, len(group.members)))
        count = group.inside.get(domain, 0)
        if count < most:
            arc = tuple(group.members), domain
            return [
                branch.with_range(arc, Range(least, count)),
                branch.with_range(arc, Range(count + 1, most)),
            ]
    return []
