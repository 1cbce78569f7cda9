# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Settings of nodes that prevent the use of egress IPs."""

from __future__ import annotations

from ansible_collections.netops.egress_ip.plugins.module_utils._reconcile.node_limits import limits, usable_networks

NETWORKS = [
    {"interface": "br0", "addresses": ["192.168.126.21/18", "2001:db8:126::21/64"]},
    {"interface": "br1", "addresses": ["10.9.0.21/24"]},
]
FREE = {"interface": "br0", "networks": NETWORKS, "bridge_filtered": [], "forward_filters": []}
FILTERED = {**FREE, "bridge_filtered": [4, 6]}
DOCKER = {**FREE, "forward_filters": [{"family": "ip", "table": "filter", "chain": "FORWARD"}]}
IPV4, IPV6 = ["192.168.126.101"], ["2001:db8:126::101"]


def found(facts, egress_ips, eligible=("node1",), others=("node2",)):
    observed = {"node1": facts, **dict.fromkeys(others, FREE)}
    return limits(observed, eligible, egress_ips, "egress0")


def test_the_own_address_on_a_filtered_bridge_stays_known_and_its_network_does_not():
    assert usable_networks(FREE) == NETWORKS
    assert usable_networks(FILTERED) == [
        {"interface": "br0", "addresses": ["192.168.126.21/32", "2001:db8:126::21/128"]},
        NETWORKS[1],
    ]
    assert usable_networks({**FREE, "bridge_filtered": [6]})[0]["addresses"][0] == "192.168.126.21/18"


def test_a_filtered_bridge_is_reported_for_the_ip_versions_in_use():
    (line,) = found(FILTERED, IPV4)
    assert line.startswith("node1: egress_ip_interface: 'br0' gets no IPv4 egress IP; it is a bridge")
    assert "net.bridge.bridge-nf-call-iptables" in line
    assert ["IPv6" in line and "ip6tables" in line for line in found(FILTERED, IPV6)] == [True]
    assert len(found(FILTERED, IPV4 + IPV6)) == 2


def test_a_filtered_bridge_does_no_harm_to_a_node_that_holds_nothing_and_to_a_single_node():
    assert found(FILTERED, IPV4, eligible=()) == []
    assert found(FILTERED, IPV4, others=()) == []


def test_a_filter_of_forwarded_packets_is_reported_on_every_node():
    (line,) = found(DOCKER, IPV4, eligible=())
    assert line == (
        "node1: the chain 'FORWARD' of the nftables table ip 'filter' drops forwarded packets, and no rule of the table"
        " names egress0; accept them, see docs/firewalls.md"
    )
    assert found(DOCKER, IPV6) == []
