# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The input of the solver, addresses and nodes as plain integers, and the objective. PRIVATE to the collection.

``_planner.assign`` translates egress IPs and hosts to these. Addresses are numbered in the order in which they choose
among equal placements, nodes in the order in which they are chosen. A placement is a sequence with the node of each
address, None for an unassigned one.
"""

from __future__ import annotations

from collections import Counter
from typing import FrozenSet, NamedTuple, Optional, Sequence, Tuple

BALANCED = "balanced"
STICKY = "sticky"
POLICIES = (BALANCED, STICKY)
_UNLIMITED = (None, None, None)

# Python 3.8 evaluates these, so they are spelled with typing's names.
Placed = Sequence[Optional[int]]
Objective = Tuple[int, int, int, int]
Bans = FrozenSet[Tuple[int, int]]


class Address(NamedTuple):
    """An egress IP: ``owner`` is the number of its object, ``family`` 4 or 6.

    ``nodes`` are its possible nodes in ascending order, ``current`` those of them that hold it now. ``held`` is true if
    any node holds it, also one that is not possible.

    Addresses of a spread owner have ``domains``, the failure domain of each node by its number. ``taken`` lists the
    domains of siblings that are not part of the problem, one entry for each sibling.

    ``weight`` is what the address adds to the load of its node, the same for all siblings. ``weighted_search`` levels
    the loads where weights differ; all other modules count each address as one.
    """

    owner: int
    family: int
    nodes: tuple[int, ...]
    current: frozenset[int] = frozenset()
    held: bool = False
    domains: tuple[int, ...] = ()
    taken: tuple[int, ...] = ()
    weight: int = 1

    def ranked(self) -> list[int]:
        """Return the possible nodes in the order of preference: the current ones come first."""
        return sorted(self.nodes, key=lambda node: (node not in self.current, node))


class NodeLoad(NamedTuple):
    """A host: its load now, and how many more addresses it can take, in all and by family (None: no limit)."""

    load: int = 0
    free: int | None = None
    free_by_family: tuple[int | None, int | None] = (None, None)

    def free_for(self, family: int) -> int | None:
        """Return the limit for addresses of one family."""
        return self.free_by_family[0 if family == 4 else 1]


def intern_nodes(addresses: Sequence[Address]) -> tuple[list[int], list[tuple[int, ...]]]:
    """Return the number of each address's set of possible nodes, and the sets."""
    numbers: dict[tuple[int, ...], int] = {}
    found: list[int] = []
    last: tuple[int, ...] | None = None
    for address in addresses:
        # Neighbours mostly share a tuple; the hash of a long one takes time.
        if address.nodes is not last:
            last = address.nodes
            number = numbers.setdefault(last, len(numbers))
        found.append(number)
    return found, list(numbers)


def weights(addresses: Sequence[Address], nodes: Sequence[NodeLoad], policy: str) -> tuple[int, int]:
    """Return (cost of one square, cost of one move); one unit of the first objective outweighs all of the second."""
    if policy == STICKY:
        return 1, (sum(node.load for node in nodes) + len(addresses) + 1) ** 2
    return len(addresses) + 1, 1


def count_moves(addresses: Sequence[Address], placement: Placed) -> int:
    """Return how many held addresses are not on a current node; an unassigned one counts as well."""
    return sum(address.held and node not in address.current for address, node in zip(addresses, placement))


def count_squares(nodes: Sequence[NodeLoad], placement: Placed) -> int:
    """Return the sum of squares of the loads."""
    loads = [node.load for node in nodes]
    for node in placement:
        if node is not None:
            loads[node] += 1
    return sum(load * load for load in loads)


def loads_of(addresses: Sequence[Address], nodes: Sequence[NodeLoad], placement: Placed) -> list[int]:
    """Return the load of each node with the addresses on it, by their weights."""
    loads = [node.load for node in nodes]
    for address, node in zip(addresses, placement):
        if node is not None:
            loads[node] += address.weight
    return loads


def count_overlap(addresses: Sequence[Address], placement: Placed) -> int:
    """Return the domain overlap: how many pairs of siblings of spread owners are in one failure domain.

    For a given number of addresses it is least exactly when the sum of squares of the counts per domain is.
    """
    counts: dict[tuple[int, int], int] = {}
    overlap = 0
    for address, node in zip(addresses, placement):
        if address.domains and node is not None:
            domain = address.domains[node]
            key = address.owner, domain
            if key not in counts:
                counts[key] = address.taken.count(domain)
            overlap += counts[key]
            counts[key] += 1
    return overlap


def objective(addresses: Sequence[Address], nodes: Sequence[NodeLoad], policy: str, placement: Placed) -> Objective:
    """Return the objective, which the best placement minimizes lexicographically.

    It is the number of unassigned addresses, the domain overlap, then squares and moves in the order of the policy.
    """
    squares, moves = count_squares(nodes, placement), count_moves(addresses, placement)
    first, second = (moves, squares) if policy == STICKY else (squares, moves)
    return sum(node is None for node in placement), count_overlap(addresses, placement), first, second


def keeps_rules(addresses: Sequence[Address], nodes: Sequence[NodeLoad], placement: Placed) -> bool:
    """Return whether all limits hold, in all and by family, and no node has two addresses of an owner."""
    if first_conflict(addresses, placement) is not None:
        return False
    limited = [number for number, node in enumerate(nodes) if (node.free, *node.free_by_family) != _UNLIMITED]
    loads = Counter((node, address.family) for address, node in zip(addresses, placement)) if limited else Counter()
    return all(
        limit is None or count <= limit
        for number in limited
        for four, six in [(loads[number, 4], loads[number, 6])]
        for count, limit in zip((four + six, four, six), (nodes[number].free, *nodes[number].free_by_family))
    )


def first_conflict(addresses: Sequence[Address], placement: Placed) -> tuple[int, int] | None:
    """Return the first two siblings on one node, or None."""
    seen: dict[tuple[int, int], int] = {}
    for number, node in enumerate(placement):
        if node is None:
            continue
        other = seen.setdefault((addresses[number].owner, node), number)
        if other != number:
            return other, number
    return None


def bans_against(addresses: Sequence[Address], placement: Placed, conflict: tuple[int, int]) -> list[Bans]:
    """Return the two ways to resolve a conflict, each a set of banned (address, node) pairs.

    The owner gets nothing of the first address's family on the node, or nothing of the second one's.
    """
    owner, node = addresses[conflict[0]].owner, placement[conflict[0]]
    return [
        frozenset(
            (number, node)
            for number, address in enumerate(addresses)
            if node is not None and address.owner == owner and address.family == addresses[one].family
        )
        for one in conflict
    ]
