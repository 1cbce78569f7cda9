# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The problem that remains when some addresses are fixed on their nodes. PRIVATE to the collection.

For the fewest moves, each address with one current node stays on it if that leaves a node for every other address and
does not cost more overlap than any placement: then every placement of the fewest moves keeps these addresses there, so
only the others are left to place.
"""

from __future__ import annotations

from collections import Counter
from typing import Mapping, NamedTuple, Sequence

from .model import Address, NodeLoad, Placed, count_moves, count_overlap, keeps_rules


class Remainder(NamedTuple):
    """``numbers``: those of the addresses that are not fixed; ``nodes``: with the load and limits that are left."""

    numbers: list[int]
    addresses: list[Address]
    nodes: list[NodeLoad]


def remainder(addresses: Sequence[Address], nodes: Sequence[NodeLoad], fixed: Mapping[int, int | None]) -> Remainder:
    """Return the Remainder of a problem where the node of each address of ``fixed`` is known, None for unassigned."""
    numbers = [number for number in range(len(addresses)) if number not in fixed]
    owners = {addresses[number].owner for number in numbers}
    used: dict[int, set[int]] = {}
    domains: dict[int, list[int]] = {}
    counts: Counter[tuple[int, int]] = Counter()
    loads: Counter[int] = Counter()
    for number, node in fixed.items():
        if node is None:
            continue
        address = addresses[number]
        counts[node, address.family] += 1
        loads[node] += address.weight
        if address.owner in owners:
            used.setdefault(address.owner, set()).add(node)
            if address.domains:
                domains.setdefault(address.owner, []).append(address.domains[node])
    rest = []
    for number in numbers:
        address = addresses[number]
        taken = used.get(address.owner)
        if taken:
            address = address._replace(
                nodes=tuple(node for node in address.nodes if node not in taken),
                current=address.current - taken,
                taken=(*address.taken, *domains.get(address.owner, ())),
            )
        rest.append(address)
    left = list(nodes)
    for number, load in loads.items():
        left[number] = _with_more(nodes[number], load, counts[number, 4], counts[number, 6])
    return Remainder(numbers, rest, left)


def _with_more(node: NodeLoad, load: int, four: int, six: int) -> NodeLoad:
    """Return a node with more load, and with more addresses of each family."""
    free = [
        None if limit is None else limit - count
        for limit, count in zip((node.free, *node.free_by_family), (four + six, four, six))
    ]
    return NodeLoad(node.load + load, free[0], (free[1], free[2]))


def single_holders(addresses: Sequence[Address], nodes: Sequence[NodeLoad]) -> dict[int, int]:
    """Return the node of each address with one current node; empty if they cannot all stay."""
    fixed: dict[int, int] = {}
    placement: list[int | None] = [None] * len(addresses)
    for number, address in enumerate(addresses):
        if len(address.current) == 1:
            (fixed[number],) = address.current
            placement[number] = fixed[number]
    return fixed if keeps_rules(addresses, nodes, placement) else {}


def has_fewest_moves(addresses: Sequence[Address], placement: Placed) -> bool:
    """Return whether a placement assigns all addresses, with the least overlap, and moves only those that must move."""
    lost = sum(address.held and not address.current for address in addresses)
    if None in placement or count_moves(addresses, placement) > lost:
        return False
    overlap = count_overlap(addresses, placement)
    return overlap == 0 or overlap == _least_overlap(addresses)


def _least_overlap(addresses: Sequence[Address]) -> int:
    """Return a lower bound on the overlap if all addresses are assigned: siblings share all their possible nodes."""
    spread: dict[int, list[Address]] = {}
    for address in addresses:
        if address.domains:
            spread.setdefault(address.owner, []).append(address)
    return sum(_least_of_owner(siblings) for siblings in spread.values())


def _least_of_owner(siblings: Sequence[Address]) -> int:
    capacities = Counter(siblings[0].domains[node] for node in {node for one in siblings for node in one.nodes})
    taken = siblings[0].taken
    costs = sorted(
        count
        for domain, capacity in capacities.items()
        for count in range(taken.count(domain), taken.count(domain) + capacity)
    )
    return sum(costs[: len(siblings)])
