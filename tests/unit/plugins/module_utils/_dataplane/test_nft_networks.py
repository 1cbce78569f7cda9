# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Networks of containers in the real data plane, in network namespaces: the source of a container's first packet.

No state names an address of a pod unless a test says so. Pods are behind a bridge, as those of container engines.
"""

from __future__ import annotations

import contextlib
import itertools
import socket
import time
from dataclasses import replace

import pytest
from ansible_collections.netops.egress_ip.plugins.module_utils._dataplane.node_state import LocalNetwork, LocalPod
from ansible_collections.netops.egress_ip.plugins.module_utils._dataplane.state import lines_between
from small_fleet import (
    EGRESS1,
    EGRESS2,
    FAMILIES,
    GATEWAY,
    NODE1,
    OTHER,
    OUTSIDER,
    SELECTED,
    SERVER,
    SERVICE_PORT,
    apply_state,
    connects,
    inside,
    ip,
    listener,
    nft,
    planes,
    small_fleet,
    sources,
    state_of,
)

VERSIONS = pytest.mark.parametrize("version", [4, 6])
WEB = ("10.88.0.0/24", "fd00:88::/64")
# The network after it was created again, its gateway and a container in it.
AGAIN = ("10.99.7.0/24", "fd00:99::/64")
AGAIN_GATEWAY, AGAIN_POD = {4: "10.99.7.1", 6: "fd00:99::1"}, {4: "10.99.7.2", 6: "fd00:99::2"}
# A port that an earlier test has used belongs to its connection, which keeps its source.
PORTS = itertools.count(20000)
_RECEIVE_BUFFER = 33  # SO_RCVBUFFORCE
_LENGTHS = {4: 24, 6: 64}


@pytest.fixture(scope="module", autouse=True)
def fleet():
    with small_fleet():
        for name in ("node1", "node2"):
            ip(
                name,
                "link add web0 type bridge",
                "address flush dev pods0",
                "link set pods0 master web0",
                "link set web0 up",
                *addresses("web0", GATEWAY),
            )
        ip("pod1", *addresses("eth0", AGAIN_POD))
        yield


def addresses(device, values, verb="add"):
    nodad = {4: "", 6: " nodad"} if verb == "add" else {4: "", 6: ""}
    return [f"address {verb} {a}/{_LENGTHS[v]} dev {device}{nodad[v]}" for v, a in values.items()]


def web(*cidrs, namespace="web", network="podman:web", egressips=("one",)):
    return LocalNetwork(namespace, network, tuple(egressips), cidrs or WEB)


def use(*networks, pods=(), name="node1", **options):
    """Apply a state with these networks, and pods alone that are given."""
    entries = tuple(LocalPod(address, names) for address, names in pods)
    state = replace(state_of(name, options), networks=networks, pods=entries, excluded=())
    apply_state(name, state)
    return state


def seen(pod, version, source, count=1, gap=0.0):
    """Return the sources that the server sees of datagrams from new ports of an address of a pod."""
    with contextlib.closing(listener("server", version)) as server:
        # All datagrams of a test, which the server reads at its end.
        server.setsockopt(socket.SOL_SOCKET, _RECEIVE_BUFFER, 1 << 22)
        with inside(pod):
            for _number in range(count):
                with socket.socket(FAMILIES[version], socket.SOCK_DGRAM) as sock:
                    sock.bind((source[version], next(PORTS)))
                    sock.sendto(b"x", (SERVER[version], SERVICE_PORT))
                time.sleep(gap)
        return sources(server, count)


@VERSIONS
def test_an_address_in_no_manifest_has_the_egress_ip_from_its_first_packet(version):
    use(web())
    use(web(), name="node2")
    assert seen("pod1", version, OTHER, 300, 0.001) == [EGRESS1[version]] * 300


@VERSIONS
def test_the_same_network_on_two_nodes(version):
    use(web())
    use(web(egressips=["two"]), name="node2")
    assert seen("pod1", version, OTHER, 3) == [EGRESS1[version]] * 3
    assert seen("pod2", version, OTHER, 3) == [EGRESS2[version]] * 3


@VERSIONS
def test_a_known_pod_comes_before_its_network(version):
    use(web(), pods=[*((a, ()) for a in OTHER.values()), *((a, ("two",)) for a in SELECTED.values())])
    assert seen("pod1", version, OTHER) == [NODE1[version]]
    assert seen("pod1", version, SELECTED) == [EGRESS2[version]]


def source_seen(source, version):
    """Return what a pod hears on a connection from this address to the server: the source that the server sees."""
    with contextlib.closing(listener("server", version, 0, socket.SOCK_STREAM)) as server:
        server.listen()
        with inside("pod1"), socket.socket(FAMILIES[version], socket.SOCK_STREAM) as sock:
            sock.settimeout(3)
            sock.bind((source[version], 0))
            sock.connect((SERVER[version], server.getsockname()[1]))
            sock.sendall(b"x")
            connection, peer = server.accept()
            with connection:
                connection.settimeout(3)
                assert connection.recv(1) == b"x"
                connection.sendall(peer[0].encode())
            return sock.recv(100).decode()


@VERSIONS
@pytest.mark.parametrize("unassigned", ["node", "drop"])
@pytest.mark.parametrize("egressips", [(), ("two",)], ids=["a network without an object", "a network with one"])
def test_connections_of_known_pods_pass_a_network_that_is_closed_for_unknown_ones(egressips, unassigned, version):
    pods = [*((a, ()) for a in OTHER.values()), *((a, ("one",)) for a in SELECTED.values())]
    use(web(egressips=egressips), pods=pods, unknown_pods="drop", unassigned=unassigned)
    assert source_seen(OTHER, version) == NODE1[version]
    assert source_seen(SELECTED, version) == EGRESS1[version]


@VERSIONS
def test_the_longest_prefix_applies(version):
    wide = web("10.88.0.0/16", "fd00:88::/56", namespace="all", network="docker:all", egressips=["two"])
    use(wide, web("10.88.0.2/31", "fd00:88::2/127"))
    assert seen("pod1", version, OTHER) == [EGRESS1[version]]
    use(wide, web("10.88.0.128/25", "fd00:88::8000/113"))
    assert seen("pod1", version, OTHER) == [EGRESS2[version]]


@VERSIONS
def test_a_network_without_an_object_in_one_with_an_object(version):
    wide = web("10.88.0.0/16", "fd00:88::/56", namespace="all", network="docker:all")
    inner = web("10.88.0.2/31", "fd00:88::2/127", egressips=[])
    use(wide, inner)
    assert seen("pod1", version, OTHER) == [NODE1[version]]
    use(wide, inner, unknown_pods="drop")
    assert seen("pod1", version, OTHER) == []


@VERSIONS
def test_an_interface_is_enough_for_addresses_that_it_does_not_have(version):
    use(web("10.1.0.0/24", network="interface:web0"))
    assert seen("pod1", version, OTHER) == [EGRESS1[version]]
    use(web(), web("10.1.0.0/24", network="interface:web0", namespace="all", egressips=["two"]))
    assert seen("pod1", version, OTHER) == [EGRESS1[version]]


@VERSIONS
def test_a_network_of_two_namespaces_is_closed_and_others_work(version):
    use(web("10.88.0.2/31", "fd00:88::2/127"), web("10.88.0.2/31", "fd00:88::2/127", namespace="db"), web(*AGAIN))
    assert seen("pod1", version, OTHER) == []
    ip("node1", *addresses("web0", AGAIN_GATEWAY))
    try:
        assert seen("pod1", version, AGAIN_POD) == [EGRESS1[version]]
    finally:
        ip("node1", *addresses("web0", AGAIN_GATEWAY, "delete"))


@VERSIONS
def test_a_network_that_is_created_again_never_leaves_with_a_wrong_source(version):
    """Its container sends before the node knows the new addresses, and after."""
    use(web(), unknown_pods="drop")
    ip("node1", *addresses("web0", AGAIN_GATEWAY))
    try:
        assert seen("pod1", version, AGAIN_POD, 3) == []
        assert seen("pod1", version, OTHER) == [EGRESS1[version]]
        use(web(*AGAIN), unknown_pods="drop")
        assert seen("pod1", version, AGAIN_POD, 300, 0.001) == [EGRESS1[version]] * 300
    finally:
        ip("node1", *addresses("web0", AGAIN_GATEWAY, "delete"))


@VERSIONS
def test_without_tables_the_network_is_closed(version):
    use(web())
    nft("node1", "delete table inet egress_ip")
    assert seen("pod1", version, OTHER, 3) == []
    use(web())
    assert seen("pod1", version, OTHER) == [EGRESS1[version]]


@VERSIONS
def test_a_connection_into_another_network_of_the_node_keeps_its_source(version):
    """Nobody lists the networks in egress_ip_excluded_cidrs: the node knows them."""
    use(web())
    with contextlib.closing(listener("pod1", version, kind=socket.SOCK_STREAM)) as server:
        server.listen()
        assert connects("node1", OTHER[version], SERVICE_PORT)
        assert server.accept()[1][0] == GATEWAY[version]


@VERSIONS
@pytest.mark.parametrize("unknown", ["node", "drop"])
def test_what_is_applied_is_what_the_node_shows(version, unknown):
    networks = (
        web(),
        web("10.88.0.0/25", "10.88.0.9/32", "fd00:88::9/128", namespace="db", egressips=["two", "one"]),
        web("10.66.0.0/16", network="docker:x", egressips=[]),
        web(*AGAIN, network="interface:web0"),
    )
    state = use(*networks, pods=[(OTHER[version], ())], unknown_pods=unknown)
    with inside("node1"):
        assert lines_between(*planes(state)) == ([], [])
    after = use()
    with inside("node1"):
        assert lines_between(*planes(after)) == ([], [])


@VERSIONS
@pytest.mark.parametrize("name", ["docker:lan", "interface:eth0"])
def test_a_network_with_the_address_of_a_node_changes_nothing(version, name):
    """What comes out of the tunnel has the address of a node, and would be taken for a packet of a pod."""
    lan = web("192.168.126.0/24", "2001:db8:126::/64", namespace="lan", network=name, egressips=["two"])
    use(web(), lan)
    use(web(), lan, name="node2")
    assert seen("pod2", version, OTHER, 3) == [EGRESS1[version]] * 3
    assert seen("outsider", version, OUTSIDER) == [OUTSIDER[version]]
