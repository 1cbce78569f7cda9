# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The index of networks, against a search through all nodes."""

from __future__ import annotations

import ipaddress

from ansible_collections.netops.egress_ip.plugins.module_utils._common.addresses import address_order
from ansible_collections.netops.egress_ip.plugins.module_utils._planner.network_index import NetworkIndex
from ansible_collections.netops.egress_ip.plugins.module_utils._planner.nodes import Node, NodeNetwork
from hypothesis import given
from hypothesis import strategies as st

# Few different addresses and prefixes of any length around them, so that many networks nest and many addresses meet.
BASES = {4: int(ipaddress.IPv4Address("10.0.0.0")), 6: int(ipaddress.IPv6Address("fd00::"))}
ADDRESSES = st.builds(
    lambda version, offset: (ipaddress.IPv4Address if version == 4 else ipaddress.IPv6Address)(BASES[version] + offset),
    st.sampled_from((4, 6)),
    st.integers(0, 40),
)
INTERFACES = st.builds(
    lambda address, spare: ipaddress.ip_interface(f"{address}/{address.max_prefixlen - spare}"),
    ADDRESSES,
    st.integers(0, 6),
)
NODES = st.lists(st.lists(INTERFACES, max_size=3), max_size=4).map(
    lambda fleet: [Node(f"n{n}", {}, networks=(NodeNetwork("eth0", tuple(own)),)) for n, own in enumerate(fleet)]
)


@given(NODES, st.lists(ADDRESSES, min_size=1, max_size=8))
def test_the_index_finds_the_nodes_that_a_look_at_each_finds(nodes, addresses):
    index = NetworkIndex(nodes)
    for address in addresses:
        order = address_order(str(address))
        assert index.nodes_in(index.containing(*order)) == tuple(n for n in nodes if n.network_for(address))
        assert index.is_network_or_broadcast(*order) or not any(node.reserves(address) for node in nodes)
