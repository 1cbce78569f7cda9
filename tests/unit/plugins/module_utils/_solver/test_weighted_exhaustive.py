# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The exhaustive search by hand-checked values; test_weighted_search.py compares it with a brute force."""

from __future__ import annotations

from ansible_collections.netops.egress_ip.plugins.module_utils._solver.model import Address, NodeLoad
from ansible_collections.netops.egress_ip.plugins.module_utils._solver.weighted_exhaustive import search_exhaustively
from ansible_collections.netops.egress_ip.plugins.module_utils._solver.weighted_state import WeightedState


def searched(addresses, nodes, start, most_moves=None):
    state = WeightedState(addresses, nodes, start)
    cap = len(addresses) if most_moves is None else most_moves
    placement, flattest, fewest = search_exhaustively(addresses, nodes, state, cap)
    found = WeightedState(addresses, nodes, placement)
    return found.squares, found.moves, flattest, fewest


def of_weights(*weights, current=()):
    return [
        Address(n, 4, (0, 1), frozenset(current[n : n + 1]), bool(current), weight=weight)
        for n, weight in enumerate(weights)
    ]


def test_a_partition_that_no_exchange_of_two_finds():
    assert searched(of_weights(3, 3, 2, 2, 2), [NodeLoad()] * 2, (0, 1, 0, 1, 0)) == (72, 0, True, True)


def test_the_flattest_load_with_the_fewest_moves():
    """The loads can be 3 and 3: one address of weight 1 moves, which one does not matter."""
    addresses = of_weights(2, 1, 2, 1, current=(0, 0, 0, 1))
    assert searched(addresses, [NodeLoad()] * 2, (0, 0, 0, 1)) == (18, 1, True, True)


def test_a_cap_on_moves():
    addresses = of_weights(5, 4, 3, current=(0, 0, 0))
    # 12 on one node; one move makes 7 and 5.
    assert searched(addresses, [NodeLoad()] * 2, (0, 0, 0), 0) == (144, 0, True, True)
    assert searched(addresses, [NodeLoad()] * 2, (0, 0, 0), 1) == (74, 1, True, True)


def test_many_addresses_are_not_searched():
    addresses = of_weights(*range(1, 22))
    start = [0] * 21
    assert searched(addresses, [NodeLoad()] * 2, start) == (sum(range(22)) ** 2, 0, False, False)
