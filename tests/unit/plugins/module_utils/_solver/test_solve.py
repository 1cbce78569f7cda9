# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The solver against a brute force over all placements of small worlds."""

from __future__ import annotations

from collections import Counter

import pytest
from ansible_collections.netops.egress_ip.plugins.module_utils._solver.model import BALANCED, STICKY, Address, NodeLoad
from ansible_collections.netops.egress_ip.plugins.module_utils._solver.solve import solve
from hypothesis import example, given, settings
from hypothesis import strategies as st
from solver_worlds import POLICIES, brute_force, held, keeps_the_rules, spread_worlds, worlds

# Two moves in a chain (0 to 1, 1 to 2) are worth making, one alone is not: no price on moves separates them.
CHAIN = (
    [held(0, 1, by=0, owner=n) for n in range(3)] + [held(1, 2, by=1, owner=3), held(1, by=1, owner=4)],
    [NodeLoad(), NodeLoad(), NodeLoad()],
)
# Both families of both objects would like the first node, which limits one of them.
CROSSING = (
    [Address(owner, family, (0, 1)) for owner in (0, 1) for family in (4, 6)],
    [NodeLoad(0, None, (1, None)), NodeLoad(0, 3, (None, 1))],
)


@settings(max_examples=400)
@example(CHAIN, (BALANCED, 1))
@example(CHAIN, (BALANCED, 2))
@example(CROSSING, (BALANCED, None))
@given(worlds(), POLICIES)
def test_the_placement_is_the_best_of_all(world, how):
    addresses, nodes = world
    policy, max_moves = how
    placement = solve(addresses, nodes, policy, max_moves)
    assert placement.nodes == brute_force(addresses, nodes, policy, max_moves)


# Two zones: one of an owner's addresses has to leave the zone that both are in, though nothing may move for balance.
BROKEN_SPREAD = (
    [held(0, 1, 2, 3, by=0)._replace(domains=(0, 0, 1, 1)), held(0, 1, 2, 3, by=1)._replace(domains=(0, 0, 1, 1))],
    [NodeLoad(), NodeLoad(), NodeLoad(3), NodeLoad(3)],
)
# Both addresses have possible nodes of their own and one in common, in one zone: a flow cannot express that.
MEETING = (
    [Address(0, 4, (0, 1), domains=(0, 0, 1)), Address(0, 4, (1, 2), domains=(0, 0, 1))],
    [NodeLoad(), NodeLoad(), NodeLoad(5)],
)
# The first owner has three groups and a member without a node; what that saves decides between equally spread plans.
UNASSIGNED_OF_SEVERAL_GROUPS = (
    [
        held(0, 1, 2, by=0, family=6)._replace(domains=(2, 0, 2)),
        held(0, 1, 2, by=2)._replace(domains=(2, 0, 2)),
        held(1, 2, by=1)._replace(domains=(2, 0, 2)),
        Address(1, 4, (0, 2)),
        Address(1, 4, (0, 1, 2), frozenset({0, 1, 2}), True),
        held(0, 1, 2, by=2, owner=1),
    ],
    [NodeLoad(0, 1, (2, 1)), NodeLoad(0, None, (1, 1)), NodeLoad(0, None, (1, None))],
)


@settings(max_examples=400)
@example(UNASSIGNED_OF_SEVERAL_GROUPS, (STICKY, None))
@example(BROKEN_SPREAD, (BALANCED, 0))
@example(BROKEN_SPREAD, (STICKY, None))
@example(MEETING, (BALANCED, None))
@given(spread_worlds(), POLICIES)
def test_spread_comes_before_load_and_moves(world, how):
    addresses, nodes = world
    assert solve(addresses, nodes, *how).nodes == brute_force(addresses, nodes, *how)


@given(spread_worlds(), POLICIES)
def test_the_best_spread_stays(world, how):
    test_the_best_placement_stays.hypothesis.inner_test(world, how)


@given(worlds(), POLICIES)
def test_the_best_placement_stays(world, how):
    addresses, nodes = world
    best = solve(addresses, nodes, *how).nodes
    again = [
        address._replace(current=frozenset([node]) - {None}, held=node is not None)
        for address, node in zip(addresses, best, strict=True)
    ]
    assert solve(again, nodes, *how).nodes == best


@pytest.mark.parametrize(("address_count", "node_count", "per_object"), [(50, 10, 5), (300, 3, 1), (300, 3, 3)])
@pytest.mark.parametrize("max_moves", [None, 5])
def test_full_size_worlds_are_flat_and_keep_the_rules(address_count, node_count, per_object, max_moves):
    addresses = [held(*range(node_count), by=n % (node_count - 1), owner=n // per_object) for n in range(address_count)]
    nodes = [NodeLoad() for _index in range(node_count)]
    placement = solve(addresses, nodes, BALANCED, max_moves)
    assert keeps_the_rules(addresses, nodes, placement.nodes)
    loads = Counter(placement.nodes)
    if max_moves is None:
        assert max(loads.values()) - min(loads[n] for n in range(node_count)) <= 1
    else:
        assert placement.for_balance <= max_moves


LIMITS = st.none() | st.integers(0, 3)
NEW_NODES = st.builds(NodeLoad, st.integers(0, 3), LIMITS, st.tuples(LIMITS, LIMITS))


@settings(max_examples=300)
@given(worlds(), NEW_NODES)
def test_a_node_that_joins_takes_no_more_than_its_share(world, node):
    """Unless the node where an address was is full now, or has another one of its owner."""
    addresses, nodes = world
    before, new = solve(addresses, nodes).nodes, len(nodes)
    joined = [
        Address(address.owner, address.family, (*address.nodes, new), frozenset([was]) - {None}, was is not None)
        for address, was in zip(addresses, before, strict=True)
    ]
    nodes = [*nodes, node]
    after = solve(joined, nodes).nodes
    loads = [node.load + after.count(number) for number, node in enumerate(nodes)]
    for number, (was, now) in enumerate(zip(before, after, strict=True)):
        back = tuple(was if n == number else other for n, other in enumerate(after))
        if now == new and was is not None and keeps_the_rules(joined, nodes, back):
            assert loads[new] <= loads[was] + 1


@given(worlds(), POLICIES, st.randoms(use_true_random=False))
def test_worlds_of_one_kind_are_the_same_world(world, how, chance):
    """Which object has which number does not matter, as long as the order of the addresses is the same."""
    addresses, nodes = world
    numbers = chance.sample(range(100), 4)
    again = [address._replace(owner=numbers[address.owner]) for address in addresses]
    assert solve(again, nodes, *how) == solve(addresses, nodes, *how)
