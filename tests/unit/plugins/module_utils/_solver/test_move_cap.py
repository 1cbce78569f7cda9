# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Placements under a cap on moves."""

from __future__ import annotations

from collections import Counter

import pytest
from ansible_collections.netops.egress_ip.plugins.module_utils._solver.min_cost_flow import minimize_cost
from ansible_collections.netops.egress_ip.plugins.module_utils._solver.model import BALANCED, STICKY, NodeLoad
from ansible_collections.netops.egress_ip.plugins.module_utils._solver.move_cap import closest_to_cap
from ansible_collections.netops.egress_ip.plugins.module_utils._solver.packing import Packing
from ansible_collections.netops.egress_ip.plugins.module_utils._solver.solve import solve
from flow_certificate import has_improving_cycle
from hypothesis import given
from hypothesis import strategies as st
from solver_worlds import brute_force, held, keeps_the_rules, large_world, measure, worlds


def test_what_the_cap_forbids_may_need_more_moves():
    """Two of the addresses can have a node, with at least two moves; the cap allows no others."""
    addresses = [held(0, 1, 2, by=0, owner=n)._replace(domains=(0, 1, 2)) for n in (0, 0, 1)]
    nodes = [NodeLoad(0, 1), NodeLoad(0, 1), NodeLoad(0, 0)]
    assert solve(addresses, nodes, BALANCED, 0).nodes == brute_force(addresses, nodes, BALANCED, 0)


@given(worlds(), st.integers(0, 3))
def test_moves_for_balance_keep_their_cap(world, max_moves):
    addresses, nodes = world
    placement = solve(addresses, nodes, BALANCED, max_moves)
    fewest = measure(addresses, nodes, brute_force(addresses, nodes, STICKY, None))[3]
    assert placement.for_balance == measure(addresses, nodes, placement.nodes)[3] - fewest <= max_moves


@pytest.mark.parametrize("move", [1, 2])
@pytest.mark.parametrize("seed", range(3))
def test_certificate_of_a_cap_on_large_worlds(seed, move):
    """What costs least when a move costs so many squares is the flattest for its number of moves, so a cap finds it."""
    addresses, nodes = large_world(seed)
    packing = Packing(addresses, nodes, 1, move)
    minimize_cost(packing)
    assert not has_improving_cycle(packing)
    missing, overlap, squares, moves = measure(addresses, nodes, packing.placement())[:4]
    cap = moves - measure(addresses, nodes, solve(addresses, nodes, STICKY).nodes)[3]
    capped = solve(addresses, nodes, BALANCED, cap)
    assert keeps_the_rules(addresses, nodes, capped.nodes)
    assert measure(addresses, nodes, capped.nodes)[:3] == (missing, overlap, squares)
    assert capped.for_balance <= cap


def test_a_cap_on_moves_at_full_size():
    node_count, address_count = 100, 1000
    addresses = [held(*range(node_count), by=1 + n % (node_count - 1), owner=n // 3) for n in range(address_count)]
    before = Counter(next(iter(address.current)) for address in addresses)
    for max_moves in (1, 4, 9):
        placement = solve(addresses, [NodeLoad() for _index in range(node_count)], BALANCED, max_moves)
        assert placement.for_balance == max_moves
        # Each move brings one from a node that holds most to the one that is empty.
        most = sorted(before.values())[-max_moves:]
        squares = sum(load * load for load in before.values()) + max_moves**2 - sum(2 * load - 1 for load in most)
        assert measure(addresses, [NodeLoad() for _index in range(node_count)], placement.nodes)[2] == squares


@pytest.mark.parametrize("cap", [0, 1, 2])
def test_the_cycles_between_two_placements_are_combined(cap):
    """Two pairs of nodes: a move in each saves two squares, and costs as much."""
    addresses = [held(0, 1, by=0, owner=n) for n in (0, 1)] + [held(2, 3, by=2, owner=n) for n in (2, 3)]
    packing = Packing(addresses, [NodeLoad()] * 4, 1, 2)
    found = closest_to_cap(packing, (0, 1, 2, 3), (0, 0, 2, 2), cap)
    assert found in {0: [(0, 0, 2, 2)], 1: [(0, 1, 2, 2), (0, 0, 2, 3)], 2: [(0, 1, 2, 3)]}[cap]


def test_a_cycle_is_applied_as_a_whole():
    """The two addresses change places: one alone would change the loads."""
    addresses = [held(0, 1, by=0, owner=0), held(0, 1, by=1, owner=1)]
    packing = Packing(addresses, [NodeLoad()] * 2, 1, 0)
    assert closest_to_cap(packing, (1, 0), (0, 1), 1) == (0, 1)
