# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The bound of a branch: never above the best placement, which a branch without branches has reached."""

from __future__ import annotations

from ansible_collections.netops.egress_ip.plugins.module_utils._solver.branches import ROOT
from ansible_collections.netops.egress_ip.plugins.module_utils._solver.deadline import never
from ansible_collections.netops.egress_ip.plugins.module_utils._solver.model import (
    BALANCED,
    STICKY,
    Address,
    NodeLoad,
    objective,
)
from ansible_collections.netops.egress_ip.plugins.module_utils._solver.relaxations import Budget, Relaxations
from hypothesis import given, settings
from hypothesis import strategies as st
from solver_worlds import brute_force, spread_worlds, worlds


@settings(max_examples=100, deadline=None)
@given(worlds() | spread_worlds(), st.sampled_from((BALANCED, STICKY)))
def test_a_bound_is_not_above_the_best(world, policy):
    best = objective(*world, policy, brute_force(*world, policy, None))
    problem = Relaxations(*world, policy, None, Budget(never))
    bound = problem.bound()
    assert bound.value <= best
    if bound.branches:
        below = [problem.bound(branch) for branch in bound.branches]
        assert min(each.value for each in below if each is not None) <= best
    else:
        assert bound.value == best == problem.objective(bound.relaxed.placement)


def test_the_budget_counts_the_addresses_of_relaxations():
    addresses = [Address(0, 4, (0, 1)), Address(1, 4, (0, 1))]
    budget = Budget(never, 3)
    problem = Relaxations(addresses, [NodeLoad(), NodeLoad()], BALANCED, None, budget)
    assert not budget.is_spent()
    problem.bound()
    assert (budget.left, budget.is_spent()) == (1, False)
    problem.bound()
    assert budget.is_spent()
    assert Budget(lambda: True).is_spent()


def test_no_node_is_left_where_a_branch_bans_all():
    problem = Relaxations([Address(0, 4, (0,))], [NodeLoad()], BALANCED, None, Budget(never))
    placed, unplaced = problem.bound(), problem.bound(ROOT.without(frozenset({(0, 0)})))
    assert (placed.value[0], unplaced.value[0]) == (0, 1)
