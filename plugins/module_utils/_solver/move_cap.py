# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What lies between two placements that are equally cheap. PRIVATE to the collection."""

from __future__ import annotations

from .model import count_moves


def between(packing, lively, calm, most_moves):
    """Return what keeps the cap with most moves, of all that makes some of the changes from ``lively`` to ``calm``.

    Both are cheapest. Their difference is a sum of cycles of a flow, of which none makes anything cheaper, hence none
    makes anything dearer. So each set of them gives a cheapest placement.
    """
    items, cycles = packing.items, _joined(packing, _cycles(packing, lively, calm))
    cap = most_moves - count_moves(items, lively)
    sums = {0: None}
    for cycle in cycles:
        changes = (count_moves([items[one]], [room]) for one in cycle for room in (calm[one], lively[one]))
        less = sum(after - before for after, before in zip(changes, changes))
        for total, chosen in list(sums.items()):
            sums.setdefault(total + less, (cycle, chosen))
    placement, chosen = list(lively), sums[max(total for total in sums if total <= cap)]
    while chosen is not None:
        cycle, chosen = chosen
        for one in cycle:
            placement[one] = calm[one]
    return tuple(placement)


def _cycles(packing, lively, calm):
    """Return the cycles into which the difference of two placements falls, each a list of the items that move.

    Who enters is followed by who leaves the same slot, else the same door, else the same room; else the cycle goes
    through the rooms that bear one more and one less.
    """
    changed = [item for item, room in enumerate(lively) if room != calm[item]]
    places = []
    for placement in (lively, calm):
        rooms = {item: packing.nowhere if placement[item] is None else placement[item] for item in changed}
        doors = {item: packing.door(item, room) for item, room in rooms.items()}
        slots = {item: (packing.items[item].group, door) for item, door in doors.items()}
        places.append((slots, doors, rooms))
    follower, leaving = {}, set(changed)
    for left, entered in zip(*places):
        by_place = {}
        for item in leaving:
            by_place.setdefault(left[item], []).append(item)
        for item in changed:
            if item not in follower and by_place.get(entered[item]):
                follower[item] = by_place[entered[item]].pop()
                leaving.discard(follower[item])
    cycles, rest = [], [*leaving, *changed]
    seen = set()
    for first in rest:
        cycle, item = [], first
        while item is not None and item not in seen:
            seen.add(item)
            cycle.append(item)
            item = follower.get(item)
        if cycle:
            cycles.append(cycle)
    return cycles


def _joined(packing, cycles):
    """Join cycles in which a group that is spread takes part: the price of a domain is that of their sum."""
    joined = []
    for cycle in cycles:
        groups, apart = {packing.items[one].group for one in cycle if one in packing.team_of}, []
        for other, known in joined:
            if groups.isdisjoint(known):
                apart.append((other, known))
            else:
                cycle, groups = other + cycle, groups | known  # noqa: PLW2901
        joined = [*apart, (cycle, groups)]
    return [cycle for cycle, _groups in joined]
