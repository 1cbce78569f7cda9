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
from ._way import BALANCE, Way

# A search that saw more points than this was dear enough to look whether it need ever be made again.
_FAR = 30


def first_by_name(packing, cost):
    """Bring the packing, which is cheapest, to the first by name that is as cheap; ``cost`` is that of its Reach."""
    ties = _Ties(packing, cost)
    for item in range(len(packing.items)):
        ties.seat(item)


class _Ties:
    """The tight steps. ``hand[item]`` is the potential of an item that has left its room; ``free`` the items of each
    room that have no seat yet; ``open_rooms`` the rooms to which tight steps bring equal items, those left out that
    none of them can have any more; ``unbalanced`` the keys of items for which no room can grow any more.
    """

    def __init__(self, packing, cost):
        self.packing = packing
        self.cost = cost
        self.free = [set(members) for members in packing.members]
        self.hand = self._potentials()
        self.open_rooms = {}
        self.unbalanced = set()
        self.component = components(self._room_graph())

    def _room_graph(self):
        """Return where tight steps lead from each room, with mates in no other's way and no limits on families.

        A cycle never leaves a component of this graph, so no item ever does.
        """
        packing = self.packing
        graph = {BALANCE: [room for room, free in enumerate(self.free) if free and self.can_shrink(room)]}
        for room, members in enumerate(packing.members):
            leads_to = graph[room] = {BALANCE} if self.can_grow(room) else set()
            for item in members:
                key = self.key(item)
                leads_to.add(key)
                leads_to.update(self._special_rooms(item))
                if key not in graph:
                    graph[key] = self.open_to(item)
                    if key[-1] == self.cost[packing.nowhere]:
                        graph[key] = [*graph[key], packing.nowhere]
        return graph

    def _potentials(self):
        """Return the least cost at which each item can be had, through its door or from a mate that takes its slot."""
        packing, hand = self.packing, []
        for item, room in enumerate(packing.where):
            hand.append(self.cost[packing.doors[item][room]] - packing.price(item, room))
        for group in {mates for mates in packing.mates if mates}:
            self._share_slots(group, hand)
        return hand

    def _share_slots(self, group, hand):
        """Let the mates of one group offer their slots to each other until nobody gains."""
        packing = self.packing
        swaps = [
            (taker, giver, packing.price(taker, packing.where[giver]) - packing.price(giver, packing.where[giver]))
            for giver in group
            if packing.where[giver] != packing.nowhere
            for taker in group
            if taker != giver and packing.where[giver] in packing.allowed[taker]
            if packing.tenant(taker, packing.where[giver]) == giver
        ]
        changed = True
        while changed:
            changed = False
            for taker, giver, price in swaps:
                if hand[taker] + price < hand[giver]:
                    hand[giver] = hand[taker] + price
                    changed = True

    def seat(self, item):
        """Bring ``item`` to the first room that it can have, and keep it there."""
        packing, key = self.packing, self.key(item)
        before, closed, out_of_reach = packing.where[item], set(), set()
        for room in self._wanted_rooms(item):
            if room >= before:
                break
            if self.component[room] != self.component[before]:
                out_of_reach.add(room)
            if room in out_of_reach:
                continue
            if not self.free[room] and (key in self.unbalanced or not self.can_grow(room)):
                closed.add(room)
                continue
            search = self._search(item, room)
            if search.found is not None:
                self._make(item, search.way())
                break
            # What the search saw leads no further than itself. Mates may be in the way of this item only; without them
            # it is the same for all that are like it.
            if not packing.mates[item]:
                out_of_reach.update(search.rooms_seen())
            elif len(search.came) > _FAR:
                out_of_reach.update(self._cut_off(item, room))
        seat = packing.where[item]
        self.free[seat].discard(item)
        if seat not in packing.homes[item] and self.cost[packing.doors[item][seat]] == key[-1]:
            # An item like this one, later, could have those rooms no more: the two could change places.
            closed |= out_of_reach
        self._close(item, closed)

    def _close(self, item, rooms):
        """Take rooms off the list of those that items like this one can still have; BALANCE is one of them."""
        if rooms:
            self.open_rooms[self.key(item)] = [room for room in self.open_to(item) if room not in rooms]
        if BALANCE in rooms:
            self.unbalanced.add(self.key(item))

    def key(self, item):
        """Return what items have in common to which the same rooms are open."""
        packing = self.packing
        return (
            packing.kind[item],
            packing.items[item].family,
            bool(packing.mates[item]),
            self.hand[item] + packing.away[item],
        )

    def open_to(self, item):
        """Return the rooms, in order, to which a tight step brings items like this one away from their homes."""
        key = self.key(item)
        if key not in self.open_rooms:
            doors = self.packing.doors[item]
            self.open_rooms[key] = [room for room in self.packing.choices[item] if self.cost[doors[room]] == key[-1]]
        return self.open_rooms[key]

    def may_enter(self, item, room):
        """Tell whether a tight step brings ``item`` to ``room``, where no mate of it is."""
        packing = self.packing
        if room != packing.nowhere and (room not in packing.allowed[item] or packing.tenant(item, room) is not None):
            return False
        return self.cost[packing.doors[item][room]] == self.hand[item] + packing.price(item, room)

    def may_leave(self, item, door):
        """Tell whether a tight step takes ``item`` out by the ``door`` by which it came in."""
        return self.hand[item] == self.cost[door] - self.packing.price(item, self.packing.where[item])

    def _wanted_rooms(self, item):
        """Return the rooms, in order, to which a tight step brings ``item``, be it in place of a mate."""
        doors, usual = self.packing.doors[item], self.key(item)[-1]
        special = {room for room in self._special_rooms(item) if self.cost[doors[room]] != usual}
        return sorted(special.union(self.open_to(item))) if special else self.open_to(item)

    def _special_rooms(self, item):
        """Return the rooms to which a tight step brings ``item`` but not those like it: home, or in place of a mate."""
        packing, hand = self.packing, self.hand[item]
        rooms = {home for home in packing.homes[item] if self.cost[packing.doors[item][home]] == hand}
        rooms.update(packing.where[mate] for mate in packing.mates[item] if self.may_replace(item, mate))
        return rooms

    def may_replace(self, item, mate):
        """Tell whether a tight step brings ``item`` to where a mate is, which has to leave."""
        packing = self.packing
        room = packing.where[mate]
        # What costs least to find out comes first.
        if mate == item or self.hand[mate] != self.hand[item] + packing.price(item, room) - packing.price(mate, room):
            return False
        return room in packing.allowed[item] and packing.tenant(item, room) == mate

    def can_grow(self, room):
        """Tell whether a room may bear one more, if another one bears one less."""
        packing = self.packing
        if room == packing.nowhere or packing.is_full(room):
            return False
        return self.cost[room] + packing.next_price(room) == 0

    def can_shrink(self, room):
        """Tell whether a room may bear one less, if another one bears one more."""
        return self.cost[room] == -self.packing.last_price(room)

    def _cut_off(self, item, room):
        """Return the rooms to which ``room`` leads, if none is where ``item`` is; else nothing.

        That is so even if mates might share rooms and families had no limits.
        """
        packing, goal = self.packing, self.packing.where[item]
        if not self.may_leave(item, packing.doors[item][goal]):
            return set()
        seen, queue, keys, balanced = {room}, [room], set(), False
        while queue:
            room = queue.pop()  # noqa: PLW2901
            found = set()
            if not balanced and self.can_grow(room):
                balanced = True
                found.update(each for each, free in enumerate(self.free) if free and self.can_shrink(each))
                if self.can_shrink(goal):
                    return set()
            for one in self.free[room]:
                found.update(self._special_rooms(one))
                key = self.key(one)
                if key not in keys:
                    keys.add(key)
                    found.update(self.open_to(one))
                    if key[-1] == self.cost[packing.nowhere]:
                        found.add(packing.nowhere)
            if goal in found:
                return set()
            queue.extend(found - seen)
            seen |= found
        return seen | {BALANCE} if balanced else seen

    def _search(self, item, room):
        """Return the Way that looks for a cycle of tight steps that brings ``item`` to ``room``."""
        search = Way(self, item)
        mate = self.packing.tenant(item, room)
        if mate is not None:
            search.swap(item, mate, None)
        elif self.may_enter(item, room):
            search.add(self.packing.doors[item][room], None)
        search.run()
        return search

    def _make(self, item, way):
        packing = self.packing
        steps = []
        for point, after in zip([-1 - item, *way], [*way, -1 - item]):
            if point != BALANCE and point < 0:
                target = packing.room_of[after] if after >= 0 else packing.where[-1 - after]
                steps.append((-1 - point, packing.where[-1 - point], target))
        packing.make(steps)
        for one, origin, target in steps:
            self.free[origin].discard(one)
            self.free[target].add(one)
