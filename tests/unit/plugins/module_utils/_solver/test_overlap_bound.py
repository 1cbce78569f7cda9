# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The least overlap of one owner, by hand-checked values and against a brute force over all placements."""

from __future__ import annotations

import itertools

from ansible_collections.netops.egress_ip.plugins.module_utils._solver.model import Address, NodeLoad, count_overlap
from ansible_collections.netops.egress_ip.plugins.module_utils._solver.overlap_bound import (
    LeastOverlap,
    inside_of,
    least_overlap,
    overlap_of,
)
from ansible_collections.netops.egress_ip.plugins.module_utils._solver.packing import Packing
from ansible_collections.netops.egress_ip.plugins.module_utils._solver.spread_groups import Range
from hypothesis import given, settings
from hypothesis import strategies as st


def groups_of(addresses):
    packing = Packing(addresses, [NodeLoad()] * len(addresses[0].domains), 1, 1)
    return packing, packing.groups


def brute_force(addresses):
    """Return the least overlap of all placements in which each address has a node of its own; or None."""
    every = itertools.product(*[address.nodes for address in addresses])
    return min((count_overlap(addresses, each) for each in every if len(set(each)) == len(each)), default=None)


ADDRESS_SETS = st.lists(st.sampled_from([(0, 1), (2, 3), (0, 1, 2), (1, 3), (0, 1, 2, 3)]), min_size=1, max_size=4)


@settings(max_examples=40)
@given(ADDRESS_SETS, st.tuples(*[st.integers(0, 2)] * 4), st.lists(st.integers(0, 2), max_size=2))
def test_no_placement_overlaps_less(node_sets, domains, taken):
    addresses = [Address(0, 4, nodes, domains=domains, taken=tuple(taken)) for nodes in node_sets]
    least = brute_force(addresses)
    found = least_overlap(groups_of(addresses)[1])
    assert least is None or found.overlap <= least
    assert found.savings == sorted(found.savings, reverse=True)


@settings(max_examples=40)
@given(st.tuples(st.integers(1, 2), st.integers(1, 2)), st.tuples(*[st.integers(0, 2)] * 6))
def test_the_bound_is_exact_where_groups_share_no_node(counts, domains):
    sets = (0, 1, 2), (3, 4, 5)
    addresses = [
        Address(0, 4, nodes, domains=domains) for nodes, count in zip(sets, counts, strict=True) for _n in range(count)
    ]
    assert least_overlap(groups_of(addresses)[1]).overlap == brute_force(addresses)


def test_two_groups_that_have_only_one_domain_overlap():
    addresses = [Address(0, 4, nodes, domains=(0, 0, 0, 1)) for nodes in ((0, 1), (0, 1), (2,))]
    assert least_overlap(groups_of(addresses)[1]) == LeastOverlap(3, [2, 1, 0])


def test_a_range_forces_members_into_a_domain():
    addresses = [Address(0, 4, (0, 1, 2), domains=(0, 0, 1))] * 2
    (group,) = groups_of(addresses)[1]
    assert least_overlap([group]) == LeastOverlap(0, [0, 0])
    group.ranges = {0: Range(2, 2)}
    assert least_overlap([group]) == LeastOverlap(1, [])


def test_the_overlap_where_members_are_now():
    addresses = [Address(0, 4, nodes, domains=(0, 0, 1), taken=(0,)) for nodes in ((0, 2), (1, 2))]
    packing, groups = groups_of(addresses)
    packing.enter(0, 0)
    packing.enter(1, 1)
    assert (inside_of(groups), overlap_of(groups)) == ({0: 2}, 1 + 2)
