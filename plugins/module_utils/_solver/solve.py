# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The best placement of items in rooms: the core of the assignment. PRIVATE to the collection.

The aims, strictly one after the other: place most items; then have fewest beyond the first of their group in a failure
domain; then, by policy, the flattest load (least sum of squares) and the fewest moves, or these two the other way
round; then the order by name: the first item stays if it can, or has the first room that it can have; then the second,
and so on.

``min_cost_flow`` finds a cheapest packing and proves it, ``tie_break`` makes it the first by name; docs/planner.md
explains why this is exact. ``branch_and_bound`` sees to the rules that a packing does not know.
"""

from __future__ import annotations

from dataclasses import dataclass

from .branch_and_bound import best_placement, fewest_moves, is_met
from .min_cost_flow import settle
from .model import (
    BALANCED,
    POLICIES,
    STICKY,
    Item,
    Room,
    count_crowding,
    count_moves,
    keeps_rules,
    weights,
)
from .packing import Packing
from .tie_break import first_by_name

__all__ = ["BALANCED", "POLICIES", "STICKY", "Item", "Placement", "Room", "place"]


@dataclass(frozen=True)
class Placement:
    """``rooms``: each item's room or None. ``for_balance``: how many moves were not needed to place and spread most.

    It is ``proven`` to be the best by the aims. If not, weights differ; ``at_least`` is what the sum of squares of the
    best one is not below, None where that is the placement's own.
    """

    rooms: tuple
    for_balance: int
    proven: bool = True
    at_least: int | None = None


def place(items, rooms, policy=BALANCED, max_moves=None):
    """Return the best Placement of ``items`` in ``rooms``; ``max_moves`` caps the moves made for balance.

    The ``rooms`` of an item are in ascending order. Items that share the tuple are read faster.
    """
    if any(item.weight != 1 for item in items):
        return _place_weighted(items, rooms, policy, max_moves)
    if policy == STICKY or max_moves == 0:
        return Placement(_best(items, rooms, STICKY), 0)
    best = _best(items, rooms, BALANCED)
    moves, lost = count_moves(items, best), sum(item.held and not item.holders for item in items)
    if moves == lost:
        return Placement(best, 0)
    fewest = lost if _all_can_stay(items, rooms, best) else fewest_moves(items, rooms)
    if max_moves is not None and moves > fewest + max_moves:
        best = best_placement(items, rooms, BALANCED, fewest + max_moves)
    return Placement(best, count_moves(items, best) - fewest)


def _place_weighted(items, rooms, policy, max_moves):
    """Place most items by taking each for 1, and level the loads from there. If all weigh the same, 1 is as good.

    Who has a room then keeps one: nobody is to lose it because he weighs more than another.
    """
    plain, unit = [item._replace(weight=1) for item in items], items[0].weight
    if all(item.weight == unit for item in items) and all(room.load % unit == 0 for room in rooms):
        return place(plain, [room._replace(load=room.load // unit) for room in rooms], policy, max_moves)
    # Most worlds have no weights and need not load this.
    from .weighted_search import level  # noqa: PLC0415

    start = _best(plain, rooms, STICKY)
    fewest = count_moves(items, start)
    most_moves = fewest if policy == STICKY else None if max_moves is None else fewest + max_moves
    seated = [number for number, room in enumerate(start) if room is not None]
    lost = sum(items[number].held for number, room in enumerate(start) if room is None)
    leveled = level(
        [items[number] for number in seated],
        rooms,
        [start[number] for number in seated],
        None if most_moves is None else most_moves - lost,
    )
    found = dict(zip(seated, leveled.rooms))
    best = tuple(found.get(number) for number in range(len(items)))
    moves = count_moves(items, best)
    proven = leveled.exact or (leveled.at_least is None and moves == fewest)
    return Placement(best, moves - fewest, proven, leveled.at_least)


def _all_can_stay(items, rooms, best):
    """Tell whether all who have a room may keep it, with the others as in ``best`` and no worse in the aims 1 and 2.

    That is a short look, and mostly the answer when nodes come back.
    """
    rest = [min(item.holders) if item.holders else room for item, room in zip(items, best)]
    crowds = count_crowding(items, rest) > count_crowding(items, best)
    return not crowds and None not in best and keeps_rules(items, rooms, rest)


def _best(items, rooms, policy):
    packing = Packing(items, rooms, *weights(items, rooms, policy))
    first_by_name(packing, settle(packing))
    placement = packing.placement()
    return placement if is_met(packing, placement) else best_placement(items, rooms, policy)
