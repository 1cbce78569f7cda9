# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Sources of connections, as the external server and the other nodes see them."""

from __future__ import annotations

import time

import pytest
from fleet import (
    ADDRESS,
    FIRST,
    LABEL,
    NOT_ASSIGNABLE,
    SECOND,
    SERVER,
    egressip,
    frames,
    manifests,
    wait_for,
)
from lab_topology import SERVER_PORT

# A forged packet of the tunnel: a datagram to port 9 of the server in a frame for an egress IP.
FORGED = """
import socket, struct, sys
egress_ip, server, source, mark = sys.argv[1:]
head = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 28, 1, 0, 64, 17, 0, socket.inet_aton(source), socket.inet_aton(server))
total = sum(struct.unpack("!10H", head))
head = head[:10] + struct.pack("!H", ~((total & 0xFFFF) + (total >> 16)) & 0xFFFF) + head[12:]
frame = bytes.fromhex("02e1") + socket.inet_aton(egress_ip) + bytes.fromhex("0200000000990800")
frame += head + struct.pack("!HHHH", 9, 9, 8, 0)
tunnel = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
tunnel.setsockopt(socket.SOL_SOCKET, socket.SO_MARK, int(mark))
tunnel.sendto(struct.pack("!II", 0x08000000, 225 << 8) + frame, (egress_ip, 4790))
"""
SELECTED = ("namespace1/pod1", "namespace1/pod2", "namespace2/pod3", "namespace2/pod4")
OTHER = "namespace3/other"


@pytest.mark.user_land
@pytest.mark.parametrize("udp", [False, True], ids=["tcp", "udp"])
def test_selected_pods_leave_with_the_egress_ips_and_others_with_their_node(fleet, udp):
    seen = {pod: {answer.source for answer in fleet.lab.connect(pod, count=5, udp=udp)} for pod in SELECTED}
    assert all(len(sources) == 1 and sources <= {FIRST, SECOND} for sources in seen.values()), seen
    assert {answer.source for answer in fleet.lab.connect(OTHER, count=3, udp=udp)} == {ADDRESS["node2"]}


def test_the_tunnel_takes_packets_of_nodes_alone(fleet):
    fleet.good()
    (holder,) = fleet.holders()[FIRST]
    node = next(name for name in ADDRESS if name != holder)
    # A node's own packets in the tunnel have a mark.
    for sender, mark, count in (("server", 1, 0), (node, 1, 1)):
        with fleet.lab.capture(f"udp and src host {FIRST} and dst host {SERVER.address} and dst port 9") as capture:
            fleet.lab.exec(sender, "python3", "-c", FORGED, FIRST, SERVER.address, ADDRESS[node], str(mark))
            wait_for("the frames", lambda capture=capture, count=count: len(capture.lines) >= count)
            time.sleep(0.5)
            assert len(frames(capture)) == count, sender


def test_both_egress_ips_are_used(fleet):
    """A pod's address and the destination choose; many destinations use all egress IPs of an object."""
    extra = [f"192.0.2.{i}" for i in range(1, 11)]
    for address in extra:
        fleet.lab.exec("server", "ip", "address", "add", f"{address}/32", "dev", "lo")
    try:
        for name in fleet.running():
            fleet.lab.exec(name, "ip", "route", "add", "192.0.2.0/24", "via", SERVER.address)
        seen = {fleet.lab.connect("namespace1/pod1", host=address)[0].source for address in extra}
        assert seen == {FIRST, SECOND}
    finally:
        for name in fleet.running():
            fleet.lab.exec(name, "ip", "route", "delete", "192.0.2.0/24", check=False)
        for address in extra:
            fleet.lab.exec("server", "ip", "address", "delete", f"{address}/32", "dev", "lo")


def test_no_frame_of_a_selected_pod_has_a_wrong_source(fleet):
    """Each frame to the server has an egress IP as its source, and the MAC of the node that holds it."""
    holders = fleet.holders()
    with fleet.lab.capture("tcp", "and", "dst", "host", SERVER.address, "and", "dst", "port", str(SERVER_PORT)) as wire:
        for pod in SELECTED:
            fleet.sources(pod, 5)
        lines = frames(wire)
    assert len(lines) >= 5 * len(SELECTED)
    for line in lines:
        mac, source = line.split()[1], line.split(" > ")[1].split()[-1].rsplit(".", 1)[0]
        assert source in holders, line
        assert mac == fleet.mac_of(holders[source][0]), line


def test_a_long_connection_keeps_its_source_while_a_run_has_nothing_to_do(fleet):
    with fleet.lab.session("namespace1/pod2") as session:
        fleet.good()
        assert session.send("still there") == session.source
        assert session.source in (FIRST, SECOND)


def test_a_pod_of_two_objects_follows_the_first_by_name(fleet):
    both = manifests(egressip("b-all", FIRST), egressip("a-web", SECOND, pods={"app": "web"}))
    fleet.good(egress_ip_manifests=both)
    assert {pod: fleet.sources(pod) for pod in SELECTED} == {
        "namespace1/pod1": {SECOND},
        "namespace1/pod2": {FIRST},
        "namespace2/pod3": {SECOND},
        "namespace2/pod4": {FIRST},
    }


NOBODY = {"node1": NOT_ASSIGNABLE, "node3": NOT_ASSIGNABLE}


def test_without_a_labelled_node_the_addresses_leave_and_pods_use_their_nodes(fleet):
    run = fleet.good(hosts=NOBODY)
    assert fleet.holders() == {}
    assert "NoMatchingNode" in run.report()
    assert LABEL in run.report()
    assert fleet.sources("namespace2/pod3") == {ADDRESS["node2"]}
    assert fleet.sources("namespace1/pod1") == {ADDRESS["node1"]}


def test_without_a_labelled_node_pods_may_have_no_way_out_instead(fleet):
    fleet.good(hosts=NOBODY, egress_ip_unassigned="drop")
    assert fleet.holders() == {}
    with fleet.lab.capture("dst", "host", SERVER.address, "and", "dst", "port", str(SERVER_PORT)) as wire:
        assert {answer.source for answer in fleet.lab.connect("namespace2/pod3", timeout=1)} == {None}
        assert frames(wire) == []
    assert fleet.sources(OTHER) == {ADDRESS["node2"]}


def test_strict_fails_a_run_that_leaves_something_unassigned(fleet):
    run = fleet.bad(hosts={"node3": NOT_ASSIGNABLE}, egress_ip_strict=True)
    assert any("is not assigned" in message for message in run.failed())
    assert list(fleet.holders().values()) == [["node1"]]


def test_one_label_taken_away_moves_what_can_move(fleet):
    """The other node has one address of the object already, so this one stays free, and pods use the other."""
    run = fleet.good(hosts={"node3": NOT_ASSIGNABLE})
    ((left, nodes),) = fleet.holders().items()
    assert nodes == ["node1"]
    assert "NodesExhausted" in run.report()
    assert fleet.sources("namespace2/pod3") == {left}
    assert fleet.sources("namespace1/pod2") == {left}
