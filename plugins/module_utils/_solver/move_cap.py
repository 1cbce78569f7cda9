# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What lies between two placements that are equally cheap. PRIVATE to the collection."""

from __future__ import annotations

from .model import count_moves


def closest_to_cap(packing, flattest, fewest, most_moves):
    """Return what keeps the cap with most moves, of all that makes some of the changes from ``flattest`` to ``fewest``.

    Both are cheapest. Their difference is a sum of cycles of a flow, of which none makes anything cheaper, hence none
    makes anything dearer. So each set of them gives a cheapest placement.
    """
    addresses, cycles = packing.addresses, _joined(packing, _cycles(packing, flattest, fewest))
    cap = most_moves - count_moves(addresses, flattest)
    sums = {0: None}
    for cycle in cycles:
        changes = (count_moves([addresses[one]], [node]) for one in cycle for node in (fewest[one], flattest[one]))
        less = sum(after - before for after, before in zip(changes, changes))
        for total, chosen in list(sums.items()):
            sums.setdefault(total + less, (cycle, chosen))
    placement, chosen = list(flattest), sums[max(total for total in sums if total <= cap)]
    while chosen is not None:
        cycle, chosen = chosen
        for one in cycle:
            placement[one] = fewest[one]
    return tuple(placement)


def _cycles(packing, flattest, fewest):
    """Return the cycles into which the difference of two placements falls, each a list of the addresses that move.

    Who enters is followed by who leaves the same slot, else the same arc, else the same node; else the cycle goes
    through the nodes that bear one more and one less.
    """
    changed = [address for address, node in enumerate(flattest) if node != fewest[address]]
    places = []
    for placement in (flattest, fewest):
        nodes = {
            address: packing.unassigned if placement[address] is None else placement[address] for address in changed
        }
        arcs = {address: packing.arc(address, node) for address, node in nodes.items()}
        slots = {address: (packing.addresses[address].owner, arc) for address, arc in arcs.items()}
        places.append((slots, arcs, nodes))
    follower, leaving = {}, set(changed)
    for left, entered in zip(*places):
        by_place = {}
        for address in leaving:
            by_place.setdefault(left[address], []).append(address)
        for address in changed:
            if address not in follower and by_place.get(entered[address]):
                follower[address] = by_place[entered[address]].pop()
                leaving.discard(follower[address])
    cycles, rest = [], [*leaving, *changed]
    seen = set()
    for first in rest:
        cycle, address = [], first
        while address is not None and address not in seen:
            seen.add(address)
            cycle.append(address)
            address = follower.get(address)
        if cycle:
            cycles.append(cycle)
    return cycles


def _joined(packing, cycles):
    """Join cycles in which an owner that is spread takes part: the price of a domain is that of their sum."""
    joined = []
    for cycle in cycles:
        groups, apart = {packing.addresses[one].owner for one in cycle if one in packing.group_of}, []
        for other, known in joined:
            if groups.isdisjoint(known):
                apart.append((other, known))
            else:
                cycle, groups = other + cycle, groups | known  # noqa: PLW2901
        joined = [*apart, (cycle, groups)]
    return [cycle for cycle, _groups in joined]
