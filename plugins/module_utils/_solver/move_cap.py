# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Combine two placements of equal cost to meet a cap on moves. PRIVATE to the collection."""

from __future__ import annotations

from typing import Hashable, List, Optional, Sequence, Tuple

from .model import Placed, count_moves
from .packing import Packing

# The cycles that are applied, the last one first.
Chosen = Optional[Tuple[List[int], "Chosen"]]


def closest_to_cap(packing: Packing, flattest: Placed, fewest: Placed, most_moves: int) -> tuple[int | None, ...]:
    """Return the placement with the most moves within the cap, made of some of the cycles between both.

    Both have the least cost. Their difference is a sum of cycles of a flow, none of which changes the cost. So each set
    of cycles gives a placement of least cost.
    """
    addresses, cycles = packing.addresses, _joined(packing, _cycles(packing, flattest, fewest))
    cap = most_moves - count_moves(addresses, flattest)
    sums: dict[int, Chosen] = {0: None}
    for cycle in cycles:
        change = sum(
            count_moves([addresses[one]], [fewest[one]]) - count_moves([addresses[one]], [flattest[one]])
            for one in cycle
        )
        for total, chosen in list(sums.items()):
            sums.setdefault(total + change, (cycle, chosen))
    placement, chosen = list(flattest), sums[max(total for total in sums if total <= cap)]
    while chosen is not None:
        cycle, chosen = chosen
        for one in cycle:
            placement[one] = fewest[one]
    return tuple(placement)


def _cycles(packing: Packing, flattest: Placed, fewest: Placed) -> list[list[int]]:
    """Return the cycles of the difference of two placements, each a list of the addresses that move.

    An address that enters is followed by one that leaves the same place of an owner, else the same arc, else the same
    node; else the cycle goes through the sink.
    """
    changed = [address for address, node in enumerate(flattest) if node != fewest[address]]
    left_places, entered_places = (_places(packing, placement, changed) for placement in (flattest, fewest))
    follower: dict[int, int] = {}
    leaving = set(changed)
    for left, entered in zip(left_places, entered_places):
        by_place: dict[Hashable, list[int]] = {}
        for address in leaving:
            by_place.setdefault(left[address], []).append(address)
        for address in changed:
            if address not in follower and by_place.get(entered[address]):
                follower[address] = by_place[entered[address]].pop()
                leaving.discard(follower[address])
    return _followed([*leaving, *changed], follower)


def _places(packing: Packing, placement: Placed, changed: Sequence[int]) -> list[dict[int, Hashable]]:
    """Return the place of an owner, the arc and the node of each changed address."""
    slots: dict[int, Hashable] = {}
    arcs: dict[int, Hashable] = {}
    nodes: dict[int, Hashable] = {}
    for address in changed:
        used = placement[address]
        node = packing.unassigned if used is None else used
        arc = packing.arc(address, node)
        slots[address], arcs[address], nodes[address] = (packing.addresses[address].owner, arc), arc, node
    return [slots, arcs, nodes]


def _followed(starts: Sequence[int], follower: dict[int, int]) -> list[list[int]]:
    cycles, seen = [], set()
    for first in starts:
        cycle: list[int] = []
        address: int | None = first
        while address is not None and address not in seen:
            seen.add(address)
            cycle.append(address)
            address = follower.get(address)
        if cycle:
            cycles.append(cycle)
    return cycles


def _joined(packing: Packing, cycles: Sequence[list[int]]) -> list[list[int]]:
    """Join the cycles of one spread owner: the cost of a domain is that of their sum."""
    joined: list[tuple[list[int], set[int]]] = []
    for cycle in cycles:
        together, owners = cycle, {packing.addresses[one].owner for one in cycle if one in packing.group_of}
        apart = []
        for other, known in joined:
            if owners.isdisjoint(known):
                apart.append((other, known))
            else:
                together, owners = other + together, owners | known
        joined = [*apart, (together, owners)]
    return [cycle for cycle, _owners in joined]
