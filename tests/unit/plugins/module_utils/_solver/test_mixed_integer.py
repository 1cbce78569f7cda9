# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The best placement by the library, and plans with and without it."""

from __future__ import annotations

import sys
import types

import placement_referee
import pytest
import solver_worlds
from ansible_collections.netops.egress_ip.plugins.module_utils._solver import branch_and_bound, mixed_integer
from ansible_collections.netops.egress_ip.plugins.module_utils._solver.deadline import never
from ansible_collections.netops.egress_ip.plugins.module_utils._solver.mixed_integer import best_placement
from ansible_collections.netops.egress_ip.plugins.module_utils._solver.model import (
    BALANCED,
    STICKY,
    Address,
    NodeLoad,
    count_moves,
    keeps_rules,
    objective,
)
from ansible_collections.netops.egress_ip.plugins.module_utils._solver.solve import solve
from hypothesis import given, settings
from hypothesis import strategies as st

# Worlds that the own search does not prove in so many steps.
HARD = (45, 194)
# How often a search may ask whether its time is over.
STEPS = 60


def deadline_after(steps):
    """Return a deadline that is over after so many questions: it depends on the work, not on the speed of a machine."""
    left = iter(range(steps))
    return lambda: next(left, None) is None


@settings(max_examples=60, deadline=None)
@given(solver_worlds.worlds(), st.sampled_from((BALANCED, STICKY)))
def test_no_placement_of_a_small_world_is_better(world, policy):
    addresses, nodes = world
    found = best_placement(addresses, nodes, policy, None, never)
    best = solver_worlds.brute_force(addresses, nodes, policy, None)
    if not addresses:
        assert found is None
        return
    assert keeps_rules(addresses, nodes, found)
    assert objective(addresses, nodes, policy, found) == objective(addresses, nodes, policy, best)


@settings(max_examples=30, deadline=None)
@given(solver_worlds.worlds(), st.integers(0, 2))
def test_a_cap_on_moves_is_kept(world, more):
    addresses, nodes = world
    still = solve(addresses, nodes, STICKY, None).nodes
    most = count_moves(addresses, still) + more
    found = best_placement(addresses, nodes, BALANCED, most, never)
    if addresses:
        assert count_moves(addresses, found) <= most
        assert objective(addresses, nodes, BALANCED, found) <= objective(addresses, nodes, BALANCED, still)


@pytest.mark.parametrize("seed", HARD)
def test_the_library_proves_what_the_own_search_does_not(seed, monkeypatch):
    addresses, nodes, policy, max_moves = placement_referee.world(seed, Address, NodeLoad)
    placement = solve(addresses, nodes, policy, max_moves, deadline_after(STEPS))
    assert placement.gap is None
    assert keeps_rules(addresses, nodes, placement.nodes)
    assert placement_referee.better_terms(addresses, nodes, policy, max_moves, placement) == []
    monkeypatch.setattr(mixed_integer, "_library", lambda: None)
    assert solve(addresses, nodes, policy, max_moves, deadline_after(STEPS)).gap is not None


@pytest.mark.parametrize("scipy", [None, types.SimpleNamespace(optimize=None, sparse=None)], ids=["none", "an old one"])
def test_without_scipy_there_is_no_placement(scipy, monkeypatch):
    monkeypatch.setitem(sys.modules, "scipy", scipy)
    assert best_placement([Address(0, 4, (0,))], [NodeLoad()], BALANCED, None, never) is None


@pytest.mark.parametrize(
    ("nodes", "deadline"),
    [
        ([NodeLoad()] * (mixed_integer._MOST_PAIRS + 1), never),
        ([NodeLoad(0), NodeLoad(mixed_integer._MOST_COST)], never),
        ([NodeLoad()], lambda: True),
    ],
    ids=["too many pairs", "loads too far apart", "no time"],
)
def test_a_problem_that_does_not_fit_has_no_placement(nodes, deadline):
    assert best_placement([Address(0, 4, tuple(range(len(nodes))))], nodes, BALANCED, None, deadline) is None


@pytest.mark.parametrize("kind", ["breaks a rule", "is worse than what was found"])
def test_a_wrong_placement_is_not_used(kind, monkeypatch):
    addresses, nodes, policy, max_moves = placement_referee.world(HARD[0], Address, NodeLoad)
    answer = (addresses[0].nodes[0] if kind == "breaks a rule" else None,) * len(addresses)
    monkeypatch.setattr(branch_and_bound, "mixed_integer_placement", lambda *_arguments: answer)
    placement = solve(addresses, nodes, policy, max_moves, deadline_after(STEPS))
    assert keeps_rules(addresses, nodes, placement.nodes)
    assert placement.nodes != answer
    assert placement.gap is not None
