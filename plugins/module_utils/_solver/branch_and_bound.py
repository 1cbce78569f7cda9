# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The best placement where a packing alone does not give it. PRIVATE to the collection.

Three rules cross what a packing knows: an object's addresses of both families behind separate doors of one room, its
teams in one failure domain, and a cap on moves. A packing without the rule is a bound. Where it breaks the rule, the
search branches on how to keep it, and goes on where the bound is lowest; so it ends with the best placement, in a time
that may be long.
"""

from __future__ import annotations

import heapq
from dataclasses import dataclass, replace
from typing import NamedTuple

from .min_cost_flow import fill, settle
from .model import (
    STICKY,
    Room,
    aims,
    count_crowding,
    count_moves,
    count_squares,
    first_conflict,
    ways_round,
    weights,
)
from .move_cap import between
from .packing import Packing
from .spread_groups import meetings
from .tie_break import first_by_name


class _Terms(NamedTuple):
    """What a branch of the search takes for given.

    ``banned``: (item, room) pairs that are not to be; ``present``: (items, domain) pairs of which some item is there.
    """

    banned: frozenset = frozenset()
    present: frozenset = frozenset()

    def also(self, more):
        """Return these terms and more of them."""
        return _Terms(self.banned | more.banned, self.present | more.present)

    def unseen(self, items):
        """Return {(group, domain): how many teams are sure to be there beyond the first}."""
        found = {}
        for members, domain in sorted(self.present, key=lambda pair: (len(pair[0]), sorted(pair[0]))):
            disjoint = found.setdefault((items[min(members)].group, domain), [])
            if all(members.isdisjoint(other) for other in disjoint):
                disjoint.append(members)
        return {key: len(disjoint) - 1 for key, disjoint in found.items()}


_NO_TERMS = _Terms()


@dataclass(frozen=True)
class _Bound:
    """What no placement under some terms is better than: ``aims``, met by ``placement`` unless there are branches.

    Each branch is further _Terms; together they leave no placement out. ``reach`` proves the bound for ``packing``.
    """

    aims: tuple
    placement: tuple
    branches: tuple
    packing: Packing
    reach: object


# How many items the bounds may have had in all before the order by name goes without further questions: some seconds.
_QUESTIONS = 100_000


def fewest_moves(items, rooms):
    """Return how many moves it takes to place most items."""
    packing = Packing(items, rooms, *weights(items, rooms, STICKY))
    fill(packing, packing.homes)
    at_rest = all(room != packing.nowhere and packing.price(item, room) == 0 for item, room in enumerate(packing.where))
    if at_rest and count_crowding(items, packing.where) == 0:
        # Everybody has a place, and nobody moves who could stay.
        return count_moves(items, packing.where)
    task = _Task(items, rooms, STICKY, None)
    return count_moves(items, task.search(task.bound()))


def is_met(packing, placement):
    """Tell whether a placement of a packing keeps the rules that the packing does not know, those on moves aside."""
    return first_conflict(packing.items, placement) is None and not meetings(packing, placement)


def best_placement(items, rooms, policy, most_moves=None):
    """Return the best placement, a tuple of rooms and None, with at most ``most_moves`` moves (None: any number).

    It is the best by the aims, however long that takes. To find the first by name of those that are as good, it asks
    no more than is bearable.
    """
    task = _Task(items, rooms, policy, most_moves)
    root = task.bound()
    best = task.search(root)
    wanted = task.aims(best)
    task.effort = _Effort(_QUESTIONS)
    if wanted > root.aims:
        return _first_by_asking(task, best, wanted)
    # All that are as good are ties of the root's packing.
    first_by_name(root.packing, root.reach, _Umpire(task, best, wanted))
    return root.packing.placement()


def _first_by_asking(task, best, wanted):
    """Bring the best placement to the first by name that is as good: ask for each item and each room it might have."""
    for item, one in enumerate(task.items):
        for room in one.ranked():
            if room == best[item]:
                break
            found = task.ask((*best[:item], room), wanted, best)
            if found is not None:
                best = found
                break
    return best


class _Umpire:
    """Says of each change that leaves the packing as cheap as it is whether it keeps the rules as well."""

    def __init__(self, task, start, wanted):
        self.task = task
        self.start = start
        self.wanted = wanted

    def instead(self, item, before, after):
        """Return a placement that is as good, with ``item`` where ``after`` has it, all before it where they are.

        If there is none, it is ``before``.
        """
        task = self.task
        if first_conflict(task.items, after) is None and task.aims(after) == self.wanted:
            return after
        return task.ask((*before[:item], after[item]), self.wanted, before) or before


class _Effort:
    """What is ``left`` of an allowance, in items."""

    def __init__(self, left):
        self.left = left


class _Task:
    """Items and rooms with the rules that cross. A search ends without an answer when no ``effort`` is left."""

    def __init__(self, items, rooms, policy, most_moves, effort=None):
        self.items = items
        self.rooms = rooms
        self.policy = policy
        self.most_moves = most_moves
        self.effort = effort or _Effort(float("inf"))

    def aims(self, placement):
        """Return what is least in the best placement."""
        return aims(self.items, self.rooms, self.policy, placement)

    def ask(self, seats, wanted, start):
        """Return a placement with ``wanted`` aims where the first items have these seats; None when there is none."""
        count = len(seats)
        moves = count_moves(self.items[:count], seats)
        rest = _Task(*_without(self.items, self.rooms, seats), self.policy, None, self.effort)
        limits = (limit for room in rest.rooms for limit in (room.free, *room.free_by_family))
        overfull = any(limit is not None and limit < 0 for limit in limits)
        if overfull or first_conflict(self.items, seats) or self.effort.left <= 0:
            return None
        if self.most_moves is not None:
            rest.most_moves = self.most_moves - moves
        crowding = count_crowding(self.items, seats)
        offset = (seats.count(None), crowding, *((moves, 0) if self.policy == STICKY else (0, moves)))
        wanted = tuple(total - part for total, part in zip(wanted, offset))
        found = rest.search(rest.bound(start=start[count:]), wanted)
        return None if found is None else (*seats, *found)

    def search(self, root, wanted=None):
        """Return the best placement by the aims; None when none as good as ``wanted`` is found."""
        queue, pushed = [], 0
        found = [(root, _NO_TERMS)]
        while True:
            for bound, terms in found:
                if bound is not None and (wanted is None or bound.aims <= wanted):
                    pushed += 1
                    # Of equal bounds the deepest, the one with most terms, is likely to end first.
                    entry = terms, bound.placement, bound.branches
                    heapq.heappush(queue, (bound.aims, -sum(map(len, terms)), pushed, entry))
            if not queue or self.effort.left <= 0:
                return None
            terms, placement, branches = heapq.heappop(queue)[-1]
            if not branches:
                return placement
            found = [(self.bound(terms.also(more), placement), terms.also(more)) for more in branches]

    def bound(self, terms=_NO_TERMS, start=None):
        """Return the _Bound of the placements under ``terms``; None when there is none."""
        self.effort.left -= len(self.items)
        free = self._settled(weights(self.items, self.rooms, self.policy), terms, start)
        if self.most_moves is None or count_moves(self.items, free[1]) <= self.most_moves:
            return self._met(*free, terms)
        calm = self._settled(weights(self.items, self.rooms, STICKY), terms, start)
        if count_moves(self.items, calm[1]) > self.most_moves:
            # What breaks a rule may be had for more moves only: one less with a place, say, may need fewer.
            branches = self._met(*calm, terms).branches
            return replace(self._met(*free, terms), branches=branches) if branches else None
        return self._capped(terms, calm, free[1])

    def _settled(self, prices, terms, start):
        packing = Packing(self.items, self.rooms, *prices, terms.banned)
        reach = settle(packing, start)
        return packing, packing.placement(), reach

    def _met(self, packing, placement, reach, terms):
        """Return the _Bound that ``placement`` meets, unless it breaks a rule that the packing does not know."""
        conflict, unseen = first_conflict(self.items, placement), terms.unseen(self.items)
        placed, crowding, *rest = self.aims(placement)
        met = meetings(packing, placement)
        crowding += sum(unseen.values()) - sum(len(teams) - 1 for teams in met.values())
        branches = [_Terms(bans) for bans in ways_round(self.items, placement, conflict)] if conflict else ()
        for (group, domain), teams in met.items():
            if not branches and len(teams) - 1 > unseen.get((group, domain), 0):
                branches = _ways_to_meet(domain, teams, terms)
        return _Bound((placed, crowding, *rest), placement, branches, packing, reach)

    def _capped(self, terms, calm, lively):
        """Close in on the cap from both sides: ``calm`` keeps it, ``lively`` is flatter and breaks it.

        A price on moves at which both cost the same gives the next placement between them. When there is none that is
        cheaper, both are cheapest at this price, which gives the bound.
        """
        calm = calm[1]
        while True:
            more_moves = count_moves(self.items, lively) - count_moves(self.items, calm)
            saving = count_squares(self.rooms, calm) - count_squares(self.rooms, lively)
            packing, middle, reach = self._settled((more_moves, saving), terms, calm)
            price, least = (
                more_moves * count_squares(self.rooms, each) + saving * count_moves(self.items, each)
                for each in (calm, middle)
            )
            if price == least:
                break
            if count_moves(self.items, middle) <= self.most_moves:
                calm = middle
            else:
                lively = middle
        calm = between(packing, lively, calm, self.most_moves)
        # Placements of equally many items have squares that are all even or all odd.
        squares = -((saving * self.most_moves - least) // more_moves)
        squares += (squares - count_squares(self.rooms, calm)) % 2
        met = self._met(packing, calm, reach, terms)
        if squares == count_squares(self.rooms, calm):
            return met
        moves = -((more_moves * squares - least) // saving)
        return _Bound((*met.aims[:2], squares, moves), calm, _ways_to_keep(self.items, calm, lively), packing, reach)


def _without(items, rooms, seats):
    """Return the items that have no seat yet, and the rooms as those with seats leave them."""
    groups, domains, rooms = {}, {}, list(rooms)
    for item, seat in zip(items, seats):
        if seat is not None:
            room, families = rooms[seat], (item.family == 4, item.family == 6)
            less = (limit if limit is None else limit - own for limit, own in zip(room.free_by_family, families))
            rooms[seat] = Room(room.load + 1, None if room.free is None else room.free - 1, tuple(less))
            groups.setdefault(item.group, set()).add(seat)
            if item.domains:
                domains.setdefault(item.group, set()).add(item.domains[seat])
    rest = []
    for item in items[len(seats) :]:
        taken = groups.get(item.group, ())
        open_rooms = tuple(room for room in item.rooms if room not in taken) if taken else item.rooms
        rest.append(item._replace(rooms=open_rooms, taken=item.taken.union(domains.get(item.group, ()))))
    return rest, rooms


def _ways_to_keep(items, calm, lively):
    """Return the bans of both answers to one question: does the first item that only ``calm`` keeps move?"""
    number, item = next(
        (number, item)
        for number, item in enumerate(items)
        if calm[number] in item.holders and lively[number] not in item.holders
    )
    return (
        _Terms(frozenset((number, room) for room in item.rooms if room not in item.holders)),
        _Terms(frozenset((number, room) for room in item.holders)),
    )


def _ways_to_meet(domain, teams, terms):
    """Return the terms of both answers to one question: is one of these teams in the domain?"""
    members = ((team, frozenset(team.members)) for team in teams)
    team, asked = next(pair for pair in members if (pair[1], domain) not in terms.present)
    banned = frozenset((one, room) for one in asked for room in team.parts[domain])
    return _Terms(banned), _Terms(present=frozenset([(asked, domain)]))
