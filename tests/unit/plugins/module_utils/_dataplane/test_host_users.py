# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Users of the host as pods in the real data plane, on two nodes in network namespaces: the source of their packets.

Node1 holds the egress IP that user 1001 of both nodes uses; so node1's packets are translated there, those of node2
pass the tunnel.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import socket
import threading
from dataclasses import replace

import pytest
from ansible_collections.netops.egress_ip.plugins.module_utils._dataplane.node_state import LocalNetwork, allocate_marks
from ansible_collections.netops.egress_ip.plugins.module_utils._dataplane.state import lines_between, transaction
from ansible_collections.netops.egress_ip.plugins.module_utils._host_io import conntrack
from ansible_collections.netops.egress_ip.plugins.module_utils._host_io.host_io import HostIO
from ansible_collections.netops.egress_ip.plugins.module_utils._protocols.conntrack_usage import uses
from small_fleet import (
    BACK_GATEWAY,
    EGRESS1,
    FAMILIES,
    FAR_SERVER,
    GATEWAY,
    NODE1,
    NODE2,
    OTHER,
    OUTSIDER,
    SELECTED,
    SERVER,
    TUNNEL_PORT,
    apply_state,
    inside,
    ip,
    listener,
    nft,
    planes,
    run,
    send,
    small_fleet,
    sources,
    state_of,
)

USER, OF_ITS_CONTAINERS, OTHER_USER = 1001, 100005, 1002
UIDS = (str(USER), "100000-165535")
VERSIONS = pytest.mark.parametrize("version", [4, 6])
NODES = pytest.mark.parametrize(("node", "own"), [("node1", NODE1), ("node2", NODE2)])
# A port that an earlier test has used belongs to its connection, which keeps its source.
PORTS = itertools.count(21000)
LARGE = os.urandom(1 << 20)
# Seconds that only end what hangs: threads of this process, which may be busy, write what others read.
LONG = 60


def user(*egressips, namespace="web", uids=UIDS):
    """Return a user whom a namespace names."""
    return LocalNetwork(namespace, f"user:{uids[0]}", egressips, (), tuple(uids))


def apply_users(node, *users, options=(), **changes):
    """Bring a node to the state with these users."""
    apply_state(node, with_users(node, *users, options=options, **changes))


def with_users(node, *users, options=(), **changes):
    return replace(state_of(node, dict(options)), networks=users, **changes)


@pytest.fixture(scope="module", autouse=True)
def fleet():
    with small_fleet():
        for node in ("node1", "node2"):
            apply_users(node, user("one"))
        yield


@contextlib.contextmanager
def changed(node, *users, options=(), **changes):
    """Give a node other users or options for a test."""
    apply_users(node, *users, options=options, **changes)
    try:
        yield
    finally:
        apply_users(node, user("one"))


@contextlib.contextmanager
def acting_as(uid):
    os.seteuid(uid)
    try:
        yield
    finally:
        os.seteuid(0)


def seen(node, version, uid, target=SERVER, expected=1, **options):
    """Return the sources of one datagram of a user at the server; `expected` is the number of those that arrive."""
    port = next(PORTS)
    with contextlib.closing(listener("server", version, port)) as server:
        with contextlib.suppress(OSError):
            send(node, target[version], uid=uid, port=port, **options)
        return sources(server, expected)


def arrives(*arguments, **options):
    """Return whether a datagram of a user arrives at the server that must not."""
    return bool(seen(*arguments, expected=0, **options))


def answered(node, version, server):
    """Send a datagram of the user to a server, which answers."""
    with inside(node), acting_as(USER), socket.socket(FAMILIES[version], socket.SOCK_DGRAM) as sock:
        sock.settimeout(3)
        sock.sendto(b"x", (SERVER[version], server.getsockname()[1]))
        server.sendto(b"y", server.recvfrom(10)[1])
        assert sock.recv(10) == b"y"


def marks(node, version):
    """Return (mark, mask) of the connections with the user's egress IP."""
    options, egress_ips = state_of(node, {}).options, state_of(node, {}).egress_ips
    return options.mark(allocate_marks(egress_ips, {}, options.max_index)[EGRESS1[version]]), options.mark_mask


def send_from(node, device, target):
    """Send a datagram from a socket that the user bound to an interface, if the kernel accepts it."""
    version = 6 if ":" in target[0] else 4
    with inside(node), acting_as(USER), socket.socket(FAMILIES[version], socket.SOCK_DGRAM) as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, device)
        with contextlib.suppress(OSError):
            sock.sendto(b"x", target)


def forge(source, port, target, target_port):
    """Send a datagram from an address that this host may not have."""
    with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as sock:
        # IPV6_FREEBIND.
        sock.setsockopt(socket.IPPROTO_IPV6, 78, 1)
        sock.bind((source, port))
        with contextlib.suppress(OSError):
            sock.sendto(b"x", (target, target_port))


def received(server, size):
    """Return what a server receives of one connection, at most `size` bytes, and its peer's address."""
    peer, address = server.accept()
    with peer:
        peer.settimeout(LONG)
        data = b""
        while len(data) < size:
            chunk = peer.recv(1 << 16)
            if not chunk:
                break
            data += chunk
        return data, address[0]


def stream(version, *, uid, node="", port=0, listens=False):
    """Return a TCP socket that a user opened on a node."""
    with inside(node), acting_as(uid):
        sock = socket.socket(FAMILIES[version], socket.SOCK_STREAM)
    if listens:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        with inside(node):
            sock.bind(("", port))
        sock.listen()
    sock.settimeout(LONG)
    return sock


@VERSIONS
@NODES
@pytest.mark.parametrize("excluded", [True, False])
def test_the_endpoint_of_a_service_decides(node, own, version, excluded):
    """As kube-proxy translates what the node itself sends."""
    family, service, pods = {4: ("ip", "10.96.0.1", "10.88.0.0/16"), 6: ("ip6", "fd00:96::1", "fd00:88::/64")}[version]
    nft(
        node,
        "add table inet theirs",
        "add chain inet theirs dstnat { type nat hook output priority -100; }",
        *(
            f"add rule inet theirs dstnat {family} daddr {service} udp dport {port} dnat {family} to {target[version]}"
            for port, target in ((8001, SERVER), (8002, OTHER))
        ),
    )
    try:
        with (
            changed(node, user("one"), excluded=(pods, *([service] if excluded else []))),
            contextlib.closing(listener("server", version, 8001)) as server,
            contextlib.closing(listener(f"pod{node[-1]}", version, 8002)) as pod,
        ):
            for uid, source in ((USER, EGRESS1), (OTHER_USER, own)):
                send(node, service, uid=uid, port=8001)
                assert sources(server, expected=1) == [source[version]]
                send(node, service, uid=uid, port=8002)
                assert sources(pod, expected=1) != [EGRESS1[version]]
    finally:
        nft(node, "delete table inet theirs")


@VERSIONS
@NODES
@pytest.mark.parametrize("target", [SERVER, FAR_SERVER], ids=["neighbour", "routed"])
@pytest.mark.parametrize("uid", [USER, OF_ITS_CONTAINERS])
def test_a_user_has_the_egress_ip_from_the_first_datagram(node, own, version, target, uid):
    assert seen(node, version, uid, target) == [EGRESS1[version]]


@VERSIONS
@NODES
@pytest.mark.parametrize("uid", [OTHER_USER, 0])
def test_other_users_keep_the_address_of_the_node(node, own, version, uid):
    assert seen(node, version, uid) == [own[version]]


@VERSIONS
@NODES
def test_an_address_that_the_user_chose_is_translated(node, own, version):
    for source in (own, GATEWAY, *([BACK_GATEWAY] if node == "node1" else [])):
        assert seen(node, version, USER, source=source[version]) == [EGRESS1[version]]


@VERSIONS
@NODES
def test_a_socket_bound_to_an_interface_never_has_the_address_of_the_node(node, own, version):
    port = next(PORTS)
    with contextlib.closing(listener("server", version, port)) as server:
        for device in (b"eth0", b"egress0", b"pods0", b"lo"):
            send_from(node, device, (SERVER[version], port))
        assert {*sources(server)} <= {EGRESS1[version]}


@VERSIONS
def test_an_egress_ip_of_the_node_is_no_source_for_the_user(version):
    assert not arrives("node1", version, USER, source=EGRESS1[version])


@VERSIONS
@NODES
def test_replies_reach_the_user(node, own, version):
    with contextlib.closing(listener("server", version, next(PORTS))) as server:
        with inside(node), acting_as(USER):
            client = socket.socket(FAMILIES[version], socket.SOCK_DGRAM)
        with client:
            client.settimeout(3)
            client.sendto(b"x", (SERVER[version], server.getsockname()[1]))
            source = server.recvfrom(10)[1]
            assert source[0] == EGRESS1[version]
            server.sendto(b"y", source)
            assert client.recv(10) == b"y"
            # Later packets of the connection take the same path.
            client.sendto(b"z", (SERVER[version], server.getsockname()[1]))
            assert server.recvfrom(10) == (b"z", source)


@VERSIONS
@NODES
def test_a_port_that_another_user_has_just_used(node, own, version):
    """Their connections are equal but for the user."""
    source, port = next(PORTS), next(PORTS)
    expected = {USER: EGRESS1[version], OTHER_USER: own[version], 0: own[version]}
    with contextlib.closing(listener("server", version, port)) as server:
        for uid in (OTHER_USER, USER, 0, USER, OTHER_USER):
            with inside(node), acting_as(uid), socket.socket(FAMILIES[version], socket.SOCK_DGRAM) as sock:
                sock.bind(("", source))
                sock.sendto(b"x", (SERVER[version], port))
            assert sources(server, expected=1) == [expected[uid]]


@VERSIONS
@NODES
def test_connections_of_users_are_counted_and_forgotten(node, own, version):
    """Those of TCP move along with their address."""
    server = stream(version, uid=0, node="server", port=next(PORTS), listens=True)
    client = stream(version, uid=USER, node=node)
    with server, client, contextlib.closing(listener("server", version, next(PORTS))) as datagrams:
        with inside(node):
            client.connect((SERVER[version], server.getsockname()[1]))
        answered(node, version, datagrams)
        with inside(node):
            flows = [flow.server[1] for _mark, flow in conntrack.read_connections([marks(node, version)])]
            assert server.getsockname()[1] in flows
            assert datagrams.getsockname()[1] not in flows
            counted = uses(conntrack.count_connections([marks(node, version)]))
            translated = EGRESS1[version] if node == "node1" else own[version]
            assert {"tcp", "udp"} <= {*counted[translated]}
            conntrack.forget_connections([marks(node, version)[0]], state_of(node, {}).options.mark_mask)
            assert conntrack.count_connections([marks(node, version)]) == {}


@VERSIONS
@NODES
def test_datagrams_larger_than_a_packet_arrive(node, own, version):
    assert seen(node, version, USER, data=bytes(4000)) == [EGRESS1[version]]


@VERSIONS
@NODES
def test_a_connection_carries_data_in_both_directions_also_after_its_end(node, own, version):
    """The user closes it at once: the kernel sends the rest for a socket without a process."""
    server = stream(version, uid=0, node="server", port=next(PORTS), listens=True)
    client = stream(version, uid=USER, node=node)
    with server, client:
        with inside(node):
            client.connect((SERVER[version], server.getsockname()[1]))
        writer = threading.Thread(target=lambda: (client.sendall(LARGE), client.close()))
        writer.start()
        data, source = received(server, len(LARGE))
        writer.join()
        assert source == EGRESS1[version]
        assert data == LARGE


@VERSIONS
@NODES
def test_a_service_of_the_user_answers_other_hosts_as_before(node, own, version):
    port = next(PORTS)
    service = stream(version, uid=USER, node=node, port=port, listens=True)
    with service, inside("outsider"), socket.socket(FAMILIES[version], socket.SOCK_STREAM) as client:
        client.settimeout(LONG)
        client.connect((own[version], port))
        peer, address = service.accept()
        assert address[0] == OUTSIDER[version]
        # The service ends while the kernel still sends.
        writer = threading.Thread(target=lambda: (peer.sendall(LARGE), peer.close()))
        writer.start()
        data = b""
        while len(data) < len(LARGE):
            data += client.recv(1 << 16)
        writer.join()
        assert data == LARGE


@VERSIONS
@NODES
@pytest.mark.parametrize("chooses_interface", [False, True])
def test_a_datagram_service_of_the_user_answers_other_hosts(node, own, version, chooses_interface):
    """Also one that chooses the interface on which the request came, as many do."""
    port = next(PORTS)
    with inside(node), acting_as(USER):
        service = socket.socket(FAMILIES[version], socket.SOCK_DGRAM)
    with service, contextlib.closing(listener("outsider", version, next(PORTS))) as client:
        with inside(node):
            service.bind(("", port))
            index = socket.if_nametoindex("eth0").to_bytes(4, "little")
        service.settimeout(3)
        client.sendto(b"x", (own[version], port))
        peer = service.recvfrom(10)[1]
        address = socket.inet_pton(FAMILIES[version], own[version])
        # IP_PKTINFO with an in_pktinfo, IPV6_PKTINFO with an in6_pktinfo.
        chosen = {4: (socket.IPPROTO_IP, 8, index + address * 2), 6: (socket.IPPROTO_IPV6, 50, address + index)}
        service.sendmsg([b"y"], [chosen[version]] if chooses_interface else [], 0, peer)
        answer, source = client.recvfrom(10)[:2]
        assert (answer, source[0]) == (b"y", own[version])


@VERSIONS
@NODES
def test_destinations_inside_keep_the_address_of_the_node(node, own, version):
    other = {"node1": "node2", "node2": "node1"}[node]
    there = {"node1": NODE1, "node2": NODE2}[other]
    for target, host, source in (
        (there[version], other, own[version]),
        (own[version], node, own[version]),
        ({4: "127.0.0.1", 6: "::1"}[version], node, {4: "127.0.0.1", 6: "::1"}[version]),
        (SELECTED[version], f"pod{node[-1]}", GATEWAY[version]),
    ):
        port = next(PORTS)
        with contextlib.closing(listener(host, version, port)) as service:
            send(node, target, uid=USER, port=port)
            assert sources(service, expected=1) == [source]


@VERSIONS
@NODES
def test_no_user_can_send_to_the_port_of_the_tunnel(node, own, version):
    other = {"node1": NODE2, "node2": NODE1}[node]
    name = {"node1": "node2", "node2": "node1"}[node]
    with inside(name):
        before = run("ip", "-s", "link", "show", "egress0")
    nft(
        name,
        "add table inet count",
        "add chain inet count input { type filter hook prerouting priority -400; }",
        f"add rule inet count input udp dport {TUNNEL_PORT} counter",
    )
    try:
        with contextlib.suppress(OSError):
            send(node, other[version], uid=USER, port=TUNNEL_PORT)
        with inside(name):
            assert "packets 0" in run("nft", "list", "table", "inet", "count")
            assert before == run("ip", "-s", "link", "show", "egress0")
    finally:
        nft(name, "delete table inet count")


@VERSIONS
@NODES
@pytest.mark.parametrize("unassigned", ["node", "drop"])
def test_without_tables_no_packet_of_the_user_leaves(node, own, version, unassigned):
    with changed(node, user("one"), options={"unassigned": unassigned}):
        with inside(node):
            run("nft", "delete", "table", "inet", "egress_ip")
            run("nft", "delete", "table", "netdev", "egress_ip")
        assert not arrives(node, version, USER)
        assert not arrives(node, version, USER, FAR_SERVER)
        for source in (own, GATEWAY):
            assert not arrives(node, version, USER, source=source[version])
        assert seen(node, version, OTHER_USER) == [own[version]]
        with contextlib.closing(listener("outsider", version, 7)) as outside:
            send(node, OUTSIDER[version], uid=USER, port=7)
            assert sources(outside) == []


@VERSIONS
@NODES
def test_without_the_tunnel_device_no_packet_of_the_user_leaves(node, own, version):
    with changed(node, user("one")):
        ip(node, "link delete egress0")
        assert {*seen(node, version, USER, FAR_SERVER, expected=0)} <= {EGRESS1[version]}
        with inside(node):
            run("nft", "flush", "ruleset")
        try:
            assert not arrives(node, version, USER, FAR_SERVER)
        finally:
            masquerade_again(node)


def masquerade_again(node):
    rules = ("ip saddr 10.88.0.0/16 oifname eth0 masquerade", "ip6 saddr fd00:88::/64 oifname eth0 masquerade")
    nft(
        node,
        "add table inet pods",
        "add chain inet pods srcnat { type nat hook postrouting priority 100; }",
        *(f"add rule inet pods srcnat {rule}" for rule in rules),
    )


def unassigned_object(node):
    objects = tuple(replace(item, slots=()) if item.name == "one" else item for item in state_of(node, {}).egressips)
    return {"egressips": objects, "held": ()}


@NODES
@pytest.mark.parametrize("target", [SERVER, FAR_SERVER], ids=["neighbour", "routed"])
@pytest.mark.parametrize("own_address", [True, False], ids=["local", "excluded"])
def test_a_user_cannot_turn_a_connection_around(node, own, target, own_address):
    """Without a capability, a socket may send from an address of another host: IPv6 has such an option."""
    port, source = next(PORTS), next(PORTS)
    middle = own[6] if own_address else f"{GATEWAY[6]}7"
    with contextlib.closing(listener("server", 6, port)) as server:
        with inside(node), acting_as(USER):
            forge(target[6], port, middle, source)
            forge(middle, source, target[6], port)
        assert {*sources(server)} <= {EGRESS1[6]}


@VERSIONS
@NODES
def test_without_an_assigned_address_the_option_decides(node, own, version):
    for unassigned, expected in (("node", [own[version]]), ("drop", [])):
        with changed(node, user("one"), options={"unassigned": unassigned}, **unassigned_object(node)):
            assert seen(node, version, USER, expected=len(expected)) == expected


@VERSIONS
@NODES
def test_a_user_of_two_namespaces_sends_nothing(node, own, version):
    with changed(node, user("one"), user("two", namespace="db", uids=("1001-1003",))):
        assert not arrives(node, version, USER)
        assert seen(node, version, OF_ITS_CONTAINERS) == [EGRESS1[version]]


@VERSIONS
@NODES
@pytest.mark.parametrize("unknown", ["node", "drop"])
def test_a_user_whom_no_object_selects_uses_the_node_unless_unknown_pods_are_closed(node, own, version, unknown):
    with changed(node, user(), options={"unknown_pods": unknown}):
        expected = [own[version]] if unknown == "node" else []
        assert seen(node, version, USER, expected=len(expected)) == expected
        assert seen(node, version, OTHER_USER) == [own[version]]


@VERSIONS
@NODES
def test_a_connection_that_began_before_keeps_the_address_of_the_node(node, own, version):
    server = stream(version, uid=0, node="server", port=next(PORTS), listens=True)
    with changed(node):
        client = stream(version, uid=USER, node=node)
        with inside(node):
            client.connect((SERVER[version], server.getsockname()[1]))
    with server, client:
        writer = threading.Thread(target=lambda: (client.sendall(LARGE), client.close()))
        writer.start()
        assert received(server, len(LARGE)) == (LARGE, own[version])
        writer.join()


@VERSIONS
def test_pods_and_users_of_a_node_do_not_mix(version):
    with contextlib.closing(listener("server", version, next(PORTS))) as server:
        port = server.getsockname()[1]
        for address in (SELECTED, OTHER):
            send("pod2", SERVER[version], source=address[version], port=port)
        assert sources(server, expected=2) == [EGRESS1[version], NODE2[version]]


@NODES
def test_the_node_is_as_desired_and_removal_leaves_nothing(node, own):
    state = with_users(node, user("one"))
    with inside(node):
        now, wanted = planes(state)
        assert lines_between(now, wanted) == ([], [])
        assert not transaction(now, wanted)
    with changed(node), inside(node):
        assert "uidrange" not in run("ip", "rule") + run("ip", "-6", "rule")
        routes = run("ip", "route", "show", "table", "all") + run("ip", "-6", "route", "show", "table", "all")
        assert "table 7000" not in routes
        assert not {"user", "users"} & set(HostIO.read_tables()["inet"].chains)


@NODES
def test_excluded_networks_come_and_go(node, own):
    state = with_users(node, user("one"))
    more = replace(state, excluded=(*state.excluded, "203.0.113.0/24", "2001:db8:1::/64"))
    for each in (more, state):
        apply_state(node, each)
        with inside(node):
            assert lines_between(*planes(each)) == ([], [])
    apply_state(node, more)
    try:
        for version in (4, 6):
            assert seen(node, version, USER, FAR_SERVER) == [own[version]]
            assert seen(node, version, USER) == [EGRESS1[version]]
    finally:
        apply_state(node, state)
