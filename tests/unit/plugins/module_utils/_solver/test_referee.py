# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Worlds of every rule at once, too large for brute force: a mixed-integer solver finds no better placement."""

from __future__ import annotations

import placement_referee
import pytest
from ansible_collections.netops.egress_ip.plugins.module_utils._solver.model import keeps_rules
from ansible_collections.netops.egress_ip.plugins.module_utils._solver.solve import Address, NodeLoad, solve

# How often a search may ask whether its time is over. One that this ends has a true lower bound, all others are exact.
STEPS = 150


def deadline_after(steps):
    """Return a deadline that is over after so many questions: it depends on the work, not on the speed of a machine."""
    left = iter(range(steps))
    return lambda: next(left, None) is None


@pytest.mark.usefixtures("own_search")
@pytest.mark.parametrize("block", range(10))
def test_no_placement_is_better(block):
    proven = 0
    for seed in range(30 * block, 30 * block + 30):
        addresses, nodes, policy, max_moves = placement_referee.world(seed, Address, NodeLoad)
        placement = solve(addresses, nodes, policy, max_moves, deadline_after(STEPS))
        assert keeps_rules(addresses, nodes, placement.nodes)
        if placement.gap is None:
            proven += 1
            better = placement_referee.better_terms(addresses, nodes, policy, max_moves, placement)
            assert better == [], f"world {seed}"
        else:
            below = placement_referee.is_below_gap(addresses, nodes, policy, max_moves, placement)
            assert not below, f"world {seed}: {placement.gap}"
    assert proven >= 20, f"{proven} of 30 worlds are proven in {STEPS} steps"
