# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A lower bound on the sum of squared loads when weights differ. PRIVATE to the collection.

For every integer ``s``, the *slope* of a node, a load ``L`` has a square of at least ``s * L - s * s // 4``, and more
if one address alone weighs more than half of ``s``. So each address contributes on its own, least on the node with the
least slope, and the sum is a bound for any slopes (Lagrangian relaxation). Good slopes are twice the level to which
light addresses would fill a node.
"""

from __future__ import annotations

from collections import Counter
from typing import Callable, Sequence

from .model import Address, NodeLoad, Placed, intern_nodes, loads_of

# The quantiles of the loads that serve as level, in quarters.
_QUARTERS = (0, 1, 2)


def at_least(addresses: Sequence[Address], nodes: Sequence[NodeLoad], placement: Placed, most_moves: int) -> int:
    """Return a lower bound on the squares of all placements of all addresses with at most ``most_moves`` moves."""
    loads = loads_of(addresses, nodes, placement)
    bound = _Bound(addresses, nodes, most_moves)
    guesses = [bound.levels(loads, quarter) for quarter in _QUARTERS]
    if bound.optional is not None:
        # With few moves the nodes are not on one level.
        guesses.append([2 * load for load in loads])
    return max(_climb(bound.by_shift(guess), max(guess, default=0) // 2) for guess in guesses)


def _climb(value_of: Callable[[int], int], step: int) -> int:
    """Return the highest value that is found by raising or lowering all slopes together."""
    best, shift = value_of(0), 0
    while step:
        value, other = max((value_of(other), other) for other in (shift - step, shift + step))
        if value > best:
            best, shift = value, other
        else:
            step //= 2
    return best


class _Bound:
    """The bound as a function of the slopes."""

    def __init__(self, addresses: Sequence[Address], nodes: Sequence[NodeLoad], most_moves: int) -> None:
        self.nodes = nodes
        # If moves are limited: how many addresses that can stay may move.
        lost = sum(address.held and not address.current for address in addresses)
        self.optional = None if most_moves >= len(addresses) else most_moves - lost
        node_set, self.node_sets = intern_nodes(addresses)
        none: frozenset[int] = frozenset()
        self.kinds = Counter(
            (number, address.weight, none if self.optional is None else address.current)
            for number, address in zip(node_set, addresses)
        )

    def levels(self, loads: Sequence[int], quarter: int) -> list[int]:
        """Return slopes: twice the level of each node, the highest of those of all sets of nodes that contain it."""
        slopes = [0] * len(self.nodes)
        for nodes in self.node_sets:
            level = sorted(loads[node] for node in nodes)[len(nodes) * quarter // 4]
            for node in nodes:
                slopes[node] = max(slopes[node], 2 * level)
        return slopes

    def by_shift(self, slopes: Sequence[int]) -> Callable[[int], int]:
        """Return the bound for one slope per node, as a function of a number that is added to all slopes."""
        low = [min(slopes[node] for node in nodes) for nodes in self.node_sets]
        nodes = Counter((node.load, slope) for node, slope in zip(self.nodes, slopes))
        kinds: Counter[tuple[int, int, int | None]] = Counter()
        for (number, weight, current), count in self.kinds.items():
            kinds[weight, low[number], min(slopes[node] for node in current) if current else None] += count

        def value(shift: int) -> int:
            paid = sum(count * _least_square(load, max(0, slope + shift)) for (load, slope), count in nodes.items())
            saved = []
            for (weight, slope, own_slope), count in kinds.items():
                price = stay = _price(weight, max(0, slope + shift))
                if own_slope is not None:
                    stay = _price(weight, max(0, own_slope + shift))
                    saved.append((stay - price, count))
                paid += stay * count
            return paid - self._most_saved(saved)

        return value

    def _most_saved(self, saved: list[tuple[int, int]]) -> int:
        """Return the most that the moves can save; ``saved`` is (what one saves, how many can)."""
        left, total = self.optional or 0, 0
        for each, count in sorted(saved, reverse=True):
            total += each * min(count, left)
            left -= min(count, left)
        return total


def _least_square(load: int, slope: int) -> int:
    """Return the least square of a node that has a load, apart from what the addresses add to it."""
    return _price(load, slope) - slope * slope // 4


def _price(weight: int, slope: int) -> int:
    """Return the least amount that a weight adds to the square of a node, by its slope."""
    return weight * slope if 2 * weight <= slope else weight * weight + slope * slope // 4
