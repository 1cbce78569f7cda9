# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Traffic within the fleet and replies keep their source, as services on pods and nodes see it."""

from __future__ import annotations

import json
import sys

import pytest
from fleet import ADDRESS, EXCLUDED, FIRST, POD_ADDRESS, PROD, ROOT, SECOND, manifests, wait_for
from lab_topology import SERVER, SERVER_PORT

sys.path.insert(0, str(ROOT / "tests/unit/helpers"))
from kube_proxy import Service, iptables_rules  # noqa: E402

SELECTED, OTHER = "namespace2/pod3", "namespace3/other"
CLIENT = ("python3", "/opt/lab/lab_client.py")
SERVICE, SERVICES = "10.96.0.10", "10.96.0.0/12"
BY_HAND = "10.99.0.1"
PUBLISHED = 9090


@pytest.fixture
def echo(fleet):
    """Start a service: echo(host_or_pod); all end with the test."""
    started = []

    def start(name):
        started.append(fleet.lab.background(name, "python3", "/opt/lab/lab_server.py"))
        run = fleet.lab.pod if "/" in name else fleet.lab.exec
        wait_for("the service", lambda: f":{SERVER_PORT}" in run(name, "ss", "-Hltn"))

    yield start
    for process in started:
        process.stop()


def source_of(fleet, name, address, port=SERVER_PORT):
    """The source that a service at this address saw of a connection from a pod or a host."""
    run = fleet.lab.pod if "/" in name else fleet.lab.exec
    return {json.loads(run(name, *CLIENT, address, str(port)))["source"]}


def test_pods_of_one_node_see_each_other_as_they_are(fleet, echo):
    echo("namespace3/other")
    assert source_of(fleet, SELECTED, POD_ADDRESS[OTHER]) == {POD_ADDRESS["namespace2/pod3"]}


def test_a_pod_talks_to_any_node_with_its_own_nodes_address(fleet, echo):
    for name in ("node1", "node2"):
        echo(name)
    assert source_of(fleet, SELECTED, ADDRESS["node1"]) == {ADDRESS["node2"]}
    # Connections to the pod's own node keep the pod's address: they do not leave the node.
    assert source_of(fleet, SELECTED, ADDRESS["node2"]) <= {POD_ADDRESS["namespace2/pod3"], ADDRESS["node2"]}


def test_a_routed_pod_network_of_another_node_is_east_west(fleet, echo):
    """Pods that have their own network on each node and routes between, as flannel's host-gw makes them."""
    pods = {"node2": ("namespace2.pod3", "10.77.2.3"), "node3": ("namespace2.pod4", "10.77.3.4")}
    for name, (netns, address) in pods.items():
        other = "node3" if name == "node2" else "node2"
        gateway, network = address.rsplit(".", 1)[0] + ".1", pods[other][1].rsplit(".", 1)[0] + ".0/24"
        fleet.lab.exec(name, "ip", "-n", netns, "address", "add", f"{address}/24", "dev", "eth0")
        fleet.lab.exec(name, "ip", "address", "add", f"{gateway}/24", "dev", "pods0")
        fleet.lab.exec(name, "ip", "-n", netns, "route", "add", network, "via", gateway, "src", address)
        fleet.lab.exec(name, "ip", "route", "add", network, "via", ADDRESS[other])
    try:
        documents = manifests(PROD)
        for document in documents:
            if document["kind"] == "Pod" and document["metadata"]["name"] in ("pod3", "pod4"):
                name = {"pod3": "node2", "pod4": "node3"}[document["metadata"]["name"]]
                document["status"]["podIPs"].append({"ip": pods[name][1]})
        fleet.good(egress_ip_manifests=documents, egress_ip_excluded_cidrs=["10.88.0.0/16", "10.77.0.0/16"])
        echo("namespace2/pod4")
        assert source_of(fleet, SELECTED, "10.77.3.4") == {"10.77.2.3"}
        assert fleet.sources(SELECTED) <= {FIRST, SECOND}
    finally:
        for name, (netns, address) in pods.items():
            gateway = address.rsplit(".", 1)[0] + ".1"
            fleet.lab.exec(name, "ip", "-n", netns, "address", "delete", f"{address}/24", "dev", "eth0")
            fleet.lab.exec(name, "ip", "address", "delete", f"{gateway}/24", "dev", "pods0")
            fleet.lab.exec(name, "ip", "route", "flush", "root", "10.77.0.0/16")


def test_an_address_that_was_added_to_a_node_by_hand_is_its_own_for_all_where_it_is_listed(fleet, echo):
    """No other node is in its network, so its node alone cannot make it a destination without egress IPs for others."""
    fleet.lab.exec("node1", "ip", "address", "add", f"{BY_HAND}/32", "dev", "eth0")
    fleet.lab.exec("node2", "ip", "route", "add", BY_HAND, "via", ADDRESS["node1"])
    try:
        assert f"does not contain {BY_HAND} of node1" in fleet.good().report()
        fleet.good(egress_ip_excluded_cidrs=[*EXCLUDED, f"{BY_HAND}/32"])
        echo("node1")
        assert source_of(fleet, SELECTED, BY_HAND) == {ADDRESS["node2"]}
    finally:
        fleet.lab.exec("node2", "ip", "route", "delete", BY_HAND)
        fleet.lab.exec("node1", "ip", "address", "delete", f"{BY_HAND}/32", "dev", "eth0")


def test_a_service_address_is_east_west_when_it_is_excluded(fleet, echo):
    """As kube-proxy does it: the pod's node turns the service's address into that of a node."""
    rule = f"PREROUTING -d {SERVICE} -p tcp --dport {SERVER_PORT} -j DNAT --to-destination {ADDRESS['node1']}"
    fleet.lab.exec("node2", "iptables", "-t", "nat", "-A", *rule.split())
    try:
        fleet.good(egress_ip_excluded_cidrs=[*EXCLUDED, SERVICES])
        echo("node1")
        assert source_of(fleet, SELECTED, SERVICE) == {ADDRESS["node2"]}
        assert fleet.sources(SELECTED) <= {FIRST, SECOND}
    finally:
        fleet.lab.exec("node2", "nft", "delete", "table", "ip", "nat")


@pytest.fixture
def service(fleet):
    """Return a service whose endpoint is the server, with the rules of kube-proxy on node2."""
    service = Service("server", SERVICE, 80, (SERVER.address,), SERVER_PORT, ("198.51.100.1",), 30080)
    fleet.lab.exec("node2", "iptables-restore", "--noflush", stdin=iptables_rules([service], EXCLUDED[0]))
    yield service
    for table in ("nat", "filter"):
        fleet.lab.exec("node2", "nft", "delete", "table", "ip", table)


@pytest.mark.parametrize(
    "excluded",
    [
        pytest.param(EXCLUDED, id="not excluded", marks=pytest.mark.user_land),
        pytest.param([*EXCLUDED, SERVICES], id="excluded"),
    ],
)
def test_a_service_with_an_endpoint_outside_leaves_with_the_egress_ip_of_another_node(fleet, service, excluded):
    """By each address of the service; kube-proxy masquerades two of the three."""
    fleet.good(egress_ip_excluded_cidrs=excluded)
    assert "node2" not in sum(fleet.holders().values(), [])
    for address, port in ((SERVICE, 80), (service.external[0], 80), (ADDRESS["node2"], service.node_port)):
        assert source_of(fleet, SELECTED, address, port) <= {FIRST, SECOND}
        assert source_of(fleet, OTHER, address, port) == {ADDRESS["node2"]}
    assert fleet.sources(SELECTED) <= {FIRST, SECOND}


def test_a_published_port_answers_from_where_it_was_asked(fleet, echo):
    """From outside to a selected pod, by its node's address: the replies are not connections of the pod."""
    target = f"{POD_ADDRESS[SELECTED]}:{SERVER_PORT}"
    rule = f"PREROUTING -d {ADDRESS['node2']} -p tcp --dport {PUBLISHED} -j DNAT --to-destination {target}"
    fleet.lab.exec("node2", "iptables", "-t", "nat", "-A", *rule.split())
    try:
        echo(SELECTED)
        for asking in ("server", "node1"):
            address = SERVER.address if asking == "server" else ADDRESS[asking]
            assert source_of(fleet, asking, ADDRESS["node2"], PUBLISHED) == {address}
    finally:
        fleet.lab.exec("node2", "nft", "delete", "table", "ip", "nat")


def test_nodes_themselves_leave_as_they_are(fleet):
    """Holders as well."""
    for name in ("node1", "node2", "node3"):
        assert source_of(fleet, name, SERVER.address) == {ADDRESS[name]}
