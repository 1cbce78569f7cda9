# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What no placement of items of different weight is flatter than. PRIVATE to the collection.

For every whole number ``s``, the *slope* of a room, its load ``L`` has a square of at least ``s * L - s * s // 4``, and
of more where an item alone weighs more than half of ``s``. So an item pays for its weight by itself, least where the
slope is least; the sum needs no search, and is a bound whatever the slopes are. Good ones are twice the level to which
light items would fill a room.
"""

from __future__ import annotations

from collections import Counter

from .model import loads_of

# Where in the order of their loads the level of some rooms is guessed to be, in quarters.
_QUARTERS = (0, 1, 2)


def at_least(items, rooms, placement, most_moves):
    """Return a bound on the squares of all placements of all items, with at most ``most_moves`` moves."""
    loads = loads_of(items, rooms, placement)
    bound = _Bound(items, rooms, most_moves)
    guesses = [bound.levels(loads, quarter) for quarter in _QUARTERS]
    if bound.optional is not None:
        # With few moves the rooms are not on one level.
        guesses.append([2 * load for load in loads])
    return max(_climb(bound.of, guess) for guess in guesses)


def _climb(value_of, slopes):
    """Return the highest value that is found when all slopes are raised or lowered alike."""
    best, step = value_of(slopes), max(slopes, default=0) // 2
    while step:
        others = [[max(0, slope + by) for slope in slopes] for by in (-step, step)]
        value, found = max((value_of(other), other) for other in others)
        if value > best:
            best, slopes = value, found
        else:
            step //= 2
    return best


class _Bound:
    """The bound as a function of the slopes."""

    def __init__(self, items, rooms, most_moves):
        self.rooms = rooms
        # Where moves count: those that may be made by items that could stay.
        lost = sum(item.held and not item.holders for item in items)
        self.optional = None if most_moves >= len(items) else most_moves - lost
        self.choices = {id(item.rooms): item.rooms for item in items}
        nobody = frozenset()
        self.kinds = Counter(
            (id(item.rooms), item.weight, nobody if self.optional is None else item.holders) for item in items
        )

    def levels(self, loads, quarter):
        """Return as slopes twice the level of each room, the highest of those of all rooms that an item may be in."""
        slopes = [0] * len(self.rooms)
        for rooms in self.choices.values():
            level = sorted(loads[room] for room in rooms)[len(rooms) * quarter // 4]
            for room in rooms:
                slopes[room] = max(slopes[room], 2 * level)
        return slopes

    def of(self, slopes):
        """Return the bound for one slope a room."""
        low = {key: min(slopes[room] for room in rooms) for key, rooms in self.choices.items()}
        paid = sum(_price(room.load, slope) - slope * slope // 4 for room, slope in zip(self.rooms, slopes))
        saved = []
        for (key, weight, holders), count in self.kinds.items():
            price = home = _price(weight, low[key])
            if holders:
                home = _price(weight, min(slopes[room] for room in holders))
                saved += [home - price] * count
            paid += home * count
        if self.optional is not None:
            paid -= sum(sorted(saved)[len(saved) - min(self.optional, len(saved)) :])
        return paid


def _price(weight, slope):
    """Return what a weight adds to the square of a room, at least."""
    return weight * slope if 2 * weight <= slope else weight * weight + slope * slope // 4
