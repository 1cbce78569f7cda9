# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Objects that apply to some destinations only, as servers there see their sources."""

from __future__ import annotations

import pytest
from fleet import ADDRESS, FIRST, NODE_NAMES, SECOND, dual_stack, egressip, manifests
from lab_topology import NODES, SERVER

POD, NODE = "namespace1/pod2", "node2"
NODE6 = next(node.address6 for node in NODES if node.name == NODE)
FIRST6, SECOND6 = "fd00:126::10", "fd00:126::102"
DATABASE, PARTNER = "192.0.2.1", "198.51.100.1"
DATABASE6, PARTNER6 = "2001:db8:2::1", "2001:db8:51::1"
ADDRESSES = (DATABASE, PARTNER, DATABASE6, PARTNER6)
PREFIX = "egress-ip.netops/"


@pytest.fixture
def servers(fleet):
    """The fleet, and a server with more addresses, to which every node has a route."""
    for address in ADDRESSES:
        fleet.lab.exec("server", "ip", "address", "replace", address, "dev", "lo")
        for name in NODE_NAMES:
            via = SERVER.address6 if ":" in address else SERVER.address
            fleet.lab.exec(name, "ip", "route", "replace", address, "via", via)
    yield fleet
    for address in ADDRESSES:
        fleet.lab.exec("server", "ip", "address", "delete", address, "dev", "lo")
        for name in NODE_NAMES:
            fleet.lab.exec(name, "ip", "route", "delete", address)


def objects(*, database=None, general=None):
    """`a-general` for everything, and `b-database`, each with these annotations, {name without prefix: value}."""
    found = [egressip("a-general", FIRST, FIRST6), egressip("b-database", SECOND, SECOND6)]
    for document, wanted in zip(found, (general, database), strict=True):
        document["metadata"]["annotations"] = {f"{PREFIX}{key}": value for key, value in (wanted or {}).items()}
    return found


def seen(fleet, *addresses):
    """{address: source that the server there sees of the pod's connections}."""
    return {address: fleet.lab.connect(POD, host=address)[0].source for address in addresses}


@pytest.mark.user_land
def test_the_longest_prefix_decides_which_object_a_pod_follows(servers):
    documents = dual_stack(*objects(database={"destinations": "192.0.2.0/24,2001:db8:2::/64"}))
    servers.good(egress_ip_manifests=documents)
    assert seen(servers, *ADDRESSES, SERVER.address) == {
        DATABASE: SECOND,
        PARTNER: FIRST,
        DATABASE6: SECOND6,
        PARTNER6: FIRST6,
        SERVER.address: FIRST,
    }
    assert servers.good(egress_ip_manifests=documents).changed() == []


def test_an_object_leaves_destinations_alone(servers):
    without = dual_stack(objects(general={"excluded-destinations": "198.51.100.0/24,2001:db8:51::/64"})[0])
    servers.good(egress_ip_manifests=without)
    expected = {DATABASE: FIRST, PARTNER: ADDRESS[NODE], DATABASE6: FIRST6, PARTNER6: NODE6}
    assert seen(servers, *ADDRESSES) == expected
    # An object without an assigned address drops what it applies to, and nothing else.
    no_node = {name: {"egress_ip_labels": {}} for name in NODE_NAMES}
    servers.good(hosts=no_node, egress_ip_manifests=without, egress_ip_unassigned="drop")
    assert seen(servers, DATABASE, PARTNER) == {DATABASE: None, PARTNER: ADDRESS[NODE]}


def test_destinations_come_and_go_while_connections_live(servers):
    servers.good(egress_ip_manifests=manifests(*objects()))
    with servers.lab.session(POD) as session:
        assert session.source == FIRST
        # The server's own address as a destination; a check first, which writes nothing.
        documents = manifests(*objects(database={"destinations": f"{SERVER.address}/32"}))
        before = servers.snapshot()
        assert set(servers.good("reconcile", "--check", egress_ip_manifests=documents).changed()) == set(NODE_NAMES)
        assert servers.snapshot() == before
        servers.good(egress_ip_manifests=documents)
        assert session.send("still there") == FIRST
        assert seen(servers, SERVER.address, DATABASE) == {SERVER.address: SECOND, DATABASE: FIRST}
        servers.good(egress_ip_manifests=manifests(*objects(database={"destinations": "192.0.2.0/24"})))
        assert seen(servers, SERVER.address, DATABASE) == {SERVER.address: FIRST, DATABASE: SECOND}
        assert session.send("still there") == FIRST


def test_a_mistake_in_a_manifest_leaves_its_destinations_as_they_are(servers):
    servers.good(egress_ip_manifests=manifests(*objects(database={"destinations": "192.0.2.0/24"})))
    run = servers.good(egress_ip_manifests=manifests(*objects(database={"destinations": "192.0.2.1/24"})))
    assert "'192.0.2.1/24' has host bits set; the network is 192.0.2.0/24" in run.report()
    assert run.changed() == []
    assert seen(servers, DATABASE, PARTNER) == {DATABASE: SECOND, PARTNER: FIRST}
