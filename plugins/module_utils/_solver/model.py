# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the core of the planner works on: addresses and nodes, on plain integers. PRIVATE to the collection.

An address is an address that wants a place, a node is a node; ``_planner.assign`` translates. Addresses are numbered
in the order in which they choose among equals, nodes in the order in which they are chosen. A placement is a tuple
with each address's node or None.
"""

from __future__ import annotations

from collections import Counter
from typing import NamedTuple

BALANCED = "balanced"
STICKY = "sticky"
POLICIES = (BALANCED, STICKY)
_UNLIMITED = (None, None, None)


class Address(NamedTuple):
    """An address: ``owner`` is its object, ``family`` 4 or 6, ``nodes`` where it may be, ``holders`` where it is.

    ``held`` counts the addresses that have a holder anywhere, also outside ``nodes``.

    Addresses of an owner that is spread have ``domains``, the failure domain of each node by its number; ``taken`` are
    those where something of the owner is already.

    ``weight`` is what it adds to the load of its node, the same for all of an owner. Where it is not 1,
    ``weighted_search`` levels the loads; all others take each address for 1.
    """

    owner: int
    family: int
    nodes: tuple
    current: frozenset = frozenset()
    held: bool = False
    domains: tuple = ()
    taken: frozenset = frozenset()
    weight: int = 1

    def ranked(self):
        """Return the nodes in the order in which the address would have them: where it is comes first."""
        return sorted(self.nodes, key=lambda node: (node not in self.current, node))


class Node(NamedTuple):
    """A node: what it already bears, and how many addresses more it can take (None: no limit)."""

    load: int = 0
    free: int | None = None
    free_by_family: tuple = (None, None)

    def free_for(self, family):
        """Return how many addresses of this family it can take as far as the family counts."""
        return self.free_by_family[0 if family == 4 else 1]


def weights(addresses, nodes, policy):
    """Return what one square and one move cost, so that the least of what comes first weighs more than all the rest."""
    if policy == STICKY:
        return 1, (sum(node.load for node in nodes) + len(addresses) + 1) ** 2
    return len(addresses) + 1, 1


def count_moves(addresses, placement):
    """Return how many held addresses are not where they were; one that loses its place counts as well."""
    return sum(address.held and node not in address.current for address, node in zip(addresses, placement))


def count_squares(nodes, placement):
    """Return the sum of squares of the loads."""
    loads = [node.load for node in nodes]
    for node in placement:
        if node is not None:
            loads[node] += 1
    return sum(load * load for load in loads)


def loads_of(addresses, nodes, placement):
    """Return what each node bears with the addresses in it, by their weights."""
    loads = [node.load for node in nodes]
    for address, node in zip(addresses, placement):
        if node is not None:
            loads[node] += address.weight
    return loads


def count_overlap(addresses, placement):
    """Return how many addresses are beyond the first of their owner in a failure domain."""
    seen, overlap = set(), 0
    for address, node in zip(addresses, placement):
        if address.domains and node is not None:
            domain = address.domains[node]
            overlap += domain in address.taken or (address.owner, domain) in seen
            seen.add((address.owner, domain))
    return overlap


def objective(addresses, nodes, policy, placement):
    """Return what is least in the best placement: addresses without place, domain overlap, then squares and moves by
    policy."""
    squares, moves = count_squares(nodes, placement), count_moves(addresses, placement)
    first = placement.count(None), count_overlap(addresses, placement)
    return (*first, *((moves, squares) if policy == STICKY else (squares, moves)))


def keeps_rules(addresses, nodes, placement):
    """Tell whether no node bears more than it can, in all and of a family, and no two addresses of an owner are in
    one."""
    if first_conflict(addresses, placement) is not None:
        return False
    limited = [number for number, node in enumerate(nodes) if (node.free, *node.free_by_family) != _UNLIMITED]
    loads = Counter((node, address.family) for address, node in zip(addresses, placement)) if limited else {}
    return all(
        limit is None or count <= limit
        for number in limited
        for four, six in [(loads[number, 4], loads[number, 6])]
        for count, limit in zip((four + six, four, six), (nodes[number].free, *nodes[number].free_by_family))
    )


def first_conflict(addresses, placement):
    """Return the first two addresses of one owner in one node, or None."""
    seen = {}
    for number, node in enumerate(placement):
        if node is None:
            continue
        other = seen.setdefault((addresses[number].owner, node), number)
        if other != number:
            return other, number
    return None


def bans_against(addresses, placement, conflict):
    """Return the bans that rule out a conflict: of that owner the node gets nothing of one family, or of the other.

    Each is a set of (address, node) pairs.
    """
    owner, node = addresses[conflict[0]].owner, placement[conflict[0]]
    return tuple(
        frozenset(
            (number, node)
            for number, address in enumerate(addresses)
            if address.owner == owner and address.family == addresses[one].family
        )
        for one in conflict
    )
