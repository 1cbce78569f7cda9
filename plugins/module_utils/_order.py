# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Of all cheapest packings the first by name. PRIVATE to the collection.

The costs of the last search are a potential: a packing is cheapest too exactly when it comes from this one by steps
that are *tight*, that is, whose price is just the difference of potential. So the items, one after the other, take the
first room to which a cycle of tight steps brings them, and then stay there: no item gives way to a later one.
"""

from __future__ import annotations

from ._components import components

# Points of a search: a door (>= 0), an item that goes to the point that follows (_ITEM - item), or the balance, where
# one room bears one more and another one bears one less.
_BALANCE = -1
_ITEM = -2
# A search that saw more points than this was dear enough to look whether it need ever be made again.
_FAR = 30


def first_by_name(packing, reach, umpire=None):
    """Bring the packing, which ``reach`` proves cheapest, to the first by name that is as cheap.

    Where a packing does not know all rules, an ``umpire`` has the placement to ``start`` from, as cheap too. It is
    asked with ``instead(item, before, after)`` about each change that brings ``item`` to another room, and returns the
    placement to go on with: ``after``, another one where ``item`` has that room, or ``before``.
    """
    ties = _Ties(packing, reach, umpire)
    if umpire is not None:
        ties.change_to(umpire.start)
    for item in range(len(packing.items)):
        ties.seat(item)


class _Ties:
    """The tight steps.

    ``hand[item]`` is the potential of an item whose slot has a lower one than its door; the others have it from their
    doors. ``component[room]``: no cycle of tight steps leaves a component, so no item ever does.
    """

    def __init__(self, packing, reach, umpire):
        self.packing = packing
        self.umpire = umpire
        self.cost = reach.cost
        self.hand = {}
        for item, cost in reach.hand.items():
            self._note_hand(item, cost)
        self.component = components(self._room_graph())
        self._open_rooms = {}
        self._unbalanced = set()

    def potential(self, item):
        """Return the least cost at which the item can be had."""
        if item in self.hand:
            return self.hand[item]
        packing, room = self.packing, self.packing.where[item]
        return self.cost[packing.door(item, room)] - packing.price(item, room)

    def _note_hand(self, item, cost):
        packing, room = self.packing, self.packing.where[item]
        if cost + packing.price(item, room) < self.cost[packing.door(item, room)]:
            self.hand[item] = cost
        else:
            self.hand.pop(item, None)

    def _room_graph(self):
        """Return where tight steps lead from each room, with mates in no other's way and no limits on families."""
        packing = self.packing
        graph = {_BALANCE: [room for room, bundles in enumerate(packing.bundles) if bundles and self.can_shrink(room)]}
        points = {}
        for room, bundles in enumerate(packing.bundles):
            graph[room] = {_BALANCE} if self.can_grow(room) else set()
            for key in bundles:
                kind, at_home = divmod(key, 2)
                away = kind, self.cost[packing.door_of[kind][room]] + packing.move * at_home
                graph[room].add(points.setdefault(away, _ITEM - len(points)))
            for item in packing.strayed[room]:
                graph[room].update(self.homes(item))
        for item in self.hand:
            room = packing.where[item]
            away = packing.kind[item], self.hand[item] + packing.away[item]
            graph[room].update(self.homes(item), [points.setdefault(away, _ITEM - len(points))])
            for mate_room in {packing.nowhere, *(packing.where[mate] for mate in packing.places[item].values())}:
                graph[mate_room].add(room)
        for (kind, cost), point in points.items():
            doors = packing.door_of[kind]
            graph[point] = [room for room in (*packing.choices[kind], packing.nowhere) if self.cost[doors[room]] == cost]
        return graph

    def class_of(self, kind, cost, room):
        """Return what items have in common to which the same rooms are open: those of ``kind`` that are had at a cost,
        the price of not being at home included, in a component.
        """
        return kind, cost, self.component[room]

    def open_to(self, which):
        """Return the rooms, in order, to which tight steps bring items of a class away from their homes.

        Those are left out that none of them can have any more.
        """
        if which not in self._open_rooms:
            kind, cost, component = which
            packing, costs, doors = self.packing, self.cost, self.packing.door_of[kind]
            tight = [room for room in (*packing.choices[kind], packing.nowhere) if costs[doors[room]] == cost]
            self._open_rooms[which] = [room for room in tight if self.component[room] == component]
        return self._open_rooms[which]

    def homes(self, item):
        """Return the homes to which a tight step brings the item."""
        homes = self.packing.homes[item]
        if not homes:
            return ()
        where, cost = self.packing.where[item], self.potential(item)
        return [home for home in homes if home != where and self.cost[self.packing.door(item, home)] == cost]

    def may_replace(self, item, mate):
        """Tell whether a tight step brings ``item`` to where a mate is, which has to leave."""
        packing, room = self.packing, self.packing.where[mate]
        if item == mate or room not in packing.allowed[packing.kind[item]]:
            return False
        if packing.tenant(item, packing.door(item, room)) != mate:
            return False
        prices = packing.price(item, room) - packing.price(mate, room)
        return self.potential(mate) == self.potential(item) + prices

    def can_grow(self, room):
        """Tell whether a room may bear one more, if another one bears one less."""
        packing = self.packing
        if room == packing.nowhere or packing.is_full(room):
            return False
        return self.cost[room] + packing.next_price(room) == 0

    def can_shrink(self, room):
        """Tell whether a room may bear one less, if another one bears one more."""
        return self.cost[room] == -self.packing.last_price(room)

    def seat(self, item):
        """Bring ``item`` to the first room that it can have, its homes before the others, and keep it there."""
        packing, before = self.packing, self.packing.where[item]
        which = self.class_of(packing.kind[item], self.potential(item) + packing.away[item], before)
        closed, out_of_reach = set(), set()
        for room in self._wanted_rooms(item, which):
            if room in out_of_reach:
                continue
            if not packing.bundles[room] and (which in self._unbalanced or not self.can_grow(room)):
                closed.add(room)
                continue
            mate = packing.tenant(item, packing.door(item, room))
            if mate is not None and mate < item:
                continue
            steps = self._change_of_places(item, room)
            if not steps:
                search = _Search(self, item)
                if search.finds_way_from(room):
                    steps = search.way()
            if steps and self._try(item, steps):
                break
            if not steps:
                out_of_reach.update(self._out_of_reach(item, room, search))
        if packing.where[item] not in packing.homes[item] and item not in self.hand:
            # An item like this one, later, could have those rooms no more: the two could change places.
            closed |= out_of_reach
        self._close(which, closed)
        packing.retire(item)

    def _wanted_rooms(self, item, which):
        """Yield the rooms that come before the one of ``item``, to which a tight step brings it, be it for a mate."""
        packing, before = self.packing, self.packing.where[item]
        own, rooms = packing.homes[item], self.open_to(which)
        special = set(self.homes(item))
        if self.hand and packing.places[item]:
            mates = packing.places[item].values()
            special.update(packing.where[mate] for mate in mates if mate in self.hand and self.may_replace(item, mate))
        if special:
            yield from (home for home in sorted(special & own) if before not in own or home < before)
            rooms = sorted(special.difference(own).union(rooms))
        if before not in own:
            for room in rooms:
                if room >= before:
                    break
                yield room

    def _change_of_places(self, item, room):
        """Return the steps by which ``item`` and one that is equal but for its mates change places, mostly possible."""
        packing, before = self.packing, self.packing.where[item]
        if before in packing.homes[item] or room in packing.homes[item] or self.hand:
            return None
        here, there = packing.door(item, before), packing.door(item, room)
        for one in packing.bundles[room].get(2 * packing.kind[item], ()):
            if packing.tenant(item, there) in (None, one) and packing.tenant(one, here) in (None, item):
                return [(item, room), (one, before)]
        return None

    def _out_of_reach(self, item, room, search):
        """Return the rooms from which a search has shown that no way leads to where ``item`` is.

        With mates in the way that is so for this item only. So the search is made once more without them.
        """
        if not search.hindered and not (self.hand and self.packing.places[item]):
            return search.rooms_seen()
        if len(search.came) > _FAR and not self.hand:
            search = _Search(self, item, mind_mates=False)
            if not search.finds_way_from(room):
                return search.rooms_seen()
        return ()

    def _close(self, which, rooms):
        """Take rooms off those that items of a class can still have; _BALANCE may be one of them."""
        if rooms:
            self._open_rooms[which] = [room for room in self.open_to(which) if room not in rooms]
        if _BALANCE in rooms:
            self._unbalanced.add(which)

    def change_to(self, placement):
        """Bring every item where a placement has it that is as cheap."""
        packing = self.packing
        rooms = [packing.nowhere if room is None else room for room in placement]
        self._make([(item, room) for item, room in enumerate(rooms) if room != packing.where[item]])

    def _make(self, steps):
        potentials = [self.potential(item) for item, _target in steps] if self.hand else ()
        self.packing.make(steps)
        for (item, _target), cost in zip(steps, potentials):
            self._note_hand(item, cost)

    def _try(self, item, steps):
        """Make ``steps``, which bring ``item`` where it would be; tell whether it is there in the end."""
        target = steps[0][1]
        before = self.packing.placement() if self.umpire else None
        self._make(steps)
        if self.umpire:
            self.change_to(self.umpire.instead(item, before, self.packing.placement()))
        return self.packing.where[item] == target


class _Search:
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
            if point == _BALANCE:
                self._balance()
            elif point >= 0:
                self._pass(point)
            else:
                self._go_on(_ITEM - point)
        return self._end is not None

    def rooms_seen(self):
        """Return the rooms that the item itself could have come to next, and _BALANCE if the search saw it."""
        doors, room_of = self.packing.door_of[self.packing.kind[self.item]], self.packing.room_of
        seen = {room_of[point] for point in self.came if point >= 0 and doors[room_of[point]] == point}
        return seen | {_BALANCE} if _BALANCE in self.came else seen

    def way(self):
        """Return the steps of the way that was found, (item, room), that of ``item`` itself first."""
        steps, target, point = [], self.room, self._end
        while point is not None:
            if point >= 0:
                target = self.packing.room_of[point]
            elif point != _BALANCE:
                one = _ITEM - point
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
            self._add(self.room, _BALANCE)
        if self._end is not None:
            return
        for room, bundles in enumerate(self.packing.bundles):
            if bundles and self.ties.can_shrink(room):
                self._add(room, _BALANCE)

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
                self._add(_BALANCE, door)
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
        self._spread(ties.class_of(packing.kind[item], cost, packing.where[item]), (item,), _ITEM - item)
        self._go_home(item, _ITEM - item)

    def _go_home(self, item, before):
        for home in self.ties.homes(item):
            self._enter(item, home, before)

    def _spread(self, which, items, before):
        """Bring items of one class, which can all leave, to the rooms that are open to them."""
        kind, cost, _component = which
        packing, came, doors = self.packing, self.came, self.packing.door_of[kind]
        if self.ties.cost[self.goal] == cost and doors[self.room] == self.goal and self.room in packing.allowed[kind]:
            for one in items:
                places = packing.places[one] if self.mind_mates else None
                if not places or places.get(self.goal) in (None, self.item):
                    self._enter(one, self.room, before)
                    if self._end is not None:
                        return
        rooms = self._unseen.get(which)
        if rooms is None:
            rooms = self.ties.open_to(which)
        # The first of them that has no mate in a room reaches it for all.
        for one in items:
            if not rooms:
                break
            places, blocked = packing.places[one] if self.mind_mates else None, []
            came.setdefault(_ITEM - one, before)
            for room in rooms:
                if places and doors[room] in places:
                    blocked.append(room)
                else:
                    self._add(doors[room], _ITEM - one)
            rooms = blocked
        self._unseen[which] = rooms
        for one in items if rooms else ():
            for room in rooms:
                self._enter(one, room, before)
        if self.ties.hand and self.mind_mates:
            for one in items:
                for mate in tuple(packing.places[one].values()) if packing.places[one] else ():
                    if mate in self.ties.hand:
                        self._swap(one, mate, before)

    def _enter(self, one, room, before):
        """Bring an item into a room to which a tight step leads if no mate is there, be it in place of a mate."""
        door = self.packing.door(one, room)
        mate = self.packing.tenant(one, door) if self.mind_mates else None
        if mate is not None:
            self._swap(one, mate, before)
        else:
            self.came.setdefault(_ITEM - one, before)
            self._add(door, _ITEM - one)

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
        self.came.setdefault(_ITEM - taker, before)
        if giver == self.item:
            self._end = _ITEM - taker
        else:
            self._add(_ITEM - giver, _ITEM - taker)
