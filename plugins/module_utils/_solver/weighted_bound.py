# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What no placement of addresses of different weight is flatter than. PRIVATE to the collection.

For every whole number ``s``, the *slope* of a node, its load ``L`` has a square of at least ``s * L - s * s // 4``,
and of more where an address alone weighs more than half of ``s``. So an address pays for its weight by itself, least
where the slope is least; the sum needs no search, and is a bound whatever the slopes are. Good ones are twice the
level to which light addresses would fill a node.
"""

from __future__ import annotations

from collections import Counter
from typing import Callable, Sequence

from .model import Address, Node, Placed, loads_of

# Where in the order of their loads the level of some nodes is guessed to be, in quarters.
_QUARTERS = (0, 1, 2)


def at_least(addresses: Sequence[Address], nodes: Sequence[Node], placement: Placed, most_moves: int) -> int:
    """Return a bound on the squares of all placements of all addresses, with at most ``most_moves`` moves."""
    loads = loads_of(addresses, nodes, placement)
    bound = _Bound(addresses, nodes, most_moves)
    guesses = [bound.levels(loads, quarter) for quarter in _QUARTERS]
    if bound.optional is not None:
        # With few moves the nodes are not on one level.
        guesses.append([2 * load for load in loads])
    return max(_climb(bound.of, guess) for guess in guesses)


def _climb(value_of: Callable[[list[int]], int], slopes: list[int]) -> int:
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

    def __init__(self, addresses: Sequence[Address], nodes: Sequence[Node], most_moves: int) -> None:
        self.nodes = nodes
        # Where moves count: those that may be made by addresses that could stay.
        lost = sum(address.held and not address.current for address in addresses)
        self.optional = None if most_moves >= len(addresses) else most_moves - lost
        self.choices = {id(address.nodes): address.nodes for address in addresses}
        nobody: frozenset[int] = frozenset()
        self.kinds = Counter(
            (id(address.nodes), address.weight, nobody if self.optional is None else address.current)
            for address in addresses
        )

    def levels(self, loads: Sequence[int], quarter: int) -> list[int]:
        """Return slopes: twice the level of each node, the highest of those of all sets of nodes that contain it."""
        slopes = [0] * len(self.nodes)
        for nodes in self.choices.values():
            level = sorted(loads[node] for node in nodes)[len(nodes) * quarter // 4]
            for node in nodes:
                slopes[node] = max(slopes[node], 2 * level)
        return slopes

    def of(self, slopes: Sequence[int]) -> int:
        """Return the bound for one slope a node."""
        low = {key: min(slopes[node] for node in nodes) for key, nodes in self.choices.items()}
        paid = sum(_price(node.load, slope) - slope * slope // 4 for node, slope in zip(self.nodes, slopes))
        saved = []
        for (key, weight, current), count in self.kinds.items():
            price = stay = _price(weight, low[key])
            if current:
                stay = _price(weight, min(slopes[node] for node in current))
                saved += [stay - price] * count
            paid += stay * count
        if self.optional is not None:
            paid -= sum(sorted(saved)[len(saved) - min(self.optional, len(saved)) :])
        return paid


def _price(weight: int, slope: int) -> int:
    """Return what a weight adds to the square of a node, at least."""
    return weight * slope if 2 * weight <= slope else weight * weight + slope * slope // 4
