# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What remains of a problem when some addresses are fixed; a sticky plan with and without that is the same."""

from __future__ import annotations

from ansible_collections.netops.egress_ip.plugins.module_utils._solver import solve as solver
from ansible_collections.netops.egress_ip.plugins.module_utils._solver.model import STICKY, Address, NodeLoad, objective
from ansible_collections.netops.egress_ip.plugins.module_utils._solver.remainder import (
    has_fewest_moves,
    remainder,
    single_holders,
)
from hypothesis import given, settings
from solver_worlds import worlds


def held(owner, node, nodes=(0, 1, 2), **more):
    return Address(owner, 4, nodes, frozenset([node]), True, **more)


def test_the_rest_has_what_the_fixed_ones_leave():
    domains = (7, 8, 9)
    addresses = [held(0, 1, domains=domains), Address(0, 6, (0, 1, 2), domains=domains), Address(1, 4, (1,))]
    nodes = [NodeLoad(), NodeLoad(2, 5, (3, 4)), NodeLoad()]
    numbers, rest, left = remainder(addresses, nodes, {0: 1, 2: None})
    assert numbers == [1]
    assert rest == [Address(0, 6, (0, 2), domains=domains, taken=(8,))]
    assert left == [NodeLoad(), NodeLoad(3, 4, (2, 4)), NodeLoad()]


def test_a_fixed_address_adds_its_weight():
    _numbers, _rest, left = remainder([held(0, 0, weight=7)], [NodeLoad(1, 3)], {0: 0})
    assert left == [NodeLoad(8, 2)]


def test_single_holders_stay_only_together():
    assert single_holders([held(0, 0), held(1, 0), Address(2, 4, (0,))], [NodeLoad()] * 3) == {0: 0, 1: 0}
    assert single_holders([held(0, 0), held(1, 0)], [NodeLoad(free=1), NodeLoad(), NodeLoad()]) == {}
    assert single_holders([held(0, 0), held(0, 0)], [NodeLoad()] * 3) == {}


def test_overlap_that_no_placement_avoids_is_the_least():
    addresses = [held(0, node, domains=(0, 0, 1)) for node in range(3)]
    assert has_fewest_moves(addresses, (0, 1, 2))
    avoidable = [held(0, node, (0, 1, 2, 3), domains=(0, 0, 1, 1)) for node in (0, 1)]
    assert not has_fewest_moves(avoidable, (0, 1))


def test_a_move_or_an_unassigned_address_is_one_too_many():
    assert not has_fewest_moves([held(0, 0)], (1,))
    assert not has_fewest_moves([held(0, 0)], (None,))
    assert has_fewest_moves([Address(0, 4, (0, 1), held=True)], (1,))


@settings(max_examples=300)
@given(worlds())
def test_the_plan_is_that_of_the_whole_problem(world):
    addresses, nodes = world
    whole = solver._best(addresses, nodes, STICKY, solver.never).placement
    found = solver.solve(addresses, nodes, STICKY)
    assert objective(addresses, nodes, STICKY, found.nodes) == objective(addresses, nodes, STICKY, whole)
    assert found.nodes == whole
