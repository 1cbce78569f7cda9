# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Spread groups: who belongs to one, what a domain costs, and which member is where."""

from __future__ import annotations

import itertools

from ansible_collections.netops.egress_ip.plugins.module_utils._solver.model import BALANCED, Address, NodeLoad, weights
from ansible_collections.netops.egress_ip.plugins.module_utils._solver.packing import Packing
from ansible_collections.netops.egress_ip.plugins.module_utils._solver.spread_groups import (
    Range,
    match_members,
    shared_domains,
)
from hypothesis import given, settings
from hypothesis import strategies as st
from solver_worlds import held

ZONES = (0, 0, 1)


def packed(addresses, nodes):
    return Packing(addresses, nodes, *weights(addresses, nodes, BALANCED))


def spread(*nodes, **more):
    return Address(0, more.pop("family", 4), nodes, domains=ZONES, **more)


def members(addresses, nodes=None):
    return [group.members for group in packed(addresses, nodes or [NodeLoad()] * 3).groups]


def test_siblings_with_the_same_possible_nodes_are_a_group():
    addresses = [spread(0, 1, 2), spread(0, 2), spread(0, 1, 2), spread(0, 1, 2)._replace(owner=1), Address(2, 4, (0,))]
    assert members(addresses) == [[0, 2], [1], [3]]


def test_families_are_one_group_unless_a_node_has_an_arc_for_each():
    addresses = [spread(0, 1, 2), spread(0, 1, 2, family=6)]
    assert members(addresses) == [[0, 1]]
    assert members(addresses, [NodeLoad(0, None, (0, None)), NodeLoad(), NodeLoad()]) == [[0], [1]]


def test_an_address_of_several_current_nodes_is_a_group_of_its_own():
    assert members([spread(0, 1, 2), spread(0, 1, 2, current=frozenset([0, 1]), held=True)]) == [[0], [1]]


def test_the_cost_of_a_domain_rises_with_each_member_and_outside_its_range():
    (group,) = packed([spread(0, 1, 2, taken=(1,))] * 3, [NodeLoad()] * 3).groups
    group.set_costs(10, 1000)
    assert (group.parts, group.taken) == ({None: (0, 1, 2), 0: [0, 1], 1: [2]}, {1: 1})
    assert (group.entry_cost(0), group.entry_cost(1), group.exit_saving(0)) == (0, 10, None)
    group.add(0, 1)
    group.add(1, 1)
    assert (group.entry_cost(0), group.exit_saving(0)) == (20, 10)
    assert group.priced() == [0, 1]
    group.ranges = {0: Range(3, 3), 1: Range(0, 0)}
    assert (group.entry_cost(0), group.exit_saving(0), group.entry_cost(1)) == (20 - 1000, 10 - 1000, 10 + 1000)
    assert not group.keeps_ranges()
    group.ranges = {0: Range(2, 2), 1: Range(0, 0)}
    assert group.keeps_ranges()


def test_unassigned_members_save_what_their_overlap_costs():
    (group,) = packed([spread(0, 1, 2)] * 2, [NodeLoad()] * 3).groups
    group.set_costs(1, 1000, [7, 3])
    assert (group.entry_cost(None), group.domain(3)) == (-7, None)
    group.add(3, 1)
    assert (group.entry_cost(None), group.last_unassigned_cost()) == (-3, -7)


def test_domains_that_groups_of_one_owner_share():
    addresses = [spread(0, 2), spread(1, 2), spread(0, 1)._replace(owner=1)]
    packing = packed(addresses, [NodeLoad()] * 3)
    assert {key: [group.number for group in groups] for key, groups in shared_domains(packing, (0, 1, 0)).items()} == {
        (0, 0): [0, 1]
    }
    assert shared_domains(packing, (2, 1, 0)) == {}


@settings(max_examples=40)
@given(st.lists(st.none() | st.integers(0, 5), min_size=1, max_size=4), st.randoms(use_true_random=False))
def test_most_members_stay(current_nodes, chance):
    addresses = [Address(0, 4, tuple(range(6))) if n is None else held(*range(6), by=n) for n in current_nodes]
    nodes = chance.sample(range(6), len(addresses))
    found = match_members(addresses, range(len(addresses)), nodes)
    assert (sorted(one for one, _node in found), sorted(node for _one, node in found)) == (
        [*range(len(addresses))],
        sorted(nodes),
    )
    staying = (
        sum(node in address.current for address, node in zip(addresses, order, strict=True))
        for order in itertools.permutations(nodes)
    )
    assert sum(node in addresses[one].current for one, node in found) == max(staying)
