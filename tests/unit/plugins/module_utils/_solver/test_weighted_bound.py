# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The lower bound of weighted loads."""

from __future__ import annotations

from ansible_collections.netops.egress_ip.plugins.module_utils._solver.model import BALANCED, Address, NodeLoad
from ansible_collections.netops.egress_ip.plugins.module_utils._solver.solve import solve
from ansible_collections.netops.egress_ip.plugins.module_utils._solver.weighted_bound import at_least
from hypothesis import given, settings
from solver_worlds import POLICIES
from weighted_worlds import measure, worlds


@settings(max_examples=300)
@given(worlds(), POLICIES)
def test_the_bound_is_not_above_the_best(world, how):
    addresses, nodes = world
    best = solve(addresses, nodes, *how).nodes
    assigned = [address for address, node in zip(addresses, best, strict=True) if node is not None]
    best = [node for node in best if node is not None]
    _outside, _overlap, squares, moves = measure(assigned, nodes, best)
    for most_moves in (moves, len(addresses)):
        if most_moves == moves or how == (BALANCED, None):
            assert at_least(assigned, nodes, best, most_moves) <= squares


def test_the_bound_of_light_addresses_is_the_level():
    addresses = [Address(owner, 4, (0, 1), weight=5) for owner in range(4)]
    assert at_least(addresses, [NodeLoad()] * 2, (0, 0, 1, 1), 4) == 2 * 10**2


def test_the_bound_counts_a_heavy_address_alone():
    addresses = [Address(0, 4, (0, 1), weight=10), Address(1, 4, (0, 1), weight=2)]
    assert at_least(addresses, [NodeLoad()] * 2, (0, 1), 2) == 10**2 + 2**2


def test_the_bound_without_moves_is_the_load_of_today():
    addresses = [Address(n, 4, (0, 1), frozenset([0]), True, weight=n + 1) for n in range(3)]
    assert at_least(addresses, [NodeLoad()] * 2, (0, 0, 0), 0) == 6**2
    assert at_least(addresses, [NodeLoad()] * 2, (0, 0, 1), 3) <= 3**2 + 3**2
