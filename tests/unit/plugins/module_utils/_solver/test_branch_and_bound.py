# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Crossing rules: spread owners in dual-stack fleets, limits of families, and the state that a deadline leaves."""

from __future__ import annotations

import random
from collections import Counter

import pytest
from ansible_collections.netops.egress_ip.plugins.module_utils._solver import branch_and_bound
from ansible_collections.netops.egress_ip.plugins.module_utils._solver.min_cost_flow import minimize_cost
from ansible_collections.netops.egress_ip.plugins.module_utils._solver.model import (
    BALANCED,
    STICKY,
    Address,
    NodeLoad,
    keeps_rules,
    objective,
    weights,
)
from ansible_collections.netops.egress_ip.plugins.module_utils._solver.packing import Packing
from ansible_collections.netops.egress_ip.plugins.module_utils._solver.solve import solve
from solver_worlds import keeps_the_rules, measure

ZONES = (0, 1, 2) * 3
# The second node has no IPv6.
NODES = {4: tuple(range(9)), 6: (0, 2, 3, 4, 5, 6, 7, 8)}


def fleet(lost_zone=None):
    """Eight owners of two IPv4 and one IPv6 address on nine nodes in three zones, one address in each zone."""
    addresses = []
    for owner in range(8):
        for zone, family in enumerate((4, 4, 6)):
            current = {3 * (owner // 3) + zone} & {*NODES[family]}
            possible = tuple(node for node in NODES[family] if ZONES[node] != lost_zone)
            addresses.append(Address(owner, family, possible, frozenset(current & {*possible}), True, ZONES))
    return addresses, [NodeLoad()] * 9


def zones_used(addresses, placement):
    """Return for each owner the number of its addresses in each zone, in descending order."""
    counts = Counter((address.owner, ZONES[node]) for address, node in zip(addresses, placement, strict=True))
    owners = sorted({address.owner for address in addresses})
    return [sorted((counts[owner, zone] for zone in range(3)), reverse=True) for owner in owners]


class Steps:
    """A deadline after a number of questions."""

    def __init__(self, left):
        self.left = left

    def __call__(self):
        self.left -= 1
        return self.left < 0


def test_all_zones_are_used_while_they_are_there():
    addresses, nodes = fleet()
    placement = solve(addresses, nodes)
    assert placement.proven
    assert zones_used(addresses, placement.nodes) == [[1, 1, 1]] * 8


def test_a_zone_fails():
    addresses, nodes = fleet(lost_zone=0)
    steps = Steps(1_000)
    placement = solve(addresses, nodes, deadline=steps)
    assert steps.left >= 0
    assert placement.proven
    assert zones_used(addresses, placement.nodes) == [[2, 1, 0]] * 8
    assert objective(addresses, nodes, BALANCED, placement.nodes) == (0, 8, 96, 8)


@pytest.mark.parametrize(("zones", "counts"), [(2, [3, 3]), (3, [2, 2, 2]), (4, [2, 2, 1, 1])])
@pytest.mark.parametrize("families", [(4,) * 6, (4, 4, 4, 6, 6, 6)])
def test_spread_is_even(zones, counts, families):
    """Also where one zone has most of the nodes, and one node has no IPv6."""
    domains = tuple(min(node, zones - 1) for node in range(2 * zones + 8))
    domains = (*domains, *(zone for zone in range(zones) for _node in range(3)))
    every = tuple(range(len(domains)))
    addresses = [Address(0, family, every if family == 4 else every[1:], domains=domains) for family in families]
    placement = solve(addresses, [NodeLoad()] * len(domains))
    found = Counter(domains[node] for node in placement.nodes)
    assert sorted(found.values(), reverse=True) == counts


def test_even_spread_costs_no_place():
    addresses = [Address(0, 4, (0, 1, 2, 3), domains=(0, 0, 0, 1)) for _address in range(4)]
    assert None not in solve(addresses, [NodeLoad()] * 4).nodes


def crowded(seed):
    """A world of all rules at once that takes many branches."""
    chance = random.Random(seed)
    nodes = [NodeLoad(0, 7, (5, 3)) for _node in range(8)]
    racks = tuple(chance.randint(0, 4) for _node in nodes)
    addresses = []
    for owner in range(14):
        for family in (4, 4, 6):
            possible = tuple(sorted(chance.sample(range(8), chance.randint(5, 8))))
            current = frozenset(chance.sample(possible, chance.choice((0, 1, 1, 2))))
            domains = ((), tuple(node % 3 for node in range(8)), racks)[owner % 3]
            addresses.append(Address(owner, family, possible, current, bool(current), domains))
    return addresses, nodes


@pytest.mark.parametrize("policy", [BALANCED, STICKY])
@pytest.mark.parametrize("max_moves", [None, 2])
@pytest.mark.parametrize("seed", range(3))
def test_a_deadline_ends_the_search_with_a_valid_placement(seed, max_moves, policy):
    addresses, nodes = crowded(seed)
    placement = solve(addresses, nodes, policy, max_moves, deadline=Steps(0))
    assert keeps_rules(addresses, nodes, placement.nodes)
    assert None not in placement.nodes
    assert placement.proven == (placement.gap is None)
    if placement.gap is not None:
        assert placement.gap.value > placement.gap.lower_bound


@pytest.mark.usefixtures("own_search")
def test_a_search_with_too_many_open_branches_ends(monkeypatch):
    monkeypatch.setattr(branch_and_bound, "_MOST_OPEN", 3)
    gaps = []
    for seed in range(6):
        addresses, nodes = crowded(seed)
        placement = solve(addresses, nodes, STICKY, None)
        assert keeps_rules(addresses, nodes, placement.nodes)
        gaps.append(placement.gap)
    assert any(gaps), "the limit ended no search"


def limited_world(seed):
    """A small world of both families with tight limits, in which few placements keep a cap on moves."""
    chance = random.Random(seed)
    count, limits = chance.randint(3, 6), (1, 2, 3)
    nodes = [NodeLoad(0, None, (chance.choice(limits), chance.choice(limits))) for _node in range(count)]
    labels = tuple(chance.randint(0, 2) for _node in nodes)
    addresses = []
    for owner in range(chance.randint(2, 6)):
        domains = labels if chance.random() < 0.4 else ()
        for _address in range(chance.randint(1, 3)):
            possible = tuple(node for node in range(count) if chance.random() < 0.8) or (0,)
            current = frozenset([chance.choice(possible)] if chance.random() < 0.8 else [])
            addresses.append(Address(owner, chance.choice((4, 6)), possible, current, bool(current), domains))
    return addresses, nodes


# With the last ones, local search finds no placement within the cap.
@pytest.mark.parametrize("seed", [*range(40), 295, 298, 784, 1205, 1461, 1800, 2354])
def test_a_cap_on_moves_leaves_no_more_unassigned_at_a_deadline(seed):
    addresses, nodes = limited_world(seed)
    free, capped = (solve(addresses, nodes, BALANCED, most, deadline=lambda: True) for most in (None, 1))
    assert keeps_rules(addresses, nodes, capped.nodes)
    first, second = (objective(addresses, nodes, BALANCED, each.nodes)[:2] for each in (capped, free))
    assert first <= second
    # More moves than the cap allows are a gap, as they may be for balance alone.
    assert capped.for_balance <= 1 or not capped.proven
    assert capped.proven == (capped.gap is None)
    assert capped.gap is None or capped.gap.value > capped.gap.lower_bound


def test_moves_above_the_cap_place_more_addresses():
    """The plan of the fewest moves that the deadline leaves has an address without a node."""
    addresses, nodes = limited_world(298)
    placement = solve(addresses, nodes, BALANCED, 1, deadline=lambda: True)
    assert None not in placement.nodes
    assert placement.for_balance > 1
    assert placement.gap.objective == "moves"


def tight_world(seed, node_count=8, objects=12):
    """Objects of both families and nodes that limit both: what a flow cannot express."""
    chance = random.Random(seed)
    nodes = [
        NodeLoad(0, chance.choice([None, 8]), (chance.randint(3, 4), chance.randint(3, 4)))
        for _index in range(node_count)
    ]
    addresses = []
    for owner in range(objects):
        for family in (4, 4, 6, 6):
            possible = tuple(sorted(chance.sample(range(node_count), chance.randint(node_count // 2, node_count))))
            current = frozenset([chance.choice(possible)] if chance.random() < 0.5 else [])
            addresses.append(Address(owner, family, possible, current, bool(current)))
    return addresses, nodes


@pytest.mark.parametrize("max_moves", [None, 3])
@pytest.mark.parametrize("seed", range(6))
def test_crossing_families_find_an_answer(seed, max_moves):
    addresses, nodes = tight_world(seed)
    placement = solve(addresses, nodes, BALANCED, max_moves).nodes
    assert keeps_the_rules(addresses, nodes, placement)
    # No plan is better than the best one of a flow, which leaves the rule out.
    free = Packing(addresses, nodes, *weights(addresses, nodes, BALANCED))
    minimize_cost(free)
    assert measure(addresses, nodes, placement)[:3] >= measure(addresses, nodes, free.placement())[:3]
