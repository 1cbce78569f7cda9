# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Packets of all sizes pass the tunnel, in both directions."""

from __future__ import annotations

import json
import time

import pytest
from fleet import ALL_ASSIGNABLE, EXCLUDED, FIRST, SERVER, egressip, within
from lab_topology import SERVER_PORT
from test_dual_stack import FIRST6, dual_stack, holders6

POD = "namespace1/pod2"
# Sends `size` bytes until they come back; IPv6 and packets that must not be fragmented learn the path's MTU first.
DATAGRAM = """
import json, socket, sys
host, port, size = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
sock = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_DGRAM)
sock.settimeout(1)
sock.connect((host, port))
for tries in range(1, 31):  # a server may wait for the processor
    try:
        sock.send(bytes(size))
        print(json.dumps({"tries": tries, "echo": len(sock.recv(65535).split(b" ", 2)[2])}))
        break
    except OSError as error:
        last = str(error)
else:
    print(json.dumps({"tries": tries, "error": last}))
"""
STREAM = """
import json, socket, sys, time
host, port, size = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
stream = socket.create_connection((host, port), timeout=20).makefile("rwb")
stream.readline()
start = time.monotonic()
stream.write(b"x" * size + b"\\n")
stream.flush()
print(json.dumps({"echo": len(stream.readline().split(b" ", 2)[2]) - 1, "seconds": time.monotonic() - start}))
"""
PATH_MTU = """
import json, socket, sys
sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
sock.setsockopt(socket.IPPROTO_IP, 10, 2)  # IP_MTU_DISCOVER, IP_PMTUDISC_DO
sock.settimeout(1)
sock.connect((sys.argv[1], int(sys.argv[2])))
for _try in range(3):
    try:
        sock.send(bytes(1350))
        sock.recv(65535)
    except OSError:
        pass
print(json.dumps(sock.getsockopt(socket.IPPROTO_IP, 14)))  # IP_MTU
"""


@pytest.fixture
def remote(machines):
    """A fleet in which both egress IPs of the pod on node2 are on other nodes."""
    hosts = {**ALL_ASSIGNABLE, "node2": {"egress_ip_labels": {}}}
    documents = dual_stack(egressip("egressips-prod", FIRST, FIRST6))
    excluded = [*EXCLUDED, "fd00:88::/64"]
    machines.arrange(egress_ip_manifests=documents, hosts=hosts, egress_ip_excluded_cidrs=excluded)
    assert "node2" not in [name for names in {**machines.holders(), **holders6(machines)}.values() for name in names]
    return machines


def run(fleet, code, *words):
    return json.loads(fleet.lab.pod(POD, "python3", "-c", code, *map(str, words)))


@pytest.mark.parametrize("host", [SERVER.address, SERVER.address6], ids=["ipv4", "ipv6"])
def test_datagrams_of_any_size_arrive_both_ways(remote, subtests, host):
    for size in (100, 1372, 1420, 1472, 8000, 30000):
        with subtests.test(size=size):
            result = run(remote, DATAGRAM, host, SERVER_PORT, size)
            assert result.get("echo") == size, result


@pytest.mark.parametrize("host", [SERVER.address, SERVER.address6], ids=["ipv4", "ipv6"])
def test_a_stream_has_no_black_hole(remote, host):
    size = 20_000_000

    def stream():
        result = run(remote, STREAM, host, SERVER_PORT, size)
        print(f"MEASURED {2 * size / result['seconds'] / 1e6:.0f} MB/s both ways together through the tunnel")
        assert result["echo"] == size
        return result["seconds"]

    within(10, stream)


def test_a_server_that_does_not_discover_the_path_is_served_too(remote):
    """It sends without the bit that forbids fragments, so it gets no ICMP error and relies on fragmentation."""
    setting = "net.ipv4.ip_no_pmtu_disc"
    remote.lab.exec("server", "sysctl", "-qw", f"{setting}=1")
    try:
        assert run(remote, DATAGRAM, SERVER.address, SERVER_PORT, 8000).get("echo") == 8000
        assert run(remote, STREAM, SERVER.address, SERVER_PORT, 5_000_000)["echo"] == 5_000_000
    finally:
        remote.lab.exec("server", "sysctl", "-qw", f"{setting}=0")


def test_a_pod_learns_the_mtu_of_a_narrow_path_behind_the_holder(remote):
    (holder,) = remote.holders()[FIRST]
    narrow = (SERVER.address, "dev", "eth0")
    remote.lab.exec(holder, "ip", "route", "add", *narrow, "mtu", "1300")

    def learn():
        remote.lab.pod(POD, "ip", "route", "flush", "cache")
        start = time.monotonic()
        assert run(remote, PATH_MTU, SERVER.address, SERVER_PORT) == 1300
        return time.monotonic() - start

    try:
        within(5, learn)
    finally:
        remote.lab.exec(holder, "ip", "route", "delete", *narrow)
        remote.lab.pod(POD, "ip", "route", "flush", "cache")
