# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Level loads of items whose weights differ. PRIVATE to the collection.

To find the flattest load is NP-hard then (two rooms: the partition problem). A local search starts from a placement
that has fewest items crowded, and keeps it so: an item goes to another room, or changes places with a
lighter one. Small worlds are searched through. ``at_least`` bounds what else there may be.

A plan applied to itself moves nothing: what ends the search does not depend on where items were, and what a full search
finds is taken only if it saw everything.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from itertools import islice
from typing import NamedTuple

from .weighted_bound import at_least
from .weighted_exhaustive import search_through
from .weighted_state import Seats

# Into how many of the least loaded rooms an item tries to get.
_LOWEST = 8


class Leveled(NamedTuple):
    """``rooms``: each item's room; ``exact``: whether it is the best by the aims of all.

    ``at_least``: what the squares of no placement are below; None where that is this one's own.
    """

    rooms: tuple
    exact: bool
    at_least: int | None


def level(items, rooms, start, most_moves):
    """Return the Leveled placement from ``start``, in which all have a room and fewest are crowded.

    It has at most ``most_moves`` moves; None: any number.
    """
    cap = len(items) if most_moves is None else most_moves
    seats = Seats(items, rooms, start)
    _Descent(seats, cap).run()
    placement, flattest, exact = search_through(items, rooms, seats, cap)
    squares = Seats(items, rooms, placement).squares
    least = squares if flattest else at_least(items, rooms, placement, cap)
    return Leveled(placement, exact, None if least == squares else least)


class _Descent:
    """Changes of one item's room, or of two items' rooms, each of which makes the load flatter, or saves moves."""

    def __init__(self, seats, most_moves):
        self.seats, self.items = seats, seats.items
        self.most_moves, self.crowding = most_moves, seats.crowding
        # How much flatter a move has to make the load now.
        self.gain = 0
        self.lightest = min((item.weight for item in self.items), default=0)
        # The rooms of each kind of items by load, and of which kinds a room is.
        choices = {id(item.rooms): item.rooms for item in self.items}
        self.ladders = {key: sorted((seats.load[room], room) for room in each) for key, each in choices.items()}
        self.of_room = [[] for _room in seats.load]
        for key, each in choices.items():
            for room in each:
                self.of_room[room].append(self.ladders[key])
        self.noted = list(seats.load)
        # Who is in a room, by weight.
        self.inside = [[] for _room in seats.load]
        for number, room in enumerate(seats.where):
            insort(self.inside[room], (self.items[number].weight, number))

    def run(self):
        """Make changes until there is none that helps. Where moves are few, those come first that help most."""
        order = sorted(range(len(self.items)), key=lambda number: (-self.items[number].weight, number))
        if self.seats.moves < self.most_moves < len(self.items):
            self.gain = self.seats.squares
        while True:
            while sum(map(self._improve, order)):
                pass
            if not self.gain:
                return
            self.gain //= 2

    def _improve(self, item):
        """Make the first change that helps by which an item leaves its room; tell whether there was one."""
        return any(self._make(steps) for steps in self._changes(item))

    def _changes(self, item):
        """Yield the steps, (item, to), of the changes that are worth a try."""
        seats, one, origin = self.seats, self.items[item], self.seats.where[item]
        stays = origin in one.holders and seats.moves >= self.most_moves
        if stays:
            return
        ladder, load = self.ladders[id(one.rooms)], seats.load[origin]
        for _load, room in self._open(item, ladder[: bisect_left(ladder, (load - one.weight,))]):
            yield [(item, room)]
        if one.weight > self.lightest:
            for _load, room in ladder[: bisect_left(ladder, (load - 1,))][:_LOWEST]:
                for other in self._lighter(room, one.weight, load - seats.load[room]):
                    yield [(item, room), (other, origin)]
        if one.holders and origin not in one.holders:
            for room in sorted(one.holders):
                yield [(item, room)]
                yield from ([(item, room), (other, origin)] for _weight, other in tuple(self.inside[room]))

    def _open(self, item, ladder):
        """Return the first rooms of a ladder that have a place for an item."""
        return list(islice((pair for pair in ladder if self.seats.fits(item, pair[1])), _LOWEST))

    def _lighter(self, room, weight, gap):
        """Return the items of a room that may change places with one of ``weight``, whose room bears ``gap`` more.

        What makes the loads most alike comes first.
        """
        inside = self.inside[room]
        fit = inside[bisect_left(inside, (weight - gap + 1,)) : bisect_left(inside, (weight,))]
        return [other for _weight, other in sorted(fit, key=lambda pair: (abs(2 * (weight - pair[0]) - gap), pair[1]))]

    def _make(self, steps):
        """Make the steps if that is allowed and helps enough; tell whether they were made."""
        seats = self.seats
        before, origins = (seats.squares, seats.moves), [(item, seats.where[item]) for item, _room in steps]
        seats.clear(steps)
        fit = all(seats.fits(item, room) for item, room in steps)
        if fit:
            seats.make(steps)
        allowed = fit and seats.crowding <= self.crowding and seats.moves <= self.most_moves
        enough = before[0] - seats.squares >= self.gain * (seats.moves - before[1])
        if allowed and enough and (seats.squares, seats.moves) < before:
            self._note(origins)
            return True
        seats.make(origins)
        return False

    def _note(self, origins):
        """Bring the lists of rooms and items up to date after the items of ``origins`` have left these rooms."""
        seats = self.seats
        for item, origin in origins:
            entry, inside = (self.items[item].weight, item), self.inside[origin]
            del inside[bisect_left(inside, entry)]
            insort(self.inside[seats.where[item]], entry)
        for room in {room for item, origin in origins for room in (origin, seats.where[item])}:
            for ladder in self.of_room[room]:
                del ladder[bisect_left(ladder, (self.noted[room], room))]
                insort(ladder, (seats.load[room], room))
            self.noted[room] = seats.load[room]
