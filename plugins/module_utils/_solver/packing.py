# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Items in rooms: who is where, what it costs, what still fits. PRIVATE to the collection.

The cost of a packing, an integer, is ``square`` times the sum of squares of the loads, plus ``move`` for each item
with a home that is elsewhere, plus more than all of that for each item beyond the first of its group in a failure
domain, plus more than all of that for each item without a room.
"""

from __future__ import annotations

from .spread_groups import named, read_teams


class Packing:
    """The state that the planner improves. Items and rooms are numbered; room ``nowhere`` is for items without one.

    ``where``: each item's room, None before it has one; ``load``: what each room bears, with what it bore before;
    ``homes``: the rooms of an item where it is now. Items of one ``kind`` have the same family and may be in the same
    rooms: ``choices[kind]`` in order, ``allowed[kind]`` as a set.

    What makes searches short is that a room's items are kept in bundles: ``bundles[room][2 * kind + at_home]`` is the
    set of those that are equal but for their mates and for homes elsewhere. ``strayed[room]`` are those with a home
    elsewhere.

    A *door* is the way into a room. It is the room itself, but where the limit of a family can be felt that family has
    a door of its own, numbered after the rooms: ``door_of[kind][room]``, and back ``room_of[door]``.

    Each door has one slot for each group. ``places[item]`` is its group's {door: item}, None for a group of one. Behind
    separate doors a group may get into a room twice, which the rules do not allow; ``_solver.solve`` deals with that.

    ``team_of[item]`` is the Team of an item whose group is spread over domains; its bundle in a room is ``~number`` of
    the team. Several teams of a group do not see that they are in one domain; ``branch_and_bound`` deals with that.
    """

    def __init__(self, items, rooms, square, move, banned=frozenset()):
        """``items`` and ``rooms``: lists of Item and Room; ``banned``: (item, room) pairs that are not to be."""
        self.items = items
        self.rooms = rooms
        self.square = square
        self.move = move
        self.nowhere = len(rooms)
        self.crowd = square * (sum(room.load for room in rooms) + len(items) + 1) ** 2 + move * (len(items) + 1)
        spread = sum(bool(item.domains) for item in items)
        self.outside = self.crowd * (spread + 1)
        self.kind = []
        kinds = self._read_kinds(banned)
        self.choices = [choices for choices, _family in kinds]
        self.families = [family for _choices, family in kinds]
        self.allowed = [frozenset(choices) for choices in self.choices]
        self.homes = [
            item.holders if item.holders <= self.allowed[kind] else item.holders & self.allowed[kind]
            for item, kind in zip(items, self.kind)
        ]
        self.where = [None] * len(items)
        self.load = [room.load for room in rooms] + [0]
        self.most = [None if room.free is None else room.load + room.free for room in rooms] + [None]
        self.bundles = [{} for _room in self.load]
        self.strayed = [set() for _room in self.load]
        self._build_doors(kinds)
        self._read_groups()
        self._read_teams()
        self.away = [move if homes else 0 for homes in self.homes]

    def _read_kinds(self, banned):
        """Return the distinct (rooms, family) of the items, and note the number of each item's."""
        out = {}
        for item, room in banned:
            out.setdefault(item, set()).add(room)
        numbers, by_identity = {}, {}
        for number, item in enumerate(self.items):
            if number in out:
                rooms = tuple(room for room in item.rooms if room not in out[number])
                kind = numbers.setdefault((rooms, item.family), len(numbers))
            else:
                # Most items share few tuples, and the hash of a long one takes its time.
                shared = id(item.rooms), item.family
                kind = by_identity.get(shared)
                if kind is None:
                    kind = by_identity[shared] = numbers.setdefault((item.rooms, item.family), len(numbers))
            self.kind.append(kind)
        return list(numbers)

    def _build_doors(self, kinds):
        count = len(self.load)
        by_family = {4: list(range(count)), 6: list(range(count))}
        self.room_of = list(range(count))
        self.family_doors = {}
        self.door_limit, self.door_count = {}, {}
        for room, family in self._limited(kinds):
            door = by_family[family][room] = len(self.room_of)
            self.room_of.append(room)
            self.family_doors.setdefault(room, []).append(door)
            self.door_limit[door], self.door_count[door] = self.rooms[room].free_for(family), 0
        self.door_of = [by_family[family] for _choices, family in kinds]

    def _limited(self, kinds):
        """Return the sorted (room, family) pairs whose limit can be felt."""
        rooms = {n for n, room in enumerate(self.rooms) if room.free_by_family != (None, None)}
        if not rooms:
            return []
        members = [0] * len(kinds)
        for kind in self.kind:
            members[kind] += 1
        wanted = {}
        for (choices, family), count in zip(kinds, members):
            for room in rooms.intersection(choices):
                wanted[room, family] = wanted.get((room, family), 0) + count
        found = []
        for (room, family), count in wanted.items():
            free, most = self.rooms[room].free_for(family), self.rooms[room].free
            if free is not None and free < min(count, count if most is None else most):
                found.append((room, family))
        return sorted(found)

    def _read_groups(self):
        sizes = {}
        for item in self.items:
            sizes[item.group] = sizes.get(item.group, 0) + 1
        places = {group: {} if size > 1 else None for group, size in sizes.items()}
        self.places = [places[item.group] for item in self.items]

    def _read_teams(self):
        self.team_of, self.teams = {}, []
        if any(item.domains for item in self.items):
            self.teams = read_teams(self)
        for team in self.teams:
            for item in team.members:
                self.team_of[item], self.homes[item] = team, team.homes

    def name_members(self):
        """Say of each team who is where, so that most are at home and the first by name come first."""
        for team in self.teams:
            self.make(self.renamed(team.members))

    def renamed(self, members):
        """Return the steps, (item, to), that do so for some members of a team."""
        found = named(self.items, members, [self.where[one] for one in members])
        return [(one, room) for one, room in found if room != self.where[one]]

    def placement(self):
        """Return each item's room or None, a tuple."""
        return tuple([None if room == self.nowhere else room for room in self.where])

    def door(self, item, room):
        """Return the door by which an item gets into a room."""
        return self.door_of[self.kind[item]][room]

    def tenant(self, item, door):
        """Return which item of the same group has the slot behind ``door``; None when it is free."""
        places = self.places[item]
        return places.get(door) if places else None

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
        """Tell whether a room has a place for the item, be it beside a mate that came in by another door."""
        door = self.door(item, room)
        if self.is_full(room) or (door != room and self.door_count[door] >= self.door_limit[door]):
            return False
        return self.tenant(item, door) is None

    def has_mate(self, item, room):
        """Tell whether a mate of the item is in a room, whatever its door."""
        places = self.places[item]
        return bool(places) and (room in places or any(door in places for door in self.family_doors.get(room, ())))

    def meets_group(self, item, room):
        """Tell whether one of a spread item's group, as far as its team sees, is in the room's domain."""
        team = self.team_of.get(item)
        return team is not None and team.is_in(team.domain(room))

    def put(self, item, room):
        """Bring an item into a room, out of the one where it is; return by how much the cost grows."""
        before = self.where[item]
        change = self.price(item, room) - self.last_price(before) - self.price(item, before)
        self.leave(item)
        change += self.next_price(room)
        if item in self.team_of:
            change += self.crowd * (self.meets_group(item, room) - self.meets_group(item, before))
        self.enter(item, room)
        return change

    def leave(self, item):
        """Take an item out of its room. It has to enter another one before anything else is asked."""
        room = self.where[item]
        self.load[room] -= 1
        door = self.door_of[self.kind[item]][room]
        if door != room:
            self.door_count[door] -= 1
        if self.places[item] and room != self.nowhere:
            self.places[item].pop(door, None)
        if item in self.team_of:
            self.team_of[item].add(room, -1)
        self.retire(item)

    def enter(self, item, room):
        """Bring an item that is in no room, or has left its own, into one."""
        self.load[room] += 1
        self.where[item] = room
        door = self.door_of[self.kind[item]][room]
        if door != room:
            self.door_count[door] += 1
        if self.places[item] is not None and room != self.nowhere:
            self.places[item][door] = item
        if item in self.team_of:
            self.team_of[item].add(room, 1)
        self._join(item, room)

    def _join(self, item, room):
        homes, key = self.homes[item], 2 * self.kind[item]
        if item in self.team_of:
            key = ~self.team_of[item].number
        elif homes:
            key += room in homes
            if len(homes) > 1 or room not in homes:
                self.strayed[room].add(item)
        bundles = self.bundles[room]
        if key in bundles:
            bundles[key].add(item)
        else:
            bundles[key] = {item}

    def retire(self, item):
        """Take an item out of its bundle: searches do not see it any more, though it is still in its room."""
        room, homes = self.where[item], self.homes[item]
        key = 2 * self.kind[item] + (room in homes) if item not in self.team_of else ~self.team_of[item].number
        bundle = self.bundles[room][key]
        bundle.discard(item)
        if not bundle:
            del self.bundles[room][key]
        if homes:
            self.strayed[room].discard(item)

    def shift(self, steps, limit=0):
        """Make all ``steps``, (item, from, to), if that is allowed and the cost changes by less than ``limit``.

        Return whether they were made: by default, if they make the packing cheaper.

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
        if done == len(steps) and change < limit:
            return True
        for item, _origin, _target in steps:
            self.put(item, self.nowhere)
        for item, origin, _target in steps:
            self.put(item, origin)
        return False

    def make(self, steps):
        """Make ``steps``, (item, to), that are known to be allowed."""
        for item, _target in steps:
            self.leave(item)
        for item, target in steps:
            self.enter(item, target)
