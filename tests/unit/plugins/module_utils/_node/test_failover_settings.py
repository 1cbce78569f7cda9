# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The settings of the state machine from a node's state."""

from __future__ import annotations

from ansible_collections.netops.egress_ip.plugins.module_utils._failover.values import Duty, Neighbour
from ansible_collections.netops.egress_ip.plugins.module_utils._node.failover_settings import own_addresses, settings_of
from states import node_state

A = "192.168.126.101"
PEERS = [{"name": f"node{i}", "address": f"192.168.126.2{i}", "mac": f"02:00:c0:a8:7e:1{i}"} for i in (1, 3, 2)]
FAILOVER = {
    "failover": {
        "after": 0.3,
        "strict": True,
        "witnesses": ["192.168.126.1", "10.9.9.9", "fe80::1"],
        "capacity": {"ip": 2},
    },
    "standbys": [{"egressIP": A, "interface": "eth0", "order": PEERS}],
    "held": [],
}


def test_the_settings_of_a_standby(kernel):
    settings = settings_of(node_state(**FAILOVER), kernel.read_host(), {A: "eth0"}, {A, "192.168.126.102"})
    assert settings.duties == (Duty(A, "eth0", ("node1", "node3")),)
    assert settings.peers == {
        "node2": (Neighbour("eth0", "192.168.126.22"),),
        "node3": (Neighbour("eth0", "192.168.126.23"),),
    }
    assert settings.macs == {"02:00:c0:a8:7e:12": "node2", "02:00:c0:a8:7e:13": "node3"}
    # A witness counts on the interfaces whose networks contain it.
    assert settings.witnesses == (Neighbour("eth0", "192.168.126.1"), Neighbour("eth0", "fe80::1"))
    assert (settings.held, settings.taken) == ({A: "eth0"}, (A,))
    assert settings.owners == {A: "web", "192.168.126.102": "web"}
    assert (settings.after, settings.strict, settings.limits.ip) == (0.3, True, 2)
    assert "02:00:c0:a8:7e:15" in settings.own_macs


def test_a_host_asks_with_its_own_address(kernel):
    assert own_addresses(kernel.read_host(), "eth0", ()) == {4: "192.168.126.21", 6: "fe80::21"}
    assert own_addresses(kernel.read_host(), "eth0", {"192.168.126.21"})[6] == "fe80::21"
    assert own_addresses(kernel.read_host(), "eth9", ()) == {}
