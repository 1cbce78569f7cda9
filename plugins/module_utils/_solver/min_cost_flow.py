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
        packing.name_members()
        reach = Reach(packing)
        if not reach.improvements:
            return reach
        for steps in reach.improvements:
            packing.shift(steps)


def fill(packing, places):
    """Fill an empty packing, given for each item the rooms to try first; those left go to the least loaded ones.

    Who finds a failure domain of its own nowhere is put beside others in the end.
    """
    for is_refused in (_is_refused, _is_hindered) if packing.teams else (_is_hindered,):
        _fill_places(packing, places, is_refused)
        _fill_least_loaded(packing, is_refused)
    packing.name_members()


def _fill_places(packing, places, is_refused):
    for item, rooms in enumerate(places):
        if packing.where[item] is None:
            packing.enter(item, _first_that_fits(packing, item, rooms, is_refused))
        elif packing.where[item] == packing.nowhere:
            packing.make([(item, _first_that_fits(packing, item, rooms, is_refused))])


def _first_that_fits(packing, item, rooms, is_refused):
    """Return the first of the rooms that is not refused, or nowhere."""
    allowed = packing.allowed[packing.kind[item]]
    for room in sorted(rooms) if len(rooms) > 1 else rooms:
        if room in allowed and not is_refused(packing, item, room):
            return room
    return packing.nowhere


def _is_hindered(packing, item, room):
    return packing.has_mate(item, room) or not packing.fits(item, room)


def _is_refused(packing, item, room):
    return _is_hindered(packing, item, room) or packing.meets_group(item, room)


def _by_choices(packing, items):
    """Return (choices, items) for the items with equal choices, those with fewest choices first."""
    kinds = {}
    for item in items:
        kinds.setdefault(packing.kind[item], []).append(item)
    found = [(packing.choices[kind], members) for kind, members in kinds.items()]
    return sorted(found, key=lambda pair: (len(pair[0]), pair[1][0]))


def _fill_least_loaded(packing, is_refused):
    """Give every item without a room the least loaded one of its choices that is not refused."""
    homeless = [item for item, room in enumerate(packing.where) if room == packing.nowhere]
    for choices, items in _by_choices(packing, homeless):
        heap = [(packing.load[room], room) for room in choices if not packing.is_full(room)]
        heapq.heapify(heap)
        for item in items:
            refused = []
            while heap and is_refused(packing, item, heap[0][1]):
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

    ``pools[team, domain]``: the same for one member of a team more in a domain, ``pools[team, None]`` for one more that
    has no domain yet. Of domains without a member it is that of None.
    """

    def __init__(self, packing):
        self.packing = packing
        self.cost = [_INFINITY] * len(packing.room_of)
        self.hand = {}
        self.pools = {}
        self.improvements = []
        # Who came in by a door: None (its room bears one less), a door (>= 0), an item (-1 - item), or a pool's key.
        self._entered = [None] * len(packing.room_of)
        self._entered_pool = {}
        # By whom an item was taken out, for those in ``hand``. The others left by their doors.
        self._taken_by = {}
        # For each kind, and each (layout, domain): the least cost at which an item could go to any of its rooms, and
        # the rooms that are not reached so because mates are there.
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
            if key < 0:
                self._free(bundle, door, cost)
            elif not family_doors or packing.door_of[kind][room] == door:
                self._spread(kind, cost + packing.move * at_home, bundle)
        for item in packing.strayed[room]:
            if not family_doors or packing.door(item, room) == door:
                self._go_home(item, cost - packing.price(item, room))

    def _go_on(self, item):
        """Go on from an item that a mate has taken out of its slot."""
        if item in self.packing.team_of:
            team = self.packing.team_of[item]
            self._reach_pool(team, team.domain(self.packing.where[item]), self.hand[item], -1 - item)
            return
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
        mate = self.packing.tenant(item, self.packing.door(item, room))
        if mate != item:
            self._take_out(mate, cost, -1 - item)

    def _take_out(self, item, cost, source):
        """Let an item be taken out of its slot, to the door of which it costs as much to get."""
        cost -= self.packing.price(item, self.packing.where[item])
        if cost < self.hand.get(item, _INFINITY) and not self.improvements:
            self._refuse_cycle(-1 - item, source)
            self.hand[item], self._taken_by[item] = cost, source
            self._waiting.append(item)

    def _free(self, items, door, cost):
        """Go on with those items of a team that can leave by a door."""
        packing = self.packing
        for item in items:
            room, team = packing.where[item], packing.team_of[item]
            domain, free = team.domain(room), cost - packing.price(item, room)
            if packing.door(item, room) == door and free < self.pools.get((team.number, domain), _INFINITY):
                self._leave_by_door(item, free + packing.away[item])
                self._reach_pool(team, domain, free, -1 - item)

    def _reach_pool(self, team, domain, cost, source):
        """Have one member more in a domain, or without one yet."""
        pool, crowd = (team.number, domain), self.packing.crowd
        if cost >= self.pools.get(pool, _INFINITY) or self.improvements:
            return
        if pool in self.pools:
            self._refuse_cycle(pool, source)
        self.pools[pool], self._entered_pool[pool] = cost, source
        if domain is None:
            for other in team.occupied():
                self._reach_pool(team, other, cost + crowd, pool)
        else:
            self._reach_pool(team, None, cost - crowd * team.is_crowded(domain), pool)
        self._enter(team, domain, cost, pool)

    def _enter(self, team, domain, cost, pool):
        """Bring one member more into the rooms of a domain, or of all domains where none is."""
        packing, first = self.packing, team.members[0]
        away, doors = cost + packing.away[first], packing.door_of[packing.kind[first]]
        least, rooms = self._covered.get((team.layout, domain), (_INFINITY, ()))
        if away < least:
            rooms = team.parts.get(domain, ())
        elif away > least:
            rooms = [room for room in rooms if away < self.cost[doors[room]]]
        left = [room for room in rooms if not self._step_in(team, domain, room, away, pool)]
        if away <= least:
            self._covered[team.layout, domain] = away, left
        for home in team.homes:
            if domain in (None, team.domain(home)):
                self._step_in(team, domain, home, cost, pool)
        if domain is None:
            self._reach(packing.nowhere, away, pool)

    def _step_in(self, team, domain, room, cost, pool):
        """Reach a room from a pool, be it that a member of another team gives way; tell whether none has to."""
        packing, first = self.packing, team.members[0]
        if domain is None and team.is_in(team.domain(room)):
            return False
        door = packing.door(first, room)
        mate = packing.tenant(first, door)
        if mate is None:
            self._reach(door, cost, pool)
        elif packing.team_of[mate] is not team and cost < self.cost[door]:
            self._take_out(mate, cost, pool)
        return mate is None

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
        if isinstance(point, tuple):
            return self._entered_pool[point]
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
            self.improvements.append(self._steps(_turned([*self._walk(source, point)])))

    def _walk(self, point, end):
        """Yield the points of the way backwards from ``point`` up to ``end``."""
        while point is not None:
            yield point
            if point == end:
                return
            point = self._before(point)

    def _steps(self, points):
        """Return the steps of a way, which is given backwards: each item goes to the door or slot that follows it."""
        packing, steps, target = self.packing, [], None
        for number, point in enumerate(points):
            if isinstance(point, tuple):
                continue
            if point >= 0:
                target = packing.room_of[point]
            else:
                if number:
                    steps.append((-1 - point, packing.where[-1 - point], target))
                target = packing.where[-1 - point]
        return steps


def _turned(cycle):
    """Return the points of a cycle from one that is no pool to itself."""
    first = next(number for number, point in enumerate(cycle) if not isinstance(point, tuple))
    return [*cycle[first:], *cycle[: first + 1]]
