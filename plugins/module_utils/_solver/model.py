# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the core of the planner works on: items and rooms, on plain integers. PRIVATE to the collection.

An item is an address that wants a place, a room is a node; ``_planner.assign`` translates. Items are numbered in the
order in which they choose among equals, rooms in the order in which they are chosen. A placement is a tuple with each
item's room or None.
"""

from __future__ import annotations

from collections import Counter
from typing import NamedTuple

BALANCED = "balanced"
STICKY = "sticky"
POLICIES = (BALANCED, STICKY)
_UNLIMITED = (None, None, None)


class Item(NamedTuple):
    """An address: ``group`` is its object, ``family`` 4 or 6, ``rooms`` where it may be, ``holders`` where it is.

    ``held`` counts the addresses that have a holder anywhere, also outside ``rooms``.

    Items of a group that is spread have ``domains``, the failure domain of each room by its number; ``taken`` are those
    where something of the group is already.

    ``weight`` is what it adds to the load of its room, the same for all of a group. Where it is not 1,
    ``weighted_search`` levels the loads; all others take each item for 1.
    """

    group: int
    family: int
    rooms: tuple
    holders: frozenset = frozenset()
    held: bool = False
    domains: tuple = ()
    taken: frozenset = frozenset()
    weight: int = 1

    def ranked(self):
        """Return the rooms in the order in which the item would have them: where it is comes first."""
        return sorted(self.rooms, key=lambda room: (room not in self.holders, room))


class Room(NamedTuple):
    """A node: what it already bears, and how many items more it can take (None: no limit)."""

    load: int = 0
    free: int | None = None
    free_by_family: tuple = (None, None)

    def free_for(self, family):
        """Return how many items of this family it can take as far as the family counts."""
        return self.free_by_family[0 if family == 4 else 1]


def weights(items, rooms, policy):
    """Return what one square and one move cost, so that the least of what comes first weighs more than all the rest."""
    if policy == STICKY:
        return 1, (sum(room.load for room in rooms) + len(items) + 1) ** 2
    return len(items) + 1, 1


def count_moves(items, placement):
    """Return how many held items are not where they were; one that loses its place counts as well."""
    return sum(item.held and room not in item.holders for item, room in zip(items, placement))


def count_squares(rooms, placement):
    """Return the sum of squares of the loads."""
    loads = [room.load for room in rooms]
    for room in placement:
        if room is not None:
            loads[room] += 1
    return sum(load * load for load in loads)


def loads_of(items, rooms, placement):
    """Return what each room bears with the items in it, by their weights."""
    loads = [room.load for room in rooms]
    for item, room in zip(items, placement):
        if room is not None:
            loads[room] += item.weight
    return loads


def count_crowding(items, placement):
    """Return how many items are beyond the first of their group in a failure domain."""
    seen, crowding = set(), 0
    for item, room in zip(items, placement):
        if item.domains and room is not None:
            domain = item.domains[room]
            crowding += domain in item.taken or (item.group, domain) in seen
            seen.add((item.group, domain))
    return crowding


def aims(items, rooms, policy, placement):
    """Return what is least in the best placement: items without place, crowding, then squares and moves by policy."""
    squares, moves = count_squares(rooms, placement), count_moves(items, placement)
    first = placement.count(None), count_crowding(items, placement)
    return (*first, *((moves, squares) if policy == STICKY else (squares, moves)))


def keeps_rules(items, rooms, placement):
    """Tell whether no room bears more than it can, in all and of a family, and no two items of a group are in one."""
    if first_conflict(items, placement) is not None:
        return False
    limited = [number for number, room in enumerate(rooms) if (room.free, *room.free_by_family) != _UNLIMITED]
    borne = Counter((room, item.family) for item, room in zip(items, placement)) if limited else {}
    return all(
        limit is None or count <= limit
        for number in limited
        for four, six in [(borne[number, 4], borne[number, 6])]
        for count, limit in zip((four + six, four, six), (rooms[number].free, *rooms[number].free_by_family))
    )


def first_conflict(items, placement):
    """Return the first two items of one group in one room, or None."""
    seen = {}
    for number, room in enumerate(placement):
        if room is None:
            continue
        other = seen.setdefault((items[number].group, room), number)
        if other != number:
            return other, number
    return None


def ways_round(items, placement, conflict):
    """Return the bans that rule out a conflict: of that group the room gets nothing of one family, or of the other.

    Each is a set of (item, room) pairs.
    """
    group, room = items[conflict[0]].group, placement[conflict[0]]
    return tuple(
        frozenset(
            (number, room)
            for number, item in enumerate(items)
            if item.group == group and item.family == items[one].family
        )
        for one in conflict
    )
