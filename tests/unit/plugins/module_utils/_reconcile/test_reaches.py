# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which destinations the addresses of an object reach; golden/rollout/an_object_in_two_networks has a whole state."""

from __future__ import annotations

import pytest
from ansible_collections.netops.egress_ip.plugins.module_utils._dataplane.node_state import Reach
from ansible_collections.netops.egress_ip.plugins.module_utils._reconcile.reaches import AddressReaches

FIRST, SECOND, THIRD, NEW = "192.168.126.101", "172.30.0.10", "172.30.0.11", "172.30.0.12"
FIRST6, SECOND6 = "2001:db8:126::101", "2001:db8:30::10"
LAN, LAN6, BACK, BACK6 = "192.168.64.0/18", "2001:db8:126::/64", "172.30.0.0/24", "2001:db8:30::/64"
ON_LAN = Reach(FIRST, (LAN,), True)


def facts(**routers):
    return {
        "interface": "eth0",
        "networks": [
            {"interface": "eth0", "addresses": ["192.168.126.21/18", "2001:db8:126::21/64"]},
            {"interface": "eth1", "addresses": ["172.30.0.21/24", "2001:db8:30::21/64", "198.51.100.7/32"]},
        ],
        "routers": routers,
    }


def reaches(places, egress_ips, observed=None):
    """Return the reaches of the addresses, all assigned that are in `places` {egress IP: (node, interface)}."""
    assignments = [{"egressIP": ip, "node": node, "interface": each} for ip, (node, each) in places.items()]
    every = {"node1": facts(), "node2": facts(), **(observed or {})}
    return AddressReaches(assignments, every).of(egress_ips, [*places])


def test_an_address_without_a_router_reaches_its_network_alone():
    places = {FIRST: ("node1", "eth0"), SECOND: ("node2", "eth1")}
    assert reaches(places, [FIRST, SECOND]) == (ON_LAN, Reach(SECOND, (BACK,), False))


def test_a_router_leads_to_all_others():
    places = {FIRST: ("node1", "eth0"), SECOND: ("node2", "eth1")}
    routed = facts(eth1=["172.30.0.1", "fe80::1"])
    assert reaches(places, [FIRST, SECOND], {"node2": routed}) == (ON_LAN, Reach(SECOND, (BACK,), True))


def test_a_router_of_the_other_ip_version_does_not_count():
    places = {FIRST: ("node1", "eth0"), SECOND: ("node2", "eth1")}
    assert reaches(places, [FIRST, SECOND], {"node2": facts(eth1=["fe80::1"])})[1] == Reach(SECOND, (BACK,), False)


def test_a_node_that_lists_no_routers():
    observed = facts()
    del observed["routers"]
    places = {FIRST: ("node1", "eth0"), SECOND: ("node2", "eth1")}
    assert reaches(places, [FIRST, SECOND], {"node2": observed})[1] == Reach(SECOND, (BACK,), False)


@pytest.mark.parametrize(
    "places",
    [
        {FIRST: ("node1", "eth0")},
        {SECOND: ("node1", "eth1")},
        {SECOND: ("node1", "eth1"), THIRD: ("node2", "eth1")},
        # One address of each IP version leaves no choice.
        {FIRST: ("node1", "eth0"), SECOND6: ("node2", "eth1")},
        {},
    ],
)
def test_addresses_that_reach_the_same_need_no_entry(places):
    assert reaches(places, [FIRST, SECOND, THIRD, SECOND6]) == ()


def test_primary_interfaces_in_different_networks_need_no_entry():
    """Each is routed by its node's main table."""
    other = {**facts(), "interface": "eth1"}
    assert reaches({FIRST: ("node1", "eth0"), SECOND: ("node2", "eth1")}, [FIRST, SECOND], {"node2": other}) == ()


def test_ip_versions_are_separate():
    places = {FIRST: ("node1", "eth0"), FIRST6: ("node1", "eth0"), SECOND6: ("node2", "eth1")}
    assert reaches(places, [*places]) == (Reach(FIRST6, (LAN6,), True), Reach(SECOND6, (BACK6,), False))


def test_an_unassigned_address_counts_for_its_network():
    """So the others of its network keep their share of the connections until it is assigned again."""
    places = {FIRST: ("node1", "eth0"), SECOND: ("node2", "eth1")}
    found = reaches(places, [FIRST, SECOND, NEW, "203.0.113.9"])
    assert found == (ON_LAN, Reach(SECOND, (BACK,), False), Reach(NEW, (BACK,), False))
