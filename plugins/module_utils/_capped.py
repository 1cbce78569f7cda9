# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The flattest placement under a cap on moves. PRIVATE to the collection.

A cap is one constraint too many for a flow. The aims (most items, flat load, few moves, the order by name) become the
digits of one integer cost; a price on moves, raised until the cap is met, gives a bound; where that does not settle
it, the search branches. It ends with the best placement, in a time that may be long for many items.
"""

from __future__ import annotations

import heapq
from dataclasses import dataclass

from ._flow import Gate, cheapest_flow
from ._items import BALANCED, STICKY, count_moves, first_conflict, ways_round


class _World:
    """The items and rooms, their gates, and what a placement costs."""

    def __init__(self, items, rooms):
        self.items = items
        self.rooms = rooms
        base = max((len(item.rooms) for item in items), default=0) + 1
        self._powers = [base**power for power in reversed(range(len(items)))]
        self._names = base ** len(items)
        self._most_moves = len(items) + 1
        self._most_squares = (sum(room.load for room in rooms) + len(items)) ** 2 + 1
        self._limited = self._limited_families()
        self.gates, self.doors = self._build_gates()

    def weights(self, policy):
        """Return the weights of one square, one move and one item without a place."""
        if policy == STICKY:
            square, move = self._names, self._names * self._most_squares
        else:
            square, move = self._names * self._most_moves, self._names
        # A weight added to moves for a cap stays below all squares together, and an item without place above that.
        return square, move, self._names * self._most_moves * self._most_squares * (len(self.items) + 1)

    def flow(self, policy, banned=frozenset(), scale=1, per_move=0):
        """Return the cheapest placement, a list of rooms and None; ``banned`` holds (item, room) pairs.

        All costs are multiplied by ``scale``, then ``per_move`` is added for each move.
        """
        square, move, nowhere = (weight * scale for weight in self.weights(policy))
        move += per_move
        gates = [Gate(gate.capacity, gate.parent, gate.load, square if gate.weight else 0) for gate in self.gates]
        routes = []
        for number, item in enumerate(self.items):
            routes.append({0: self._digit(number, len(item.rooms)) * scale + nowhere + move * item.held})
            for rank, room in enumerate(item.rooms):
                if (number, room) not in banned:
                    moved = move * (item.held and room not in item.holders)
                    routes[number][self.doors[number, room]] = self._digit(number, rank) * scale + moved
        room_of = {(number, door): room for (number, room), door in self.doors.items()}
        return [room_of.get((number, gate)) for number, gate in enumerate(cheapest_flow(gates, routes))]

    def cost(self, placement, policy):
        """Return the cost that ``flow`` makes least."""
        square, move, nowhere = self.weights(policy)
        cost = square * self._squares(placement) + move * count_moves(self.items, placement)
        for number, (item, room) in enumerate(zip(self.items, placement)):
            rank = len(item.rooms) if room is None else item.rooms.index(room)
            cost += self._digit(number, rank) + nowhere * (room is None)
        return cost

    def _digit(self, number, rank):
        return rank * self._powers[number]

    def _squares(self, placement):
        loads = [room.load for room in self.rooms]
        for room in placement:
            if room is not None:
                loads[room] += 1
        return sum(load * load for load in loads) - sum(room.load**2 for room in self.rooms)

    def _limited_families(self):
        """Return the (room, family) pairs whose limit can be felt."""
        wanted, total = {}, {}
        for item in self.items:
            for room in item.rooms:
                wanted[room, item.family] = wanted.get((room, item.family), 0) + 1
                total[room] = total.get(room, 0) + 1
        limited = set()
        for (room, family), count in wanted.items():
            free, most = self.rooms[room].free_for(family), self.rooms[room].free
            if free is not None and free < min(count, count if most is None else most):
                limited.add((room, family))
        return limited

    def _build_gates(self):
        """Return the gates, and the gate by which each (item, room) goes in. Gate 0 is for items without a place."""
        gates = [Gate()] + [Gate(room.free, None, room.load, 1) for room in self.rooms]
        families, groups, doors = {}, {}, {}
        for room, family in sorted(self._limited):
            families[room, family] = len(gates)
            gates.append(Gate(self.rooms[room].free_for(family), room + 1))
        sharers = self._sharers()
        for number, item in enumerate(self.items):
            for room in item.rooms:
                parent = families.get((room, item.family), room + 1)
                of_group = sharers[item.group, room]
                if len(of_group) > 1:
                    # Where families have gates of their own the group's gate must lie below them: one for each family.
                    apart = any((room, family) in self._limited for family in of_group)
                    key = (item.group, room, item.family if apart else None)
                    if key not in groups:
                        groups[key] = len(gates)
                        gates.append(Gate(1, parent))
                    parent = groups[key]
                doors[number, room] = parent
        return gates, doors

    def _sharers(self):
        """Return the families of each group's items that may go into one room."""
        sharers = {}
        for item in self.items:
            for room in item.rooms:
                sharers.setdefault((item.group, room), []).append(item.family)
        return sharers


@dataclass(frozen=True)
class _Relaxed:
    """A bound on the cost of every placement under some bans; ``placement`` is the best one unless there are branches.

    Each branch is a set of further bans; together they leave no placement out.
    """

    bound: int
    placement: list
    branches: tuple = ()


def capped_placement(items, rooms, most_moves):
    """Return the flattest placement with at most ``most_moves`` moves, searching on where the bound is lowest."""
    world = _World(items, rooms)
    queue, pushed = [], 0
    open_bans = (frozenset(),)
    while True:
        for banned in open_bans:
            relaxed = _relax(world, banned, most_moves)
            if relaxed is not None:
                pushed += 1
                heapq.heappush(queue, (relaxed.bound, pushed, banned, relaxed))
        banned, relaxed = heapq.heappop(queue)[2:]
        if not relaxed.branches:
            return tuple(relaxed.placement)
        open_bans = [banned | more for more in relaxed.branches]


def _ways_round_conflict(world, placement):
    conflict = first_conflict(world.items, placement)
    return ways_round(world.items, placement, conflict) if conflict else ()


def _relax(world, banned, most_moves):
    """Return what the flow says about the placements that avoid ``banned``; None when no best one is among them."""
    placement = world.flow(BALANCED, banned)
    cost = world.cost(placement, BALANCED)
    if count_moves(world.items, placement) <= most_moves:
        return _Relaxed(cost, placement, _ways_round_conflict(world, placement))
    calm = world.flow(STICKY, banned)
    if count_moves(world.items, calm) > most_moves:
        branches = _ways_round_conflict(world, calm)
        return _Relaxed(cost, calm, branches) if branches else None
    return _relax_cap(world, banned, most_moves, calm, placement)


def _relax_cap(world, banned, most_moves, calm, lively):
    """Close in on the cap from both sides: ``calm`` keeps it, ``lively`` costs less and breaks it.

    A price on moves, at which both cost the same, gives the next placement between them. When there is none, the
    price gives the bound, and mostly ``calm`` meets it.
    """
    while True:
        more_moves = count_moves(world.items, lively) - count_moves(world.items, calm)
        saving = world.cost(calm, BALANCED) - world.cost(lively, BALANCED)
        middle = world.flow(BALANCED, banned, more_moves, saving)
        priced = [
            more_moves * world.cost(each, BALANCED) + saving * count_moves(world.items, each) for each in (middle, calm)
        ]
        if priced[0] == priced[1]:
            break
        if count_moves(world.items, middle) <= most_moves:
            calm = middle
        else:
            lively = middle
    bound = -((saving * most_moves - priced[1]) // more_moves)
    # Placements of equally many addresses have squares that are all even or all odd, so a flatter one saves two.
    square = world.weights(BALANCED)[0]
    cost = world.cost(calm, BALANCED)
    if bound == cost or bound >= (cost // square - 1) * square:
        return _Relaxed(cost, calm, _ways_round_conflict(world, calm))
    return _Relaxed(bound, calm, _ways_to_keep(world, calm, lively))


def _ways_to_keep(world, calm, lively):
    """Return the bans of both answers to one question: does the first item that only ``calm`` keeps move?"""
    number, item = next(
        (number, item)
        for number, item in enumerate(world.items)
        if calm[number] in item.holders and lively[number] not in item.holders
    )
    return (
        frozenset((number, room) for room in item.rooms if room not in item.holders),
        frozenset((number, room) for room in item.holders),
    )
