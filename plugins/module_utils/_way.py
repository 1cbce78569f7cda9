# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A cycle of tight steps, searched breadth first. PRIVATE to the collection."""

from __future__ import annotations

from collections import deque

# The point of a way where one room bears one more and another one bears one less.
BALANCE = "balance"


class Way:
    """A breadth-first search from the room that ``item`` enters to the place that it leaves."""

    def __init__(self, ties, item):
        self.ties = ties
        self.packing = ties.packing
        self.item = item
        self.goal = self.packing.doors[item][self.packing.where[item]]
        self.leaves = ties.may_leave(item, self.goal)
        self.came, self.queue, self.unseen = {}, deque(), {}
        self.found = None

    def run(self):
        """Search until the way is found, or there is none."""
        while self.queue and self.found is None:
            point = self.queue.popleft()
            if point == BALANCE:
                self._balance()
            elif point >= 0:
                self._pass(point)
            else:
                self._spread(-1 - point)

    def rooms_seen(self):
        """Return the rooms that the item itself could have come to next, and BALANCE if the search saw it."""
        points = (point for point in self.came if point != BALANCE and point >= 0)
        rooms = ((point, self.packing.room_of[point]) for point in points)
        seen = {room for point, room in rooms if self.packing.doors[self.item][room] == point}
        return seen | {BALANCE} if BALANCE in self.came else seen

    def way(self):
        """Return the points of the way that was found, without ``item`` itself.

        A point is a door (>= 0), an item that goes to the point that follows (-1 - item), or BALANCE.
        """
        way, point = [], self.found
        while point is not None:
            way.append(point)
            point = self.came[point]
        return way[::-1]

    def add(self, point, before):
        """Note a point that can be reached, and look at once whether the goal is the next one."""
        if point in self.came or self.found is not None:
            return
        self.came[point] = before
        self.queue.append(point)
        if self.leaves and point == self.goal:
            self.found = point
        elif self.leaves and self._is_next_to_goal(point):
            self.add(self.goal, point)

    def swap(self, taker, giver, before):
        """Go on with ``giver``, whose slot ``taker`` takes, if that is tight."""
        if not self.ties.may_replace(taker, giver):
            return
        if giver == self.item:
            self.found = before if self.found is None else self.found
        elif giver in self.ties.free[self.packing.where[giver]]:
            self.add(-1 - giver, before)

    def _is_next_to_goal(self, point):
        room = self.packing.room_of[self.goal]
        if point == BALANCE:
            return self.goal == room and self.ties.can_shrink(room)
        return point < 0 and self.packing.doors[-1 - point][room] == self.goal and self.ties.may_enter(-1 - point, room)

    def _balance(self):
        for room, free in enumerate(self.ties.free):
            if free and self.ties.can_shrink(room):
                self.add(room, BALANCE)

    def _pass(self, door):
        packing, ties = self.packing, self.ties
        room = packing.room_of[door]
        family_doors = packing.family_doors.get(room, ())
        if door != room:
            if packing.door_count[door] < packing.door_limit[door] and ties.cost[room] == ties.cost[door]:
                self.add(room, door)
        else:
            for other in family_doors:
                if packing.door_count[other] and ties.cost[other] == ties.cost[door]:
                    self.add(other, door)
            if ties.can_grow(room):
                self.add(BALANCE, door)
        for item in ties.free[room]:
            if self.found is not None:
                break
            if packing.doors[item][room] == door and item != self.item and ties.may_leave(item, door):
                self.add(-1 - item, door)

    def _spread(self, item):
        packing, ties = self.packing, self.ties
        for room in (*packing.homes[item], packing.nowhere):
            if ties.may_enter(item, room):
                self.add(packing.doors[item][room], -1 - item)
        key, blocked = ties.key(item), []
        for room in self.unseen[key] if key in self.unseen else ties.open_to(item):
            if room in packing.homes[item] or packing.tenant(item, room) is not None:
                blocked.append(room)
            else:
                self.add(packing.doors[item][room], -1 - item)
                if self.found is not None:
                    return
        self.unseen[key] = blocked
        for mate in packing.mates[item]:
            self.swap(item, mate, -1 - item)
