# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Find the best placement of addresses on nodes: the entry point of the solver. PRIVATE to the collection.

It minimizes, in this order: the unassigned addresses; the domain overlap; then, by policy, the sum of squares of the
loads and the moves, or these two in reverse order; then the order by name: the first address stays if it can,
otherwise it gets the first node that it can have; then the second, and so on.

``min_cost_flow`` finds a packing of least cost and proves it, ``tie_break`` makes it the first by name, and
``branch_and_bound`` handles the rules that a flow cannot express; docs/planner.md explains why this is exact.
Deterministic except for the deadline, which ends a search that takes too long.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import NamedTuple, Sequence

from .branch_and_bound import SearchResult, best_placement, fewest_moves, keeps_crossing_rules
from .deadline import Deadline, never
from .min_cost_flow import minimize_cost
from .model import (
    BALANCED,
    POLICIES,
    STICKY,
    Address,
    NodeLoad,
    Placed,
    count_moves,
    count_overlap,
    keeps_rules,
    objective,
    weights,
)
from .packing import Packing
from .remainder import has_fewest_moves, remainder, single_holders
from .tie_break import first_by_name

__all__ = ["BALANCED", "POLICIES", "STICKY", "Address", "NodeLoad", "Placement", "solve"]


class UnprovenTerm(NamedTuple):
    """A term of the objective, ``unassigned``, ``overlap``, ``squares`` or ``moves``, its value and a lower bound."""

    objective: str
    value: int
    lower_bound: int


@dataclass(frozen=True)
class Placement:
    """``nodes``: the node of each address or None; ``for_balance``: how many moves only flatten the load.

    ``proven``: whether no placement has a better objective; the order by name is not part of it. If weights differ,
    ``at_least`` is a lower bound on the sum of squares, None if the placement reaches it. If the deadline ended the
    search, ``gap`` is the first term of the objective that is not proven.
    """

    nodes: tuple[int | None, ...]
    for_balance: int
    proven: bool = True
    at_least: int | None = None
    gap: UnprovenTerm | None = None


def solve(
    addresses: Sequence[Address],
    nodes: Sequence[NodeLoad],
    policy: str = BALANCED,
    max_moves: int | None = None,
    deadline: Deadline = never,
) -> Placement:
    """Return the best Placement; ``max_moves`` caps the moves that only flatten the load (None: any number).

    The possible nodes of an address are in ascending order. Addresses that share the tuple are read faster. When
    ``deadline`` returns true, a search that has not ended returns the best placement that it has found.
    """
    weighted = any(address.weight != 1 for address in addresses)
    if policy == STICKY or (max_moves == 0 and not weighted):
        kept = _keep_single_holders(addresses, nodes, deadline)
        if kept is not None:
            return kept
    if weighted:
        return _solve_weighted(addresses, nodes, policy, max_moves, deadline)
    if policy == STICKY or max_moves == 0:
        found = _best(addresses, nodes, STICKY, deadline)
        return _placement(found, _gap(addresses, nodes, STICKY, found), 0)
    found = _best(addresses, nodes, BALANCED, deadline)
    moves, lost = count_moves(addresses, found.placement), _count_lost(addresses)
    if moves == lost:
        return _placement(found, _gap(addresses, nodes, BALANCED, found), 0)
    rest = _all_at_rest(addresses, nodes, found.placement)
    still = fewest_moves(addresses, nodes, deadline) if rest is None else SearchResult(rest)
    fewest = count_moves(addresses, still.placement)
    if max_moves is not None and moves > fewest + max_moves:
        capped = best_placement(addresses, nodes, BALANCED, fewest + max_moves, deadline)
        found = _best_within_cap(addresses, nodes, capped, still.placement, found)
    moves = count_moves(addresses, found.placement)
    gap = _gap(addresses, nodes, BALANCED, found)
    if gap is None and still.at_least is not None and max_moves is not None:
        # The cap counts from the fewest moves.
        gap = UnprovenTerm("moves", max(fewest, moves), lost)
    return _placement(found, gap, moves - fewest)


def _best_within_cap(
    addresses: Sequence[Address], nodes: Sequence[NodeLoad], capped: SearchResult, still: Placed, free: SearchResult
) -> SearchResult:
    """Return the best of ``capped`` and ``still``, which keep a cap on moves, as SearchResult.

    If ``free``, which exceeds it, has fewer unassigned addresses or less overlap, return that: the cap is only on moves
    for balance. Only a deadline leaves such placements.
    """
    best, other, value = (
        objective(addresses, nodes, BALANCED, each) for each in (capped.placement, still, free.placement)
    )
    if min(best, other)[:2] > value[:2]:
        return free
    return capped if best <= other else SearchResult(tuple(still), capped.at_least)


def _keep_single_holders(
    addresses: Sequence[Address], nodes: Sequence[NodeLoad], deadline: Deadline
) -> Placement | None:
    """Return the best Placement of the fewest moves if each address with one current node stays there, else None."""
    fixed = single_holders(addresses, nodes)
    if not fixed:
        return None
    numbers, rest, left = remainder(addresses, nodes, fixed)
    found = solve(rest, left, STICKY, None, deadline) if rest else Placement((), 0)
    placement = {**fixed, **dict(zip(numbers, found.nodes))}
    best = tuple(placement[number] for number in range(len(addresses)))
    if found.gap is not None or not has_fewest_moves(addresses, best):
        return None
    return replace(found, nodes=best)


def _placement(found: SearchResult, gap: UnprovenTerm | None, for_balance: int) -> Placement:
    return Placement(found.placement, max(0, for_balance), gap is None, gap=gap)


def _gap(
    addresses: Sequence[Address], nodes: Sequence[NodeLoad], policy: str, found: SearchResult
) -> UnprovenTerm | None:
    """Return the first term of the objective that is not proven to be the least; None if there is none."""
    if found.at_least is None:
        return None
    names = ("unassigned", "overlap", *(("moves", "squares") if policy == STICKY else ("squares", "moves")))
    terms = zip(names, objective(addresses, nodes, policy, found.placement), found.at_least)
    return next((UnprovenTerm(name, value, bound) for name, value, bound in terms if value != bound), None)


def _count_lost(addresses: Sequence[Address]) -> int:
    """Return how many held addresses have no possible current node."""
    return sum(address.held and not address.current for address in addresses)


def _solve_weighted(
    addresses: Sequence[Address], nodes: Sequence[NodeLoad], policy: str, max_moves: int | None, deadline: Deadline
) -> Placement:
    """Assign as many addresses as possible, each counted as one, then level the weighted loads.

    An assigned address stays assigned: weights are not priorities. Equal weights are the same as none.
    """
    plain, unit = [address._replace(weight=1) for address in addresses], addresses[0].weight
    if all(address.weight == unit for address in addresses) and all(node.load % unit == 0 for node in nodes):
        lighter = [node._replace(load=node.load // unit) for node in nodes]
        return solve(plain, lighter, policy, max_moves, deadline)
    # Most problems have no weights and need not load this.
    from .weighted_search import level  # noqa: PLC0415

    start = solve(plain, nodes, STICKY, None, deadline)
    fewest = count_moves(addresses, start.nodes)
    most_moves = fewest if policy == STICKY else None if max_moves is None else fewest + max_moves
    assigned = {number: node for number, node in enumerate(start.nodes) if node is not None}
    lost = sum(address.held for number, address in enumerate(addresses) if number not in assigned)
    leveled = level(
        [addresses[number] for number in assigned],
        nodes,
        [*assigned.values()],
        None if most_moves is None else most_moves - lost,
    )
    found = dict(zip(assigned, leveled.nodes))
    best = tuple(found.get(number) for number in range(len(addresses)))
    moves = count_moves(addresses, best)
    proven = leveled.exact or (leveled.at_least is None and moves == fewest)
    return Placement(best, moves - fewest, proven and start.gap is None, leveled.at_least, start.gap)


def _all_at_rest(
    addresses: Sequence[Address], nodes: Sequence[NodeLoad], best: Placed
) -> tuple[int | None, ...] | None:
    """Return ``best`` with all addresses at rest that can stay; None if that has more overlap.

    This is quick, and mostly possible when nodes come back.
    """
    rest = tuple(min(address.current) if address.current else node for address, node in zip(addresses, best))
    more_overlap = count_overlap(addresses, rest) > count_overlap(addresses, best)
    return None if more_overlap or None in best or not keeps_rules(addresses, nodes, rest) else rest


def _best(addresses: Sequence[Address], nodes: Sequence[NodeLoad], policy: str, deadline: Deadline) -> SearchResult:
    packing = Packing(addresses, nodes, *weights(addresses, nodes, policy))
    first_by_name(packing, minimize_cost(packing), deadline)
    placement = packing.placement()
    if keeps_crossing_rules(packing, placement):
        return SearchResult(placement)
    return best_placement(addresses, nodes, policy, None, deadline)
