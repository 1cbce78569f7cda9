# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The cheapest packing: start near it, then go along improving paths until there is none. PRIVATE to the collection.

A path takes an item out of a room and brings it into another one, where an item may have to give way in turn. With
the room that bears one less and the room that bears one more, it is a cycle of a flow; and a flow is cheapest
exactly when no cycle makes it cheaper. How the start was found does not matter for that, only for the time.
"""

from __future__ import annotations

import heapq

_INFINITY = float("inf")


def settle(packing, start=None):
    """Bring the packing to its least cost; return the Reach that proves it. ``start`` is a placement near it."""
    fill(packing, [[room] for room in start] if start else packing.homes)
    _level(packing)
    while True:
        reach = Reach(packing)
        if not reach.improvements:
            return reach
        for steps in reach.improvements:
            packing.shift(steps)


def fill(packing, places):
    """Fill an empty packing, given for each item the rooms to try first; those left go to the least loaded ones."""
    for item, rooms in enumerate(places):
        packing.enter(item, _first_that_fits(packing, item, rooms))
    _fill_least_loaded(packing)


def _first_that_fits(packing, item, rooms):
    """Return the first of the rooms where the item has a place and no mate, or nowhere."""
    allowed = packing.allowed[packing.kind[item]]
    for room in sorted(rooms) if len(rooms) > 1 else rooms:
        if room in allowed and packing.fits(item, room) and not packing.has_mate(item, room):
            return room
    return packing.nowhere


def _by_choices(packing, items):
    """Return (choices, items) for the items with equal choices, those with fewest choices first."""
    kinds = {}
    for item in items:
        kinds.setdefault(packing.kind[item], []).append(item)
    found = [(packing.choices[kind], members) for kind, members in kinds.items()]
    return sorted(found, key=lambda pair: (len(pair[0]), pair[1][0]))


def _fill_least_loaded(packing):
    """Give every item without a room the least loaded one of its choices."""
    homeless = [item for item, room in enumerate(packing.where) if room == packing.nowhere]
    for choices, items in _by_choices(packing, homeless):
        heap = [(packing.load[room], room) for room in choices if not packing.is_full(room)]
        heapq.heapify(heap)
        for item in items:
            refused = []
            while heap and (packing.has_mate(item, heap[0][1]) or not packing.fits(item, heap[0][1])):
                refused.append(heapq.heappop(heap))
            if heap:
                load, room = heap[0]
                packing.make([(item, room)])
                heapq.heapreplace(heap, (load + 1, room))
            for entry in refused:
                heapq.heappush(heap, entry)
            if heap and packing.is_full(heap[0][1]):
                heap = [entry for entry in heap if not packing.is_full(entry[1])]
                heapq.heapify(heap)


def _level(packing):
    """Bring items from the most to the least loaded of their choices, one step each, while that saves."""
    placed = [item for item, room in enumerate(packing.where) if room != packing.nowhere]
    for choices, items in _by_choices(packing, placed):
        inside = {}
        for item in items:
            inside.setdefault(packing.where[item], []).append(item)
        for room, found in inside.items():
            # Taken from the end: those that are not at home go first.
            found.sort(key=lambda item, room=room: room in packing.homes[item], reverse=True)
        low = [(packing.load[room], room) for room in choices]
        high = [(-packing.load[room], room) for room in inside]
        heapq.heapify(low)
        heapq.heapify(high)
        while low and high:
            (load, room), (negative, origin) = low[0], high[0]
            if load != packing.load[room] or packing.is_full(room):
                heapq.heappop(low)
                if load != packing.load[room]:
                    heapq.heappush(low, (packing.load[room], room))
                continue
            if -negative - load < 2:
                break
            item = inside[origin].pop()
            if not packing.has_mate(item, room) and packing.shift([(item, origin, room)]):
                heapq.heapreplace(low, (load + 1, room))
                heapq.heapreplace(high, (negative + 1, origin))
            if not inside[origin]:
                high = [entry for entry in high if entry[1] != origin]
                heapq.heapify(high)


class Reach:
    """The cheapest way to every door, from the thought that one room bears one less.

    ``cost[door]``: what the ways so far change when one item more stands at the door. ``hand[item]``: the same when
    the item has been taken out of its slot by a mate, where that is cheaper than through its door. ``improvements``:
    lists of steps, (item, from, to), that make the packing cheaper; when it is empty, the costs are a potential that
    proves that no cycle does. Costs may be negative (an item that comes home), so a door may be left more than once.
    """

    def __init__(self, packing):
        self.packing = packing
        self.cost = [_INFINITY] * len(packing.room_of)
        self.hand = {}
        self.improvements = []
        # Who came in by a door: None (its room bears one less), a door (>= 0) or an item (-1 - item).
        self._entered = [None] * len(packing.room_of)
        # By whom an item was taken out, for those in ``hand``. The others left by their doors.
        self._taken_by = {}
        # For each kind: the least cost at which an item could go to any of its rooms, and the rooms that are not
        # reached so because mates are there.
        self._covered = {}
        self._heap, self._waiting = [], []
        self._search()

    def _search(self):
        packing = self.packing
        for room, bundles in enumerate(packing.bundles):
            if bundles:
                self.cost[room] = -packing.last_price(room)
                self._heap.append((self.cost[room], room))
        heapq.heapify(self._heap)
        closing = {}
        while self._heap and not self.improvements:
            cost, door = heapq.heappop(self._heap)
            if cost != self.cost[door]:
                continue
            self._pass(door, cost)
            while self._waiting and not self.improvements:
                self._go_on(self._waiting.pop())
            room = packing.room_of[door]
            if door == room != packing.nowhere and not packing.is_full(room):
                gain = cost + packing.next_price(room)
                if gain < 0:
                    closing[door] = gain
        if not self.improvements:
            ordered = sorted(closing, key=lambda door: (closing[door], door))
            self.improvements = [self._steps(list(self._walk(door, None))) for door in ordered]

    def _pass(self, door, cost):
        """Go on from a door: through other doors of its room, and with the items that can leave by it."""
        packing = self.packing
        room = packing.room_of[door]
        family_doors = packing.family_doors.get(room, ())
        if door != room:
            if packing.door_count[door] < packing.door_limit[door]:
                self._reach(room, cost, door)
        else:
            for other in family_doors:
                if packing.door_count[other]:
                    self._reach(other, cost, door)
        for key, bundle in packing.bundles[room].items():
            kind, at_home = divmod(key, 2)
            if not family_doors or packing.door_of[kind][room] == door:
                self._spread(kind, cost + packing.move * at_home, bundle)
        for item in packing.strayed[room]:
            if not family_doors or packing.door(item, room) == door:
                self._go_home(item, cost - packing.price(item, room))

    def _go_on(self, item):
        """Go on from an item that a mate has taken out of its slot."""
        self._spread(self.packing.kind[item], self.hand[item] + self.packing.away[item], (item,))
        self._go_home(item, self.hand[item])

    def _spread(self, kind, cost, items):
        """Bring items of one kind, which can all be had, to the rooms that are no homes at ``cost``."""
        packing, doors = self.packing, self.packing.door_of[kind]
        least, rooms = self._covered.get(kind, (_INFINITY, ()))
        if cost < least:
            rooms = (*packing.choices[kind], packing.nowhere)
        elif cost > least:
            rooms = [room for room in rooms if cost < self.cost[doors[room]]]
        rooms = self._offer(items, cost, rooms, packing.has_mate)
        if packing.family_doors:
            rooms = self._offer(items, cost, rooms, lambda item, room: packing.tenant(item, doors[room]) is not None)
        for room in rooms:
            if cost < self.cost[doors[room]]:
                for item in items:
                    self._displace(item, room, cost)
        if cost <= least:
            self._covered[kind] = cost, rooms

    def _offer(self, items, cost, rooms, is_hindered):
        """Bring the items to the rooms, each by the first that is not hindered; return the rooms that are left."""
        for item in items:
            if not rooms:
                break
            self._leave_by_door(item, cost)
            doors, blocked = self.packing.door_of[self.packing.kind[item]], ()
            if self.packing.places[item]:
                blocked = [room for room in rooms if is_hindered(item, room)]
            for room in set(rooms).difference(blocked) if blocked else rooms:
                if cost < self.cost[doors[room]]:
                    self._reach(doors[room], cost, -1 - item)
            rooms = blocked
        return rooms

    def _go_home(self, item, cost):
        packing = self.packing
        self._leave_by_door(item, cost + packing.away[item])
        for home in packing.homes[item]:
            door = packing.door(item, home)
            if home != packing.where[item] and cost < self.cost[door]:
                if packing.tenant(item, door) is None:
                    self._reach(door, cost, -1 - item)
                else:
                    self._displace(item, home, cost)

    def _displace(self, item, room, cost):
        """Let an item take the slot of a mate, which costs as much as to get to the door of the room."""
        packing = self.packing
        mate = packing.tenant(item, packing.door(item, room))
        cost -= packing.price(mate, room)
        if mate != item and cost < self.hand.get(mate, _INFINITY) and not self.improvements:
            self._refuse_cycle(-1 - mate, -1 - item)
            self.hand[mate], self._taken_by[mate] = cost, -1 - item
            self._waiting.append(mate)

    def _leave_by_door(self, item, cost):
        """Forget that a mate has taken ``item`` out, if by its door it can go to others' rooms for less."""
        if item in self.hand and self.hand[item] + self.packing.away[item] > cost and not self.improvements:
            self._refuse_cycle(-1 - item, self.packing.door(item, self.packing.where[item]))
            del self.hand[item], self._taken_by[item]

    def _reach(self, door, cost, source):
        if cost < self.cost[door] and not self.improvements:
            if self.cost[door] < _INFINITY:
                self._refuse_cycle(door, source)
            self.cost[door] = cost
            self._entered[door] = source
            heapq.heappush(self._heap, (cost, door))

    def _before(self, point):
        if point >= 0:
            return self._entered[point]
        item = -1 - point
        return self._taken_by[item] if item in self.hand else self.packing.door(item, self.packing.where[item])

    def _refuse_cycle(self, point, source):
        """Look whether the cheaper way to ``point`` leads over itself: then the cycle is an improvement."""
        before = source
        while before is not None and before != point:
            before = self._before(before)
        if before is not None:
            self.improvements.append(self._steps([point, *self._walk(source, point)]))

    def _walk(self, point, end):
        """Yield the points of the way backwards from ``point`` up to ``end``."""
        while point is not None:
            yield point
            if point == end:
                return
            point = self._before(point)

    def _steps(self, points):
        """Return the steps of a way, which is given backwards: each item goes to the point that follows it."""
        packing = self.packing
        steps = []
        for after, point in zip(points, points[1:]):
            if point < 0:
                target = packing.room_of[after] if after >= 0 else packing.where[-1 - after]
                steps.append((-1 - point, packing.where[-1 - point], target))
        return steps
