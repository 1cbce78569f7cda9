# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Tracked connections as values and messages; the kernel creates, lists and deletes them in a namespace."""

from __future__ import annotations

import errno
import json
import socket
import struct
from dataclasses import replace

import pytest
from ansible_collections.netops.egress_ip.plugins.module_utils._host_io.host_io import HostIO
from ansible_collections.netops.egress_ip.plugins.module_utils._protocols.ctnetlink import (
    Flow,
    create_request,
    delete_request,
    parse_entries,
    parse_messages,
)
from hypothesis import given
from hypothesis import strategies as st
from network_namespace import network_namespace

MASK = 0xFFF
TCP_FLOW = Flow(
    protocol=socket.IPPROTO_TCP,
    source=("10.88.0.2", 40000),
    destination=("203.0.113.9", 80),
    server=("203.0.113.9", 80),
    translated=("192.168.126.101", 41000),
    timeout=600,
    assured=True,
    tcp=(3, (7, 8), (3, 3)),
)
UDP_FLOW = replace(TCP_FLOW, protocol=socket.IPPROTO_UDP, tcp=())
TCP_FLOW6 = replace(
    TCP_FLOW,
    source=("fd00:88::2", 40000),
    destination=("2001:db8:1::9", 80),
    server=("2001:db8:1::9", 80),
    translated=("2001:db8:126::101", 41000),
)


@pytest.mark.parametrize("flow", [TCP_FLOW, UDP_FLOW, TCP_FLOW6])
def test_a_flow_as_a_list_is_the_same_flow(flow):
    assert Flow.from_list(flow.to_list()) == flow
    assert Flow.from_list(json.loads(json.dumps(flow.to_list()))) == flow


@pytest.mark.parametrize(
    ("index", "value"),
    [
        pytest.param(0, 1, id="ICMP"),
        pytest.param(0, "6", id="the protocol as text"),
        pytest.param(1, ["10.88.0.2"], id="no port"),
        pytest.param(1, ["10.88.0.2", 65536], id="no such port"),
        pytest.param(1, ["10.88.0.2", True], id="a boolean port"),
        pytest.param(2, ["host.example.com", 80], id="a name"),
        pytest.param(3, None, id="no server"),
        pytest.param(4, [7, 7], id="a number as address"),
        pytest.param(5, -1, id="a negative timeout"),
        pytest.param(5, 2**32, id="a timeout of more than 32 bits"),
        pytest.param(6, "yes", id="assured as text"),
        pytest.param(7, [3], id="TCP without scales"),
        pytest.param(7, [3, [7, 256], [3, 3]], id="a scale of more than a byte"),
        pytest.param(7, [3, [7, 7], {"a": 1}], id="flags as a mapping"),
    ],
)
def test_a_list_that_is_no_flow_is_refused(index, value):
    values = TCP_FLOW.to_list()
    values[index] = value
    with pytest.raises(ValueError, match="^flow"):
        Flow.from_list(values)


@given(st.recursive(st.none() | st.integers() | st.text(max_size=3), lambda item: st.lists(item, max_size=9)))
def test_anything_else_raises_a_value_error(value):
    with pytest.raises(ValueError, match="^flow"):
        Flow.from_list(value)


def listed(mark):
    return [(found & MASK, replace(flow, timeout=600)) for found, flow in HostIO.read_connections([(mark, MASK)])]


@pytest.mark.parametrize("flow", [TCP_FLOW, UDP_FLOW, TCP_FLOW6])
def test_the_kernel_lists_what_it_was_told_to_create(flow):
    with network_namespace():
        assert HostIO.change_connections([create_request(flow, 5)]) == [0]
        ((mark, found),) = listed(5)
        # Connections that were not seen from their first packet are tracked liberally (flag 8).
        tcp = (flow.tcp[0], flow.tcp[1], tuple(bits | 0x8 for bits in flow.tcp[2])) if flow.tcp else ()
        assert (mark, found) == (5, replace(flow, tcp=tcp))
        assert listed(6) == []


def test_the_kernel_creates_a_connection_once_and_deletes_it_once():
    create, delete = create_request(TCP_FLOW, 5), delete_request(TCP_FLOW.protocol, TCP_FLOW.source, TCP_FLOW.server)
    with network_namespace():
        assert HostIO.change_connections([create, create]) == [0, errno.EEXIST]
        assert HostIO.change_connections([delete, delete]) == [0, errno.ENOENT]
        assert listed(5) == []


def test_connections_are_deleted_by_mark():
    with network_namespace():
        other = replace(TCP_FLOW, source=("10.88.0.3", 1), translated=("192.168.126.102", 1))
        assert HostIO.change_connections([create_request(TCP_FLOW, 5), create_request(other, 6)]) == [0, 0]
        HostIO.forget_connections([5], MASK)
        assert [mark for mark, _flow in listed(5) + listed(6)] == [6]


def test_a_closed_tcp_connection_is_not_listed():
    with network_namespace():
        HostIO.change_connections([create_request(replace(TCP_FLOW, tcp=(7, (0, 0), (0, 0))), 5)])
        assert listed(5) == []


def test_the_end_of_an_answer():
    assert parse_messages(b"") == ([], None)
    assert parse_messages(struct.pack("=IHHIIi", 20, 3, 2, 0, 0, 0)) == ([], 0)
    refused = struct.pack("=IHHIIi", 36, 2, 0, 0, 0, -errno.EPERM) + bytes(16)
    assert parse_messages(refused) == ([], errno.EPERM)
    assert parse_entries(refused) == ([], errno.EPERM)
