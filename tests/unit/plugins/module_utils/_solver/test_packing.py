# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The state of a packing after any steps is that of its placement."""

from __future__ import annotations

from collections import Counter

import pytest
from ansible_collections.netops.egress_ip.plugins.module_utils._solver.model import (
    BALANCED,
    Address,
    NodeLoad,
    count_overlap,
    weights,
)
from ansible_collections.netops.egress_ip.plugins.module_utils._solver.packing import Packing, most_overlap
from hypothesis import given, settings
from hypothesis import strategies as st
from solver_worlds import held, spread_worlds


def unassigned(addresses, nodes):
    packing = Packing(addresses, nodes, *weights(addresses, nodes, BALANCED))
    for address in range(len(addresses)):
        packing.enter(address, packing.unassigned)
    return packing


def cost_of(packing):
    """Return the cost of a packing from its placement alone."""
    displaced = sum(
        packing.move_cost[address]
        for address, node in enumerate(packing.node_of)
        if node not in packing.current[address]
    )
    squares = sum(load * load for load in packing.load[: packing.unassigned])
    overlap = 0
    for group in packing.groups:
        inside = Counter(group.domain(packing.node_of[one]) for one in group.members)
        del inside[None]
        overlap += sum(count * (count - 1) // 2 + count * group.taken.get(d, 0) for d, count in inside.items())
    return (
        packing.square * squares
        + displaced
        + packing.overlap_cost * overlap
        + packing.unassigned_cost * packing.node_of.count(packing.unassigned)
    )


@settings(max_examples=40)
@given(spread_worlds(), st.lists(st.tuples(st.integers(0, 5), st.integers(0, 4)), max_size=12))
def test_put_returns_the_change_of_the_cost(world, steps):
    addresses, nodes = world
    packing = unassigned(addresses, nodes)
    for address, node in steps:
        if address >= len(addresses):
            continue
        target = node if node in addresses[address].nodes and packing.fits(address, node) else packing.unassigned
        before = cost_of(packing)
        change = packing.put(address, target)
        assert cost_of(packing) - before == change
    loads = Counter(packing.node_of)
    assert packing.load == [*(node.load + loads[n] for n, node in enumerate(nodes)), loads[packing.unassigned]]
    for node, classes in enumerate(packing.classes):
        members = sorted(one for each in classes.values() for one in each)
        assert members == [one for one, used in enumerate(packing.node_of) if used == node]
    for arc, count in packing.arc_count.items():
        entered = [packing.arc(one, used) for one, used in enumerate(packing.node_of)]
        assert entered.count(arc) == count <= packing.arc_limit[arc]


@settings(max_examples=40)
@given(spread_worlds(), st.randoms(use_true_random=False))
def test_no_placement_overlaps_more_than_the_bound(world, chance):
    addresses, _nodes = world
    placement = [chance.choice((*address.nodes, None)) for address in addresses]
    assert count_overlap(addresses, placement) <= most_overlap(addresses)


def test_what_fits():
    packing = unassigned(
        [Address(0, 4, (0, 1)), Address(0, 4, (0, 1)), Address(1, 4, (0, 1)), Address(2, 6, (0, 1))],
        [NodeLoad(0, None, (2, None)), NodeLoad(3, 1)],
    )
    packing.put(0, 0)
    # The place of a sibling; then the limit of IPv4; then the limit in total.
    assert (packing.fits(1, 0), packing.fits(2, 0)) == (False, True)
    packing.put(2, 0)
    assert (packing.arc_limit, packing.fits(3, 0)) == ({3: 2}, True)
    assert packing.fits(1, 1)
    packing.put(1, 1)
    assert (packing.is_full(1), packing.fits(3, 1)) == (True, False)
    assert (packing.occupant(1, packing.arc(0, 0)), packing.has_sibling(2, 1)) == (0, False)


@pytest.mark.parametrize(
    ("steps", "made"), [([(0, 0, 1)], True), ([(0, 1, 0)], False), ([(0, 0, 1), (1, 0, 1)], False)]
)
def test_a_shift_is_made_if_it_saves(steps, made):
    addresses = [held(0, 1, by=0, owner=n) for n in range(3)]
    packing = unassigned(addresses, [NodeLoad(), NodeLoad(0, 1)])
    packing.make([(address, 0) for address in range(3)])
    before = packing.placement()
    assert packing.shift(steps) is made
    assert (packing.placement() == before) is not made


def test_prices_are_those_of_squares_and_moves():
    packing = unassigned([held(0, 1, by=0)], [NodeLoad(3), NodeLoad()])
    packing.put(0, 0)
    assert (packing.next_price(0), packing.last_price(0), packing.next_price(1)) == tuple(
        packing.square * each for each in (9, 7, 1)
    )
    assert (packing.price(0, 0), packing.price(0, 1)) == (0, packing.move)


def test_a_banned_node_is_not_possible():
    packing = Packing(
        [Address(0, 4, (0, 1)), Address(1, 4, (0, 1))], [NodeLoad(), NodeLoad()], 1, 1, frozenset([(0, 1)])
    )
    assert [packing.choices[kind] for kind in packing.kind] == [(0,), (0, 1)]
