# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""New connections to egress IPs with `inbound: drop`, on two real nodes in network namespaces."""

from __future__ import annotations

import contextlib
import socket
import struct

import pytest
from small_fleet import (
    EGRESS1,
    EGRESS2,
    FAMILIES,
    NODE2,
    OTHER,
    OUTSIDER,
    SELECTED,
    SERVER,
    SERVICE_PORT,
    answer_to_late_packet,
    connects,
    inside,
    listener,
    nft,
    published,
    send,
    small_fleet,
    sources,
)
from whole_packets import packet, segment, send_to_router

RST, ACK = 0x04, 0x10
HELD = {"pod1": EGRESS1, "pod2": EGRESS2}
VERSIONS = pytest.mark.parametrize("version", [4, 6])
PODS = pytest.mark.parametrize("pod", HELD)


@pytest.fixture(scope="module", autouse=True)
def fleet():
    with small_fleet(inbound="drop"):
        yield


@VERSIONS
def test_services_do_not_answer_on_the_egress_ip(version):
    with contextlib.closing(listener("node2", version)) as service:
        send("outsider", EGRESS2[version])
        assert sources(service) == []
        send("outsider", NODE2[version])
        assert sources(service, expected=1) == [OUTSIDER[version]]
    assert not connects("outsider", EGRESS2[version], 22, timeout=0.3)
    assert connects("outsider", NODE2[version], 22)


@VERSIONS
def test_published_ports_do_not_answer_on_the_egress_ip(version):
    family = {4: "ip", 6: "ip6"}[version]
    nft(
        "node2",
        "add table inet theirs",
        "add chain inet theirs dstnat { type nat hook prerouting priority -100; }",
        f"add rule inet theirs dstnat fib daddr type local udp dport 8080 dnat {family} to {OTHER[version]}",
    )
    try:
        with contextlib.closing(listener("pod2", version, 8080)) as pod:
            send("outsider", EGRESS2[version], port=8080)
            assert sources(pod) == []
            send("outsider", NODE2[version], port=8080)
            assert sources(pod, expected=1) == [OUTSIDER[version]]
    finally:
        nft("node2", "delete table inet theirs")


@VERSIONS
@PODS
def test_pods_use_the_egress_ip_in_both_directions(version, pod):
    with (
        contextlib.closing(listener("server", version)) as server,
        contextlib.closing(listener(pod, version, 7777, address=SELECTED[version])) as client,
    ):
        client.sendto(b"x", (SERVER[version], SERVICE_PORT))
        source = server.recvfrom(10)[1]
        assert source[0] == EGRESS1[version]
        server.sendto(b"y", source)
        assert client.recvfrom(10)[0] == b"y"


@VERSIONS
def test_a_late_packet_of_a_connection_that_has_moved_is_answered_with_a_reset(version):
    answer = answer_to_late_packet(version)
    assert answer[:4] == struct.pack("!HH", 40000, 443)
    assert answer[13] & RST


def tcp_server(version):
    """Return a socket of the server that gets every TCP packet to it."""
    with inside("server"):
        return socket.socket(FAMILIES[version], socket.SOCK_RAW, socket.IPPROTO_TCP)


def bare_ack(version, source, destination, ports):
    tcp = segment(version, source, destination, ports, ACK)
    return packet(version, source, destination, socket.IPPROTO_TCP, tcp)


@VERSIONS
@PODS
def test_a_pod_does_not_answer_a_bare_ack_that_it_forged_to_its_port_on_the_egress_ip(version, pod):
    """Its kernel would answer the server with a reset, from the egress IP that the node holds."""
    ends, ports = (SERVER[version], HELD[pod][version]), (SERVICE_PORT, 8080)
    forged = bare_ack(version, *ends, ports)
    with (
        published(f"node{pod[-1]}", version, ends[1], 8080, 7778, protocol="tcp"),
        contextlib.closing(tcp_server(version)) as server,
    ):
        send_to_router(pod, version, forged)
        assert sources(server) == []
        # The same packet from the server.
        with inside("server"), socket.socket(FAMILIES[version], socket.SOCK_RAW, socket.IPPROTO_RAW) as sock:
            sock.sendto(forged, (ends[1], 0))
        assert sources(server, expected=1) == [ends[1]]


@VERSIONS
@PODS
def test_a_bare_ack_to_a_service_on_an_egress_ip_leaves_with_that_of_its_pod(version, pod):
    """The service translates the packet to an endpoint outside."""
    ends = SELECTED[version], EGRESS2[version]
    with (
        published(f"node{pod[-1]}", version, ends[1], 8081, SERVICE_PORT, protocol="tcp", target=SERVER),
        contextlib.closing(tcp_server(version)) as server,
    ):
        send_to_router(pod, version, bare_ack(version, *ends, (7779, 8081)))
        assert sources(server, expected=1) == [EGRESS1[version]]
