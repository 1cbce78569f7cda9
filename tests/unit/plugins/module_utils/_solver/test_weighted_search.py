# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Addresses of different weight: small worlds against a brute force, larger ones by what holds of every plan."""

from __future__ import annotations

import itertools
import random
from collections import Counter

import pytest
from ansible_collections.netops.egress_ip.plugins.module_utils._solver.solve import (
    BALANCED,
    STICKY,
    Address,
    Node,
    solve,
)
from ansible_collections.netops.egress_ip.plugins.module_utils._solver.weighted_bound import at_least
from hypothesis import assume, given, settings
from hypothesis import strategies as st


def keeps_the_rules(addresses, nodes, placement):
    """Tell whether a placement is allowed; written without a look at the code under test."""
    pairs = [(address, node) for address, node in zip(addresses, placement, strict=True) if node is not None]
    if any(node not in address.nodes for address, node in pairs):
        return False
    if any(count > 1 for count in Counter((address.owner, node) for address, node in pairs).values()):
        return False
    count, of_family = (
        Counter(node for _address, node in pairs),
        Counter((node, address.family) for address, node in pairs),
    )
    return all(
        limit is None or found <= limit
        for number, node in enumerate(nodes)
        for limit, found in (
            (node.free, count[number]),
            (node.free_by_family[0], of_family[number, 4]),
            (node.free_by_family[1], of_family[number, 6]),
        )
    )


def measure(addresses, nodes, placement):
    """Return what is compared: without place, domain overlap, squares, moves."""
    loads = [node.load for node in nodes]
    overlap, seen = 0, Counter()
    for address, node in zip(addresses, placement, strict=True):
        if node is not None:
            loads[node] += address.weight
            if address.domains:
                overlap += seen[address.owner, address.domains[node]]
                seen[address.owner, address.domains[node]] += 1
    moves = sum(
        address.held and node not in address.current for address, node in zip(addresses, placement, strict=True)
    )
    return list(placement).count(None), overlap, sum(load * load for load in loads), moves


def by_policy(measured, policy):
    outside, overlap, squares, moves = measured
    return (outside, overlap, moves, squares) if policy == STICKY else measured


def least(addresses, nodes, policy, max_moves):
    """Return the measure of the best placement; who has a node does not hang on weights."""
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


@st.composite
def worlds(draw, addresses=6, nodes=4):
    """Small worlds with limits on all and on families, several holders, owners of a weight each, some spread."""
    count = draw(st.integers(1, nodes))
    limits = st.none() | st.integers(0, 3)
    listed = [Node(draw(st.integers(0, 5)), draw(limits), (draw(limits), draw(limits))) for _index in range(count)]
    numbers = st.integers(0, count - 1)
    domains = [draw(st.sampled_from(((), tuple(draw(numbers) for _node in listed)))) for _owner in range(addresses)]
    weights = [draw(st.integers(1, 9)) for _owner in range(addresses)]
    found = []
    for _index in range(draw(st.integers(1, addresses))):
        possible = draw(st.sets(numbers, min_size=1))
        current = draw(st.frozensets(st.sampled_from(sorted(possible)), max_size=2))
        held = bool(current) or draw(st.booleans())
        owner, family = draw(st.integers(0, addresses - 1)), draw(st.sampled_from((4, 4, 6)))
        rest = {"domains": domains[owner], "weight": weights[owner]}
        found.append(Address(owner, family, tuple(sorted(possible)), current, held, **rest))
    return found, listed


POLICIES = st.tuples(st.sampled_from((BALANCED, STICKY)), st.none() | st.integers(0, 3))


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


def as_it_is(addresses, placement):
    return [
        address._replace(current=frozenset(() if node is None else (node,)), held=node is not None)
        for address, node in zip(addresses, placement, strict=True)
    ]


@given(worlds(), st.sampled_from((BALANCED, STICKY)))
def test_a_plan_applied_to_itself_moves_nothing(world, policy):
    addresses, nodes = world
    placement = solve(addresses, nodes, policy).nodes
    assert solve(as_it_is(addresses, placement), nodes, policy).nodes == placement


@settings(max_examples=300)
@given(worlds(), POLICIES)
def test_the_bound_is_not_above_the_best(world, how):
    addresses, nodes = world
    best = solve(addresses, nodes, *how).nodes
    seated = [address for address, node in zip(addresses, best, strict=True) if node is not None]
    best = [node for node in best if node is not None]
    _outside, _overlap, squares, moves = measure(seated, nodes, best)
    for most_moves in (moves, len(addresses)):
        if most_moves == moves or how == (BALANCED, None):
            assert at_least(seated, nodes, best, most_moves) <= squares


def large_world(seed, count=60, nodes=8):
    """Addresses of all rules at once, too many to be searched through."""
    chance = random.Random(seed)
    listed = [
        Node(chance.randint(0, 9), chance.choice((None, 9)), (None, chance.choice((None, 3)))) for _node in range(nodes)
    ]
    kinds = [tuple(range(nodes)), tuple(range(0, nodes, 2)), tuple(range(nodes // 2, nodes))]
    zones = tuple(number % 3 for number in range(nodes))
    found, owner = [], 0
    while len(found) < count:
        kind, weight, domains = (
            chance.choice(kinds),
            chance.choice((1, 1, chance.randint(1, 100))),
            chance.choice(((), zones)),
        )
        for _index in range(chance.randint(1, 3)):
            current = frozenset(chance.sample(kind, chance.randint(0, 1)))
            family = chance.choice((4, 4, 6))
            found.append(Address(owner, family, kind, current, bool(current), domains, weight=weight))
        owner += 1
    return found, listed


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
        nodes = [Node(13, 5), Node(0, 5), Node()]
        weights = [chance.randint(1, 50) for _owner in range(12)]
        addresses = [Address(n // 2, 4, (0, 1, 2), frozenset([0]), True, weight=weights[n // 2]) for n in range(24)]
        placement = solve(addresses, nodes, BALANCED).nodes
        assert keeps_the_rules(addresses, nodes, placement)
        assert solve(as_it_is(addresses, placement), nodes, BALANCED).nodes == placement


@pytest.mark.parametrize("policy", [BALANCED, STICKY])
def test_no_address_loses_its_node_to_a_lighter_one(policy):
    addresses = [Address(0, 4, (0,), frozenset([0]), True, weight=50), Address(1, 4, (0,), weight=1)]
    assert solve(addresses, [Node(free=1)], policy).nodes == (0, None)


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
