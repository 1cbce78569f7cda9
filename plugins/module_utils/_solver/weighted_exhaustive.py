# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Small worlds of items of different weight, searched through. PRIVATE to the collection.

Branch and bound, item by item, the heaviest first.
"""

from __future__ import annotations

from collections import Counter

from .weighted_state import Seats

# A search of more items is not begun, one of more steps is not ended.
_ITEMS = 20
_STEPS = 40_000


def search_through(items, rooms, best, most_moves):
    """Return the best placement that a search found, whether it is the flattest, and whether with the fewest moves.

    ``best`` are the Seats of one that is the best in what comes before squares.
    """
    if len(items) > _ITEMS:
        return best.placement(), False, False
    flatter = _Search(items, rooms, best, (best.squares - 1, most_moves), 0)
    if not flatter.complete:
        return best.placement(), False, False
    best = Seats(items, rooms, flatter.found or best.placement())
    calmer = _Search(items, rooms, best, (best.squares, best.moves - 1), 1)
    return calmer.found or best.placement(), True, calmer.complete


class _Search:
    """``found``: the placement with least squares (0) or moves (1), and not more of either than ``most``; or None.

    It is only ``complete`` if that was found out in the steps that are allowed. Where any number of moves may be made,
    the steps to least squares are the same wherever items were.
    """

    def __init__(self, items, rooms, best, most, aim):
        self.items = items
        self.seats = Seats(items, rooms, ())
        self.most = list(most)
        self.aim = aim
        self.crowding = best.crowding
        moves_count = aim == 1 or most[1] < len(items)
        # Of items that are alike the later one is in no earlier room, of empty rooms that are alike the first is tried.
        self.twin = _alike(_traits(items, moves_count))
        self.shape = _alike(_shapes(items, rooms, moves_count))
        self.empty = [room.load for room in rooms]
        self.order = sorted(range(len(items)), key=lambda item: (-items[item].weight, self.twin[item], item))
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
        for room in self._rooms(item, self.order[depth - 1] if depth else None):
            seats.move(item, room)
            self._seat(depth + 1)
            seats.move(item, seats.nowhere)

    def _rooms(self, item, before):
        """Return where an item may go, the least loaded room first; ``before`` is the item that was seated last."""
        seats, tried, found = self.seats, set(), []
        first = seats.where[before] if before is not None and self.twin[before] == self.twin[item] else 0
        for room in sorted(self.items[item].rooms, key=lambda room: (seats.load[room], room)):
            like = self.shape[room] if seats.load[room] == self.empty[room] else ~room
            if room >= first and like not in tried and seats.fits(item, room):
                tried.add(like)
                found.append(room)
        return found

    def _may_be_better(self, depth):
        seats, left = self.seats, [self.items[item] for item in self.order[depth:]]
        if seats.crowding > self.crowding:
            return False
        if seats.moves - sum(bool(item.holders) for item in left) > self.most[1]:
            return False
        apart = sum(item.weight * (item.weight + 2 * min(seats.load[room] for room in item.rooms)) for item in left)
        return seats.squares + max(apart, self._poured(left)) <= self.most[0]

    def _poured(self, left):
        """Return by how much the squares grow at least if items could be divided among all their rooms."""
        loads = sorted(self.seats.load[room] for room in {room for item in left for room in item.rooms})
        total, count = sum(item.weight for item in left), 0
        while count < len(loads) and loads[count] * count <= total:
            total += loads[count]
            count += 1
        if not count:
            return 0
        low, more = divmod(total, count)
        return (count - more) * low**2 + more * (low + 1) ** 2 - sum(load * load for load in loads[:count])


def _alike(traits):
    """Return for each of the traits the number of the first that is equal."""
    first = {}
    return [first.setdefault(each, number) for number, each in enumerate(traits)]


def _traits(items, moves_count):
    """Yield what makes one item as good as another."""
    sizes = Counter(item.group for item in items)
    for number, item in enumerate(items):
        alone = sizes[item.group] == 1 and not item.domains
        homes = item.holders if moves_count else ()
        yield (item.weight, item.family, item.rooms, homes) if alone else number


def _shapes(items, rooms, moves_count):
    """Yield what makes one room without items as good as another."""
    marks = [set(item.rooms) for item in items] + ([item.holders for item in items] if moves_count else [])
    for number, room in enumerate(rooms):
        yield room, tuple(number in each for each in marks), tuple(item.domains[number:][:1] for item in items)
