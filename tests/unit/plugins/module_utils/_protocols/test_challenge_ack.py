# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What makes a client speak, and that the kernel's TCP does."""

from __future__ import annotations

import socket
import struct
import subprocess
import time
from dataclasses import replace

import pytest
from ansible_collections.netops.egress_ip.plugins.module_utils._host_io.host_io import HostIO
from ansible_collections.netops.egress_ip.plugins.module_utils._protocols.challenge_ack import challenges
from ansible_collections.netops.egress_ip.plugins.module_utils._protocols.ctnetlink import Flow, create_request
from network_namespace import network_namespace

ESTABLISHED, FIN_WAIT, CLOSE_WAIT, LAST_ACK, TIME_WAIT = 3, 4, 5, 6, 7
ENDS = {4: ("127.0.0.1", "127.0.0.2"), 6: ("::1", "::1")}
IP_HEADER = {4: 20, 6: 40}


def flow(client, server, protocol=6, state=ESTABLISHED):
    tcp = (state, (7, 7), (0, 0)) if protocol == 6 else ()
    return Flow(protocol, client, server, server, ("192.168.126.10", client[1]), 300, True, tcp)


def ones_sum(data):
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    return (total & 0xFFFF) + (total >> 16)


@pytest.mark.parametrize("version", ENDS)
def test_the_packet_comes_as_if_from_the_server(version):
    client, server = ENDS[version]
    ((kind, destination, packet),) = challenges([flow((client, 40000), (server, 443))])
    assert (kind, destination) == (version, client)
    family = socket.AF_INET if version == 4 else socket.AF_INET6
    source, target = socket.inet_pton(family, server), socket.inet_pton(family, client)
    header, segment = packet[: IP_HEADER[version]], packet[IP_HEADER[version] :]
    assert header.endswith(source + target)
    assert segment[:4] == struct.pack("!HH", 443, 40000)
    assert segment[13] == 0x12
    assert ones_sum(source + target + struct.pack("!II", len(segment), 6) + segment) == 0xFFFF


def test_only_open_tcp_connections_are_challenged():
    ends = ("10.88.0.2", 40000), ("203.0.113.9", 443)
    assert challenges([flow(*ends, protocol=17), flow(*ends, state=LAST_ACK), flow(*ends, state=TIME_WAIT)]) == []
    assert len(challenges([flow(*ends, state=state) for state in (ESTABLISHED, FIN_WAIT, CLOSE_WAIT)])) == 3


@pytest.mark.parametrize("half_closed", [False, True])
@pytest.mark.parametrize("version", ENDS)
def test_an_open_connection_answers_with_an_acknowledgement(version, half_closed):
    """And stays open: a client that is connected does not mind. A half-closed one may still wait for data."""
    client_ip, server_ip = ENDS[version]
    family = socket.AF_INET if version == 4 else socket.AF_INET6
    with (
        network_namespace(),
        socket.create_server((server_ip, 0), family=family) as listener,
        socket.socket(family, socket.SOCK_STREAM) as client,
        socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3)) as wire,
    ):
        client.bind((client_ip, 0))
        client.connect(listener.getsockname()[:2])
        with listener.accept()[0] as server:
            if half_closed:
                client.shutdown(socket.SHUT_WR)
                assert server.recv(100) == b""
            wire.setblocking(False)
            while drained(wire):
                pass
            wire.settimeout(60)
            ends = client.getsockname()[:2], server.getsockname()[:2]
            HostIO.send_packets(challenges([flow(*ends)]))
            answer = next(
                segment for segment in segments(wire, version) if segment[:2] == struct.pack("!H", ends[0][1])
            )
            assert answer[13] == 0x10
            server.sendall(b"still here")
            assert client.recv(100) == b"still here"


def test_a_client_answers_again():
    """It answers once in half a second, so one of several challenges may get no answer, but a later one does."""
    client_ip, server_ip = ENDS[4]
    with (
        network_namespace(),
        socket.create_server((server_ip, 0)) as listener,
        socket.socket() as client,
        socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3)) as wire,
    ):
        client.bind((client_ip, 0))
        client.connect(listener.getsockname())
        with listener.accept()[0]:
            wire.setblocking(False)
            while drained(wire):
                pass
            answers, deadline = 0, time.monotonic() + 60
            while answers < 2:
                assert time.monotonic() < deadline
                HostIO.send_packets(challenges([flow(client.getsockname(), listener.getsockname())]))
                time.sleep(0.1)
                port = struct.pack("!H", client.getsockname()[1])
                answers += any(frame[34:36] == port for frame in iter(lambda: drained(wire), b""))


def drained(wire):
    try:
        return wire.recv(2048)
    except BlockingIOError:
        return b""


def segments(wire, version):
    """The TCP segments on the wire."""
    while True:
        yield wire.recv(2048)[14 + IP_HEADER[version] :]


@pytest.mark.parametrize("version", ENDS)
def test_connection_tracking_goes_on_with_a_connection_that_is_challenged(version):
    """Also if it has seen no packet of it, as after a move: it must not take the challenge for a handshake."""
    client_ip, server_ip = ENDS[version]
    family = socket.AF_INET if version == 4 else socket.AF_INET6
    chain = "add table inet t; add chain inet t o { type filter hook output priority 0; }"
    with (
        network_namespace(),
        socket.create_server((server_ip, 0), family=family) as listener,
        socket.create_connection(listener.getsockname()[:2], source_address=(client_ip, 0)) as client,
        listener.accept()[0] as server,
    ):
        subprocess.run(["nft", f"{chain}; add rule inet t o ct state invalid drop"], check=True)
        ends = client.getsockname()[:2], server.getsockname()[:2]
        known = replace(flow(*ends), translated=ends[0])
        assert HostIO.change_connections([create_request(known, 5)]) == [0]
        HostIO.send_packets(challenges([known]))
        ((_mark, tracked),) = HostIO.read_connections([(5, 0xFFF)])
        assert tracked.tcp[0] == ESTABLISHED
        for _line in range(2):
            server.sendall(b"line")
            assert client.recv(4, socket.MSG_WAITALL) == b"line"
            client.sendall(b"more")
            assert server.recv(4, socket.MSG_WAITALL) == b"more"
