# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Services of Kubernetes on two real nodes in network namespaces, with the rule sets of each mode of kube-proxy.

What counts is the endpoint to which kube-proxy translates, not the address of the service.
"""

from __future__ import annotations

import contextlib
import shutil
import socket
from pathlib import Path

import pytest
from ansible_collections.netops.egress_ip.plugins.module_utils._dataplane.node_state import NodeState
from ansible_collections.netops.egress_ip.plugins.module_utils._host_io.host_io import HostIO
from kube_proxy import RESTORE, Service, iptables_rules, nftables_rules
from small_fleet import (
    EGRESS1,
    EGRESS2,
    GATEWAY,
    NEIGHBOUR,
    NEIGHBOUR_GATEWAY,
    NODE1,
    NODE2,
    OTHER,
    OUTSIDER,
    SELECTED,
    SERVER,
    SERVICE_PORT,
    apply_state,
    inside,
    ip,
    listener,
    nft,
    run,
    send,
    small_fleet,
    sources,
    state_of,
)
from states import egress_object

PODS = {4: "10.88.0.0/16", 6: "fd00:88::/64"}
SERVICES = {4: "10.96.0.0/16", 6: "fd00:96::/112"}
LENGTHS = {4: 32, 6: 128}
ENDPOINTS = {
    "outside": SERVER,
    "pod": NEIGHBOUR,
    "itself": SELECTED,
    "node1": NODE1,
    "node2": NODE2,
    "egress1": EGRESS1,
    "egress2": EGRESS2,
}
PORT, NODE_PORT = 80, 30000
PROTOCOLS = {"tcp": socket.SOCK_STREAM, "udp": socket.SOCK_DGRAM}
OWN_ADDRESS = {"pod1": NODE1, "pod2": NODE2}
EACH_VERSION = pytest.mark.parametrize("version", [4, 6])
EACH_PROTOCOL = pytest.mark.parametrize("protocol", PROTOCOLS)
EACH_POD = pytest.mark.parametrize("pod", OWN_ADDRESS)
EACH_WAY = pytest.mark.parametrize("way", ["cluster", "external", "node port"])


def services(version):
    cluster, external = {4: ("10.96.0.{}", "198.51.100.{}"), 6: ("fd00:96::{}", "2001:db8:5::{}")}[version]
    return {
        name: Service(
            name,
            cluster.format(number),
            PORT,
            (endpoint[version],),
            SERVICE_PORT,
            (external.format(number),),
            NODE_PORT + number,
        )
        for number, (name, endpoint) in enumerate(ENDPOINTS.items(), 1)
    }


def way_to(service, way, version):
    """Return the (address, port) by which a pod reaches a service."""
    return {
        "cluster": (service.address, PORT),
        "external": (service.external[0], PORT),
        "node port": (GATEWAY[version], service.node_port),
    }[way]


def start_kube_proxy(node, mode):
    for version, extra in ((4, ""), (6, "6")):
        known = services(version).values()
        if mode == "nftables":
            nft(node, nftables_rules(known, PODS[version]))
        else:
            with inside(node):
                run(RESTORE[mode].format(extra), "--noflush", text=iptables_rules(known, PODS[version]))


def states(excluded, **changes):
    """Return {node: NodeState} with these networks without egress IPs in addition to the pods'."""
    return {
        name: NodeState.from_dict({**state_of(name, {}).to_dict(), "excluded": [*PODS.values(), *excluded], **changes})
        for name in ("node1", "node2")
    }


@contextlib.contextmanager
def applied(excluded, **changes):
    """Apply the states with these changes on both nodes, and then those without."""
    for name, state in states(excluded, **changes).items():
        apply_state(name, state)
    try:
        yield
    finally:
        for name, state in states(excluded).items():
            apply_state(name, state)


def connect_by_bridge(node):
    """Put the selected pod of a node on a bridge whose packets pass the rules of IP, as kubeadm sets it up."""
    for kind in ("iptables", "ip6tables"):
        path = Path(f"/proc/sys/net/bridge/bridge-nf-call-{kind}")
        if not path.exists():
            pytest.skip("the kernel has not loaded br_netfilter")
        with inside(node):
            path.write_text("1\n", encoding="ascii")
    ip(
        node,
        "link add bridge0 type bridge",
        "link set bridge0 up",
        f"address delete {GATEWAY[4]}/24 dev pods0",
        f"address delete {GATEWAY[6]}/64 dev pods0",
        "link set pods0 master bridge0",
        # A pod that reaches itself gets its own frames back.
        "link set pods0 type bridge_slave hairpin on",
        f"address add {GATEWAY[4]}/24 dev bridge0",
        f"address add {GATEWAY[6]}/64 dev bridge0 nodad",
    )


CASES = {
    "iptables-nft": ("iptables-nft", False, ()),
    "iptables-legacy, services excluded": ("iptables-legacy", False, tuple(SERVICES.values())),
    "nftables": ("nftables", False, ()),
    "nftables, services excluded, bridge": ("nftables", True, tuple(SERVICES.values())),
}


@pytest.fixture(scope="module", autouse=True, params=CASES.values(), ids=CASES)
def excluded(request):
    """Build the fleet with kube-proxy on both nodes; return the networks that are excluded besides the pods'."""
    mode, bridged, networks = request.param
    if mode in RESTORE and not shutil.which(RESTORE[mode].format("")):
        pytest.skip(f"the machine has no {mode}")
    with small_fleet(neighbours=True):
        for name, state in states(networks).items():
            if bridged:
                connect_by_bridge(name)
            start_kube_proxy(name, mode)
            apply_state(name, state)
        yield networks


def talk(pod, end, protocol, server, source=SELECTED):
    """Connect from a pod to an (address, port), and let `server` reply; return the source that it saw."""
    version = 6 if ":" in end[0] else 4
    with contextlib.closing(listener(pod, version, 0, PROTOCOLS[protocol], source[version])) as client:
        client.connect(end)
        if protocol == "udp":
            client.send(b"x")
            seen = server.recvfrom(10)[1]
            server.sendto(b"y", seen)
            assert client.recv(10) == b"y"
            return seen[0]
        connection, seen = server.accept()
        with connection:
            connection.sendall(b"y")
            assert client.recv(10) == b"y"
        return seen[0]


@contextlib.contextmanager
def endpoint(name, version, protocol, address=""):
    with contextlib.closing(listener(name, version, SERVICE_PORT, PROTOCOLS[protocol], address)) as sock:
        if protocol == "tcp":
            sock.listen()
        yield sock


@EACH_VERSION
@EACH_PROTOCOL
@EACH_WAY
@EACH_POD
def test_a_service_with_an_endpoint_outside_leaves_with_the_egress_ip(version, protocol, way, pod):
    end = way_to(services(version)["outside"], way, version)
    with endpoint("server", version, protocol) as server:
        assert talk(pod, end, protocol, server) == EGRESS1[version]
        assert talk(pod, end, protocol, server, source=OTHER) == OWN_ADDRESS[pod][version]


@EACH_VERSION
@EACH_PROTOCOL
@EACH_WAY
@EACH_POD
def test_a_service_of_a_pod_stays_on_the_node(version, protocol, way, pod):
    end = way_to(services(version)["pod"], way, version)
    with endpoint(f"neighbour{pod[-1]}", version, protocol) as neighbour:
        # kube-proxy masquerades what comes by an address for clients outside the cluster.
        source = SELECTED if way == "cluster" else NEIGHBOUR_GATEWAY
        assert talk(pod, end, protocol, neighbour) == source[version]


@EACH_VERSION
@EACH_PROTOCOL
@EACH_WAY
@EACH_POD
def test_a_pod_reaches_itself_by_its_service(version, protocol, way, pod):
    end = way_to(services(version)["itself"], way, version)
    with endpoint(pod, version, protocol, SELECTED[version]) as itself:
        assert talk(pod, end, protocol, itself) == GATEWAY[version]


@EACH_VERSION
@EACH_PROTOCOL
@pytest.mark.parametrize(
    ("pod", "other", "target"),
    [
        ("pod1", "node2", "node2"),
        ("pod2", "node1", "node1"),
        ("pod1", "node2", "egress2"),
        ("pod2", "node1", "egress1"),
    ],
)
def test_an_endpoint_on_another_node_sees_the_address_of_the_node(version, protocol, pod, other, target):
    """As without a service: nodes and egress IPs are destinations without egress IP."""
    end = way_to(services(version)[target], "cluster", version)
    with endpoint(other, version, protocol, ENDPOINTS[target][version]) as server:
        assert talk(pod, end, protocol, server) == OWN_ADDRESS[pod][version]


@EACH_VERSION
def test_the_pods_node_knows_the_service_and_the_holder_only_its_endpoint(version):
    service = services(version)["outside"]
    with endpoint("server", version, "udp") as server:
        assert talk("pod2", (service.address, PORT), "udp", server) == EGRESS1[version]
    seen = {}
    for node in ("node2", "node1"):
        with inside(node):
            flows = [flow for _mark, flow in HostIO.read_connections([(0, 0)])]
        seen[node] = {
            (flow.source[0], flow.destination, flow.translated[0])
            for flow in flows
            if flow.server == (SERVER[version], SERVICE_PORT) and flow.protocol == socket.IPPROTO_UDP
        }
    assert (SELECTED[version], (service.address, PORT), NODE2[version]) in seen["node2"]
    assert (NODE2[version], (SERVER[version], SERVICE_PORT), EGRESS1[version]) in seen["node1"]


@EACH_VERSION
def test_the_endpoint_selects_the_object(version, excluded):
    objects = [
        {**egress_object("one", EGRESS1.values()), "destinations": [SERVICES[version]]},
        {**egress_object("two", EGRESS2.values()), "destinations": [f"{SERVER[version]}/{LENGTHS[version]}"]},
    ]
    pods = [{"address": address, "egressips": ["one", "two"]} for address in SELECTED.values()]
    end = way_to(services(version)["outside"], "cluster", version)
    with applied(excluded, egressips=objects, pods=pods), endpoint("server", version, "udp") as server:
        assert talk("pod2", end, "udp", server) == EGRESS2[version]


@EACH_VERSION
@EACH_WAY
def test_without_an_assigned_address_no_connection_by_a_service_leaves(version, way, excluded):
    objects = [egress_object("one", EGRESS1.values(), set()), egress_object("two", EGRESS2.values())]
    known = services(version)
    with (
        applied(excluded, egressips=objects, options={"unassigned": "drop"}),
        endpoint("server", version, "udp") as server,
        endpoint("neighbour2", version, "udp") as neighbour,
    ):
        address, port = way_to(known["outside"], way, version)
        send("pod2", address, source=SELECTED[version], port=port)
        assert sources(server) == []
        assert talk("pod2", way_to(known["pod"], way, version), "udp", neighbour)


@EACH_VERSION
@EACH_WAY
def test_without_tables_no_connection_by_a_service_leaves(version, way, excluded):
    address, port = way_to(services(version)["outside"], way, version)
    nft("node2", "delete table inet egress_ip")
    try:
        with endpoint("server", version, "udp") as server:
            send("pod2", address, source=SELECTED[version], port=port)
            assert sources(server) == []
            send("pod2", address, source=OTHER[version], port=port)
            assert sources(server, expected=1) == [NODE2[version]]
    finally:
        apply_state("node2", states(excluded)["node2"])


@EACH_VERSION
@EACH_PROTOCOL
def test_a_client_outside_reaches_a_selected_pod_by_a_node_port(version, protocol):
    port = services(version)["itself"].node_port
    with endpoint("pod2", version, protocol, SELECTED[version]) as pod:
        end = (NODE2[version], port)
        assert talk("outsider", end, protocol, pod, source=OUTSIDER) == GATEWAY[version]
