# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Small worlds of items of different weight, searched through. PRIVATE to the collection.

Branch and bound, item by item, the heaviest first.
"""

from __future__ import annotations

from ._seats import Seats

# A search of more items is not begun, one of more steps is not ended.
_ITEMS = 20
_STEPS = 20_000


def search_through(items, rooms, best, most_moves):
    """Return (placement, whether it is the best of all by squares, then moves), the best that a search found.

    ``best`` are the Seats of one that is the best in what comes before squares.
    """
    if len(items) > _ITEMS:
        return best.placement(), False
    flatter = _Search(items, rooms, best, (best.squares - 1, most_moves), 0)
    if not flatter.complete:
        return best.placement(), False
    best = Seats(items, rooms, flatter.found or best.placement())
    calmer = _Search(items, rooms, best, (best.squares, best.moves - 1), 1)
    return calmer.found or best.placement(), calmer.complete


class _Search:
    """``found``: the placement with least squares (0) or moves (1), and not more of either than ``most``; or None.

    It is only ``complete`` if that was found out in the steps that are allowed.
    """

    def __init__(self, items, rooms, best, most, aim):
        self.items = items
        self.seats = Seats(items, rooms, ())
        self.most = list(most)
        self.aim = aim
        self.outside, self.crowding = best.outside, best.crowding
        self.order = sorted(range(len(items)), key=lambda number: (-items[number].weight, number))
        self.steps = _STEPS
        self.found = None
        self._seat(0)
        self.complete = self.steps > 0

    def _seat(self, depth):
        """Seat the items from ``depth`` on in all ways that may be better."""
        self.steps -= 1
        seats = self.seats
        if self.steps <= 0 or not self._may_be_better(depth):
            return
        if depth == len(self.order):
            self.found = seats.placement()
            self.most[self.aim] = (seats.squares, seats.moves)[self.aim] - 1
            return
        item = self.order[depth]
        for room in sorted(self.items[item].rooms, key=lambda room: (seats.load[room], room)):
            if seats.fits(item, room):
                seats.move(item, room)
                self._seat(depth + 1)
                seats.move(item, seats.nowhere)
        self._seat(depth + 1)

    def _may_be_better(self, depth):
        seats, left = self.seats, [self.items[item] for item in self.order[depth:]]
        if seats.outside - len(left) > self.outside or seats.crowding > self.crowding:
            return False
        if seats.moves - sum(bool(item.holders) for item in left) > self.most[1]:
            return False
        spare = self.outside - (seats.outside - len(left))
        least = sorted(item.weight * (item.weight + 2 * min(seats.load[room] for room in item.rooms)) for item in left)
        return seats.squares + sum(least[: len(left) - spare]) <= self.most[0]
