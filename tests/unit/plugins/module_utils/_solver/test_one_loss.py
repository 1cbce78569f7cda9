# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where the addresses of a lost node go, against all possible results."""

from __future__ import annotations

import random

import pytest
from ansible_collections.netops.egress_ip.plugins.module_utils._solver.model import NodeLoad
from ansible_collections.netops.egress_ip.plugins.module_utils._solver.one_loss import Lost, NodeRing, reassign
from ansible_collections.netops.egress_ip.plugins.module_utils._solver.one_loss_flow import minimize
from one_loss_worlds import best, keeps_rules, objective, world


def fleet(*loads, free=None):
    """Return a fleet in which each address may be on each node."""
    return NodeRing([NodeLoad(load, free) for load in loads], [frozenset(range(len(loads)))])


def lost(count, **fields):
    """Return lost addresses of different owners, which may be on each node."""
    return [Lost(4, 0, **fields)] * count


@pytest.mark.parametrize("block", range(10))
def test_the_result_is_the_best_of_all(block):
    for seed in range(100 * block, 100 * block + 100):
        nodes, origin, addresses = world(seed)
        least = best(nodes, origin, addresses)
        for found in (reassign(nodes, origin, addresses), minimize(nodes, origin, addresses)):
            assert keeps_rules(nodes, addresses, found), seed
            assert objective(nodes, origin, addresses, found) == least, seed


def test_the_most_addresses_are_placed_where_weights_differ():
    for seed in range(300):
        nodes, origin, addresses = world(seed, weights=(1, 5, 20))
        found = reassign(nodes, origin, addresses)
        assert keeps_rules(nodes, addresses, found), seed
        assert objective(nodes, origin, addresses, found)[:2] == best(nodes, origin, addresses)[:2], seed


def test_equal_weights_level_the_weighted_loads():
    assert reassign(fleet(0, 6, 9, 0), 3, lost(3, weight=3)) == [0, 0, 0]
    assert reassign(fleet(0, 6, 9, 0), 3, lost(4, weight=3)) == [0, 0, 0, 1]


def test_the_next_nodes_in_the_ring_share_the_addresses():
    assert reassign(fleet(2, 2, 2, 2, 2), 3, lost(2)) == [4, 0]


def test_a_less_loaded_node_is_worth_more_than_a_near_one():
    assert reassign(fleet(1, 2, 2, 2, 2), 2, lost(2)) == [0, 3]


def test_an_address_keeps_its_last_node_where_that_costs_nothing():
    addresses = [Lost(4, 0), Lost(4, 0, last=1), Lost(4, 0, last=3)]
    assert reassign(fleet(2, 2, 2, 2, 2), 0, addresses) == [2, 1, 3]
    # The last node of the second is too far.
    assert reassign(fleet(2, 2, 2, 2, 2), 0, [Lost(4, 0), Lost(4, 0, last=4)]) == [1, 2]


def test_a_full_a_closed_and_a_lost_node_get_nothing():
    nodes = fleet(0, 0, 0, free=1)
    nodes.closed.add(1)
    assert reassign(nodes, 0, lost(3)).count(2) == 1
    assert reassign(nodes, 0, lost(3)).count(None) == 2


def test_a_large_loss_among_nodes_that_take_only_some_addresses():
    rng = random.Random(1)
    nodes = NodeRing(
        [NodeLoad(rng.randint(0, 3), 12) for _n in range(60)], [frozenset(range(60)), frozenset(range(0, 60, 7))]
    )
    addresses = [
        Lost(4, number % 2, frozenset({0, *rng.sample(range(60), 5)}), rng.choice([None, 7, 14]))
        for number in range(90)
    ]
    found = reassign(nodes, 0, addresses)
    assert keeps_rules(nodes, addresses, found)
    exact = minimize(nodes, 0, addresses)
    assert objective(nodes, 0, addresses, found) == objective(nodes, 0, addresses, exact)
