# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Connections counted by what the server sees: from the real kernel's conntrack, in a namespace."""

from __future__ import annotations

import contextlib
import socket
import struct
import subprocess

import pytest
from ansible_collections.netops.egress_ip.plugins.module_utils._common.errors import CommandError
from ansible_collections.netops.egress_ip.plugins.module_utils._host_io import conntrack
from ansible_collections.netops.egress_ip.plugins.module_utils._host_io.host_io import HostIO
from ansible_collections.netops.egress_ip.plugins.module_utils._protocols.conntrack_usage import (
    PORTS,
    Use,
    mark_blocks,
    mark_filters,
    read_dump,
    uses,
)
from ansible_collections.netops.egress_ip.plugins.module_utils._protocols.ctnetlink import Flow, create_request
from hypothesis import given
from hypothesis import strategies as st
from network_namespace import network_namespace

A, B, A6 = "192.168.126.101", "192.168.126.102", "2001:db8:126::101"
WEB, DNS, WEB6 = ("203.0.113.5", 443), ("203.0.113.53", 53), ("2001:db8:1::5", 443)
TCP = (3, (0, 0), (0, 0))
MASK = 0xFFF


@given(st.integers(0, 18), st.integers(1, 14), st.data())
def test_filters_match_every_mark_of_ours_once_and_nothing_else(shift, bits, data):
    mask = (2**bits - 1) << shift
    highest = data.draw(st.integers(0, 2**bits - 1))
    foreign = data.draw(st.integers(0, 2**32 - 1)) & ~mask
    filters = mark_filters(mask, highest)
    index = data.draw(st.integers(0, highest))
    matching = [1 for mark, under in filters if (foreign | index << shift) & under == mark]
    assert len(matching) == (1 if index else 0)
    assert len(filters) <= bits


@given(st.integers(0, 18), st.integers(1, 6), st.data())
def test_blocks_match_the_given_marks_once_and_nothing_else(shift, bits, data):
    mask = (2**bits - 1) << shift
    marks = data.draw(st.sets(st.integers(1, 2**bits - 1).map(lambda index: index << shift)))
    foreign = data.draw(st.integers(0, 2**32 - 1)) & ~mask
    blocks = mark_blocks(marks, mask)
    for mark in (index << shift for index in range(2**bits)):
        assert [(foreign | mark) & under == value for value, under in blocks].count(True) == (mark in marks)


def test_the_marks_of_a_whole_node_are_few_blocks():
    assert mark_blocks(range(1, 8), MASK) == [(1, MASK), (2, MASK - 1), (4, MASK - 3)]
    assert len(mark_blocks(range(1, 2001), MASK)) < 20
    assert mark_blocks([], MASK) == []


def flow(protocol, source, server, translated):
    tcp = TCP if protocol == socket.IPPROTO_TCP else ()
    return Flow(protocol, source, server, server, translated, 600, True, tcp)


def connect(mark, *flows):
    assert set(HostIO.change_connections([create_request(item, mark) for item in flows])) == {0}


def counted(highest):
    return uses(HostIO.count_connections(mark_filters(MASK, highest)))


def test_connections_are_counted_by_source_protocol_and_destination():
    tcp, udp = socket.IPPROTO_TCP, socket.IPPROTO_UDP
    with network_namespace():
        assert counted(7) == {}
        connect(1, *(flow(tcp, ("10.88.0.2", port), WEB, (A, port)) for port in range(2000, 2005)))
        connect(1, flow(tcp, ("10.88.0.2", 2000), ("203.0.113.6", 443), (A, 2000)))
        connect(1, *(flow(udp, ("10.88.0.3", port), DNS, (A, port)) for port in (2000, 2001)))
        connect(6, flow(tcp, ("10.88.0.4", 2000), WEB, (B, 40000)))
        connect(0x2000 | 7, flow(tcp, ("fd00:88::2", 2000), WEB6, (A6, 2000)))
        # Not marked by us, or with a mark that nobody has.
        connect(0x2000, flow(tcp, ("10.88.0.5", 2000), WEB, ("192.168.126.21", 2000)))
        connect(8, flow(tcp, ("10.88.0.6", 2000), WEB, ("192.168.126.21", 2001)))
        assert counted(7) == {
            A: {"tcp": Use(6, "203.0.113.5:443", 5), "udp": Use(2, "203.0.113.53:53", 2)},
            B: {"tcp": Use(1, "203.0.113.5:443", 1)},
            A6: {"tcp": Use(1, "[2001:db8:1::5]:443", 1)},
        }
        assert counted(1) == {A: counted(7)[A]}


def test_more_connections_than_one_message_holds():
    with network_namespace():
        connect(1, *(flow(socket.IPPROTO_TCP, ("10.88.0.2", port), WEB, (A, port)) for port in range(1024, 6024)))
        assert counted(1) == {A: {"tcp": Use(5000, "203.0.113.5:443", 5000)}}


def test_protocols_without_ports():
    with network_namespace():
        lines = (
            "add table inet theirs",
            "add chain inet theirs marking { type filter hook output priority 0; }",
            "add rule inet theirs marking ct mark set 1",
        )
        subprocess.run(["nft", "-f", "-"], input="".join(f"{line}\n" for line in lines), text=True, check=True)
        for identifier in (1, 2):
            echo = struct.pack("!BBHHH", 8, 0, 0xF7FF - identifier, identifier, 0)
            with socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP) as sock:
                sock.sendto(echo, ("127.0.0.1", 0))
        with socket.socket(socket.AF_INET, socket.SOCK_RAW, 99) as sock:
            sock.sendto(b"x", ("127.0.0.1", 0))
        assert counted(1) == {"127.0.0.1": {"icmp": Use(2, "127.0.0.1", 2), "99": Use(1, "127.0.0.1", 1)}}


def test_the_share_of_the_ports():
    assert Use().port_share == 0
    assert Use(PORTS, "203.0.113.5:443", PORTS // 2).port_share == 0.5


def test_a_kernel_that_tells_it_another_way_is_an_error_not_a_wrong_number():
    with network_namespace():
        connect(1, flow(socket.IPPROTO_TCP, ("10.88.0.2", 2000), WEB, (A, 2000)))
        ((piece, _number),) = HostIO.count_connections(mark_filters(MASK, 1)).items()
    # The type of the first address, the type of the protocol's nest, a longer piece.
    for broken in (piece[:10] + b"\7" + piece[11:], piece[:26] + b"\7" + piece[27:], piece + bytes(24), b""):
        with pytest.raises(CommandError, match="cannot read"):
            uses({broken: 1})


def test_the_kernel_refuses():
    message = struct.pack("=IHHII", 36, 2, 0, 0, 0) + struct.pack("=i", -1) + bytes(16)
    assert read_dump(message) == ([], 1)


def test_an_empty_answer_ends_the_dump():
    assert read_dump(struct.pack("=IHHIIi", 20, 3, 2, 0, 0, 0)) == ([], 0)


def test_a_refused_dump_says_so(monkeypatch):
    @contextlib.contextmanager
    def refusing():
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
        with ours, theirs:
            theirs.send(struct.pack("=IHHIIi", 36, 2, 0, 0, 0, -1) + bytes(16))
            yield ours

    monkeypatch.setattr(conntrack, "_ctnetlink", refusing)
    with pytest.raises(CommandError, match=r"cannot list the entries with mark 0x1: Operation not permitted$"):
        HostIO.count_connections([(1, MASK)])
