# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Packings of least cost, by the certificate that no cycle improves them."""

from __future__ import annotations

import pytest
from ansible_collections.netops.egress_ip.plugins.module_utils._solver.min_cost_flow import (
    Potential,
    fill,
    minimize_cost,
)
from ansible_collections.netops.egress_ip.plugins.module_utils._solver.model import (
    BALANCED,
    STICKY,
    Address,
    NodeLoad,
    weights,
)
from ansible_collections.netops.egress_ip.plugins.module_utils._solver.packing import Packing
from ansible_collections.netops.egress_ip.plugins.module_utils._solver.solve import solve
from flow_certificate import has_improving_cycle
from hypothesis import given, settings
from hypothesis import strategies as st
from solver_worlds import held, keeps_the_rules, large_world, measure, spread_worlds, worlds


def minimized(addresses, nodes, policy=BALANCED):
    """Return a packing of least cost."""
    packing = Packing(addresses, nodes, *weights(addresses, nodes, policy))
    minimize_cost(packing)
    return packing


@settings(max_examples=300)
@given(worlds(), st.sampled_from((BALANCED, STICKY)))
def test_certificate_of_small_worlds(world, policy):
    assert not has_improving_cycle(minimized(*world, policy))


@settings(max_examples=300)
@given(spread_worlds(), st.sampled_from((BALANCED, STICKY)))
def test_certificate_of_small_worlds_with_spread(world, policy):
    assert not has_improving_cycle(minimized(*world, policy))


@given(worlds())
def test_the_certificate_sees_what_could_be_better(world):
    packing = Packing(*world, *weights(*world, BALANCED))
    for address in range(len(world[0])):
        packing.enter(address, packing.unassigned)
    before = [n for n, address in enumerate(world[0]) if any(packing.fits(n, node) for node in address.nodes)]
    assert has_improving_cycle(packing) or not before


@pytest.mark.parametrize("policy", [BALANCED, STICKY])
@pytest.mark.parametrize("seed", range(4))
def test_certificate_of_large_worlds(seed, policy):
    addresses, nodes = large_world(seed)
    packing = minimized(addresses, nodes, policy)
    placed = tuple(None if node == packing.unassigned else node for node in packing.node_of)
    assert keeps_the_rules(addresses, nodes, placed)
    assert not has_improving_cycle(packing)
    # The order by name changes neither of the objective.
    assert measure(addresses, nodes, solve(addresses, nodes, policy).nodes)[:4] == measure(addresses, nodes, placed)[:4]


def spread_over_zones(addresses, node_count, share):
    """The same addresses, those of some owners spread over three zones."""
    domains = tuple(node % 3 for node in range(node_count))
    return [address._replace(domains=domains) if address.owner % share == 0 else address for address in addresses]


@pytest.mark.parametrize("policy", [BALANCED, STICKY])
@pytest.mark.parametrize("share", [1, 3])
@pytest.mark.parametrize("seed", range(3))
def test_certificate_of_large_worlds_with_spread(seed, share, policy):
    addresses, nodes = large_world(seed)
    addresses = spread_over_zones(addresses, len(nodes), share)
    packing = minimized(addresses, nodes, policy)
    assert keeps_the_rules(addresses, nodes, packing.placement())
    assert not has_improving_cycle(packing)
    best = solve(addresses, nodes, policy).nodes
    assert keeps_the_rules(addresses, nodes, best)
    assert measure(addresses, nodes, best)[:2] >= measure(addresses, nodes, packing.placement())[:2]


def test_certificate_of_a_larger_world():
    addresses, nodes = large_world(1, node_count=150, address_count=1500)
    packing = minimized(addresses, nodes)
    assert not has_improving_cycle(packing)
    assert (
        measure(addresses, nodes, solve(addresses, nodes).nodes)[:4]
        == measure(addresses, nodes, packing.placement())[:4]
    )


def test_addresses_start_on_their_current_nodes():
    addresses = [held(0, 1, by=0, owner=n) for n in range(2)] + [Address(2, 4, (0, 1)), Address(3, 4, (0,))]
    packing = Packing(addresses, [NodeLoad(), NodeLoad()], *weights(addresses, [NodeLoad(), NodeLoad()], BALANCED))
    fill(packing, packing.current)
    assert packing.placement()[:2] == (0, 0)
    assert packing.placement()[2:] == (1, 0)


def test_an_improving_cycle_is_reported_with_its_steps():
    addresses = [Address(owner, 4, (0, 1)) for owner in range(2)]
    packing = Packing(addresses, [NodeLoad(), NodeLoad()], 1, 1)
    for address in range(2):
        packing.enter(address, 0)
    (steps,) = Potential(packing).improvements
    assert len(steps) == 1
    assert packing.shift(steps)
    assert Potential(packing).improvements == []


def test_the_potential_is_the_cost_of_the_shortest_path():
    """The address leaves the first node, which saves one square; from there it can enter each of the others."""
    packing = Packing([Address(0, 4, (0, 1))], [NodeLoad(), NodeLoad()], 1, 0)
    packing.enter(0, 0)
    assert Potential(packing).cost == [-1, -1, -1]


@settings(max_examples=40)
@given(spread_worlds(), st.sampled_from((BALANCED, STICKY)), st.randoms(use_true_random=False))
def test_the_start_does_not_change_the_cost(world, policy, chance):
    addresses, nodes = world
    start = [chance.choice((*address.nodes, None)) for address in addresses]
    packing = Packing(addresses, nodes, *weights(addresses, nodes, policy))
    minimize_cost(packing, start)
    assert not has_improving_cycle(packing)
