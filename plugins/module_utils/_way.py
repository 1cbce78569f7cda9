# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A cycle of tight steps, searched breadth first. PRIVATE to the collection."""

from __future__ import annotations

from itertools import chain

# Points of a search: a door (>= 0), an item that goes to the point that follows (ITEM - item), or the balance, where
# one room bears one more and another one bears one less.
BALANCE = -1
ITEM = -2


class Way:
    """A breadth-first search along tight steps, from a room that ``item`` enters to the place that it leaves.

    ``hindered``: whether it saw mates in the way, which it may be told not to mind.
    """

    def __init__(self, ties, item, mind_mates=True):
        self.ties = ties
        self.packing = ties.packing
        self.item = item
        self.room = self.packing.where[item]
        self.goal = self.packing.door(item, self.room)
        self.mind_mates = mind_mates
        self.hindered = False
        self.came, self._queue, self._unseen = {}, [], {}
        self._end = None

    def finds_way_from(self, room):
        """Search until the way is found, or there is none; tell which."""
        self._enter(self.item, room, None)
        for point in self._queue:
            if self._end is not None:
                break
            if point == BALANCE:
                self._balance()
            elif point >= 0:
                self._pass(point)
            else:
                self._go_on(ITEM - point)
        return self._end is not None

    def rooms_seen(self):
        """Return the rooms that the item itself could have come to next, and BALANCE if the search saw it."""
        doors, room_of = self.packing.door_of[self.packing.kind[self.item]], self.packing.room_of
        seen = {room_of[point] for point in self.came if point >= 0 and doors[room_of[point]] == point}
        return seen | {BALANCE} if BALANCE in self.came else seen

    def way(self):
        """Return the steps of the way that was found, (item, room), that of ``item`` itself first."""
        steps, target, point = [], self.room, self._end
        while point is not None:
            if point >= 0:
                target = self.packing.room_of[point]
            elif point != BALANCE:
                one = ITEM - point
                steps.append((one, target))
                target = self.packing.where[one]
            point = self.came[point]
        return steps[::-1]

    def _add(self, point, before):
        """Note a point that can be reached; the way ends at the door by which ``item`` leaves."""
        if point not in self.came:
            self.came[point] = before
            self._queue.append(point)
            if point == self.goal and self.item not in self.ties.hand:
                self._end = point

    def _balance(self):
        if self.goal == self.room and self.ties.can_shrink(self.room):
            self._add(self.room, BALANCE)
        bundles = self.packing.bundles
        # There are many such rooms, and of those where items like this one are the first often does.
        for room in chain(self.packing.choices[self.packing.kind[self.item]], range(len(bundles))):
            if self._end is not None:
                break
            if bundles[room] and room not in self.came and self.ties.can_shrink(room):
                self.came[room] = BALANCE
                self._pass(room)

    def _pass(self, door):
        packing, ties = self.packing, self.ties
        room, cost = packing.room_of[door], ties.cost[door]
        family_doors = packing.family_doors.get(room, ())
        if door != room:
            if packing.door_count[door] < packing.door_limit[door] and ties.cost[room] == cost:
                self._add(room, door)
        else:
            for other in family_doors:
                if packing.door_count[other] and ties.cost[other] == cost:
                    self._add(other, door)
            if ties.can_grow(room):
                self._add(BALANCE, door)
        for key, bundle in packing.bundles[room].items():
            kind, at_home = divmod(key, 2)
            if self._end is None and (not family_doors or packing.door_of[kind][room] == door):
                items = [one for one in bundle if one not in ties.hand] if ties.hand else bundle
                self._spread(ties.class_of(kind, cost + packing.move * at_home, room), items, door)
        for one in packing.strayed[room]:
            if one not in ties.hand and (not family_doors or packing.door(one, room) == door):
                self._go_home(one, door)

    def _go_on(self, item):
        """Go on from an item whose slot a mate takes."""
        ties, packing = self.ties, self.packing
        cost = ties.potential(item) + packing.away[item]
        self._spread(ties.class_of(packing.kind[item], cost, packing.where[item]), (item,), ITEM - item)
        self._go_home(item, ITEM - item)

    def _go_home(self, item, before):
        for home in self.ties.homes(item):
            self._enter(item, home, before)

    def _spread(self, which, items, before):
        """Bring items of one class, which can all leave, to the rooms that are open to them."""
        self._look_at_goal(which, items, before)
        rooms = self.ties.open_to(which) if which not in self._unseen else self._unseen[which]
        doors = self.packing.door_of[which[0]]
        # The first of them that has no mate in a room reaches it for all.
        for one in items:
            if not rooms or self._end is not None:
                break
            places, blocked = self.packing.places[one] if self.mind_mates else None, []
            self.came.setdefault(ITEM - one, before)
            for room in rooms:
                if places and doors[room] in places:
                    blocked.append(room)
                else:
                    self._add(doors[room], ITEM - one)
            rooms = blocked
        self._unseen[which] = rooms
        if self._end is None:
            self._swap_all(items, rooms, before)

    def _look_at_goal(self, which, items, before):
        kind, cost, _component = which
        packing, room = self.packing, self.room
        if self.ties.cost[self.goal] != cost or packing.door_of[kind][room] != self.goal:
            return
        if room == packing.nowhere or room in packing.allowed[kind]:
            for one in items:
                places = packing.places[one] if self.mind_mates else None
                if self._end is None and (not places or places.get(self.goal) in (None, self.item)):
                    self._enter(one, room, before)

    def _swap_all(self, items, rooms, before):
        """Let items take the slots of mates: in rooms that none of them reaches, and where a slot is all there is."""
        for one in items if rooms else ():
            for room in rooms:
                self._enter(one, room, before)
        for one in items if self.ties.hand and self.mind_mates else ():
            for mate in tuple(self.packing.places[one].values()) if self.packing.places[one] else ():
                if mate in self.ties.hand:
                    self._swap(one, mate, before)

    def _enter(self, one, room, before):
        """Bring an item into a room to which a tight step leads if no mate is there, be it in place of a mate."""
        door = self.packing.door(one, room)
        mate = self.packing.tenant(one, door) if self.mind_mates else None
        if mate is not None:
            self._swap(one, mate, before)
        else:
            self.came.setdefault(ITEM - one, before)
            self._add(door, ITEM - one)

    def _are_twins(self, taker, giver):
        """Tell whether ``giver`` could go on only to where ``taker`` comes without it."""
        packing = self.packing
        if packing.kind[taker] != packing.kind[giver] or packing.homes[taker] or packing.homes[giver]:
            return False
        return self.item not in (taker, giver)

    def _swap(self, taker, giver, before):
        """Go on with ``giver``, whose slot ``taker`` takes, if that is tight."""
        self.hindered = True
        # Those that come first have their seats.
        if giver < self.item or self._are_twins(taker, giver) or not self.ties.may_replace(taker, giver):
            return
        self.came.setdefault(ITEM - taker, before)
        if giver == self.item:
            self._end = ITEM - taker
        else:
            self._add(ITEM - giver, ITEM - taker)
