# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Connections that the real kernel tracks."""

from __future__ import annotations

import socket

from ansible_collections.netops.egress_ip.plugins.module_utils._host_io import conntrack
from ansible_collections.netops.egress_ip.plugins.module_utils._protocols.ctnetlink import Flow, create_request
from kernel_host import nft, wait_for_connections
from network_namespace import network_namespace


def test_connections_are_forgotten_by_their_mark():
    with network_namespace():
        nft("add table inet theirs", "add chain inet theirs marking { type filter hook output priority 0; }")
        nft("add rule inet theirs marking ct mark set 5")
        with socket.create_server(("127.0.0.1", 0)) as server, socket.create_connection(server.getsockname()):
            conntrack.forget_connections([4], 0xFFF)
            wait_for_connections(1)
            conntrack.forget_connections([4, 5], 0xFFF)
            wait_for_connections(0)


def test_many_marks_are_forgotten_with_few_requests(monkeypatch):
    def tracked(mark):
        client, server = ("10.88.0.2", 40000 + mark), ("203.0.113.9", 443)
        return create_request(Flow(6, client, server, server, client, 300, True, (3, (7, 7), (11, 11))), mark)

    with network_namespace():
        assert not any(conntrack.change_connections(map(tracked, range(1, 301))))
        requests = []
        change = conntrack.change_connections
        monkeypatch.setattr(conntrack, "change_connections", lambda sent: change(requests.extend(sent) or requests))
        conntrack.forget_connections(range(2, 300), 0xFFF)
        assert sorted(mark for mark, _flow in conntrack.read_connections([(0, 0)])) == [1, 300]
        assert len(requests) < 20
