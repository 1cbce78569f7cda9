# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A cycle of tight steps, searched breadth first. PRIVATE to the collection."""

from __future__ import annotations

from itertools import chain

# Points of a search: a door (>= 0), an item that goes to the point that follows (ITEM - item), or the balance, where
# one room bears one more and another one bears one less. A tuple is a pool: a team and a domain of it, or None.
BALANCE = -1
ITEM = -2


class Way:
    """A breadth-first search along tight steps, from a room that ``item`` enters to the place that it leaves.

    If it is of a team, any member may enter the room, and the way ends where one is free to: at the pool of the room.

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
        self.came, self._queue, self._unseen, self._unseen_rooms = {}, [], {}, {}
        self._end = None

    def finds_way_from(self, room):
        """Search until the way is found, or there is none; tell which."""
        team = self.packing.team_of.get(self.item)
        if team is None:
            self._enter(self.item, room, None)
        else:
            self.room, self.goal = room, (team.number, team.domain(room))
            self._enter_slot(team, room, None)
        for point in self._queue:
            if self._end is not None:
                break
            if point == BALANCE:
                self._balance()
            elif isinstance(point, tuple):
                self._leave_pool(point)
            elif point >= 0:
                self._pass(point)
            else:
                self._go_on(ITEM - point)
        return self._end is not None

    def rooms_seen(self):
        """Return the rooms that the item itself could have come to next, and BALANCE if the search saw it."""
        doors, room_of = self.packing.door_of[self.packing.kind[self.item]], self.packing.room_of
        points = (point for point in self.came if not isinstance(point, tuple) and point >= 0)
        seen = {room_of[point] for point in points if doors[room_of[point]] == point}
        return seen | {BALANCE} if BALANCE in self.came else seen

    def way(self):
        """Return the steps of the way that was found, (item, room), that of ``item`` itself first."""
        steps, target, point = [], self.room, self._end
        while point is not None:
            if isinstance(point, tuple):
                pass
            elif point >= 0:
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
            if key < 0:
                self._free(bundle, door)
            elif self._end is None and (not family_doors or packing.door_of[kind][room] == door):
                items = [one for one in bundle if one not in ties.hand] if ties.hand else bundle
                self._spread(ties.class_of(kind, cost + packing.move * at_home, room), items, door)
        for one in packing.strayed[room]:
            if one not in ties.hand and (not family_doors or packing.door(one, room) == door):
                self._go_home(one, door)

    def _free(self, members, door):
        """Let members of a team leave by a door, to their pool."""
        for one in members:
            if self.packing.door(one, self.packing.where[one]) == door and self.ties.can_be_had(one):
                self.came.setdefault(ITEM - one, door)
                self._add(self.ties.pool_of(one), ITEM - one)

    def _leave_pool(self, pool):
        """Bring one member more of a team to the rooms of a domain, or of all domains that nobody was in."""
        ties, team, domain = self.ties, self.packing.teams[pool[0]], pool[1]
        for other in ties.pools_from(team, domain):
            self._add(other, pool)
        if domain is None and self._is_empty_goal(team):
            self._add(self.goal, pool)
        key, rooms = ties.rooms_from(team, domain)
        rooms = self._unseen_rooms.get(key, rooms)
        self._unseen_rooms[key] = [room for room in rooms if not self._leave_for(team, domain, room, pool)]
        for room in ties.homes_from(team, domain):
            self._leave_for(team, domain, room, pool)
        if self.mind_mates:
            self._displace(team, domain, pool)

    def _leave_for(self, team, domain, room, pool):
        """Bring a member to a room to which a tight step leads if no mate is there; tell whether it came there."""
        if domain is None and self.ties.has_pool(team, team.domain(room)):
            return False
        door = self.packing.door(team.members[0], room)
        if self.mind_mates and self.packing.tenant(team.members[0], door) is not None:
            return False
        self._add(door, pool)
        return True

    def _displace(self, team, domain, pool):
        """Let a member take the slots of mates in other teams where that is tight."""
        packing, first = self.packing, team.members[0]
        cost = self.ties.pool(team, domain)
        for mate in tuple((packing.places[first] or {}).values()):
            room = packing.where[mate]
            if packing.team_of[mate] is team or mate < self.item or not self._is_beyond(team, domain, room):
                continue
            tenant = packing.tenant(first, packing.door(first, room))
            if tenant == mate and cost + packing.price(first, room) == self._slot_cost(mate):
                self._take_out(mate, pool)

    def _is_beyond(self, team, domain, room):
        """Tell whether a room is among those of a pool."""
        if room not in self.packing.allowed[self.packing.kind[team.members[0]]]:
            return False
        own = team.domain(room)
        return own == domain if domain is not None else not self.ties.has_pool(team, own)

    def _slot_cost(self, mate):
        """Return the potential of the slot where a member of a team is."""
        pool = self.ties.pool(self.packing.team_of[mate], self.ties.pool_of(mate)[1])
        return pool + self.packing.price(mate, self.packing.where[mate])

    def _take_out(self, mate, before):
        self.hindered = True
        self.came.setdefault(ITEM - mate, before)
        self._add(self.ties.pool_of(mate), ITEM - mate)

    def _enter_slot(self, team, room, before):
        """Begin the way: some member enters a room, if that is tight, be it in place of a member of another team."""
        packing, first = self.packing, team.members[0]
        door = packing.door(first, room)
        mate = packing.tenant(first, door)
        cost = self.ties.pool(team, team.domain(room)) + packing.price(first, room)
        if mate is not None and cost == self._slot_cost(mate):
            self._take_out(mate, before)
        elif mate is None and cost == self.ties.cost[door]:
            self._add(door, before)

    def _is_empty_goal(self, team):
        """Tell whether a tight step brings a member without a domain to the goal, where none of the team is."""
        number, domain = self.goal if isinstance(self.goal, tuple) else (None, None)
        if number != team.number or team.is_in(domain):
            return False
        return self.ties.pool(team, domain) == self.ties.pool(team, None)

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
        if isinstance(self.goal, tuple):
            return
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
