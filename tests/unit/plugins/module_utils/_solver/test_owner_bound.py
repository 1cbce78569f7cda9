# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The bound by owners: never above the best placement, and the best one where the flow alone is below it."""

from __future__ import annotations

import placement_referee
import pytest
from ansible_collections.netops.egress_ip.plugins.module_utils._solver import branch_and_bound, owner_bound
from ansible_collections.netops.egress_ip.plugins.module_utils._solver.deadline import never
from ansible_collections.netops.egress_ip.plugins.module_utils._solver.model import (
    BALANCED,
    STICKY,
    Address,
    Node,
    objective,
    weights,
)
from ansible_collections.netops.egress_ip.plugins.module_utils._solver.owner_bound import _counts
from hypothesis import given, settings
from hypothesis import strategies as st
from solver_worlds import brute_force, spread_worlds


def values_by_owners(addresses, nodes, policy):
    """Return the bounds of both relaxations at the root, and the value of the flow alone."""
    problem = branch_and_bound._Problem(addresses, nodes, policy, None, branch_and_bound.Budget(never))
    prices = weights(addresses, nodes, policy)
    free, merged = (problem._minimized(prices, branch_and_bound._ROOT, None, merged=each) for each in (False, True))
    return [problem._value_by_owners(free, each) for each in (free, merged)]


@settings(max_examples=100, deadline=None)
@given(spread_worlds(), st.sampled_from((BALANCED, STICKY)))
def test_the_bound_is_not_above_the_best(world, policy):
    best = objective(*world, policy, brute_force(*world, policy, None))
    for most in (0, owner_bound._MOST_DISTRIBUTIONS):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(owner_bound, "_MOST_DISTRIBUTIONS", most)
            assert all(value <= best for value in values_by_owners(*world, policy))


def test_siblings_in_one_domain_need_different_nodes():
    """Both families have nodes 0 and 1 in domain 0; of the three addresses one has to go to domain 1 and overlap."""
    domains = (0, 0, 1)
    addresses = [
        Address(0, 4, (0, 1, 2), domains=domains),
        Address(0, 6, (0, 1), domains=domains),
        Address(0, 6, (0, 1), domains=domains),
    ]
    assert max(values_by_owners(addresses, [Node()] * 3, BALANCED))[:2] == (0, 1)


@pytest.mark.parametrize("seed", [35, 85, 87, 94])
def test_the_root_proves_worlds_that_the_flow_alone_does_not(seed):
    addresses, nodes, policy, max_moves = placement_referee.world(seed, Address, Node)
    policy = STICKY if max_moves == 0 else policy
    problem = branch_and_bound._Problem(addresses, nodes, policy, None, branch_and_bound.Budget(never))
    with_owners = problem.bound().value
    problem._value_by_owners = lambda *_relaxed: (0, 0, 0, 0)
    assert problem.bound().value < with_owners


def test_counts_are_all_that_have_the_sum():
    assert list(_counts(2, [(0, 2), (1, 1), (0, 1)])) == [(0, 1, 1), (1, 1, 0)]
    assert list(_counts(1, [])) == []
