# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The terms of the objective and the rules, by hand-checked values and against an independent measure."""

from __future__ import annotations

import pytest
from ansible_collections.netops.egress_ip.plugins.module_utils._solver.model import (
    BALANCED,
    STICKY,
    Address,
    NodeLoad,
    bans_against,
    count_moves,
    count_overlap,
    count_squares,
    first_conflict,
    intern_nodes,
    keeps_rules,
    loads_of,
    objective,
    weights,
)
from hypothesis import given, settings
from hypothesis import strategies as st
from solver_worlds import held, keeps_the_rules, measure, spread_worlds

# Two siblings and a third address; the first node has a load of 2.
ADDRESSES = [held(0, 1, 2, by=0), held(0, 1, 2, by=1), held(0, 1, 2, by=1, owner=1, family=6)]
NODES = [NodeLoad(2), NodeLoad(), NodeLoad()]


def test_the_terms_of_a_placement():
    placement = (1, 0, None)
    assert count_moves(ADDRESSES, placement) == 3
    assert count_squares(NODES, placement) == 3**2 + 1**2
    assert objective(ADDRESSES, NODES, BALANCED, placement) == (1, 0, 10, 3)
    assert objective(ADDRESSES, NODES, STICKY, placement) == (1, 0, 3, 10)


def test_an_address_held_by_an_impossible_node_counts_as_a_move():
    assert count_moves([Address(0, 4, (0,), held=True), Address(1, 4, (0,))], (0, 0)) == 1


def test_loads_are_sums_of_weights():
    addresses = [Address(0, 4, (0, 1), weight=5), Address(1, 4, (0, 1), weight=7), Address(2, 4, (0, 1), weight=9)]
    assert loads_of(addresses, [NodeLoad(1), NodeLoad()], (0, 0, None)) == [13, 0]


def test_overlap_counts_pairs_and_siblings_outside_the_problem():
    one = Address(0, 4, (0, 1, 2, 3), domains=(0, 0, 0, 1), taken=(1, 1))
    assert count_overlap([one] * 4, (0, 1, 2, 3)) == 3 + 2
    assert count_overlap([one, one._replace(owner=1)], (0, 1)) == 0
    assert count_overlap([one._replace(domains=())] * 2, (0, 1)) == 0


@settings(max_examples=40)
@given(spread_worlds(), st.randoms(use_true_random=False))
def test_terms_and_rules_are_those_of_the_independent_measure(world, chance):
    addresses, nodes = world
    placement = [chance.choice((*address.nodes, None)) for address in addresses]
    assert objective(addresses, nodes, BALANCED, placement) == measure(addresses, nodes, placement)[:4]
    assert keeps_rules(addresses, nodes, placement) == keeps_the_rules(addresses, nodes, placement)


@pytest.mark.parametrize("policy", [BALANCED, STICKY])
def test_one_unit_of_the_first_term_outweighs_all_of_the_second(policy):
    square, move = weights(ADDRESSES, NODES, policy)
    most_moves, most_squares = len(ADDRESSES), (2 + len(ADDRESSES)) ** 2
    assert (square > move * most_moves) if policy == BALANCED else (move > square * most_squares)


def test_the_first_conflict_and_the_two_ways_out_of_it():
    addresses = [Address(0, 4, (0, 1)), Address(0, 6, (0, 1)), Address(0, 4, (0, 1)), Address(1, 4, (0, 1))]
    placement = (1, 1, 0, 1)
    assert first_conflict(addresses, placement) == (0, 1)
    assert first_conflict(addresses, (1, None, 0, 1)) is None
    assert bans_against(addresses, placement, (0, 1)) == [{(0, 1), (2, 1)}, {(1, 1)}]


def test_current_nodes_are_preferred():
    assert Address(0, 4, (0, 1, 2, 3), frozenset([3, 1])).ranked() == [1, 3, 0, 2]


def test_limits_by_family():
    assert (NodeLoad(0, 9, (1, 2)).free_for(4), NodeLoad(0, 9, (1, 2)).free_for(6)) == (1, 2)


def test_equal_sets_of_nodes_have_one_number():
    addresses = [Address(n, 4, nodes) for n, nodes in enumerate([(0, 1), (2,), (0, 1)])]
    assert intern_nodes(addresses) == ([0, 1, 0], [(0, 1), (2,)])
