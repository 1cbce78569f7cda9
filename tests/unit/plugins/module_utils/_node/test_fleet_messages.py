# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The messages of calls from node to node."""

from __future__ import annotations

import pytest
from ansible_collections.netops.egress_ip.plugins.module_utils._common.errors import CommandError
from ansible_collections.netops.egress_ip.plugins.module_utils._host_io import fleet_calls, node_messages
from ansible_collections.netops.egress_ip.plugins.module_utils._node.fleet_messages import (
    MOVED,
    READY,
    egress_ips_of,
    endpoints_to,
    in_requests,
    request_to,
    sender_of,
)
from states import fleet_nodes, node_state

A = "192.168.126.101"
ONE, TWO = node_state(), node_state(name="node2", endpoints=["192.168.126.22"])


def test_a_request_is_for_one_node_from_one_node():
    request = request_to(TWO, "node1", MOVED, [A])
    assert sender_of(ONE, request, "192.168.126.22") == "node2"
    assert egress_ips_of(request, MOVED) == [A]
    for state, address in ((ONE, "192.168.126.23"), (TWO, "192.168.126.22"), (ONE, "")):
        with pytest.raises(CommandError, match="it names other nodes than those that talk"):
            sender_of(state, request, address)


@pytest.mark.parametrize("message", [{}, {"kind": MOVED, "egressIPs": [A]}, {"kind": READY, "egressIPs": A}])
def test_a_message_of_another_kind_or_form_is_an_error(message):
    with pytest.raises(CommandError, match="the message must be ready"):
        egress_ips_of(message, READY)


def test_endpoints_have_one_ip_version():
    assert endpoints_to(ONE, "node2") == ("192.168.126.21", "192.168.126.22")
    only6 = [{**node, "endpoints": node["endpoints"][1:]} for node in fleet_nodes(3)]
    assert endpoints_to(node_state(nodes=only6), "node2") == ("2001:db8:126::21", "2001:db8:126::22")
    with pytest.raises(CommandError, match="node2 has no endpoint that this node can reach"):
        endpoints_to(node_state(nodes=only6, endpoints=["192.168.126.21"]), "node2")
    with pytest.raises(CommandError, match="node9"):
        endpoints_to(ONE, "node9")


def test_the_largest_request_is_taken():
    """Every address of a node, as long as addresses and names of nodes can be."""
    ips = [f"2001:1db8:1db8:1db8:1db8:1db8:1db8:{number:x}" for number in range(0x1000, 0x1000 + 2500)]
    name, requests = "n" * 253, list(in_requests(ips))
    state = node_state(name=name, nodes=[])
    assert [ip for each in requests for ip in each] == ips
    for each in requests:
        content = request_to(state, name, MOVED, each)
        reading = node_messages.read_message(b"key", b"number", fleet_calls._REQUEST_LIMIT)
        assert read_all(reading, node_messages.message(b"key", b"number", content)) == content


def read_all(reading, data):
    """Return what a reading makes of these bytes."""
    size = next(reading)
    while True:
        part, data = data[:size], data[size:]
        try:
            size = reading.send(part)
        except StopIteration as end:
            assert not data
            return end.value
