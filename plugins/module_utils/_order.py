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
from ._way import BALANCE, ITEM, Way

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
        graph = {BALANCE: [room for room, bundles in enumerate(packing.bundles) if bundles and self.can_shrink(room)]}
        points = {}
        for room, bundles in enumerate(packing.bundles):
            graph[room] = {BALANCE} if self.can_grow(room) else set()
            for key in bundles:
                kind, at_home = divmod(key, 2)
                away = kind, self.cost[packing.door_of[kind][room]] + packing.move * at_home
                graph[room].add(points.setdefault(away, ITEM - len(points)))
            for item in packing.strayed[room]:
                graph[room].update(self.homes(item))
        for item in self.hand:
            room = packing.where[item]
            away = packing.kind[item], self.hand[item] + packing.away[item]
            graph[room].update(self.homes(item), [points.setdefault(away, ITEM - len(points))])
            for mate_room in {packing.nowhere, *(packing.where[mate] for mate in packing.places[item].values())}:
                graph[mate_room].add(room)
        for (kind, cost), point in points.items():
            graph[point] = self._tight_rooms(kind, cost)
        return graph

    def _tight_rooms(self, kind, cost):
        packing, doors = self.packing, self.packing.door_of[kind]
        return [room for room in (*packing.choices[kind], packing.nowhere) if self.cost[doors[room]] == cost]

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
            self._open_rooms[which] = [r for r in self._tight_rooms(kind, cost) if self.component[r] == component]
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
        if before in packing.homes[item] and len(packing.homes[item]) == 1:
            packing.retire(item)
            return
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
                search = Way(self, item)
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
            search = Way(self, item, mind_mates=False)
            if not search.finds_way_from(room):
                return search.rooms_seen()
        return ()

    def _close(self, which, rooms):
        """Take rooms off those that items of a class can still have; BALANCE may be one of them."""
        if rooms:
            self._open_rooms[which] = [room for room in self.open_to(which) if room not in rooms]
        if BALANCE in rooms:
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
