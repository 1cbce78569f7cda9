# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The best placement of items in rooms: the core of the assignment. PRIVATE to the collection.

The aims, strictly one after the other: place most items; then, by policy, the flattest load (least sum of squares)
and the fewest moves, or these two the other way round; then the order by name: the first item in its first room.

``_improve`` finds a cheapest packing and proves it, ``_order`` makes it the first by name; docs/planner.md tells why
this is exact. A packing is a flow but for two crossings: an object with addresses of both families where a room limits
a family, for which this file branches, and a cap on the moves that are made for balance (``_capped``).
"""

from __future__ import annotations

import heapq
from dataclasses import dataclass

from ._capped import capped_placement
from ._improve import settle
from ._items import BALANCED, POLICIES, STICKY, Item, Room, count_moves, first_conflict, ways_round
from ._order import first_by_name
from ._packing import Packing

__all__ = ["BALANCED", "POLICIES", "STICKY", "Item", "Placement", "Room", "place", "weights"]


@dataclass(frozen=True)
class Placement:
    """``rooms``: each item's room or None. ``for_balance``: how many moves were not needed to place most items."""

    rooms: tuple
    for_balance: int


def place(items, rooms, policy=BALANCED, max_moves=None):
    """Return the best Placement of ``items`` in ``rooms``; ``max_moves`` caps the moves made for balance.

    The ``rooms`` of an item are in ascending order. Items that share the tuple are read faster.
    """
    if policy == STICKY or max_moves == 0:
        return Placement(_best(items, rooms, STICKY), 0)
    best = _best(items, rooms, BALANCED)
    moves = count_moves(items, best)
    if moves == sum(item.held and not item.holders for item in items):
        return Placement(best, 0)
    fewest = count_moves(items, _best(items, rooms, STICKY))
    if max_moves is not None and moves > fewest + max_moves:
        best = capped_placement(items, rooms, fewest + max_moves)
    return Placement(best, count_moves(items, best) - fewest)


def _best(items, rooms, policy):
    """Return the best placement, a tuple of rooms and None, searching on where the bound is lowest."""
    queue, pushed = [], 0
    open_bans = (frozenset(),)
    while True:
        for banned in open_bans:
            placement = _relaxed(items, rooms, policy, banned)
            pushed += 1
            heapq.heappush(queue, (_measure(items, rooms, policy, placement), pushed, banned, placement))
        banned, placement = heapq.heappop(queue)[2:]
        conflict = first_conflict(items, placement)
        if conflict is None:
            return placement
        open_bans = [banned | more for more in ways_round(items, placement, conflict)]


def weights(items, rooms, policy):
    """Return what one square and one move cost, so that the least of what comes first weighs more than all the rest."""
    if policy == STICKY:
        return 1, (sum(room.load for room in rooms) + len(items) + 1) ** 2
    return len(items) + 1, 1


def _relaxed(items, rooms, policy, banned):
    """Return the best placement that avoids ``banned``; where doors are apart a group may be in a room twice."""
    packing = Packing(items, rooms, *weights(items, rooms, policy), banned)
    first_by_name(packing, settle(packing))
    return tuple(None if room == packing.nowhere else room for room in packing.where)


def _measure(items, rooms, policy, placement):
    """Return what is compared, best first: items without place, squares and moves as the policy wants, the ranks."""
    loads = [room.load for room in rooms]
    for room in placement:
        if room is not None:
            loads[room] += 1
    squares, moves = sum(load * load for load in loads), count_moves(items, placement)
    aims = (moves, squares) if policy == STICKY else (squares, moves)
    last = len(rooms)
    return (placement.count(None), *aims, tuple(last if room is None else room for room in placement))
