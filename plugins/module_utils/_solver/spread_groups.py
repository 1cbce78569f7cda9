# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Addresses that a packing distributes over failure domains. PRIVATE to the collection.

A spread group is the addresses of one spread owner that have the same possible nodes. Its members are interchangeable
except for their current nodes; if each has at most one, the number of members that can be on a current node is the
number of used nodes that are current for any member. So a packing treats the current nodes of all members as those of
each, and ``match_members`` decides at the end which member is where. That makes a group a flow: into a domain, at a
convex cost, and from there to the nodes of the domain.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Dict, Mapping, NamedTuple, Optional, Sequence, Tuple

from .model import Address, Placed

if TYPE_CHECKING:
    from .packing import Packing

Parts = Dict[Optional[int], Sequence[int]]
# The numbers of a group's addresses and a domain: the arc from the group into the domain.
DomainArc = Tuple[Tuple[int, ...], int]


class Range(NamedTuple):
    """How many members of a group must be, and may be, in a domain."""

    least: int
    most: int


class Bounds(NamedTuple):
    """What a relaxation does with the arcs into domains.

    ``ranges`` limits them. With ``relax`` the overlap of an owner of several groups costs nothing if its least overlap
    is a better bound than that of each group alone. It then only decides between placements of equal cost: ``scale``
    multiplies all other costs and exceeds the sum of these overlaps.
    """

    ranges: Mapping[DomainArc, Range] = MappingProxyType({})
    relax: bool = False
    scale: int = 1


UNBOUNDED = Bounds()


class SpreadGroup:
    """``members``: addresses in order; ``nodes``: their possible nodes in order; ``current``: all their current nodes.

    ``domains``: the domain of each node; ``parts[domain]``: its nodes in order, ``parts[None]``: all nodes. Groups of
    one ``layout`` have equal parts. ``inside[domain]``: how many members are there.
    """

    def __init__(self, number: int, layout: int, parts: Parts, address: Address) -> None:
        self.number = number
        self.layout = layout
        self.parts = parts
        self.nodes = parts[None]
        self.domains = address.domains
        self.owner = address.owner
        self.members: list[int] = []
        self.current: frozenset[int] = frozenset()
        self.inside: dict[int, int] = {}
        self.taken = {domain: address.taken.count(domain) for domain in address.taken}
        self.ranges: dict[int, Range] = {}
        self._pair_cost = self._range_cost = 0
        self._savings: Sequence[int] = ()
        self.unassigned = 0

    def set_ranges(self, ranges: Mapping[DomainArc, Range]) -> None:
        """Take over the ranges of this group."""
        if ranges:
            members = tuple(self.members)
            self.ranges = {domain: each for (part, domain), each in ranges.items() if part == members}

    def set_costs(self, pair_cost: int, range_cost: int, savings: Sequence[int] = ()) -> None:
        """Set the cost of a pair of members in one domain and of a member outside a range.

        ``savings``: what each further unassigned member saves, in descending order.
        """
        self._pair_cost, self._range_cost, self._savings = pair_cost, range_cost, savings

    def domain(self, node: int) -> int | None:
        """Return the domain of a node, None for the node of the unassigned."""
        return self.domains[node] if node < len(self.domains) else None

    def is_priced(self, domain: int | None) -> bool:
        """Return whether the cost of one more member in the domain may differ from that in an empty one."""
        return bool(self.inside.get(domain)) or domain in self.taken or domain in self.ranges  # type: ignore[arg-type]  # no entry for None

    def priced(self) -> list[int]:
        """Return the domains for which ``is_priced`` is true."""
        found = [domain for domain, count in self.inside.items() if count]
        return [*found, *(domain for domain in {**self.taken, **self.ranges} if not self.inside.get(domain))]

    def known(self) -> list[int]:
        """Return the domains of ``priced``, and those that members have left."""
        return [*{**self.inside, **self.taken, **self.ranges}]

    def entry_cost(self, domain: int | None) -> int:
        """Return the cost of one more member in a domain, or of one more that is unassigned (None)."""
        if domain is None:
            return self._unassigned_cost(self.unassigned)
        return self._marginal_cost(domain, self.inside.get(domain, 0))

    def exit_saving(self, domain: int) -> int | None:
        """Return the cost saved by one member less in a domain; None if it has no member."""
        count = self.inside.get(domain, 0)
        return self._marginal_cost(domain, count - 1) if count else None

    def last_unassigned_cost(self) -> int:
        """Return the cost saved by one unassigned member less."""
        return self._unassigned_cost(self.unassigned - 1)

    def _unassigned_cost(self, count: int) -> int:
        return -self._savings[count] if count < len(self._savings) else 0

    def _marginal_cost(self, domain: int, count: int) -> int:
        """Return the cost of the member that follows ``count`` others in a domain: it rises with each."""
        cost = self._pair_cost * (count + self.taken.get(domain, 0))
        if domain in self.ranges:
            least, most = self.ranges[domain]
            if count < least:
                cost -= self._range_cost
            elif count >= most:
                cost += self._range_cost
        return cost

    def keeps_ranges(self) -> bool:
        """Return whether the members in each domain are as many as its range allows."""
        return all(least <= self.inside.get(domain, 0) <= most for domain, (least, most) in self.ranges.items())

    def add(self, node: int, change: int) -> None:
        """Count a member that enters a node (1) or leaves it (-1)."""
        domain = self.domain(node)
        if domain is None:
            self.unassigned += change
        else:
            self.inside[domain] = self.inside.get(domain, 0) + change


def read_groups(packing: Packing) -> list[SpreadGroup]:
    """Return the SpreadGroups of a packing, whose kinds, arcs and current nodes are known.

    Addresses of two families are in different groups if a node has an arc for each family. An address with several
    current nodes is a group of its own, as it is not interchangeable.
    """
    groups: dict[tuple[int, int, int | None], SpreadGroup] = {}
    layouts: dict[tuple[int, tuple[int, ...]], tuple[int, Parts]] = {}
    same = _interchangeable(packing)
    for number, address in enumerate(packing.addresses):
        if address.domains:
            kind = packing.kind[number]
            alone = number if len(packing.current[number]) > 1 else None
            key = address.owner, same[kind], alone
            if key not in groups:
                layout = kind, address.domains
                if layout not in layouts:
                    layouts[layout] = len(layouts), _parts(packing.choices[kind], address.domains)
                groups[key] = SpreadGroup(len(groups), *layouts[layout], address)
            groups[key].members.append(number)
    for group in groups.values():
        group.current = frozenset().union(*(packing.current[one] for one in group.members))
    return list(groups.values())


def _interchangeable(packing: Packing) -> list[int]:
    """Return for each kind a number that is equal for kinds whose addresses can take each other's places."""
    numbers: dict[tuple[tuple[int, ...], int | None], int] = {}
    keys = (
        (nodes, family if any(node in packing.family_arcs for node in nodes) else None)
        for nodes, family in zip(packing.choices, packing.families)
    )
    return [numbers.setdefault(key, len(numbers)) for key in keys]


def _parts(nodes: Sequence[int], domains: Sequence[int]) -> Parts:
    parts: dict[int | None, list[int]] = {}
    for node in nodes:
        parts.setdefault(domains[node], []).append(node)
    found: Parts = {None: nodes}
    found.update(parts)
    return found


def shared_domains(packing: Packing, placement: Placed) -> dict[tuple[int, int], list[SpreadGroup]]:
    """Return {(owner, domain): groups} where several groups of an owner are in one domain, in order.

    The packing does not count the overlap between groups.
    """
    found: dict[tuple[int, int], list[SpreadGroup]] = {}
    for group in packing.groups:
        used = (placement[one] for one in group.members)
        for domain in {group.domains[node] for node in used if node is not None}:
            found.setdefault((group.owner, domain), []).append(group)
    return {key: found[key] for key in sorted(found) if len(found[key]) > 1}


def match_members(addresses: Sequence[Address], members: Sequence[int], nodes: Sequence[int]) -> list[tuple[int, int]]:
    """Return [(member, node)] for members that use ``nodes``: a current node if one is left, the others in order."""
    left, found, others = sorted(nodes), [], []
    for member in members:
        current = addresses[member].current.intersection(left)
        if current:
            node = min(current)
            left.remove(node)
            found.append((member, node))
        else:
            others.append(member)
    return [*found, *zip(others, left)]
