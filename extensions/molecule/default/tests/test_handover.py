# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Connections that are open during a planned move go on, on whichever node their pod is."""

from __future__ import annotations

import re
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from fleet import ASSIGNABLE, FIRST, NODE_NAMES, NOT_ASSIGNABLE, dual_stack, egressip, wait_for, within
from lab_topology import SERVER

pytestmark = pytest.mark.faults

# One pod on each node; the address moves from node1 to node2.
PODS = {
    "a pod of the old holder": "namespace1/pod1",
    "a pod of the new holder": "namespace1/pod2",
    "a pod of a third node": "namespace2/pod4",
}
SERVERS = {FIRST: SERVER.address, "fd00:126::10": SERVER.address6}


def assignable(node):
    """Host variables that let only this node hold egress IPs."""
    return {name: ASSIGNABLE if name == node else NOT_ASSIGNABLE for name in NODE_NAMES}


def longest_pause(lines):
    """Seconds between two lines of a download, the longest; no line may be missing."""
    words = [line.split() for line in lines[1:]]
    assert [int(number) for _at, number in words] == list(range(len(words)))
    times = [float(at) for at, _number in words]
    return max(later - earlier for earlier, later in zip(times, times[1:], strict=False))


@pytest.mark.parametrize("egress_ip", SERVERS)
def test_downloads_go_on_over_a_planned_move(fleet, egress_ip):
    within(1.5, lambda: move_under_downloads(fleet, egress_ip))


def move_under_downloads(fleet, egress_ip):
    """Move the address while pods of all nodes download; returns the longest pause of a download in seconds."""
    options = {"egress_ip_manifests": dual_stack(egressip("one", egress_ip))}
    fleet.arrange(hosts=assignable("node1"), **options)
    downloads = {where: fleet.lab.download(pod, host=SERVERS[egress_ip]) for where, pod in PODS.items()}
    try:
        for where, download in downloads.items():
            wait_for(where, lambda download=download: len(download.lines) > 10)
            assert download.lines[0].split()[1] == egress_ip
        run = fleet.good(hosts=assignable("node2"), **options)
        # A pod of an earlier test may still have a connection open.
        (along,) = re.findall(r"moved from node1 \(NodeNotAssignable\), (\d+) connections with it", run.report())
        assert int(along) >= len(PODS)
        for where, download in downloads.items():
            heard = len(download.lines)
            wait_for(where, lambda download=download, heard=heard: len(download.lines) > heard + 20)
    finally:
        lines = {where: download.stop() for where, download in downloads.items()}
    pauses = {where: longest_pause(heard) for where, heard in lines.items()}
    for where, pause in pauses.items():
        print(f"MEASURED a move under a download of {where}, {egress_ip}: {pause:.2f} s")
    return max(pauses.values())


def open_ports(fleet, pod):
    """The pod's ports of its open connections to the server, by either IP version."""
    lines = fleet.lab.pod(pod, "ss", "-H", "-t", "-n", "state", "established").splitlines()
    return {line.split()[2].rpartition(":")[2] for line in lines if any(a in line for a in SERVERS.values())}


@pytest.mark.parametrize("egress_ip", SERVERS)
def test_no_client_is_left_hanging_where_connections_cannot_go_along(fleet, egress_ip):
    """With fewer forks than nodes there is no hand-over: a connection on which only the server sends lives or ends."""
    options = {"egress_ip_manifests": dual_stack(egressip("one", egress_ip))}
    fleet.arrange(hosts=assignable("node1"), **options)
    before = {pod: open_ports(fleet, pod) for pod in PODS.values()}
    downloads = {pod: fleet.lab.download(pod, timeout=300, host=SERVERS[egress_ip]) for pod in PODS.values()}
    try:
        for pod, download in downloads.items():
            wait_for(pod, lambda download=download: len(download.lines) > 10)
        ports = {pod: open_ports(fleet, pod) - before[pod] for pod in PODS.values()}
        assert all(ports.values())
        run = fleet.good("reconcile", "--forks", "1", hosts=assignable("node2"), **options)
        assert "connections with it" not in run.report()
        for pod, download in downloads.items():
            heard = len(download.lines)
            # The server repeats what was lost at growing intervals, the last of them as long as the gap.
            wait_for(
                f"{pod} goes on or ends",
                lambda pod=pod, download=download, heard=heard: (
                    len(download.lines) > heard + 10 or not ports[pod] & open_ports(fleet, pod)
                ),
                30 + run.seconds,
            )
    finally:
        for download in downloads.values():
            download.stop()


def test_an_address_whose_new_holder_does_not_connect_stays(fleet):
    """Nothing is lost, the run fails and says why, and the next one moves the address."""
    options = {"egress_ip_manifests": dual_stack(egressip("one", FIRST))}
    fleet.arrange(hosts=assignable("node1"), **options)
    block = "add table inet theirs; add chain inet theirs in { type filter hook input priority 0; }"
    fleet.lab.exec("node1", "nft", f"{block}; add rule inet theirs in tcp dport 4790 drop")
    try:
        run = fleet.bad(hosts=assignable("node2"), **options)
        assert f"node1: {FIRST} is not released: its new holder did not connect" in run.report()
        assert fleet.holders() == {FIRST: ["node1"]}
        assert fleet.sources(PODS["a pod of a third node"]) == {FIRST}
    finally:
        fleet.lab.exec("node1", "nft", "delete table inet theirs")
    fleet.good(hosts=assignable("node2"), **options)
    assert fleet.holders() == {FIRST: ["node2"]}


def test_two_drains_at_once_leave_each_address_on_one_node(fleet):
    """Both may fail, the next run may not."""
    hosts = dict.fromkeys(NODE_NAMES, ASSIGNABLE)
    egress_ips = [f"192.168.126.{number}" for number in range(10, 16)]
    options = {"egress_ip_manifests": dual_stack(*(egressip(f"at-{ip}", ip) for ip in egress_ips)), "hosts": hosts}
    fleet.arrange(**options)

    def drain(node, pause):
        time.sleep(pause)
        return fleet.run("drain", egress_ip_drain_nodes=[node], **options)

    with ThreadPoolExecutor() as pool:
        for run in [pool.submit(drain, "node1", 0), pool.submit(drain, "node2", 0.5)]:
            run.result()
    fleet.wait_for_two_looks(*NODE_NAMES)
    holders = fleet.holders()
    assert {ip: len(nodes) for ip, nodes in holders.items()} == dict.fromkeys(egress_ips, 1), holders
    fleet.good(**options)
    assert {ip: len(nodes) for ip, nodes in fleet.holders().items()} == dict.fromkeys(egress_ips, 1)
