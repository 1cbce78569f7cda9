# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A mixed-integer solver as referee: is there a placement with a better objective?

The model is written from the rules, independent of the planner's own code. For each term of the objective the referee
asks for a placement that is as good in all terms before it and better in this one; it has to find none.
"""

from __future__ import annotations

import random
from collections import Counter

import numpy as np
from scipy.optimize import Bounds, LinearConstraint, milp
from scipy.sparse import csr_matrix

FAMILIES = (4, 6)


def world(seed, address_type, node_type):
    """Return (addresses, nodes, policy, max_moves) with every rule at once: 5 to 12 nodes, 10 to 60 addresses.

    Zones and racks, a failed zone or failed nodes, nodes without IPv6, up to three networks, node selectors, limits in
    all and by family, several holders, weights, both policies, caps on moves.
    """
    chance = random.Random(seed)
    count, wanted = chance.randint(5, 12), chance.randint(10, 60)
    kinds = chance.choice((2, 3, 3))
    zones = tuple(node % kinds for node in range(count))
    racks = tuple(chance.randint(0, count // 2) for _node in range(count))
    every = tuple(range(count))
    networks = [every] + [
        tuple(sorted(chance.sample(every, max(2, count - 2)))) for _extra in range(chance.randint(0, 2))
    ]
    selectors = [every, every, every, every[::2], every[count // 2 :]]
    without_ipv6 = set(chance.sample(every, chance.choice((0, 0, 1, 2))))
    down = {node for node in every if zones[node] == 0} if chance.random() < 0.3 else set()
    down = down or set(chance.sample(every, chance.choice((0, 0, 1, 2))))
    weighted, limits = chance.random() < 0.1, chance.choice((None, None, "all", "family", "both"))
    share, slack = -(-wanted // (count - len(down))), chance.choice((1.1, 1.4, 2.0))

    def limit(part, kinds):
        return max(1, int(share * part * slack) + chance.randint(0, 1)) if limits in kinds else None

    nodes = [
        node_type(0, limit(1, ("all", "both")), (limit(0.7, ("family", "both")), limit(0.5, ("family", "both"))))
        for _node in every
    ]
    addresses, owner = [], 0
    while len(addresses) < wanted:
        families = chance.choice(((4,), (4, 4), (4, 6), (4, 4, 6), (4, 4, 6, 6), (4, 4, 4, 6)))
        domains = chance.choice(((), zones, zones, racks)) if len(families) > 1 else ()
        network, selector, used = chance.choice(networks), chance.choice(selectors), set()
        weight = chance.randint(1, 3) if weighted else 1
        for family in families:
            before = [n for n in network if n in selector and not (family == 6 and n in without_ipv6)]
            possible = tuple(node for node in before if node not in down)
            if possible:
                left = [node for node in before if node not in used]
                holders = chance.sample(left, min(len(left), chance.choice((0, 1, 1, 1, 1, 1, 1, 1, 1, 2))))
                used.update(holders)
                current = frozenset(holders).intersection(possible)
                found = address_type(owner, family, possible, current, bool(holders), domains, weight=weight)
                addresses.append(found)
        owner += 1
    return addresses, nodes, chance.choice(("balanced", "balanced", "sticky")), chance.choice((None, None, 0, 2, 5))


def measure(addresses, nodes, placement):
    """Return the terms of the objective: unassigned, overlap, squares of the loads by weight, moves."""
    loads = Counter()
    for address, node in zip(addresses, placement, strict=True):
        loads[node] += address.weight
    pairs = [(address, node) for address, node in zip(addresses, placement, strict=True) if node is not None]
    domains = Counter((address.owner, address.domains[node]) for address, node in pairs if address.domains)
    return {
        "unassigned": sum(node is None for node in placement),
        "overlap": sum(count * (count - 1) // 2 for count in domains.values()),
        "squares": sum((node.load + loads[number]) ** 2 for number, node in enumerate(nodes)),
        "moves": sum(a.held and node not in a.current for a, node in zip(addresses, placement, strict=True)),
    }


class Referee:
    """The linear model of one world. Variables: address on node, and the units of each convex cost."""

    def __init__(self, addresses, nodes):
        self.size = 0
        self.rows, self.lowest, self.highest = [], [], []
        self.terms = {"overlap": {}, "squares": {}, "moves": {}}
        self.on = [{node: self._variable() for node in address.nodes} for address in addresses]
        self.count = len(addresses)
        self.base = {"overlap": 0, "squares": sum(node.load**2 for node in nodes), "moves": 0}
        for used in self.on:
            self._row(dict.fromkeys(used.values(), 1), 0, 1)
        self._add_nodes(addresses, nodes)
        self._add_domains(addresses)
        for address, used in zip(addresses, self.on, strict=True):
            if address.held:
                self.base["moves"] += 1
                self.terms["moves"].update({used[node]: -1 for node in address.current})
        self.terms["unassigned"] = {variable: -1 for used in self.on for variable in used.values()}
        self.base["unassigned"] = self.count

    def _variable(self):
        self.size += 1
        return self.size - 1

    def _row(self, coefficients, low, high):
        self.rows.append(coefficients)
        self.lowest.append(low)
        self.highest.append(high)

    def _add_nodes(self, addresses, nodes):
        for number, node in enumerate(nodes):
            here = [(address, used[number]) for address, used in zip(addresses, self.on, strict=True) if number in used]
            for family, limit in ((None, node.free), *zip(FAMILIES, node.free_by_family, strict=True)):
                if limit is not None:
                    self._row({v: 1 for address, v in here if family in (None, address.family)}, 0, limit)
            owners = {}
            for address, variable in here:
                owners.setdefault(address.owner, {})[variable] = 1
            for row in owners.values():
                self._row(row, 0, 1)
            self._add_convex("squares", {variable: address.weight for address, variable in here}, 2 * node.load + 1, 2)

    def _add_domains(self, addresses):
        counts = {}
        for address, used in zip(addresses, self.on, strict=True):
            if address.domains:
                for node, variable in used.items():
                    counts.setdefault((address.owner, address.domains[node]), {})[variable] = 1
        for variables in counts.values():
            self._add_convex("overlap", variables, 0, 1)

    def _add_convex(self, term, variables, first, step):
        """Add units, as many as the weights of the variables in use, whose costs rise from ``first`` by ``step``."""
        units = {self._variable(): first + step * unit for unit in range(sum(variables.values()))}
        self.terms[term].update(units)
        self._row({**variables, **dict.fromkeys(units, -1)}, 0, 0)

    def leave_unassigned(self, placement):
        """Exclude placements that assign an address that ``placement`` does not."""
        for used, node in zip(self.on, placement, strict=True):
            if node is None:
                self._row(dict.fromkeys(used.values(), 1), 0, 0)

    def improves(self, at_most):
        """Return whether a placement has no term of {term: value} above its value."""
        rows, lowest, highest = [*self.rows], [*self.lowest], [*self.highest]
        for term, value in at_most.items():
            rows.append(self.terms[term])
            lowest.append(-np.inf)
            highest.append(value - self.base[term])
        entries = [(number, variable, factor) for number, row in enumerate(rows) for variable, factor in row.items()]
        numbers, variables, factors = zip(*entries, strict=True)
        matrix = csr_matrix((factors, (numbers, variables)), shape=(len(rows), self.size))
        # The term in question is the cost too: its relaxation often proves that nothing is below.
        cost = np.zeros(self.size)
        for variable, factor in self.terms[[*at_most][-1]].items():
            cost[variable] = factor
        found = milp(
            cost,
            integrality=np.ones(self.size),
            bounds=Bounds(0, 1),
            constraints=LinearConstraint(matrix, lowest, highest),
            options={"time_limit": 20},
        )
        if found.status not in (0, 2):
            raise TimeoutError(found.message)
        return found.status == 0


def _order(sticky, weighted):
    """Return the terms by importance; with weights, moves are an objective only if they come before the squares."""
    rest = ["moves", "squares"] if sticky else ["squares"] if weighted else ["squares", "moves"]
    return ["unassigned", "overlap", *rest]


def is_below_gap(addresses, nodes, policy, max_moves, placement):
    """Return whether some placement is below the lower bound of the Gap of a Placement of the solver."""
    gap, own = placement.gap, measure(addresses, nodes, placement.nodes)
    sticky = policy == "sticky" or max_moves == 0
    # The solver has the gap of weighted problems from a search for the fewest moves, in which all weights are one.
    weighted = any(address.weight != 1 for address in addresses)
    if weighted and gap.objective == "squares":
        return False
    order = _order(sticky or weighted, False)
    fixed = {term: own[term] for term in order[: order.index(gap.objective)]}
    if gap.objective == "squares" and not sticky and max_moves is not None:
        fixed["moves"] = own["moves"] - placement.for_balance + max_moves
    alike = [address._replace(weight=1) for address in addresses]
    return gap.lower_bound > 0 and Referee(alike, nodes).improves({**fixed, gap.objective: gap.lower_bound - 1})


def better_terms(addresses, nodes, policy, max_moves, placement):
    """Return the terms of the objective in which some placement is better than a Placement of the solver."""
    referee, own = Referee(addresses, nodes), measure(addresses, nodes, placement.nodes)
    fewest = own["moves"] - placement.for_balance
    sticky = policy == "sticky" or max_moves == 0
    weighted = any(address.weight != 1 for address in addresses)
    order = _order(sticky, weighted)
    found, fixed = [], {}
    for term in order:
        if weighted and term == order[2]:
            # Which addresses are assigned does not depend on weights.
            referee.leave_unassigned(placement.nodes)
        if term == "squares" and not sticky and max_moves is not None:
            if fewest and referee.improves({**fixed, "moves": fewest - 1}):
                found.append("fewest moves")
            fixed["moves"] = fewest + max_moves
        if term == "squares" and placement.at_least is not None:
            own[term] = placement.at_least
        # Squares of the same addresses have one parity.
        is_exact = term == "squares" and placement.at_least is None
        less = own[term] - (2 if is_exact else 1)
        if less >= 0 and referee.improves({**fixed, term: less}):
            found.append(term)
        fixed[term] = own[term]
    return found
