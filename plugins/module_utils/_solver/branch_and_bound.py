# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The best placement where a packing alone does not give it. PRIVATE to the collection.

Three rules cross what a packing knows: an object's addresses of both families behind separate arcs of one node, its
spread groups in one failure domain, and a cap on moves. A packing without the rule is a bound. Where it breaks the
rule, the search branches on how to keep it, and goes on where the bound is lowest; so it ends with the best placement,
in a time that may be long.
"""

from __future__ import annotations

import heapq
from dataclasses import dataclass, replace
from typing import NamedTuple

from .min_cost_flow import fill, minimize_cost
from .model import (
    STICKY,
    Node,
    bans_against,
    count_moves,
    count_overlap,
    count_squares,
    first_conflict,
    objective,
    weights,
)
from .move_cap import closest_to_cap
from .packing import Packing
from .spread_groups import shared_domains
from .tie_break import first_by_name


class _Constraints(NamedTuple):
    """What a branch of the search takes for given.

    ``banned``: (address, node) pairs that are not to be; ``present``: (addresses, domain) pairs of which some address
    is there.
    """

    banned: frozenset = frozenset()
    present: frozenset = frozenset()

    def also(self, more):
        """Return these terms and more of them."""
        return _Constraints(self.banned | more.banned, self.present | more.present)

    def implied_overlap(self, addresses):
        """Return {(owner, domain): how many spread groups are sure to be there beyond the first}."""
        found = {}
        for members, domain in sorted(self.present, key=lambda pair: (len(pair[0]), sorted(pair[0]))):
            disjoint = found.setdefault((addresses[min(members)].owner, domain), [])
            if all(members.isdisjoint(other) for other in disjoint):
                disjoint.append(members)
        return {key: len(disjoint) - 1 for key, disjoint in found.items()}


_UNCONSTRAINED = _Constraints()


@dataclass(frozen=True)
class _Bound:
    """What no placement under some terms is better than: ``objective``, met by ``placement`` unless there are branches.

    Each branch is further _Terms; together they leave no placement out. ``reach`` proves the bound for ``packing``.
    """

    objective: tuple
    placement: tuple
    branches: tuple
    packing: Packing
    potential: object


# How many addresses the bounds may have had in all before the order by name goes without further questions: some
# seconds.
_RULE_CHECK_LIMIT = 100_000


def count_fewest_moves(addresses, nodes):
    """Return how many moves it takes to place most addresses."""
    packing = Packing(addresses, nodes, *weights(addresses, nodes, STICKY))
    fill(packing, packing.current)
    at_rest = all(
        node != packing.unassigned and packing.price(address, node) == 0 for address, node in enumerate(packing.node_of)
    )
    if at_rest and count_overlap(addresses, packing.node_of) == 0:
        # Everybody has a place, and nobody moves who could stay.
        return count_moves(addresses, packing.node_of)
    task = _Task(addresses, nodes, STICKY, None)
    return count_moves(addresses, task.search(task.bound()))


def keeps_uncounted_rules(packing, placement):
    """Tell whether a placement of a packing keeps the rules that the packing does not know, those on moves aside."""
    return first_conflict(packing.addresses, placement) is None and not shared_domains(packing, placement)


def best_placement(addresses, nodes, policy, most_moves=None):
    """Return the best placement, a tuple of nodes and None, with at most ``most_moves`` moves (None: any number).

    It is the best by the objective, however long that takes. To find the first by name of those that are as good, it
    asks no more than is bearable.
    """
    task = _Task(addresses, nodes, policy, most_moves)
    root = task.bound()
    best = task.search(root)
    wanted = task.objective(best)
    task.effort = _Effort(_RULE_CHECK_LIMIT)
    if wanted > root.objective:
        return _first_by_checks(task, best, wanted)
    # All that are as good are ties of the root's packing.
    first_by_name(root.packing, root.potential, _RuleCheck(task, best, wanted))
    return root.packing.placement()


def _first_by_checks(task, best, wanted):
    """Bring the best placement to the first by name that is as good: ask for each address and each node it might
    have."""
    for address, one in enumerate(task.addresses):
        for node in one.ranked():
            if node == best[address]:
                break
            found = task.placement_with((*best[:address], node), wanted, best)
            if found is not None:
                best = found
                break
    return best


class _RuleCheck:
    """Says of each change that leaves the packing as cheap as it is whether it keeps the rules as well."""

    def __init__(self, task, start, wanted):
        self.task = task
        self.start = start
        self.wanted = wanted

    def accept_or_replace(self, address, before, after):
        """Return a placement that is as good, with ``address`` where ``after`` has it, all before it where they are.

        If there is none, it is ``before``.
        """
        task = self.task
        if first_conflict(task.addresses, after) is None and task.objective(after) == self.wanted:
            return after
        return task.placement_with((*before[:address], after[address]), self.wanted, before) or before


class _Effort:
    """What is ``left`` of an allowance, in addresses."""

    def __init__(self, left):
        self.left = left


class _Task:
    """Addresses and nodes with the rules that cross. A search ends without an answer when no ``effort`` is left."""

    def __init__(self, addresses, nodes, policy, most_moves, effort=None):
        self.addresses = addresses
        self.nodes = nodes
        self.policy = policy
        self.most_moves = most_moves
        self.effort = effort or _Effort(float("inf"))

    def objective(self, placement):
        """Return what is least in the best placement."""
        return objective(self.addresses, self.nodes, self.policy, placement)

    def placement_with(self, fixed, wanted, start):
        """Return a placement with ``wanted`` objective where the first addresses have these fixed nodes; None when
        there is none."""
        count = len(fixed)
        moves = count_moves(self.addresses[:count], fixed)
        rest = _Task(*_without_fixed(self.addresses, self.nodes, fixed), self.policy, None, self.effort)
        limits = (limit for node in rest.nodes for limit in (node.free, *node.free_by_family))
        overfull = any(limit is not None and limit < 0 for limit in limits)
        if overfull or first_conflict(self.addresses, fixed) or self.effort.left <= 0:
            return None
        if self.most_moves is not None:
            rest.most_moves = self.most_moves - moves
        overlap = count_overlap(self.addresses, fixed)
        offset = (fixed.count(None), overlap, *((moves, 0) if self.policy == STICKY else (0, moves)))
        wanted = tuple(total - part for total, part in zip(wanted, offset))
        found = rest.search(rest.bound(start=start[count:]), wanted)
        return None if found is None else (*fixed, *found)

    def search(self, root, wanted=None):
        """Return the best placement by the objective; None when none as good as ``wanted`` is found."""
        queue, pushed = [], 0
        found = [(root, _UNCONSTRAINED)]
        while True:
            for bound, constraints in found:
                if bound is not None and (wanted is None or bound.objective <= wanted):
                    pushed += 1
                    # Of equal bounds the deepest, the one with most terms, is likely to end first.
                    entry = constraints, bound.placement, bound.branches
                    heapq.heappush(queue, (bound.objective, -sum(map(len, constraints)), pushed, entry))
            if not queue or self.effort.left <= 0:
                return None
            constraints, placement, branches = heapq.heappop(queue)[-1]
            if not branches:
                return placement
            found = [(self.bound(constraints.also(more), placement), constraints.also(more)) for more in branches]

    def bound(self, constraints=_UNCONSTRAINED, start=None):
        """Return the _Bound of the placements under ``terms``; None when there is none."""
        self.effort.left -= len(self.addresses)
        free = self._minimized(weights(self.addresses, self.nodes, self.policy), constraints, start)
        if self.most_moves is None or count_moves(self.addresses, free[1]) <= self.most_moves:
            return self._bound_met(*free, constraints)
        fewest = self._minimized(weights(self.addresses, self.nodes, STICKY), constraints, start)
        if count_moves(self.addresses, fewest[1]) > self.most_moves:
            # What breaks a rule may be had for more moves only: one less with a place, say, may need fewer.
            branches = self._bound_met(*fewest, constraints).branches
            return replace(self._bound_met(*free, constraints), branches=branches) if branches else None
        return self._capped(constraints, fewest, free[1])

    def _minimized(self, prices, constraints, start):
        packing = Packing(self.addresses, self.nodes, *prices, constraints.banned)
        potential = minimize_cost(packing, start)
        return packing, packing.placement(), potential

    def _bound_met(self, packing, placement, potential, constraints):
        """Return the _Bound that ``placement`` meets, unless it breaks a rule that the packing does not know."""
        conflict, implied_overlap = (
            first_conflict(self.addresses, placement),
            constraints.implied_overlap(self.addresses),
        )
        placed, overlap, *rest = self.objective(placement)
        shared = shared_domains(packing, placement)
        overlap += sum(implied_overlap.values()) - sum(len(groups) - 1 for groups in shared.values())
        branches = (
            [_Constraints(bans) for bans in bans_against(self.addresses, placement, conflict)] if conflict else ()
        )
        for (owner, domain), groups in shared.items():
            if not branches and len(groups) - 1 > implied_overlap.get((owner, domain), 0):
                branches = _branch_on_presence(domain, groups, constraints)
        return _Bound((placed, overlap, *rest), placement, branches, packing, potential)

    def _capped(self, constraints, fewest, flattest):
        """Close in on the cap from both sides: ``fewest`` keeps it, ``flattest`` is flatter and breaks it.

        A price on moves at which both cost the same gives the next placement between them. When there is none that is
        cheaper, both are cheapest at this price, which gives the bound.
        """
        fewest = fewest[1]
        while True:
            more_moves = count_moves(self.addresses, flattest) - count_moves(self.addresses, fewest)
            saving = count_squares(self.nodes, fewest) - count_squares(self.nodes, flattest)
            packing, middle, potential = self._minimized((more_moves, saving), constraints, fewest)
            price, least = (
                more_moves * count_squares(self.nodes, each) + saving * count_moves(self.addresses, each)
                for each in (fewest, middle)
            )
            if price == least:
                break
            if count_moves(self.addresses, middle) <= self.most_moves:
                fewest = middle
            else:
                flattest = middle
        fewest = closest_to_cap(packing, flattest, fewest, self.most_moves)
        # Placements of equally many addresses have squares that are all even or all odd.
        squares = -((saving * self.most_moves - least) // more_moves)
        squares += (squares - count_squares(self.nodes, fewest)) % 2
        shared = self._bound_met(packing, fewest, potential, constraints)
        if squares == count_squares(self.nodes, fewest):
            return shared
        moves = -((more_moves * squares - least) // saving)
        return _Bound(
            (*shared.objective[:2], squares, moves),
            fewest,
            _branch_on_move(self.addresses, fewest, flattest),
            packing,
            potential,
        )


def _without_fixed(addresses, nodes, fixed):
    """Return the addresses that have no fixed node yet, and the nodes as those with fixed nodes leave them."""
    owners, domains, nodes = {}, {}, list(nodes)
    for address, fixed_node in zip(addresses, fixed):
        if fixed_node is not None:
            node, families = nodes[fixed_node], (address.family == 4, address.family == 6)
            less = (limit if limit is None else limit - own for limit, own in zip(node.free_by_family, families))
            nodes[fixed_node] = Node(node.load + 1, None if node.free is None else node.free - 1, tuple(less))
            owners.setdefault(address.owner, set()).add(fixed_node)
            if address.domains:
                domains.setdefault(address.owner, set()).add(address.domains[fixed_node])
    rest = []
    for address in addresses[len(fixed) :]:
        taken = owners.get(address.owner, ())
        open_rooms = tuple(node for node in address.nodes if node not in taken) if taken else address.nodes
        rest.append(address._replace(nodes=open_rooms, taken=address.taken.union(domains.get(address.owner, ()))))
    return rest, nodes


def _branch_on_move(addresses, fewest, flattest):
    """Return the bans of both answers to one question: does the first address that only ``fewest`` keeps move?"""
    number, address = next(
        (number, address)
        for number, address in enumerate(addresses)
        if fewest[number] in address.current and flattest[number] not in address.current
    )
    return (
        _Constraints(frozenset((number, node) for node in address.nodes if node not in address.current)),
        _Constraints(frozenset((number, node) for node in address.current)),
    )


def _branch_on_presence(domain, groups, constraints):
    """Return the terms of both answers to one question: is one of these spread groups in the domain?"""
    members = ((group, frozenset(group.members)) for group in groups)
    group, asked = next(pair for pair in members if (pair[1], domain) not in constraints.present)
    banned = frozenset((one, node) for one in asked for node in group.parts[domain])
    return _Constraints(banned), _Constraints(present=frozenset([(asked, domain)]))
