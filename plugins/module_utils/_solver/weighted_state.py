# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Items of different weight in rooms: who is where, what still fits. PRIVATE to the collection."""

from __future__ import annotations

from collections import Counter


class Seats:
    """What is counted of a placement that may change.

    ``where``: each item's room, ``nowhere`` for those that have none yet. ``load``: what each room bears, by weight.
    ``squares``, ``moves``, ``crowding``: the aims.
    """

    def __init__(self, items, rooms, placement):
        self.items = items
        self.nowhere = len(rooms)
        self.where = [self.nowhere] * len(items)
        self.load = [room.load for room in rooms] + [0]
        self.squares = sum(load * load for load in self.load)
        self.crowding = 0
        self.moves = sum(item.held for item in items)
        self._free = [{None: room.free, 4: room.free_by_family[0], 6: room.free_by_family[1]} for room in rooms]
        self._allowed = {id(item.rooms): item.rooms for item in items}
        self._allowed = {key: frozenset(each) for key, each in self._allowed.items()}
        self._mates = set()
        self._in_domain = Counter()
        for item, room in enumerate(placement):
            self.move(item, room)

    def placement(self):
        """Return each item's room, a tuple."""
        return tuple(self.where)

    def fits(self, item, room):
        """Tell whether the item may be in a room, which has a place for it and nothing of its group."""
        one = self.items[item]
        if room not in self._allowed[id(one.rooms)]:
            return False
        free = self._free[room]
        return (one.group, room) not in self._mates and free[None] != 0 and free[one.family] != 0

    def move(self, item, room):
        """Bring an item into another room; that it fits is for others to see to."""
        one, before = self.items[item], self.where[item]
        if before != self.nowhere:
            self._count(one, before, -1)
        if room != self.nowhere:
            self._count(one, room, 1)
        self.where[item] = room

    def clear(self, steps):
        """Bring the items of ``steps``, (item, to), nowhere."""
        for item, _room in steps:
            self.move(item, self.nowhere)

    def make(self, steps):
        """Make ``steps``, (item, to), all at once: one of a group may take the place of another."""
        self.clear(steps)
        for item, room in steps:
            self.move(item, room)

    def _count(self, one, room, change):
        load = self.load[room]
        self.load[room] = after = load + change * one.weight
        self.squares += after * after - load * load
        if room in one.holders:
            self.moves -= change
        free = self._free[room]
        for key in (None, one.family):
            if free[key] is not None:
                free[key] -= change
        (self._mates.add if change > 0 else self._mates.discard)((one.group, room))
        if one.domains:
            self._count_domain(one, one.domains[room], change)

    def _count_domain(self, one, domain, change):
        key = one.group, domain
        before = self._in_domain[key]
        self._in_domain[key] = after = before + change
        taken = domain in one.taken
        self.crowding += max(0, after + taken - 1) - max(0, before + taken - 1)
