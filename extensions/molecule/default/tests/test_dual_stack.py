# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Egress IPs of both IP versions, as the external server, the wire and the neighbours see them."""

from __future__ import annotations

import pytest
from fleet import (
    ADDRESS6,
    ALL_ASSIGNABLE,
    FIRST,
    NODE_NAMES,
    SECOND,
    SERVER,
    assert_same,
    dual_stack,
    egressip,
    wait_for,
)
from lab_topology import PODS
from test_failures import unit_ended

FIRST6, SECOND6 = "fd00:126::10", "fd00:126::102"
EXCLUDED = {"egress_ip_excluded_cidrs": ["10.88.0.0/16", "fd00:88::/64"]}
# As users may write them: not in the form of RFC 5952.
SPELLINGS = ("FD00:126:0::10", "fd00:0126:0000:0000:0000:0000:0000:0102")


def sources6(fleet, pod, count=5, host=SERVER.address6, **options):
    """Sources that the server, or another one, saw of connections over IPv6."""
    return {answer.source for answer in fleet.lab.connect(pod, count=count, host=host, **options)}


def holders6(fleet):
    """{egress IP: nodes that bear it}, of the IPv6 addresses on eth0 that are not the nodes' own."""
    return {ip: names for ip, names in fleet.holders_of_both().items() if ":" in ip}


@pytest.fixture
def dual(machines):
    """A fleet whose one object has addresses of both IP versions, one for each node."""
    documents = dual_stack(egressip("egressips-prod", FIRST, *SPELLINGS))
    machines.arrange(egress_ip_manifests=documents, hosts=ALL_ASSIGNABLE, **EXCLUDED)
    return machines, documents


def test_nothing_of_ipv6_stays_without_ipv6_in_the_manifests(dual):
    fleet, _documents = dual
    assert sorted(holders6(fleet)) == sorted((FIRST6, SECOND6))
    fleet.good()
    assert holders6(fleet) == {}


@pytest.mark.user_land
@pytest.mark.parametrize("udp", [False, True], ids=["tcp", "udp"])
def test_each_ip_version_leaves_with_its_own_egress_ips(dual, udp):
    fleet, _documents = dual
    for pod in ("namespace1/pod1", "namespace1/pod2", "namespace2/pod3", "namespace2/pod4"):
        seen = sources6(fleet, pod, udp=udp)
        assert len(seen) == 1, pod
        assert seen <= {FIRST6, SECOND6}, pod
        assert {answer.source for answer in fleet.lab.connect(pod, count=3, udp=udp)} == {FIRST}, pod
    assert sources6(fleet, "namespace3/other", udp=udp) == {ADDRESS6["node2"]}


def test_no_object_has_two_addresses_on_one_node_and_the_host_does_not_use_them_itself(dual):
    fleet, _documents = dual
    held = {**fleet.holders(), **holders6(fleet)}
    assert sorted(held) == sorted((FIRST, FIRST6, SECOND6))
    assert sorted(held.values()) == [[name] for name in NODE_NAMES]
    for name in NODE_NAMES:
        words = fleet.lab.exec(name, "ip", "-6", "route", "get", SERVER.address6).split()
        assert words[words.index("src") + 1] == ADDRESS6[name]


@pytest.mark.user_land
def test_a_second_run_changes_nothing_and_check_mode_writes_nothing(dual):
    fleet, documents = dual
    before = fleet.snapshot()
    again = {"egress_ip_manifests": documents, "hosts": ALL_ASSIGNABLE, **EXCLUDED}
    assert fleet.good(**again).changed() == []
    fleet.good("reconcile", "--check", "--diff", egress_ip_drain_nodes=["node1"], egress_ip_drain_force=True, **again)
    assert_same(before, fleet.snapshot())


def test_a_move_is_announced_and_no_address_is_on_two_nodes(dual):
    fleet, documents = dual
    (holder,) = holders6(fleet)[FIRST6]
    fleet.lab.exec("server", "ping", "-6", "-c", "1", FIRST6)
    # Each node has one of the object's addresses, so one of them loses its place.
    drain = {"egress_ip_drain_nodes": [holder], "egress_ip_drain_force": True}
    fleet.good(egress_ip_manifests=documents, hosts=ALL_ASSIGNABLE, **drain, **EXCLUDED)
    found = holders6(fleet)
    assert found
    assert holder not in [name for names in found.values() for name in names]
    for address, (name,) in found.items():
        mac = fleet.mac_of(name)
        known = fleet.lab.exec("server", "ip", "-6", "neighbour", "show", address)
        assert not known or mac in known, f"{address}: {known}"
    assert sources6(fleet, "namespace1/pod2") <= {FIRST6, SECOND6}


def test_a_foreign_host_that_has_an_ipv6_address_keeps_it(fleet):
    fleet.lab.exec("server", "ip", "address", "add", f"{FIRST6}/64", "dev", "eth0", "nodad")
    try:
        documents = dual_stack(egressip("egressips-prod", FIRST, SECOND), egressip("six", FIRST6, SECOND6))
        run = fleet.bad(egress_ip_manifests=documents, hosts=ALL_ASSIGNABLE, **EXCLUDED)
        assert [(item["egressIP"], item["mac"]) for item in run.conflicts()] == [(FIRST6, fleet.mac_of("server"))]
        assert list(holders6(fleet)) == [SECOND6]
        assert sources6(fleet, "namespace1/pod1") | sources6(fleet, "namespace2/pod3") == {SECOND6}
    finally:
        fleet.lab.exec("server", "ip", "address", "delete", f"{FIRST6}/64", "dev", "eth0")


def test_a_killed_holder_loses_its_ipv6_address_to_another(dual):
    fleet, documents = dual
    (holder,) = holders6(fleet)[FIRST6]
    fleet.lab.kill(holder)
    fleet.good(egress_ip_manifests=documents, hosts=ALL_ASSIGNABLE, **EXCLUDED)
    assert holders6(fleet)
    pod = next(pod.key for pod in PODS if pod.node != holder and pod.namespace != "namespace3")
    assert sources6(fleet, pod) <= {FIRST6, SECOND6}
    fleet.lab.start(holder)
    wait_for("the claims at boot", lambda: unit_ended(fleet, holder))
    assert {len(names) for names in holders6(fleet).values()} == {1}


def test_an_object_of_one_ip_version_leaves_the_other_alone_or_drops_it(fleet):
    documents = dual_stack(egressip("egressips-prod", FIRST, SECOND))
    fleet.good(egress_ip_manifests=documents, **EXCLUDED)
    assert sources6(fleet, "namespace1/pod2") == {ADDRESS6["node2"]}
    fleet.good(egress_ip_manifests=documents, egress_ip_unassigned="drop", **EXCLUDED)
    assert sources6(fleet, "namespace1/pod2", count=1, timeout=1) == {None}
    assert {answer.source for answer in fleet.lab.connect("namespace1/pod2", count=3)} <= {FIRST, SECOND}


def test_pods_and_nodes_are_east_west_in_ipv6_too(dual):
    fleet, _documents = dual
    seen = {}
    for name, address in (("node1", ADDRESS6["node1"]), ("namespace2/pod3", "fd00:88::4")):
        with fleet.lab.background(name, "python3", "/opt/lab/lab_server.py"):
            wait_for(
                "the service", lambda address=address: sources6(fleet, "namespace1/pod2", 1, host=address) != {None}
            )
            seen[name] = sources6(fleet, "namespace1/pod2", host=address)
    assert seen == {"node1": {ADDRESS6["node2"]}, "namespace2/pod3": {"fd00:88::2"}}
