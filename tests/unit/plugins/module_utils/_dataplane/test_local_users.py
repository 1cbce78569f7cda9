# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Users of a node and the egress IP that it holds, on two real nodes in network namespaces."""

from __future__ import annotations

import contextlib
import os
import socket

import pytest
from small_fleet import (
    EGRESS1,
    FAMILIES,
    FAR_SERVER,
    NODE1,
    OTHER,
    OUTSIDER,
    SERVER,
    SERVICE_PORT,
    TUNNEL_PORT,
    connects,
    inside,
    ip,
    listener,
    nft,
    run,
    send,
    small_fleet,
    sources,
)

NOBODY = 65534
VERSIONS = pytest.mark.parametrize("version", [4, 6])


@pytest.fixture(scope="module", autouse=True)
def fleet():
    with small_fleet():
        yield


@VERSIONS
@pytest.mark.parametrize("target", [SERVER, FAR_SERVER], ids=["neighbour", "routed"])
def test_a_user_cannot_send_datagrams_with_the_egress_ip(version, target):
    with contextlib.closing(listener("server", version)) as server:
        send("node1", target[version], source=EGRESS1[version], uid=NOBODY)
        assert sources(server) == []
        send("node1", target[version], source=EGRESS1[version])
        send("node1", target[version], source=NODE1[version], uid=NOBODY)
        assert sources(server, expected=2) == [EGRESS1[version], NODE1[version]]


@VERSIONS
def test_a_user_cannot_connect_with_the_egress_ip(version):
    assert not connects("node1", SERVER[version], 443, uid=NOBODY, timeout=0.3, source=EGRESS1[version])
    assert connects("node1", SERVER[version], 443, source=EGRESS1[version])
    assert connects("node1", SERVER[version], 443, uid=NOBODY)


@VERSIONS
def test_a_user_cannot_connect_with_the_egress_ip_to_the_port_of_the_tunnel(version):
    """The rules for the tunnel's port must not end before the rules for the source."""
    target = SERVER[version], TUNNEL_PORT
    assert not connects("node1", *target, uid=NOBODY, timeout=0.3, source=EGRESS1[version])
    assert connects("node1", *target, source=EGRESS1[version])
    assert connects("node1", *target, uid=NOBODY)
    with contextlib.closing(listener("server", version, TUNNEL_PORT)) as server:
        send("node1", SERVER[version], source=EGRESS1[version], port=TUNNEL_PORT, uid=NOBODY)
        assert sources(server) == []
        send("node1", SERVER[version], source=EGRESS1[version], port=TUNNEL_PORT)
        assert sources(server, expected=1) == [EGRESS1[version]]


@pytest.mark.parametrize("node", ["node1", "node2"])
@pytest.mark.parametrize("target", [SERVER, FAR_SERVER], ids=["neighbour", "routed"])
def test_a_user_cannot_turn_a_connection_around(node, target):
    """IPv6 lets a socket send from an address of another host: what answers it would have the egress IP."""
    with contextlib.closing(listener("server", 6, 7171)) as server:
        with as_user_inside(node):
            forge(target[6], 7171, EGRESS1[6], 7172)
            forge(EGRESS1[6], 7172, target[6], 7171)
        assert sources(server) == []


def test_a_user_reaches_the_egress_ip_from_an_address_of_the_host_without_an_interface():
    """As of a service address: all of its network are local."""
    ip("node1", "route add local 2001:db8:77::/64 dev lo")
    with contextlib.closing(listener("node1", 6, 7173)) as service:
        with as_user_inside("node1"):
            forge("2001:db8:77::5", 7174, EGRESS1[6], 7173)
        assert sources(service, expected=1) == ["2001:db8:77::5"]


def forge(source, port, target, target_port):
    """Send a datagram from an address that this host may not have."""
    with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as sock:
        # IPV6_FREEBIND.
        sock.setsockopt(socket.IPPROTO_IPV6, 78, 1)
        sock.bind((source, port))
        with contextlib.suppress(OSError):
            sock.sendto(b"x", (target, target_port))


@VERSIONS
def test_an_unprivileged_ping_cannot_use_the_egress_ip(version):
    protocol = {4: socket.IPPROTO_ICMP, 6: socket.IPPROTO_ICMPV6}[version]
    request = {4: b"\x08\0\0\0\0\0\0\1", 6: b"\x80\0\0\0\0\0\0\1"}[version]
    with inside("node1"):
        run("sysctl", "-qw", f"net.ipv4.ping_group_range=0 {NOBODY}")

    def answer(user, timeout):
        with user, socket.socket(FAMILIES[version], socket.SOCK_DGRAM, protocol) as sock:
            sock.bind((EGRESS1[version], 0))
            sock.settimeout(timeout)
            with contextlib.suppress(PermissionError, TimeoutError):
                sock.sendto(request, (SERVER[version], 0))
                return sock.recv(100)
        return b""

    assert answer(inside("node1"), timeout=3)
    assert not answer(as_user_inside("node1"), timeout=0.3)


@VERSIONS
def test_a_user_reaches_services_of_the_own_node_on_the_egress_ip(version):
    """The kernel takes the destination as source of such a connection."""
    assert connects("node1", EGRESS1[version], 22, uid=NOBODY)


@VERSIONS
def test_a_user_reaches_a_published_port_of_the_own_node_on_the_egress_ip(version):
    """A container engine translates the destination to a pod; the source is the egress IP already."""
    word, target = {4: ("ip", OTHER[4]), 6: ("ip6", f"[{OTHER[6]}]")}[version]
    nft(
        "node1",
        f"add table {word} published",
        f"add chain {word} published output {{ type nat hook output priority -100; }}",
        f"add rule {word} published output fib daddr type local tcp dport 8080 dnat to {target}:80",
    )
    try:
        assert connects("node1", EGRESS1[version], 8080, uid=NOBODY)
        assert not connects("node1", SERVER[version], 8080, uid=NOBODY, timeout=0.3, source=EGRESS1[version])
    finally:
        nft("node1", f"delete table {word} published")


@VERSIONS
def test_the_service_of_a_user_answers_on_the_egress_ip(version):
    with (
        contextlib.closing(user_listener("node1", version, EGRESS1[version])) as service,
        contextlib.closing(listener("outsider", version, 7777, address=OUTSIDER[version])) as client,
    ):
        client.sendto(b"x", (EGRESS1[version], 7070))
        service.sendto(b"y", service.recvfrom(10)[1])
        assert client.recvfrom(10)[0] == b"y"
        with pytest.raises(PermissionError):
            service.sendto(b"z", (SERVER[version], SERVICE_PORT))


@contextlib.contextmanager
def as_user_inside(name):
    """Run as a user without rights in the namespace of a host."""
    with inside(name):
        os.setegid(NOBODY)
        os.seteuid(NOBODY)
        try:
            yield
        finally:
            os.seteuid(0)
            os.setegid(0)


def user_listener(name, version, address):
    """Return a socket of a user that receives on port 7070 of an address."""
    with as_user_inside(name):
        sock = socket.socket(FAMILIES[version], socket.SOCK_DGRAM)
        sock.bind((address, 7070))
        sock.settimeout(3)
        return sock
