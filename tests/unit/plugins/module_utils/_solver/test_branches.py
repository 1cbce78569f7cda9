# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The split of a branch loses no placement that keeps the rules, except the one that it excludes."""

from __future__ import annotations

import itertools

from ansible_collections.netops.egress_ip.plugins.module_utils._solver.branches import ROOT, Branch, branches_on_move
from ansible_collections.netops.egress_ip.plugins.module_utils._solver.deadline import never
from ansible_collections.netops.egress_ip.plugins.module_utils._solver.model import BALANCED, STICKY
from ansible_collections.netops.egress_ip.plugins.module_utils._solver.relaxations import Budget, Relaxations
from ansible_collections.netops.egress_ip.plugins.module_utils._solver.spread_groups import Range
from hypothesis import given, settings
from hypothesis import strategies as st
from solver_worlds import held, keeps_the_rules, spread_worlds, worlds


def contains(branch, addresses, placement):
    """Return whether a placement belongs to a branch."""
    if any((number, node) in branch.banned for number, node in enumerate(placement)):
        return False
    for (members, domain), allowed in branch.ranges:
        nodes = [placement[member] for member in members if placement[member] is not None]
        inside = sum(addresses[members[0]].domains[node] == domain for node in nodes)
        if not allowed.least <= inside <= allowed.most:
            return False
    return True


@settings(max_examples=60, deadline=None)
@given(worlds() | spread_worlds(), st.sampled_from((BALANCED, STICKY)), st.sampled_from((None, 0, 1)))
def test_a_split_loses_no_placement(world, policy, most_moves):
    addresses, nodes = world
    problem = Relaxations(addresses, nodes, policy, most_moves, Budget(never))
    bound = problem.bound()
    if bound is None or not bound.branches:
        return
    for placement in itertools.product(*[(*address.nodes, None) for address in addresses]):
        moves = sum(each.held and node not in each.current for each, node in zip(addresses, placement, strict=True))
        if keeps_the_rules(addresses, nodes, placement) and (most_moves is None or moves <= most_moves):
            assert any(contains(branch, addresses, placement) for branch in bound.branches)


def test_a_branch_keeps_its_other_restrictions():
    arc = (0, 1), 2
    branch = ROOT.without(frozenset({(0, 1)})).with_range(arc, Range(1, 2)).without(frozenset({(1, 1)}))
    assert branch == Branch(frozenset({(0, 1), (1, 1)}), ((arc, Range(1, 2)),))
    assert branch.with_range(arc, Range(2, 2)).ranges == ((arc, Range(2, 2)),)


def test_a_move_is_split_into_stay_and_move():
    addresses = [held(0, 1, by=0), held(0, 1, by=0, owner=1)]
    stay, move = branches_on_move(ROOT, addresses, (0, 0), (0, 1))
    assert (stay.banned, move.banned) == ({(1, 1)}, {(1, 0)})
