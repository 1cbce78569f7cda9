# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Egress IPs in the network of a second interface, which only node1 and node3 have."""

from __future__ import annotations

import json

import pytest
from fleet import ASSIGNABLE, FIRST, NOT_ASSIGNABLE, assert_same, egressip, manifests, wait_for
from lab import find_host, find_pod
from lab_topology import NODES, SERVER

pytestmark = pytest.mark.faults

EGRESS_IP = "172.30.0.10"
# Outside all networks: only the gateway of the second network has it.
BEYOND = "203.0.113.9"
PODS = ("namespace1/pod1", "namespace1/pod2", "namespace2/pod4")
WITH_ETH1 = ("node1", "node3")
GATEWAY = SERVER.second_address
ONE = {"egress_ip_manifests": manifests(egressip("one", EGRESS_IP))}


@pytest.fixture
def second(fleet):
    """The fleet with the second network, whose gateway is the server."""
    with fleet.lab.second_network():
        fleet.lab.exec("server", "ip", "address", "add", f"{BEYOND}/32", "dev", "lo")
        try:
            for name in WITH_ETH1:
                fleet.lab.exec(name, "ip", "route", "add", "default", "via", GATEWAY, "dev", "eth1", "metric", "500")
            yield fleet
        finally:
            fleet.clear()
            fleet.lab.exec("server", "ip", "address", "delete", f"{BEYOND}/32", "dev", "lo")


def on_eth1(fleet):
    """Nodes with the egress IP on eth1."""
    shown = {name: fleet.lab.exec(name, "ip", "-j", "address", "show", "dev", "eth1") for name in WITH_ETH1}
    return [n for n, text in shown.items() if EGRESS_IP in [a["local"] for a in json.loads(text)[0]["addr_info"]]]


def sources(fleet, host):
    return {answer.source for pod in PODS for answer in fleet.lab.connect(pod, count=2, host=host)}


def test_an_address_of_a_second_network_leaves_there(second):
    run = second.good(**ONE)
    assert len(on_eth1(second)) == 1, run.report()
    for host in (GATEWAY, BEYOND, SERVER.address):
        assert sources(second, host) == {EGRESS_IP}, host
    before = second.snapshot()
    assert second.good(**ONE).changed() == []
    assert_same(before, second.snapshot())


@pytest.mark.user_land
def test_it_moves_and_the_connections_go_along(second):
    second.arrange(**ONE)
    (holder,) = on_eth1(second)
    (other,) = set(WITH_ETH1) - {holder}
    downloads = {pod: second.lab.download(pod, host=BEYOND) for pod in PODS}
    try:
        for pod, download in downloads.items():
            wait_for(pod, lambda download=download: len(download.lines) > 5)
        second.good(hosts={holder: NOT_ASSIGNABLE, other: ASSIGNABLE}, **ONE)
        assert on_eth1(second) == [other]
        for pod, download in downloads.items():
            heard = len(download.lines)
            wait_for(pod, lambda download=download, heard=heard: len(download.lines) > heard + 10)
    finally:
        for download in downloads.values():
            download.stop()
    assert sources(second, BEYOND) == {EGRESS_IP}


def test_a_node_that_lost_the_link_to_that_network_gives_the_address_up(second):
    second.arrange(**ONE)
    (holder,) = on_eth1(second)
    (other,) = set(WITH_ETH1) - {holder}
    second.lab.exec("server", "ping", "-c", "1", EGRESS_IP)
    second.lab.cut(holder, "eth1")
    try:
        run = second.good(**ONE)
        assert on_eth1(second) == [other], run.report()
        assert f"moved from {holder} (NetworkMissing)" in run.report()
        assert sources(second, GATEWAY) == {EGRESS_IP}
    finally:
        second.lab.plug(holder, "eth1")
    assert sources(second, GATEWAY) == {EGRESS_IP}


def test_a_holder_that_only_the_controller_cannot_reach_keeps_the_address_and_the_tunnels(second):
    second.arrange(**ONE)
    (holder,) = on_eth1(second)
    second.lab.exec(holder, "sh", "-c", "systemctl stop ssh.service; pkill -x sshd || true")
    try:
        run = second.bad(**ONE)
        assert f"{EGRESS_IP} is not claimed" in run.output
        assert on_eth1(second) == [holder]
        assert sources(second, BEYOND) == {EGRESS_IP}
    finally:
        second.lab.exec(holder, "systemctl", "start", "ssh.service")


def test_the_tunnels_follow_in_the_run_that_replaces_a_dead_holder(second):
    second.arrange(**ONE)
    (holder,) = on_eth1(second)
    (other,) = set(WITH_ETH1) - {holder}
    second.lab.kill(holder)
    try:
        second.good(**ONE)
        alive = [pod for pod in PODS if find_pod(pod).node != holder]
        assert {a.source for pod in alive for a in second.lab.connect(pod, count=2, host=BEYOND)} == {EGRESS_IP}
        assert second.good(**ONE).changed() == []
    finally:
        second.lab.start(holder)
        second.lab.exec(holder, "ip", "route", "replace", "default", "via", GATEWAY, "dev", "eth1", "metric", "500")
    assert on_eth1(second) == [other]


def test_a_node_that_lost_its_network_stops_no_other(second):
    """As after systemd-networkd when the link goes; here the controller reaches the node by another network."""
    hosts = {name: {**ASSIGNABLE, "egress_ip_interface": "eth1"} for name in WITH_ETH1}
    second.good(hosts=hosts, **ONE)
    (holder,) = on_eth1(second)
    (other,) = set(WITH_ETH1) - {holder}
    second.lab.exec(holder, "ip", "-4", "address", "flush", "dev", "eth1")
    try:
        run = second.good(hosts=hosts, **ONE)
        assert f"node {holder} has lost its network: eth1" in run.report()
        assert on_eth1(second) == [other]
    finally:
        second.lab.exec(holder, "ip", "address", "add", f"{find_host(holder).second_address}/24", "dev", "eth1")
        second.lab.exec(holder, "ip", "route", "add", "default", "via", GATEWAY, "dev", "eth1", "metric", "500")
    second.good("remove")


@pytest.fixture
def way_beyond(second):
    """The nodes reach BEYOND by their primary interfaces as well."""
    for node in NODES:
        second.lab.exec(node.name, "ip", "route", "add", f"{BEYOND}/32", "via", SERVER.address, "dev", "eth0")
    yield second
    for node in NODES:
        second.lab.exec(node.name, "ip", "route", "delete", f"{BEYOND}/32", "dev", "eth0")


@pytest.mark.user_land
def test_addresses_of_one_object_on_different_interfaces(way_beyond):
    """Each server is reached from an address that has a way to it."""
    second = way_beyond
    both = {"egress_ip_manifests": manifests(egressip("both", FIRST, EGRESS_IP))}
    run = second.good(**both)
    assert on_eth1(second)
    assert FIRST in second.holders(), run.report()
    assert (sources(second, SERVER.address), sources(second, GATEWAY)) == ({FIRST}, {EGRESS_IP})
    assert sources(second, BEYOND) <= {FIRST, EGRESS_IP}
    assert second.good(**both).changed() == []
    for name in WITH_ETH1:
        second.lab.exec(name, "ip", "route", "delete", "default", "via", GATEWAY, "dev", "eth1", "metric", "500")
    second.good(**both)
    assert sources(second, BEYOND) == sources(second, SERVER.address) == {FIRST}
    assert sources(second, GATEWAY) == {EGRESS_IP}


def test_removal_leaves_nothing_of_it(second):
    second.clear()
    before = second.snapshot()
    second.good(**ONE)
    second.good("remove")
    assert_same(before, second.snapshot())
