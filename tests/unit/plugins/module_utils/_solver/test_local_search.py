# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the local search makes of a placement: the rules are kept, and no single step improves it."""

from __future__ import annotations

import pytest
from ansible_collections.netops.egress_ip.plugins.module_utils._solver.local_search import LocalSearch
from ansible_collections.netops.egress_ip.plugins.module_utils._solver.model import (
    BALANCED,
    STICKY,
    Address,
    NodeLoad,
    count_moves,
    objective,
)
from hypothesis import given, settings
from hypothesis import strategies as st
from solver_worlds import POLICIES, held, keeps_the_rules, spread_worlds


@settings(max_examples=40)
@given(spread_worlds(), POLICIES, st.randoms(use_true_random=False))
def test_the_result_keeps_the_rules_and_is_not_worse(world, how, chance):
    addresses, nodes = world
    policy, max_moves = how
    start = [chance.choice((*address.nodes, None)) for address in addresses]
    found = LocalSearch(addresses, nodes, policy, max_moves).improved(start)
    assert keeps_the_rules(addresses, nodes, found)
    if keeps_the_rules(addresses, nodes, start):
        assert objective(addresses, nodes, policy, found) <= objective(addresses, nodes, policy, start)


@settings(max_examples=40)
@given(spread_worlds(), st.sampled_from((BALANCED, STICKY)))
def test_no_single_move_improves_the_result(world, policy):
    addresses, nodes = world
    found = LocalSearch(addresses, nodes, policy, None).improved([None] * len(addresses))
    for address, one in enumerate(addresses):
        for node in one.nodes if found[address] is not None else ():
            moved = (*found[:address], node, *found[address + 1 :])
            if keeps_the_rules(addresses, nodes, moved):
                assert objective(addresses, nodes, policy, moved) >= objective(addresses, nodes, policy, found)


@pytest.mark.parametrize(("most_moves", "moves"), [(None, 2), (1, 1), (0, 0)])
def test_moves_are_capped(most_moves, moves):
    addresses = [held(0, 1, by=0, owner=n) for n in range(4)]
    found = LocalSearch(addresses, [NodeLoad(), NodeLoad()], BALANCED, most_moves).improved([0] * 4)
    assert count_moves(addresses, found) == moves


def test_an_address_moves_away_for_one_without_a_node():
    addresses = [Address(0, 4, (0, 1)), Address(1, 4, (0,))]
    assert LocalSearch(addresses, [NodeLoad(0, 1), NodeLoad()], BALANCED, None).improved([0, None]) == (1, 0)


def test_of_two_siblings_on_a_node_one_leaves():
    addresses = [Address(0, 4, (0, 1)), Address(0, 6, (0, 1))]
    assert LocalSearch(addresses, [NodeLoad(), NodeLoad()], BALANCED, None).improved([0, 0]) == (0, 1)
