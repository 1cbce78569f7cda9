# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A lower bound that combines the overlap of owners of several spread groups with moves and loads. PRIVATE.

The potential of a relaxation gives each node a price: the cost of one more address there. At these prices each owner is
placed on its own, with all its overlap, and the sum of the least costs is a bound (Lagrangian relaxation of the loads).
Where an owner reaches its least overlap only by a move or on a node of higher load, this counts it; the relaxation,
which leaves the overlap out, does not.
"""

from __future__ import annotations

from itertools import accumulate
from math import comb
from typing import Iterator, NamedTuple, Sequence

from .min_cost_flow import Potential
from .packing import Packing
from .spread_groups import Range, SpreadGroup

# Groups with more distributions of their members over the domains are placed without regard to the owner's other ones.
_MOST_DISTRIBUTIONS = 250


class Prices(NamedTuple):
    """The prices of nodes by the potential of a relaxation."""

    packing: Packing
    potential: Potential

    def of(self, address: int, node: int) -> int:
        """Return the price of one more address on a node.

        An empty node or arc has the highest price that its own cost allows.
        """
        packing, arc = self.packing, self.packing.arc(address, node)
        if packing.classes[node]:
            price = -self.potential.cost[node]
        else:
            price = 2 * packing.unassigned_cost if packing.is_full(node) else packing.next_price(node)
        if arc != node:
            if packing.arc_count[arc]:
                price = -self.potential.cost[arc]
            elif not packing.arc_limit[arc]:
                price = 2 * packing.unassigned_cost
        return price


class OwnerCosts(NamedTuple):
    """Costs of all owners of several groups: ``now``, without overlap, and the least ones, ``least``, with it."""

    now: int
    least: int


class _Distribution(NamedTuple):
    """``counts``: (domain, number of members there, their least price); ``cost``: the sum of these prices."""

    cost: int
    counts: Sequence[tuple[int, int, int]]


def owner_costs(packing: Packing, prices: Prices) -> OwnerCosts:
    """Return the OwnerCosts of the owners that have several groups in ``packing``.

    ``now`` is the cost where the relaxation of ``prices`` has them.
    """
    now = least = 0
    for groups in packing.groups_by_owner().values():
        if len(groups) > 1:
            owner = _Owner(packing, prices, groups)
            now, least = now + owner.cost_now(), least + owner.least_cost()
    return OwnerCosts(now, least)


class _Owner:
    """The spread groups of one owner, and the price of each node for each of them."""

    def __init__(self, packing: Packing, prices: Prices, groups: Sequence[SpreadGroup]) -> None:
        self.packing, self.prices, self.groups = packing, prices, groups
        self.taken = groups[0].taken
        self.inside: dict[int, int] = {}
        self.price_inside: dict[int, int] = {}
        self.best = 0
        self.price_sums = self._prices_of_all()

    def _prices_of_all(self) -> dict[int, list[int]]:
        """Return {domain: [least price of 0, 1, ... siblings]}, the siblings on different nodes."""
        least: dict[int, dict[int, int]] = {}
        for group in self.groups:
            for node in group.nodes:
                price, of_domain = self._price(group.members[0], node), least.setdefault(group.domains[node], {})
                of_domain[node] = min(price, of_domain.get(node, price))
        return {domain: [0, *accumulate(sorted(prices.values()))] for domain, prices in least.items()}

    def cost_now(self) -> int:
        """Return the cost of the owner's addresses where the relaxation has them, without overlap."""
        total, node_of = 0, self.prices.packing.node_of
        for group in self.groups:
            for one in group.members:
                current = self.packing.addresses[one].current
                total += self.prices.of(one, node_of[one])
                total += self.packing.move if current and node_of[one] not in current else 0
        return total

    def _excess(self) -> int:
        """Return the cost of moves that prices count for members without a current node of their own."""
        return sum(
            self.packing.move_cost[one]
            for group in self.groups
            for one in group.members
            if not self.packing.addresses[one].current
        )

    def least_cost(self) -> int:
        """Return a lower bound on the cost of the owner with its overlap."""
        excess = self._excess()
        apart = sum(map(self._least_alone, self.groups))
        if any(
            comb(len(group.members) + len(group.parts) - 1, len(group.members)) > _MOST_DISTRIBUTIONS
            for group in self.groups
        ):
            return apart - excess
        choices = [sorted(self._distributions_of(group)) for group in self.groups]
        if not all(choices):
            # No placement of this branch keeps its ranges; the flow shows that.
            return apart - excess
        self.best = sum(found[-1].cost for found in choices) + self.packing.unassigned_cost
        self._search(choices, 0)
        return max(apart, self.best) - excess

    def _search(self, choices: Sequence[Sequence[_Distribution]], cost: int) -> None:
        """Lower ``best`` to the least cost of a choice for each group, with ``cost`` for those before."""
        if not choices:
            self.best = min(self.best, cost + self._more_for_different_nodes())
            return
        rest = sum(found[0].cost for found in choices[1:])
        for each in choices[0]:
            if cost + each.cost + rest >= self.best:
                return
            total = cost + each.cost + self._more_overlap(each)
            if total + rest < self.best:
                self._count(each, 1)
                if all(self.inside[domain] < len(self.price_sums[domain]) for domain, _count, _price in each.counts):
                    self._search(choices[1:], total)
                self._count(each, -1)

    def _count(self, distribution: _Distribution, sign: int) -> None:
        for domain, count, price in distribution.counts:
            self.inside[domain] = self.inside.get(domain, 0) + sign * count
            self.price_inside[domain] = self.price_inside.get(domain, 0) + sign * price

    def _more_for_different_nodes(self) -> int:
        """Return how much more the members inside cost at least, since siblings of all groups share no node."""
        pairs = ((self.price_sums[domain][count], self.price_inside[domain]) for domain, count in self.inside.items())
        return sum(max(0, different - apart) for different, apart in pairs)

    def _ordered_prices(self, group: SpreadGroup, domain: int) -> list[int]:
        """Return the lowest prices of members in a domain, each on a node of its own."""
        return sorted(self._price(group.members[0], node) for node in group.parts[domain])[: len(group.members)]

    def _least_alone(self, group: SpreadGroup) -> int:
        """Return the least cost of a group with the overlap of its members, without ranges.

        The cost in each domain is convex, so each member in turn takes what is cheapest.
        """
        pair = self.packing.overlap_cost
        costs = [
            price + pair * (before + self.taken.get(domain, 0))
            for domain in group.parts
            if domain is not None
            for before, price in enumerate(self._ordered_prices(group, domain))
        ]
        unassigned = self._price(group.members[0], self.packing.unassigned)
        return sum(sorted([*costs, *[unassigned] * len(group.members)])[: len(group.members)])

    def _more_overlap(self, distribution: _Distribution) -> int:
        """Return the cost of the overlap that members add to those inside."""
        pairs = 0
        for domain, count, _price in distribution.counts:
            before = self.inside.get(domain, 0) + self.taken.get(domain, 0)
            pairs += count * before + count * (count - 1) // 2
        return self.packing.overlap_cost * pairs

    def _distributions_of(self, group: SpreadGroup) -> Iterator[_Distribution]:
        """Yield the distributions of the members of a group over the domains, with the least price of each."""
        size, first = len(group.members), group.members[0]
        domains = [domain for domain in group.parts if domain is not None]
        prices = [[0, *accumulate(self._ordered_prices(group, domain))] for domain in domains]
        ranges = [group.ranges.get(domain, Range(0, size)) for domain in domains]
        limits = [(least, min(most, len(each) - 1)) for (least, most), each in zip(ranges, prices)]
        unassigned = self._price(first, self.packing.unassigned)
        for counts in _counts(size, [*limits, (0, size)]):
            found = [(domain, count, each[count]) for domain, each, count in zip(domains, prices, counts) if count]
            yield _Distribution(sum(price for _domain, _count, price in found) + counts[-1] * unassigned, found)

    def _price(self, address: int, node: int) -> int:
        """Return the price of a member on a node, with that of a move unless a member of its group is there now."""
        return self.prices.of(address, node) + self.packing.price(address, node)


def _counts(total: int, limits: Sequence[tuple[int, int]]) -> Iterator[tuple[int, ...]]:
    """Yield all sequences of numbers within the limits, both included, whose sum is ``total``."""
    if not limits:
        if total == 0:
            yield ()
        return
    least, most = limits[0]
    for first in range(least, min(most, total) + 1):
        yield from ((first, *rest) for rest in _counts(total - first, limits[1:]))
