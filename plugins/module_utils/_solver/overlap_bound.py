# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A lower bound on the domain overlap of an owner of several spread groups. PRIVATE to the collection.

For one owner alone, without the loads and the other owners, the least overlap is a small flow of its own: from each
group into the domains that the group can use, and from each domain to the sink at a cost that rises by one with each
unit. Successive shortest paths solve it; only the last arc of a path has a cost.
"""

from __future__ import annotations

from collections import deque
from typing import Mapping, NamedTuple, Sequence

from .spread_groups import Range, SpreadGroup


class LeastOverlap(NamedTuple):
    """``overlap``: the least of an owner whose members are all assigned.

    ``savings``: how much each member that no range forces into its domain saves if it is unassigned, in descending
    order.
    """

    overlap: int
    savings: list[int]


def least_overlap(groups: Sequence[SpreadGroup]) -> LeastOverlap:
    """Return the LeastOverlap of an owner's groups."""
    flow = _OwnerFlow(groups)
    forced = dict(flow.total)
    flow.fill()
    return LeastOverlap(flow.overlap, flow.savings(forced))


def overlap_of(groups: Sequence[SpreadGroup]) -> int:
    """Return the overlap of an owner's groups where their members are now."""
    total = 0
    for domain, count in inside_of(groups).items():
        total += count * (count - 1) // 2 + count * groups[0].taken.get(domain, 0)
    return total


def inside_of(groups: Sequence[SpreadGroup]) -> dict[int, int]:
    """Return how many members of all groups are in each domain."""
    inside: dict[int, int] = {}
    for group in groups:
        for domain, count in group.inside.items():
            inside[domain] = inside.get(domain, 0) + count
    return inside


class _OwnerFlow:
    """``used[group][domain]``: units on the arc; ``total[domain]``: units in the domain; ``overlap``: the cost."""

    def __init__(self, groups: Sequence[SpreadGroup]) -> None:
        self.taken = groups[0].taken
        self.overlap = 0
        self.total: dict[int, int] = {}
        self.used: list[dict[int, int]] = []
        self.ranges: list[dict[int, Range]] = []
        self.left: list[int] = []
        nodes: dict[int, set[int]] = {}
        for group in groups:
            parts = {domain: part for domain, part in group.parts.items() if domain is not None}
            for domain, part in parts.items():
                nodes.setdefault(domain, set()).update(part)
            self.ranges.append({domain: self._range(group, domain, len(part)) for domain, part in parts.items()})
            self.used.append(dict.fromkeys(parts, 0))
            self.left.append(len(group.members))
        self.capacity = {domain: len(each) for domain, each in nodes.items()}
        for number, ranges in enumerate(self.ranges):
            for domain, (least, _most) in ranges.items():
                for _unit in range(least):
                    self._add(number, domain)

    @staticmethod
    def _range(group: SpreadGroup, domain: int, nodes: int) -> Range:
        least, most = group.ranges.get(domain, (0, nodes))
        return Range(least, min(most, nodes))

    def _add(self, group: int, domain: int) -> None:
        self.used[group][domain] += 1
        self.left[group] -= 1
        self._count(domain)

    def _count(self, domain: int) -> None:
        self.overlap += self._marginal(domain)
        self.total[domain] = self.total.get(domain, 0) + 1

    def _marginal(self, domain: int) -> int:
        return self.total.get(domain, 0) + self.taken.get(domain, 0)

    def savings(self, forced: Mapping[int, int]) -> list[int]:
        """Return the cost of each unit beyond the ``forced`` ones of its domain."""
        found = (
            count + self.taken.get(domain, 0)
            for domain, total in self.total.items()
            for count in range(forced.get(domain, 0), total)
        )
        return sorted(found, reverse=True)

    def fill(self) -> None:
        """Send the remaining units as far as domains are possible for them."""
        for group, left in enumerate(self.left):
            for _unit in range(left):
                self._augment(group)

    def _augment(self, start: int) -> None:
        """Send one unit of a group along a shortest path."""
        came: dict[int, int] = {}
        entered = {start: -1}
        queue = deque([start])
        while queue:
            group = queue.popleft()
            for domain, (_least, most) in self.ranges[group].items():
                if domain in came or self.used[group][domain] >= most:
                    continue
                came[domain] = group
                for other, ranges in enumerate(self.ranges):
                    if other not in entered and domain in ranges and self.used[other][domain] > ranges[domain].least:
                        entered[other] = domain
                        queue.append(other)
        ends = [domain for domain in came if self.total.get(domain, 0) < self.capacity[domain]]
        if not ends:
            return
        domain = min(ends, key=lambda each: (self._marginal(each), each))
        self._count(domain)
        while True:
            group = came[domain]
            self.used[group][domain] += 1
            if group == start:
                return
            domain = entered[group]
            self.used[group][domain] -= 1
