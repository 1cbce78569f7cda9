# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The bound by owners: never above the best placement, and the best one where the flow alone is below it."""

from __future__ import annotations

import placement_referee
import pytest
from ansible_collections.netops.egress_ip.plugins.module_utils._solver import owner_bound
from ansible_collections.netops.egress_ip.plugins.module_utils._solver.branches import ROOT
from ansible_collections.netops.egress_ip.plugins.module_utils._solver.deadline import never
from ansible_collections.netops.egress_ip.plugins.module_utils._solver.model import (
    BALANCED,
    STICKY,
    Address,
    NodeLoad,
    objective,
    weights,
)
from ansible_collections.netops.egress_ip.plugins.module_utils._solver.owner_bound import _counts
from ansible_collections.netops.egress_ip.plugins.module_utils._solver.relaxations import Budget, Relaxations
from hypothesis import example, given, settings
from hypothesis import strategies as st
from solver_worlds import brute_force, held, spread_worlds


def values_by_owners(addresses, nodes, policy, banned=frozenset()):
    """Return the bounds of both relaxations in the branch without the ``banned`` pairs of an address and a node."""
    problem = Relaxations(addresses, nodes, policy, None, Budget(never))
    prices = weights(addresses, nodes, policy)
    branch = ROOT.without(banned)
    free, merged = (problem._minimized(prices, branch, None, merged=each) for each in (False, True))
    return [problem._value_by_owners(free, each) for each in (free, merged)]


@settings(max_examples=100, deadline=None)
@given(spread_worlds(), st.sampled_from((BALANCED, STICKY)))
def test_the_bound_is_not_above_the_best(world, policy):
    best = objective(*world, policy, brute_force(*world, policy, None))
    for most in (0, owner_bound._MOST_DISTRIBUTIONS):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(owner_bound, "_MOST_DISTRIBUTIONS", most)
            assert all(value <= best for value in values_by_owners(*world, policy))


BANS = st.frozensets(st.tuples(st.integers(0, 5), st.integers(0, 3)), max_size=4)


def without(addresses, banned):
    """Return the addresses without the banned nodes."""
    kept = [tuple(node for node in each.nodes if (n, node) not in banned) for n, each in enumerate(addresses)]
    return [
        each._replace(nodes=own, current=each.current.intersection(own))
        for each, own in zip(addresses, kept, strict=True)
    ]


# Without node 6 the first owner's addresses are one group, but not where the nodes of all siblings count as possible.
ZONES = (0,) * 4 + (1,) * 3 + (2,) * 3
ONE_GROUP_BY_A_BAN = (
    [Address(0, 4, (0, 1, 2, 3, 4, 5), domains=ZONES)] * 3
    + [held(0, 1, 2, 3, 4, 5, 6, by=6)._replace(domains=ZONES)]
    + [Address(1, 4, nodes, domains=ZONES) for nodes in ((7, 8), (7, 8, 9))],
    [NodeLoad()] * 4 + [NodeLoad(50)] * 3 + [NodeLoad()] * 3,
)


@settings(max_examples=100, deadline=None)
@example(ONE_GROUP_BY_A_BAN, BALANCED, frozenset({(3, 6)}))
@given(spread_worlds(), st.sampled_from((BALANCED, STICKY)), BANS)
def test_the_bound_of_a_branch_is_not_above_its_best(world, policy, banned):
    addresses, nodes = world
    best = objective(addresses, nodes, policy, brute_force(without(addresses, banned), nodes, policy, None))
    assert all(value <= best for value in values_by_owners(addresses, nodes, policy, banned))


def test_siblings_in_one_domain_need_different_nodes():
    """Both families have nodes 0 and 1 in domain 0; of the three addresses one has to go to domain 1 and overlap."""
    domains = (0, 0, 1)
    addresses = [
        Address(0, 4, (0, 1, 2), domains=domains),
        Address(0, 6, (0, 1), domains=domains),
        Address(0, 6, (0, 1), domains=domains),
    ]
    assert max(values_by_owners(addresses, [NodeLoad()] * 3, BALANCED))[:2] == (0, 1)


@pytest.mark.parametrize("seed", [35, 85, 87, 94])
def test_the_root_proves_worlds_that_the_flow_alone_does_not(seed):
    addresses, nodes, policy, max_moves = placement_referee.world(seed, Address, NodeLoad)
    policy = STICKY if max_moves == 0 else policy
    problem = Relaxations(addresses, nodes, policy, None, Budget(never))
    with_owners = problem.bound().value
    problem._value_by_owners = lambda *_relaxed: (0, 0, 0, 0)
    assert problem.bound().value < with_owners


def test_counts_are_all_that_have_the_sum():
    assert list(_counts(2, [(0, 2), (1, 1), (0, 1)])) == [(0, 1, 1), (1, 1, 0)]
    assert list(_counts(1, [])) == []
