# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The branches of a search: their restrictions, and how a branch is split. PRIVATE to the collection."""

from __future__ import annotations

from typing import NamedTuple, Sequence

from .model import Address, Bans, Placed
from .spread_groups import DomainArc, Range, SpreadGroup


class Branch(NamedTuple):
    """The restrictions of a branch: (address, node) pairs that are banned, and ranges of the arcs into domains."""

    banned: Bans = frozenset()
    ranges: tuple[tuple[DomainArc, Range], ...] = ()

    def without(self, banned: Bans) -> Branch:
        """Return this branch with more pairs banned."""
        return self._replace(banned=self.banned | banned)

    def with_range(self, arc: DomainArc, allowed: Range) -> Branch:
        """Return this branch with another range of an arc."""
        return self._replace(ranges=tuple({**dict(self.ranges), arc: allowed}.items()))


ROOT = Branch()


def branches_on_move(branch: Branch, addresses: Sequence[Address], fewest: Placed, flattest: Placed) -> list[Branch]:
    """Return two branches: the first address that moves only in ``flattest`` has to stay, or has to move."""
    number, address = next(
        (number, address)
        for number, address in enumerate(addresses)
        if fewest[number] in address.current and flattest[number] not in address.current
    )
    return [
        branch.without(frozenset((number, node) for node in address.nodes if node not in address.current)),
        branch.without(frozenset((number, node) for node in address.current)),
    ]


def branches_on_range(branch: Branch, groups: Sequence[SpreadGroup]) -> list[Branch]:
    """Return two branches that split the range of an arc into the domain where most of an owner's members are."""
    totals: dict[int, int] = {}
    for group in groups:
        for domain, count in group.inside.items():
            totals[domain] = totals.get(domain, 0) + count
    for domain in sorted(totals, key=lambda each: (-totals[each] - groups[0].taken.get(each, 0), each)):
        for group in groups:
            count = group.inside.get(domain, 0)
            least, most = group.ranges.get(domain, Range(0, len(group.members)))
            if count > least:
                arc = tuple(group.members), domain
                return [
                    branch.with_range(arc, Range(least, count - 1)),
                    branch.with_range(arc, Range(count, most)),
                ]
    return _branches_on_unassigned(branch, groups)


def _branches_on_unassigned(branch: Branch, groups: Sequence[SpreadGroup]) -> list[Branch]:
    """Return two branches that split the range of an arc which an unassigned member of an owner could use.

    What an unassigned member saves is only estimated while a range leaves open in which domain it would be.
    """
    arcs = ((group, domain) for group in groups if group.unassigned for domain in group.parts if domain is not None)
    for group, domain in arcs:
        least, most = group.ranges.get(domain, Range(0, len(group.members)))
        count = group.inside.get(domain, 0)
        if count < most:
            arc = tuple(group.members), domain
            return [
                branch.with_range(arc, Range(least, count)),
                branch.with_range(arc, Range(count + 1, most)),
            ]
    return []
