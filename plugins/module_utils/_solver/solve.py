# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The best placement of addresses in nodes: the core of the assignment. PRIVATE to the collection.

The objective, strictly one after the other: place most addresses; then have fewest beyond the first of their owner in
a failure domain; then, by policy, the flattest load (least sum of squares) and the fewest moves, or these two the
other path round; then the order by name: the first address stays if it can, or has the first node that it can have;
then the second, and so on.

``min_cost_flow`` finds a cheapest packing and proves it, ``tie_break`` makes it the first by name; docs/planner.md
explains why this is exact. ``branch_and_bound`` sees to the rules that a packing does not know.
"""

from __future__ import annotations

from dataclasses import dataclass

from .branch_and_bound import best_placement, count_fewest_moves, keeps_uncounted_rules
from .min_cost_flow import minimize_cost
from .model import (
    BALANCED,
    POLICIES,
    STICKY,
    Address,
    Node,
    count_moves,
    count_overlap,
    keeps_rules,
    weights,
)
from .packing import Packing
from .tie_break import first_by_name

__all__ = ["BALANCED", "POLICIES", "STICKY", "Address", "Node", "Placement", "solve"]


@dataclass(frozen=True)
class Placement:
    """``nodes``: each address's node or None. ``for_balance``: how many moves were not needed to place and spread most.

    It is ``proven`` to be the best by the objective. If not, weights differ; ``at_least`` is what the sum of squares
    of the best one is not below, None where that is the placement's own.
    """

    nodes: tuple
    for_balance: int
    proven: bool = True
    at_least: int | None = None


def solve(addresses, nodes, policy=BALANCED, max_moves=None):
    """Return the best Placement of ``addresses`` in ``nodes``; ``max_moves`` caps the moves made for balance.

    The ``nodes`` of an address are in ascending order. Addresses that share the tuple are read faster.
    """
    if any(address.weight != 1 for address in addresses):
        return _solve_weighted(addresses, nodes, policy, max_moves)
    if policy == STICKY or max_moves == 0:
        return Placement(_best(addresses, nodes, STICKY), 0)
    best = _best(addresses, nodes, BALANCED)
    moves, lost = count_moves(addresses, best), sum(address.held and not address.current for address in addresses)
    if moves == lost:
        return Placement(best, 0)
    fewest = lost if _all_can_stay(addresses, nodes, best) else count_fewest_moves(addresses, nodes)
    if max_moves is not None and moves > fewest + max_moves:
        best = best_placement(addresses, nodes, BALANCED, fewest + max_moves)
    return Placement(best, count_moves(addresses, best) - fewest)


def _solve_weighted(addresses, nodes, policy, max_moves):
    """Place most addresses by taking each for 1, and level the loads from there. If all weigh the same, 1 is as good.

    Who has a node then keeps one: nobody is to lose it because he weighs more than another.
    """
    plain, unit = [address._replace(weight=1) for address in addresses], addresses[0].weight
    if all(address.weight == unit for address in addresses) and all(node.load % unit == 0 for node in nodes):
        return solve(plain, [node._replace(load=node.load // unit) for node in nodes], policy, max_moves)
    # Most worlds have no weights and need not load this.
    from .weighted_search import level  # noqa: PLC0415

    start = _best(plain, nodes, STICKY)
    fewest = count_moves(addresses, start)
    most_moves = fewest if policy == STICKY else None if max_moves is None else fewest + max_moves
    assigned = [number for number, node in enumerate(start) if node is not None]
    lost = sum(addresses[number].held for number, node in enumerate(start) if node is None)
    leveled = level(
        [addresses[number] for number in assigned],
        nodes,
        [start[number] for number in assigned],
        None if most_moves is None else most_moves - lost,
    )
    found = dict(zip(assigned, leveled.nodes))
    best = tuple(found.get(number) for number in range(len(addresses)))
    moves = count_moves(addresses, best)
    proven = leveled.exact or (leveled.at_least is None and moves == fewest)
    return Placement(best, moves - fewest, proven, leveled.at_least)


def _all_can_stay(addresses, nodes, best):
    """Tell whether all who have a node may keep it, with the others as in ``best`` and no worse in the objective 1 and
    2.

    That is a short look, and mostly the answer when nodes come back.
    """
    rest = [min(address.current) if address.current else node for address, node in zip(addresses, best)]
    overlaps = count_overlap(addresses, rest) > count_overlap(addresses, best)
    return not overlaps and None not in best and keeps_rules(addresses, nodes, rest)


def _best(addresses, nodes, policy):
    packing = Packing(addresses, nodes, *weights(addresses, nodes, policy))
    first_by_name(packing, minimize_cost(packing))
    placement = packing.placement()
    return placement if keeps_uncounted_rules(packing, placement) else best_placement(addresses, nodes, policy)
