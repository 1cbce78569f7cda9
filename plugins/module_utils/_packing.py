# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Items in rooms: who is where, what it costs, what still fits. PRIVATE to the collection.

The cost of a packing, an integer, is ``square`` times the sum of squares of the loads, plus ``move`` for each item
with a home that is elsewhere, plus more than all of that for each item without a room.
"""

from __future__ import annotations


class Packing:
    """The state that the planner improves. Items and rooms are numbered; room ``nowhere`` is for items without one.

    ``where``: each item's room; ``members``: the items of each room; ``load``: what each room bears, with what it bore
    before; ``choices``: the rooms where an item may be, in order (``allowed``: as a set); ``homes``: those of them
    where it is now. Items of one ``kind`` have equal choices, ``kinds[kind]``.

    A *door* is the way into a room. It is the room itself, but where the limit of a family can be felt that family has
    a door of its own, numbered after the rooms. ``doors[item][room]`` is the door; ``room_of[door]`` the room.

    A *slot* of a group in a room takes one item. Behind separate doors a group has a slot for each family: one more
    than the rules allow, which ``_placement`` deals with.
    """

    def __init__(self, items, rooms, square, move, banned=frozenset()):
        """``items`` and ``rooms``: lists of Item and Room; ``banned``: (item, room) pairs that are not to be."""
        self.items = items
        self.rooms = rooms
        self.square = square
        self.move = move
        self.nowhere = len(rooms)
        self.outside = square * (sum(room.load for room in rooms) + len(items) + 1) ** 2 + move * (len(items) + 1)
        self.kinds, self.kind = self._read_kinds(banned)
        self.choices = [self.kinds[kind] for kind in self.kind]
        possible = [frozenset(choices) for choices in self.kinds]
        self.allowed = [possible[kind] for kind in self.kind]
        self.homes = [item.holders & allowed for item, allowed in zip(items, self.allowed)]
        self.away = [move if homes else 0 for homes in self.homes]
        self.where = [self.nowhere] * len(items)
        self.members = [set() for room in rooms] + [set(range(len(items)))]
        self.load = [room.load for room in rooms] + [0]
        self.most = [None if room.free is None else room.load + room.free for room in rooms] + [None]
        self.mates = self._read_mates()
        self.slots = {}
        self._build_doors()

    def _read_kinds(self, banned):
        """Return the distinct tuples of rooms where items may be, and the number of each item's tuple."""
        out = {}
        for item, room in banned:
            out.setdefault(item, set()).add(room)
        numbers, by_identity, kind = {}, {}, []
        for number, item in enumerate(self.items):
            # Most items share few tuples, and the hash of a long one takes its time.
            found = by_identity.get(id(item.rooms)) if number not in out else None
            if found is None:
                rooms = tuple(room for room in item.rooms if room not in out.get(number, ()))
                found = numbers.setdefault(rooms, len(numbers))
                if number not in out:
                    by_identity[id(item.rooms)] = found
            kind.append(found)
        return list(numbers), kind

    def _read_mates(self):
        """Return for each item the items of its group, itself among them; nothing for a group of one."""
        groups = {}
        for number, item in enumerate(self.items):
            groups.setdefault(item.group, []).append(number)
        groups = {group: tuple(members) if len(members) > 1 else () for group, members in groups.items()}
        return [groups[item.group] for item in self.items]

    def _build_doors(self):
        self.room_of = list(range(len(self.rooms) + 1))
        self.family_doors = {}
        self.door_limit, self.door_count = {}, {}
        by_family = {4: list(self.room_of), 6: list(self.room_of)}
        for room, family in self._limited():
            door = by_family[family][room] = len(self.room_of)
            self.room_of.append(room)
            self.family_doors.setdefault(room, []).append(door)
            self.door_limit[door], self.door_count[door] = self.rooms[room].free_for(family), 0
        self.doors = [by_family[item.family] for item in self.items]

    def _limited(self):
        """Return the sorted (room, family) pairs whose limit can be felt."""
        rooms = [n for n, room in enumerate(self.rooms) if room.free_by_family != (None, None)]
        wanted = {(room, family): 0 for room in rooms for family in (4, 6)} if rooms else {}
        if wanted:
            for number, item in enumerate(self.items):
                for room in self.choices[number]:
                    if (room, item.family) in wanted:
                        wanted[room, item.family] += 1
        found = []
        for (room, family), count in wanted.items():
            free, most = self.rooms[room].free_for(family), self.rooms[room].free
            if free is not None and free < min(count, count if most is None else most):
                found.append((room, family))
        return sorted(found)

    def slot(self, item, room):
        """Return the key of the slot that an item of a group takes in a room."""
        family = self.items[item].family if room in self.family_doors else 0
        return self.items[item].group, room, family

    def tenant(self, item, room):
        """Return who is in the slot that ``item`` would take in ``room``; None when it is free."""
        return self.slots.get(self.slot(item, room)) if self.mates[item] else None

    def price(self, item, room):
        """Return what it costs that ``item`` is not at home in ``room``."""
        return 0 if room in self.homes[item] else self.away[item]

    def is_full(self, room):
        """Tell whether a room has all that it can take."""
        most = self.most[room]
        return most is not None and self.load[room] >= most

    def next_price(self, room):
        """Return what one more item in the room costs."""
        return self.outside if room == self.nowhere else self.square * (2 * self.load[room] + 1)

    def last_price(self, room):
        """Return what one item less in the room saves."""
        return self.outside if room == self.nowhere else self.square * (2 * self.load[room] - 1)

    def fits(self, item, room):
        """Tell whether a room has a place for the item."""
        door = self.doors[item][room]
        if self.is_full(room) or (door != room and self.door_count[door] >= self.door_limit[door]):
            return False
        return self.tenant(item, room) is None

    def put(self, item, room):
        """Bring an item into a room, out of the one where it is; return by how much the cost grows."""
        before = self.where[item]
        change = -self.last_price(before) - self.price(item, before)
        self._enter(item, before, -1)
        change += self.next_price(room) + self.price(item, room)
        self._enter(item, room, 1)
        return change

    def _enter(self, item, room, one):
        door = self.doors[item][room]
        self.load[room] += one
        if door != room:
            self.door_count[door] += one
        if one > 0:
            self.where[item] = room
            self.members[room].add(item)
        else:
            self.members[room].discard(item)
        if self.mates[item] and room != self.nowhere:
            if one > 0:
                self.slots[self.slot(item, room)] = item
            else:
                self.slots.pop(self.slot(item, room), None)

    def shift(self, steps):
        """Make all ``steps``, (item, from, to), if that is allowed and makes the packing cheaper; tell whether.

        Steps become stale when others are made first, which is why they are looked at once more.
        """
        if any(self.where[item] != origin for item, origin, _target in steps):
            return False
        change = sum(self.put(item, self.nowhere) for item, origin, _target in steps)
        done = 0
        for item, _origin, target in steps:
            if target != self.nowhere and not self.fits(item, target):
                break
            change += self.put(item, target)
            done += 1
        if done == len(steps) and change < 0:
            return True
        for item, _origin, _target in steps:
            self.put(item, self.nowhere)
        for item, origin, _target in steps:
            self.put(item, origin)
        return False

    def make(self, steps):
        """Make ``steps``, (item, from, to), that are known to be allowed."""
        for item, _origin, _target in steps:
            self.put(item, self.nowhere)
        for item, _origin, target in steps:
            self.put(item, target)
