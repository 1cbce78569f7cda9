# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Attacks with packets that ordinary sockets do not send: fragments, extension headers, ICMP errors, replies.

Two real nodes in network namespaces. Each attack that carries something ends with the same packet in its ordinary form.
"""

from __future__ import annotations

import contextlib
import socket
import struct

import pytest
from small_fleet import (
    EGRESS1,
    FAMILIES,
    GATEWAY,
    NODE1,
    NODE2,
    OTHER,
    OUTSIDER,
    SELECTED,
    SERVER,
    SERVICE_PORT,
    TUNNEL_PORT,
    VNI,
    checksum,
    forge_source,
    inside,
    ip,
    listener,
    macs_of,
    published,
    send,
    small_fleet,
    sources,
    sysctl,
    tunnel_packet,
)
from whole_packets import datagram, packed, packet, send_to_router, with_checksum

VERSIONS = pytest.mark.parametrize("version", [4, 6])
PODS = pytest.mark.parametrize("pod", ["pod1", "pod2"], ids=["on the holder", "on another node"])
ATTACKERS = pytest.mark.parametrize(
    ("attacker", "source"),
    [
        pytest.param("pod2", OTHER, id="another node's pod"),
        pytest.param("pod1", OTHER, id="the holder's pod"),
        pytest.param("outsider", OUTSIDER, id="a host of the network"),
    ],
)
POD_PORT, UNKNOWN_PROTOCOL, OTHER_PROTOCOL = 7777, 253, 254
ICMP = {4: socket.IPPROTO_ICMP, 6: socket.IPPROTO_ICMPV6}
UNREACHABLE = {4: (3, 3), 6: (1, 4)}
FOREIGN = {4: "198.51.100.7", 6: "2001:db8:5::7"}


@pytest.fixture(scope="module", autouse=True)
def fleet():
    with small_fleet():
        yield


def icmp_error(version, source, destination, inner):
    """Return a whole packet: that the port of `inner` cannot be reached."""
    message = struct.pack("!BBHI", *UNREACHABLE[version], 0, 0) + inner
    message = with_checksum(version, source, destination, ICMP[version], message, 2, pseudo=version == 6)
    return packet(version, source, destination, ICMP[version], message)


def send_raw(name, version, data, destination):
    with inside(name), socket.socket(FAMILIES[version], socket.SOCK_RAW, socket.IPPROTO_RAW) as sock:
        sock.sendto(data, (destination, 0))


def raw_listener(name, version, protocol):
    with inside(name):
        sock = socket.socket(FAMILIES[version], socket.SOCK_RAW, protocol)
        sock.settimeout(3)
        return sock


@contextlib.contextmanager
def connection(pod, version):
    """Yield (the pod's socket, its source as the server sees it) of a connection with the egress IP of node1."""
    with (
        contextlib.closing(listener("server", version)) as server,
        contextlib.closing(listener(pod, version, POD_PORT, address=SELECTED[version])) as client,
    ):
        client.sendto(b"x", (SERVER[version], SERVICE_PORT))
        source = server.recvfrom(10)[1]
        assert source[0] == EGRESS1[version]
        server.sendto(b"y", source)
        assert client.recvfrom(10)[0] == b"y"
        yield client, source


def from_forged_node(version, inner):
    """Send a packet through the tunnel to node1, from an outsider that forges node2 as outer source."""
    mac = macs_of([EGRESS1[version]])[EGRESS1[version]].replace(":", "")
    kind = {4: 0x0800, 6: 0x86DD}[version]
    frame = bytes.fromhex(mac) + b"\x0e\0\0\0\0\1" + struct.pack("!H", kind) + inner
    forge_source("outsider", NODE2[version])
    try:
        with inside("outsider"), socket.socket(FAMILIES[version], socket.SOCK_DGRAM) as sock:
            sock.bind((NODE2[version], 0))
            sock.sendto(struct.pack("!BxxxI", 8, VNI << 8) + frame, (NODE1[version], TUNNEL_PORT))
    finally:
        ip("outsider", f"address delete {NODE2[version]} dev lo")


@ATTACKERS
def test_fragments_do_not_reach_the_tunnel(attacker, source):
    """The second fragment has no port."""
    data = tunnel_packet(NODE2[4], SERVER[4], EGRESS1[4])
    udp = struct.pack("!HHHH", 5555, TUNNEL_PORT, 8 + len(data), 0) + data
    with contextlib.closing(listener("server", 4)) as server:
        for part, fragment in ((udp[:16], 0x2000), (udp[16:], 2)):
            whole = packet(4, source[4], NODE1[4], socket.IPPROTO_UDP, part, fragment)
            send_raw(attacker, 4, whole, NODE1[4])
        assert sources(server) == []


@ATTACKERS
@pytest.mark.parametrize("option", [socket.IPV6_HOPOPTS, socket.IPV6_DSTOPTS], ids=["hop by hop", "destination"])
def test_extension_headers_do_not_hide_the_port(attacker, source, option):
    with contextlib.closing(listener("server", 6)) as server:
        with inside(attacker), socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as sock:
            sock.setsockopt(socket.IPPROTO_IPV6, option, bytes([0, 0, 1, 4, 0, 0, 0, 0]))
            sock.bind((source[6], 0))
            sock.sendto(tunnel_packet(NODE2[6], SERVER[6], EGRESS1[6]), (NODE1[6], TUNNEL_PORT))
        assert sources(server) == []


@pytest.mark.parametrize("name", ["pod1", "node1"])
@pytest.mark.parametrize("target", ["10.88.255.255", "255.255.255.255", "224.0.0.1", "127.0.0.1", "ff02::1"])
def test_neither_broadcast_nor_multicast_nor_loopback_reaches_the_tunnel(name, target):
    version = 6 if ":" in target else 4
    data = tunnel_packet(NODE2[version], SERVER[version], EGRESS1[version])
    with (
        contextlib.closing(listener("server", version)) as server,
        inside(name),
        socket.socket(FAMILIES[version], socket.SOCK_DGRAM) as sock,
    ):
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
        scope = (0, socket.if_nametoindex("eth0")) if version == 6 else ()
        with contextlib.suppress(OSError):
            sock.sendto(data, (target, TUNNEL_PORT, *scope))
        assert sources(server) == []


def send_protocol(pod, version, protocol):
    with inside(pod), socket.socket(FAMILIES[version], socket.SOCK_RAW, protocol) as client:
        client.bind((SELECTED[version], 0))
        client.sendto(b"hello", (SERVER[version], 0))


@VERSIONS
def test_an_unknown_protocol_leaves_with_the_egress_ip(version):
    with contextlib.closing(raw_listener("server", version, UNKNOWN_PROTOCOL)) as server:
        send_protocol("pod2", version, UNKNOWN_PROTOCOL)
        assert server.recvfrom(100)[1][0] == EGRESS1[version]


@VERSIONS
def test_a_protocol_without_ports_works_for_one_pod_to_one_server(version):
    """A reply could not be told from that to the other pod: docs/packet.md."""
    with contextlib.closing(raw_listener("server", version, OTHER_PROTOCOL)) as server:
        for pod, answered in (("pod2", True), ("pod1", False), ("pod2", True)):
            send_protocol(pod, version, OTHER_PROTOCOL)
            assert sources(server, answered) == [EGRESS1[version]] * answered


@VERSIONS
@PODS
@pytest.mark.parametrize("outer", [SELECTED, OTHER, FOREIGN], ids=["own", "another pod's", "foreign"])
def test_an_icmp_error_of_a_pod_leaves_with_the_egress_ip(version, pod, outer):
    with connection(pod, version), contextlib.closing(raw_listener("server", version, ICMP[version])) as server:
        ports = SERVICE_PORT, POD_PORT
        ends = SERVER[version], SELECTED[version]
        inner = packet(version, *ends, socket.IPPROTO_UDP, datagram(version, *ends, ports))
        send_raw(pod, version, icmp_error(version, outer[version], SERVER[version], inner), SERVER[version])
        while True:
            data, sender = server.recvfrom(2000)
            if data[20 if version == 4 else 0] == UNREACHABLE[version][0]:
                break
        assert sender[0] == EGRESS1[version]


@VERSIONS
@PODS
def test_a_forged_node_cannot_reply_to_a_pod(version, pod):
    with connection(pod, version) as (client, source):
        ends, ports = (SERVER[version], source[0]), (SERVICE_PORT, source[1])
        reply = datagram(version, *ends, ports, b"false")
        from_forged_node(version, packet(version, *ends, socket.IPPROTO_UDP, reply))
        assert sources(client) == []


@VERSIONS
@PODS
def test_a_forged_node_cannot_send_an_icmp_error_to_a_pod(version, pod):
    with (
        connection(pod, version) as (_client, source),
        contextlib.closing(raw_listener(pod, version, ICMP[version])) as errors,
    ):
        ends, ports = (source[0], SERVER[version]), (source[1], SERVICE_PORT)
        inner = packet(version, *ends, socket.IPPROTO_UDP, datagram(version, *ends, ports))
        from_forged_node(version, icmp_error(version, NODE2[version], source[0], inner))
        errors.settimeout(0.3)
        with contextlib.suppress(TimeoutError):
            while True:
                data, _sender = errors.recvfrom(2000)
                assert data[20 if version == 4 else 0] != UNREACHABLE[version][0]


@VERSIONS
def test_a_forged_node_can_send_a_single_packet_without_reply(version):
    """The limit that docs/trust.md names; it shows that the packets of the tests above are well formed."""
    with contextlib.closing(listener("server", version)) as server:
        ends = NODE2[version], SERVER[version]
        data = datagram(version, *ends, (4444, SERVICE_PORT))
        from_forged_node(version, packet(version, *ends, socket.IPPROTO_UDP, data))
        assert sources(server, expected=1) == [EGRESS1[version]]


@VERSIONS
def test_a_forged_node_cannot_send_in_the_connection_of_a_pod(version):
    """Its packets would be translated as the pod's own."""
    with connection("pod1", version), contextlib.closing(raw_listener("server", version, socket.IPPROTO_UDP)) as server:
        ends, ports = (SELECTED[version], SERVER[version]), (POD_PORT, SERVICE_PORT)
        from_forged_node(version, packet(version, *ends, socket.IPPROTO_UDP, datagram(version, *ends, ports)))
        assert sources(server) == []


def conversation_with_itself(version, own_port=POD_PORT, published_as=None):
    """Let a selected pod send a packet to itself in the name of the server, and then reply to it.

    `published_as` is the (address, port) to which it sends, by default its own.
    """
    address, port = published_as or (SELECTED[version], own_port)
    forged = datagram(version, SERVER[version], address, (SERVICE_PORT, port))
    to_itself = packet(version, SERVER[version], address, socket.IPPROTO_UDP, forged)
    ends = SELECTED[version], SERVER[version]
    reply = packet(version, *ends, socket.IPPROTO_UDP, datagram(version, *ends, (own_port, SERVICE_PORT)))
    return to_itself, reply


@VERSIONS
@PODS
def test_a_pod_cannot_reply_to_a_connection_that_it_forged(version, pod):
    """The reply would pass with the pod's own address, whatever the pod is to leave with."""
    to_itself, reply = conversation_with_itself(version)
    with contextlib.closing(listener("server", version)) as server:
        send_to_router(pod, version, to_itself)
        send_to_router(pod, version, reply)
        assert sources(server, expected=1) == [EGRESS1[version]]


@VERSIONS
@PODS
def test_a_pod_cannot_reply_to_a_connection_that_it_forged_to_its_published_port(version, pod):
    """The reply would pass with the address of the node."""
    # The test above has a connection from POD_PORT.
    own_port, published_port = 7778, 8080
    to_itself, reply = conversation_with_itself(version, own_port, (GATEWAY[version], published_port))
    with (
        published(f"node{pod[-1]}", version, GATEWAY[version], published_port, own_port),
        contextlib.closing(listener("server", version)) as server,
    ):
        send_to_router(pod, version, to_itself)
        send_to_router(pod, version, reply)
        assert sources(server, expected=1) == [EGRESS1[version]]


@VERSIONS
def test_a_host_of_the_network_may_connect_to_a_selected_pod(version):
    """Where the network routes to pods: the reply has the pod's own address."""
    with contextlib.closing(listener("pod2", version, POD_PORT, address=SELECTED[version])) as pod:
        ip("outsider", f"route add {SELECTED[version]} via {NODE2[version]}")
        try:
            with contextlib.closing(listener("outsider", version, address=OUTSIDER[version])) as client:
                client.sendto(b"x", (SELECTED[version], POD_PORT))
                pod.sendto(b"y", pod.recvfrom(10)[1])
                assert sources(client, expected=1) == [SELECTED[version]]
        finally:
            ip("outsider", f"route delete {SELECTED[version]}")


def source_routed(version, source):
    """Return a packet to the pod's node, with the server as its next hop: an option of IPv4, a header of IPv6."""
    udp = datagram(version, source[version], SERVER[version], (POD_PORT, SERVICE_PORT))
    if version == 6:
        segments = packed(6, SERVER[6], GATEWAY[6])
        routing = struct.pack("!BBBBBBH", socket.IPPROTO_UDP, len(segments) // 8, 4, 1, 1, 0, 0) + segments
        return packet(6, source[6], GATEWAY[6], socket.IPPROTO_ROUTING, routing + udp)
    option = bytes([131, 7, 4]) + packed(4, SERVER[4]) + b"\0"
    header = struct.pack("!BBHHHBBH", 0x47, 0, 28 + len(udp), 777, 0, 64, socket.IPPROTO_UDP, 0)
    header += packed(4, source[4], GATEWAY[4]) + option
    return header[:10] + struct.pack("!H", checksum(header)) + header[12:] + udp


@VERSIONS
@pytest.mark.parametrize(("source", "passed"), [(SELECTED, 0), (OTHER, 1)], ids=["selected", "another"])
def test_a_selected_pod_does_not_pass_by_source_routing(version, source, passed):
    """The packet is addressed to the node, which is no destination outside. Off by default in the kernel."""
    sysctls = {4: "ipv4__conf__{}__accept_source_route", 6: "ipv6__conf__{}__seg6_enabled"}[version]
    for name in ("node2", "server"):
        sysctl(name, **{sysctls.format(each): 1 for each in ("all", "eth0", *(["pods0"] if name == "node2" else []))})
    with contextlib.closing(listener("server", version)) as server:
        send_to_router("pod2", version, source_routed(version, source))
        assert len(sources(server, expected=passed)) == passed


@VERSIONS
@ATTACKERS
@pytest.mark.parametrize("target", [NODE1, EGRESS1], ids=["endpoint", "egress IP"])
def test_no_packet_reaches_the_tunnel_out_of_a_tunnel_of_others(version, attacker, source, target):
    """Network plugins have tunnels into which each pod can send; the packets in it look as if a node had sent them."""
    ip("node1", f"link add overlay type vxlan id 1 local {NODE1[4]} dstport 8472 nolearning", "link set overlay up")
    try:
        with inside("node1"), socket.socket(socket.AF_PACKET, socket.SOCK_RAW) as sock:
            sock.bind(("overlay", 0))
            mac = sock.getsockname()[4]
        data = tunnel_packet(NODE2[version], SERVER[version], EGRESS1[version])
        ends, ports = (NODE2[version], target[version]), (5555, TUNNEL_PORT)
        inner = packet(version, *ends, socket.IPPROTO_UDP, datagram(version, *ends, ports, data))
        kind = {4: 0x0800, 6: 0x86DD}[version]
        frame = mac + b"\x0e\0\0\0\0\1" + struct.pack("!H", kind) + inner
        with contextlib.closing(listener("server", version)) as server:
            send(attacker, NODE1[4], struct.pack("!BxxxI", 8, 1 << 8) + frame, source=source[4], port=8472)
            assert sources(server) == []
    finally:
        ip("node1", "link delete overlay")
