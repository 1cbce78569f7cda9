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


def settle(packing):
    """Bring the packing to its least cost; return the Reach that proves it."""
    _stay_at_home(packing)
    _fill_least_loaded(packing)
    _level(packing)
    while True:
        reach = Reach(packing)
        if not reach.improvements:
            return reach
        for steps in reach.improvements:
            packing.shift(steps)


def _stay_at_home(packing):
    for item, homes in enumerate(packing.homes):
        home = next((room for room in sorted(homes) if packing.fits(item, room)), None)
        if home is not None:
            packing.put(item, home)


def _by_choices(packing, items):
    """Return the items with equal choices together, those with fewest choices first."""
    classes = {}
    for item in items:
        classes.setdefault(packing.kind[item], []).append(item)
    found = [(packing.kinds[kind], members) for kind, members in classes.items()]
    return sorted(found, key=lambda pair: (len(pair[0]), pair[1][0]))


def _fill_least_loaded(packing):
    """Give every item without a room the least loaded one of its choices."""
    for choices, items in _by_choices(packing, sorted(packing.members[packing.nowhere])):
        heap = [(packing.load[room], room) for room in choices if not packing.is_full(room)]
        heapq.heapify(heap)
        for item in items:
            refused = []
            while heap and not packing.fits(item, heap[0][1]):
                refused.append(heapq.heappop(heap))
            if heap:
                load, room = heap[0]
                packing.put(item, room)
                heapq.heapreplace(heap, (load + 1, room))
            for entry in refused:
                heapq.heappush(heap, entry)
            if heap and packing.is_full(heap[0][1]):
                heap = [entry for entry in heap if not packing.is_full(entry[1])]
                heapq.heapify(heap)


def _level(packing):
    """Bring items from the most to the least loaded of their choices, one step each, while that saves."""
    placed = (item for item, room in enumerate(packing.where) if room != packing.nowhere)
    for choices, items in _by_choices(packing, placed):
        inside = {}
        for item in items:
            inside.setdefault(packing.where[item], []).append(item)
        for room, found in inside.items():
            # Taken from the end: those that are not at home go first.
            found.sort(key=lambda item, room=room: room in packing.homes[item])
            found.reverse()
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
            if packing.shift([(item, origin, room)]):
                heapq.heapreplace(low, (load + 1, room))
                heapq.heapreplace(high, (negative + 1, origin))
            if not inside[origin]:
                high = [entry for entry in high if entry[1] != origin]
                heapq.heapify(high)


class Reach:
    """The cheapest way to every door, from the thought that one room bears one less.

    ``cost[door]``: what the ways so far change when one item more stands at the door. ``improvements``: lists of
    steps, (item, from, to), that make the packing cheaper; when it is empty, ``cost`` is a potential that proves that
    no cycle does. Costs may be negative (an item that comes home), so a door may be left more than once.
    """

    def __init__(self, packing):
        self.packing = packing
        count = len(packing.room_of)
        self.cost = [_INFINITY] * count
        self.improvements = []
        # Who came in by a door: None (its room bears one less), a door (>= 0) or an item (-1 - item).
        self._entered = [None] * count
        # How an item came to leave: through a door (>= 0), or for an item that takes its slot (-1 - item).
        self._left = {}
        self._hand = {}
        # For equal choices: the least cost at which an item could go to any of them, and the rooms where a slot was
        # taken by a mate of that item.
        self._covered = {}
        self._heap = []
        self._search()

    def _search(self):
        packing = self.packing
        for room, members in enumerate(packing.members):
            if members:
                self.cost[room] = -packing.last_price(room)
                self._heap.append((self.cost[room], room))
        heapq.heapify(self._heap)
        closing = {}
        while self._heap and not self.improvements:
            cost, door = heapq.heappop(self._heap)
            if cost == self.cost[door]:
                self._pass(door, cost)
                room = packing.room_of[door]
                if door == room != packing.nowhere and not packing.is_full(room):
                    gain = cost + packing.next_price(room)
                    if gain < 0:
                        closing[door] = gain
        if not self.improvements:
            ordered = sorted(closing, key=lambda door: (closing[door], door))
            self.improvements = [self._steps_to(door) for door in ordered]

    def _pass(self, door, cost):
        """Go on from a door: through other doors of its room, and with each item that can leave by it."""
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
        hand, homes, away, doors = self._hand, packing.homes, packing.away, packing.doors
        for item in packing.members[room]:
            if family_doors and doors[item][room] != door:
                continue
            value = cost if room in homes[item] else cost - away[item]
            if value < hand.get(item, _INFINITY):
                self._take(item, value, door)

    def _take(self, item, value, source):
        """Note that ``item`` can be had at a cost, and where it and its mates can go then."""
        pending = [(item, value, source)]
        while pending and not self.improvements:
            item, value, source = pending.pop()  # noqa: PLW2901
            known = self._hand.get(item)
            if known is not None:
                if value >= known:
                    continue
                self._refuse_cycle(-1 - item, source)
            self._hand[item] = value
            self._left[item] = source
            self._spread(item, value)
            pending.extend(self._displaced(item, value))

    def _spread(self, item, value):
        packing = self.packing
        cost, doors, costs = value + packing.away[item], packing.doors[item], self.cost
        for home in packing.homes[item]:
            if value < costs[doors[home]] and packing.tenant(item, home) is None:
                self._reach(doors[home], value, -1 - item)
        if cost < costs[packing.nowhere]:
            self._reach(packing.nowhere, cost, -1 - item)
        key = (packing.kind[item], packing.items[item].family)
        least, open_rooms = self._covered.get(key, (_INFINITY, ()))
        if cost < least:
            least, open_rooms = cost, packing.choices[item]
        elif not open_rooms:
            return
        blocked = []
        for room in open_rooms:
            if packing.mates[item] and packing.tenant(item, room) is not None:
                blocked.append(room)
            elif cost < costs[doors[room]]:
                self._reach(doors[room], cost, -1 - item)
        self._covered[key] = (least, blocked if cost == least else open_rooms)

    def _displaced(self, item, value):
        """Yield (mate, value, source) for each mate whose slot the item could take."""
        packing = self.packing
        for mate in packing.mates[item]:
            room = packing.where[mate]
            if mate == item or room == packing.nowhere or room not in packing.allowed[item]:
                continue
            if packing.tenant(item, room) != mate:
                continue
            yield mate, value + packing.price(item, room) - packing.price(mate, room), -1 - item

    def _reach(self, door, cost, source):
        if cost < self.cost[door] and not self.improvements:
            if self.cost[door] < _INFINITY:
                self._refuse_cycle(door, source)
            self.cost[door] = cost
            self._entered[door] = source
            heapq.heappush(self._heap, (cost, door))

    def _before(self, point):
        return self._entered[point] if point >= 0 else self._left[-1 - point]

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

    def _steps_to(self, door):
        return self._steps(list(self._walk(door, None)))

    def _steps(self, points):
        """Return the steps of a way, which is given backwards: each item goes to the point that follows it."""
        packing = self.packing
        steps = []
        for after, point in zip(points, points[1:]):
            if point < 0:
                target = packing.room_of[after] if after >= 0 else packing.where[-1 - after]
                steps.append((-1 - point, packing.where[-1 - point], target))
        return steps
