# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The state after any steps is that of its placement."""

from __future__ import annotations

from ansible_collections.netops.egress_ip.plugins.module_utils._solver.model import (
    Address,
    NodeLoad,
    count_moves,
    count_overlap,
    loads_of,
)
from ansible_collections.netops.egress_ip.plugins.module_utils._solver.weighted_state import WeightedState
from hypothesis import given, settings
from hypothesis import strategies as st
from solver_worlds import keeps_the_rules
from weighted_worlds import worlds


@settings(max_examples=40)
@given(worlds(), st.lists(st.tuples(st.integers(0, 5), st.integers(0, 3)), max_size=12))
def test_each_term_is_that_of_the_placement(world, steps):
    addresses, nodes = world
    state = WeightedState(addresses, nodes, ())
    for address, node in steps:
        if address >= len(addresses):
            continue
        state.clear([(address, node)])
        placement = [*state.placement()]
        placement[address] = node
        fits = node < len(nodes) and state.fits(address, node)
        assert fits == (node < len(nodes) and keeps_the_rules(addresses, nodes, placement))
        if fits:
            state.make([(address, node)])
    placement = state.placement()
    loads = loads_of(addresses, nodes, placement)
    assert (state.load, state.squares) == ([*loads, 0], sum(load * load for load in loads))
    assert (state.moves, state.overlap) == (count_moves(addresses, placement), count_overlap(addresses, placement))
    again = WeightedState(addresses, nodes, placement)
    assert (again.node_of, again.squares, again.overlap) == (state.node_of, state.squares, state.overlap)


def test_the_change_of_the_overlap_is_known_before_the_step():
    one = Address(0, 4, (0, 1, 2), domains=(0, 0, 1), taken=(1,))
    state = WeightedState([one, one], [NodeLoad()] * 3, (0, 1))
    assert state.overlap == 1
    change = state.overlap_change(one, 0, 2)
    state.move(0, 2)
    assert (change, state.overlap) == (0, 1)
    assert state.overlap_change(one, 0, 1) == 0


def test_two_addresses_of_an_owner_change_places_at_once():
    addresses = [Address(0, 4, (0, 1), weight=2), Address(0, 4, (0, 1), weight=2)]
    state = WeightedState(addresses, [NodeLoad(1), NodeLoad()], (0, 1))
    state.make([(0, 1), (1, 0)])
    assert (state.placement(), state.load) == ((1, 0), [3, 2, 0])
