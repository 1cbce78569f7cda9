# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Addresses of different weight: small worlds against a brute force, larger ones by what holds of every plan."""

from __future__ import annotations

import itertools
import random

import pytest
from ansible_collections.netops.egress_ip.plugins.module_utils._solver.model import BALANCED, STICKY, Address, NodeLoad
from ansible_collections.netops.egress_ip.plugins.module_utils._solver.solve import solve
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from solver_worlds import POLICIES, keeps_the_rules
from weighted_worlds import as_it_is, large_world, measure, worlds


def by_policy(measured, policy):
    outside, overlap, squares, moves = measured
    return (outside, overlap, moves, squares) if policy == STICKY else measured


def least(addresses, nodes, policy, max_moves):
    """Return the measure of the best placement; weights do not decide which addresses have a node."""
    by_count = solve([address._replace(weight=1) for address in addresses], nodes, STICKY).nodes
    every = itertools.product(
        *[address.nodes if node is not None else (None,) for address, node in zip(addresses, by_count, strict=True)]
    )
    allowed = [measure(addresses, nodes, each) for each in every if keeps_the_rules(addresses, nodes, each)]
    most = min(each[:2] for each in allowed)
    allowed = [each for each in allowed if each[:2] == most]
    fewest = min(each[3] for each in allowed)
    if policy == BALANCED and max_moves is not None:
        allowed = [each for each in allowed if each[3] <= fewest + max_moves]
    return min(allowed, key=lambda each: by_policy(each, policy))


@settings(max_examples=300)
@given(worlds(), POLICIES)
def test_small_worlds_have_the_best_placement_of_all(world, how):
    addresses, nodes = world
    assume(len({address.weight for address in addresses}) > 1)
    placement = solve(addresses, nodes, *how)
    assert keeps_the_rules(addresses, nodes, placement.nodes)
    assert measure(addresses, nodes, placement.nodes) == least(addresses, nodes, *how)
    assert placement.proven


@given(worlds(addresses=8, nodes=6), POLICIES)
def test_the_best_placement_of_eight_addresses_is_proven(world, how):
    addresses, nodes = world
    assert solve(addresses, nodes, *how).proven


@given(worlds(), st.sampled_from((BALANCED, STICKY)))
def test_a_plan_applied_to_itself_moves_nothing(world, policy):
    addresses, nodes = world
    placement = solve(addresses, nodes, policy).nodes
    assert solve(as_it_is(addresses, placement), nodes, policy).nodes == placement


@pytest.mark.parametrize("policy", [BALANCED, STICKY])
@pytest.mark.parametrize("seed", range(20))
def test_large_worlds_keep_the_rules_and_stay(seed, policy):
    addresses, nodes = large_world(seed)
    placement = solve(addresses, nodes, policy)
    by_count = solve([address._replace(weight=1) for address in addresses], nodes, STICKY)
    assert keeps_the_rules(addresses, nodes, placement.nodes)
    outside, overlap, squares, moves = measure(addresses, nodes, placement.nodes)
    by_count_outside, by_count_overlap, by_count_squares, fewest = measure(addresses, nodes, by_count.nodes)
    assert (outside, overlap) == (by_count_outside, by_count_overlap)
    assert squares <= by_count_squares
    assert placement.at_least is None or placement.at_least < squares
    assert placement.for_balance == moves - fewest
    assert solve(as_it_is(addresses, placement.nodes), nodes, policy).nodes == placement.nodes


def test_two_siblings_that_hold_one_node_do_not_meet_again():
    """A change of places of these two is tried, and taken back."""
    chance = random.Random(3)
    for _world in range(30):
        nodes = [NodeLoad(13, 5), NodeLoad(0, 5), NodeLoad()]
        weights = [chance.randint(1, 50) for _owner in range(12)]
        addresses = [Address(n // 2, 4, (0, 1, 2), frozenset([0]), True, weight=weights[n // 2]) for n in range(24)]
        placement = solve(addresses, nodes, BALANCED).nodes
        assert keeps_the_rules(addresses, nodes, placement)
        assert solve(as_it_is(addresses, placement), nodes, BALANCED).nodes == placement


@pytest.mark.parametrize("policy", [BALANCED, STICKY])
def test_no_address_loses_its_node_to_a_lighter_one(policy):
    addresses = [Address(0, 4, (0,), frozenset([0]), True, weight=50), Address(1, 4, (0,), weight=1)]
    assert solve(addresses, [NodeLoad(free=1)], policy).nodes == (0, None)


@pytest.mark.parametrize("policy", [BALANCED, STICKY])
def test_equal_weights_are_as_none(policy):
    addresses, nodes = large_world(0)
    plain = [address._replace(weight=1) for address in addresses]
    heavy = [node._replace(load=3 * node.load) for node in nodes]
    assert solve([address._replace(weight=3) for address in addresses], heavy, policy) == solve(plain, nodes, policy)


@pytest.mark.parametrize("max_moves", [0, 1, 5])
@pytest.mark.parametrize("seed", range(5))
def test_moves_for_balance_keep_their_cap(seed, max_moves):
    placement = solve(*large_world(seed), BALANCED, max_moves)
    assert placement.for_balance <= max_moves
