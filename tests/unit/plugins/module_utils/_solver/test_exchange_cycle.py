# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Cycles of tight steps on packings whose least cost is proven."""

from __future__ import annotations

from ansible_collections.netops.egress_ip.plugins.module_utils._solver.exchange_cycle import ExchangeCycle
from ansible_collections.netops.egress_ip.plugins.module_utils._solver.min_cost_flow import Potential
from ansible_collections.netops.egress_ip.plugins.module_utils._solver.model import BALANCED, Address, NodeLoad, weights
from ansible_collections.netops.egress_ip.plugins.module_utils._solver.packing import Packing
from ansible_collections.netops.egress_ip.plugins.module_utils._solver.residual_graph import SINK
from ansible_collections.netops.egress_ip.plugins.module_utils._solver.tie_break import Ties


def ties_of(addresses, nodes, placement):
    """Return the tight steps of a placement, which has the least cost."""
    packing = Packing(addresses, nodes, *weights(addresses, nodes, BALANCED))
    for address, node in enumerate(placement):
        packing.enter(address, node)
    potential = Potential(packing)
    assert potential.improvements == []
    return Ties(packing, potential, None)


def search(ties, address, node, **how):
    found = ExchangeCycle(ties, address, **how)
    return found.search_from(node), found


def test_two_addresses_change_places():
    ties = ties_of([Address(owner, 4, (0, 1)) for owner in (0, 1)], [NodeLoad()] * 2, (1, 0))
    found, cycle = search(ties, 0, 0)
    assert (found, cycle.steps(), cycle.met_sibling) == (True, [(0, 0), (1, 1)], False)


def test_a_cycle_of_three():
    addresses = [Address(0, 4, (0, 2)), Address(1, 4, (0, 1)), Address(2, 4, (1, 2))]
    found, cycle = search(ties_of(addresses, [NodeLoad()] * 3, (2, 0, 1)), 0, 0)
    assert (found, cycle.steps()) == (True, [(0, 0), (1, 1), (2, 2)])


def test_a_path_through_the_sink_moves_one_address():
    found, cycle = search(ties_of([Address(0, 4, (0, 1))], [NodeLoad()] * 2, (1,)), 0, 0)
    assert (found, cycle.steps(), SINK in cycle.nodes_seen()) == (True, [(0, 0)], True)


def test_no_cycle_where_the_other_address_has_one_node():
    found, cycle = search(ties_of([Address(0, 4, (0, 1)), Address(1, 4, (0,))], [NodeLoad()] * 2, (1, 0)), 0, 0)
    assert not found
    assert 0 in cycle.nodes_seen()


def test_siblings_are_in_the_way_unless_the_search_ignores_them():
    """The second address cannot change places with the first: its sibling is there, which has one node."""
    addresses = [Address(0, 4, (0, 1)), Address(1, 4, (0, 1)), Address(1, 4, (1,))]
    ties = ties_of(addresses, [NodeLoad(1), NodeLoad()], (1, 0, 1))
    found, cycle = search(ties, 0, 0)
    assert (found, cycle.met_sibling) == (False, True)
    found, cycle = search(ties, 0, 0, check_siblings=False)
    assert (found, cycle.steps()) == (True, [(0, 0), (1, 1)])


def test_a_member_of_a_spread_group_changes_places_with_another_address():
    zones = (0, 0, 1)
    addresses = [
        Address(0, 4, (0, 1, 2), domains=zones),
        Address(0, 4, (0, 1, 2), domains=zones),
        Address(1, 4, (0, 1)),
    ]
    found, cycle = search(ties_of(addresses, [NodeLoad()] * 3, (1, 2, 0)), 0, 0)
    assert (found, sorted(cycle.steps())) == (True, [(0, 0), (2, 1)])
