# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The first packing by name among those of least cost."""

from __future__ import annotations

import pytest
from ansible_collections.netops.egress_ip.plugins.module_utils._solver.deadline import never
from ansible_collections.netops.egress_ip.plugins.module_utils._solver.min_cost_flow import minimize_cost
from ansible_collections.netops.egress_ip.plugins.module_utils._solver.model import (
    BALANCED,
    STICKY,
    Address,
    NodeLoad,
    weights,
)
from ansible_collections.netops.egress_ip.plugins.module_utils._solver.packing import Packing
from ansible_collections.netops.egress_ip.plugins.module_utils._solver.tie_break import Ties, first_by_name
from hypothesis import given, settings
from hypothesis import strategies as st
from solver_worlds import brute_force, held, large_world, spread_worlds, worlds


def minimized(addresses, nodes, policy=BALANCED):
    packing = Packing(addresses, nodes, *weights(addresses, nodes, policy))
    return packing, minimize_cost(packing)


def first(addresses, nodes, policy=BALANCED):
    packing, potential = minimized(addresses, nodes, policy)
    first_by_name(packing, potential, never)
    return packing.placement()


def of_one_family(world):
    """Return the world without IPv6: a flow expresses all its rules."""
    addresses, nodes = world
    return [address._replace(family=4) for address in addresses], nodes


@settings(max_examples=40)
@given(worlds().map(of_one_family), st.sampled_from((BALANCED, STICKY)))
def test_no_placement_of_least_cost_comes_before(world, policy):
    assert first(*world, policy) == brute_force(*world, policy, None)


def with_equal_nodes(world):
    """Return the world with one spread group at most for each owner, without several current nodes."""
    addresses, nodes = of_one_family(world)
    possible = {address.owner: address.nodes for address in reversed(addresses)}
    return [
        address._replace(nodes=own, current=frozenset(sorted(address.current.intersection(own))[:1]))
        for address in addresses
        for own in [possible[address.owner]]
    ], nodes


@settings(max_examples=40)
@given(spread_worlds().map(with_equal_nodes), st.sampled_from((BALANCED, STICKY)))
def test_the_same_with_spread_owners(world, policy):
    assert first(*world, policy) == brute_force(*world, policy, None)


@pytest.mark.parametrize("seed", range(6))
def test_closed_sets_change_nothing(seed, monkeypatch):
    """Half of the owners are spread over three zones, from scratch or with most addresses held."""
    addresses, nodes = large_world(2 * seed, 24, 120)
    zones = tuple(node % 3 for node in range(len(nodes)))
    spread = [each._replace(family=4, domains=zones if each.owner % 2 else ()) for each in addresses]
    if seed % 2:
        spread = [each._replace(current=frozenset(), held=False) for each in spread]
    found = []
    for ignores in (Ties._may_ignore_siblings, lambda _self: False):
        monkeypatch.setattr(Ties, "_may_ignore_siblings", ignores)
        found.append(first(spread, nodes))
    assert found[0] == found[1]


def test_the_first_address_gets_the_first_node():
    addresses = [Address(owner, 4, (0, 1, 2)) for owner in range(3)]
    assert first(addresses, [NodeLoad()] * 3) == (0, 1, 2)
    # The last one stays; the others take the rest in order.
    assert first([*addresses[:2], held(0, 1, 2, by=0, owner=2)], [NodeLoad()] * 3) == (1, 2, 0)


def test_a_chain_of_steps_brings_the_first_address_to_its_first_node():
    """The only other placement of least cost moves all three addresses."""
    addresses = [Address(0, 4, (0, 2)), Address(1, 4, (0, 1)), Address(2, 4, (1, 2))]
    assert first(addresses, [NodeLoad()] * 3) == (0, 1, 2)


def test_a_deadline_leaves_the_placement():
    addresses = [Address(owner, 4, (0, 1, 2)) for owner in range(3)]
    packing, potential = minimized(addresses, [NodeLoad()] * 3)
    packing.make([(0, 2), (1, 1), (2, 0)])
    first_by_name(packing, potential, lambda: True)
    assert packing.placement() == (2, 1, 0)


class Refusal:
    """A rule check that allows the first node to one address only."""

    start = (2, 1, 0)

    def nodes_of_siblings(self, packing, _steps):
        return dict(enumerate(packing.node_of))

    def accepts(self, packing, _before):
        return packing.node_of[1] == 0

    def replace(self, _address, before, _after):
        return before


def test_a_rule_check_decides_about_each_change():
    packing, potential = minimized([Address(owner, 4, (0, 1, 2)) for owner in range(3)], [NodeLoad()] * 3)
    first_by_name(packing, potential, never, Refusal())
    assert packing.placement() == (2, 0, 1)
