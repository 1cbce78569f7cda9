# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Attacks on the tunnel and on egress IPs from pods, local users and a host of the network, for both IP versions.

Each test begins or ends with the packet that a node itself may send, which shows that the attack is built right.
"""

from __future__ import annotations

import contextlib
import ipaddress
import json
import socket
import struct
import time

import pytest
from fleet import (
    ADDRESS,
    ALL_ASSIGNABLE,
    FIRST,
    POD_ADDRESS,
    SECOND,
    STOP_WATCH,
    WATCH_TIMER,
    dual_stack,
    egressip,
    frames,
    wait_for,
)
from lab_topology import NODES, SERVER

FIRST6, SECOND6 = "fd00:126::10", "fd00:126::102"
EXCLUDED = {"egress_ip_excluded_cidrs": ["10.88.0.0/16", "fd00:88::/64"]}
FIRST_OF = {4: FIRST, 6: FIRST6}
EGRESS_IPS = {4: (FIRST, SECOND), 6: (FIRST6, SECOND6)}
ADDRESS_OF = {4: ADDRESS, 6: {node.name: node.address6 for node in NODES}}
SERVER_OF = {4: SERVER.address, 6: SERVER.address6}
GATEWAY = {4: "10.88.0.1", 6: "fd00:88::1"}
FAMILIES = {4: socket.AF_INET, 6: socket.AF_INET6}
VERSIONS = pytest.mark.parametrize("version", [4, 6])
OTHER, SELECTED = "namespace3/other", "namespace1/pod2"
TUNNEL_PORT, VNI, PORT = 4790, 225, 9
DEFAULTS = {"source": "", "port": TUNNEL_PORT, "mark": 0}
SEND = """
import contextlib, socket, sys
source, target, port, mark, data = sys.argv[1], sys.argv[2], *map(int, sys.argv[3:5]), bytes.fromhex(sys.argv[5])
with socket.socket(socket.AF_INET6 if ":" in target else socket.AF_INET, socket.SOCK_DGRAM) as sock:
    if mark:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_MARK, mark)
    if source:
        sock.bind((source, 0))
    with contextlib.suppress(OSError):
        sock.sendto(data, (target, port))
"""
SERVICE = """
import socket, sys
with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as sock:
    sock.bind(("::", int(sys.argv[1])))
    while True:
        data, sender = sock.recvfrom(100)
        print("from", sender[0], data.hex(), flush=True)
"""
# A user without any right, such as a service that was taken over.
# The data of the datagram that a test sends last.
LAST = "ff"
NOBODY = ("setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups", "--inh-caps=-all")


@pytest.fixture
def dual(machines):
    """A fleet whose one object has two addresses of each IP version."""
    documents = dual_stack(egressip("egressips-prod", FIRST, SECOND, FIRST6, SECOND6))
    machines.arrange(egress_ip_manifests=documents, hosts=ALL_ASSIGNABLE, **EXCLUDED)
    return machines


def holder_of(fleet, egress_ip):
    """The node that holds an egress IP."""
    for name in fleet.running():
        (link,) = json.loads(fleet.lab.exec(name, "ip", "-j", "address", "show", "dev", "eth0"))
        if egress_ip in [item["local"] for item in link["addr_info"]]:
            return name
    raise AssertionError(f"no node holds {egress_ip}")


def inner_mac(fleet, name, egress_ip):
    """The MAC address of an egress IP in the tunnel, from the maps of a node: address -> mark -> MAC address."""
    chain = f"mark_{egress_ip.replace(':', '-')}"
    (mark,) = [key for key, value in elements(fleet, name, "inet", "marks") if value == f"goto {chain}"]
    (mac,) = [key for key, value in elements(fleet, name, "netdev", "by_mac") if value == mark]
    return mac


def elements(fleet, name, family, map_name):
    """[(key, value)] of a map of a node."""
    text = fleet.lab.exec(name, "nft", "list", "map", family, "egress_ip", map_name)
    return [tuple(item.strip().split(" : ")) for item in text.split("elements = {")[1].split("}")[0].split(",")]


def tunnel_packet(source, destination, mac):
    """What follows the UDP header of a tunnel packet, with a datagram to PORT inside, as hexadecimal text."""
    ends = [ipaddress.ip_address(address).packed for address in (source, destination)]
    datagram = struct.pack("!HHHH", 4444, PORT, 8, 0)
    if ":" not in source:
        head = struct.pack("!BBHHHBBH", 0x45, 0, 28, 1, 0, 64, 17, 0) + b"".join(ends)
        head, kind = head[:10] + struct.pack("!H", checksum(head)) + head[12:], 0x0800
    else:
        total = checksum(b"".join(ends) + struct.pack("!II", 8, 17) + datagram)
        datagram = datagram[:6] + struct.pack("!H", total)
        head, kind = struct.pack("!IHBB", 6 << 28, 8, 17, 64) + b"".join(ends), 0x86DD
    frame = bytes.fromhex(mac.replace(":", "")) + b"\x0e\0\0\0\0\1" + struct.pack("!H", kind) + head + datagram
    return (struct.pack("!II", 0x08000000, VNI << 8) + frame).hex()


def checksum(data):
    """The internet checksum of an even number of bytes."""
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def send(fleet, name, target, data, *user, **options):
    """Send a datagram from a host or a pod, with `source`, `port` and `mark`; `user` are words before the command."""
    source, port, mark = (str(options.get(key, default)) for key, default in DEFAULTS.items())
    run = fleet.lab.pod if "/" in name else fleet.lab.exec
    run(name, *user, "python3", "-c", SEND, source, target, port, mark, data)


def seen(fleet, expression, action, expected=0):
    """Number of frames on the network that match while something is done; waits for those `expected`."""
    with fleet.lab.capture(expression) as capture:
        action()
        wait_for("the frames", lambda: len(capture.lines) >= expected)
        time.sleep(0.5)
        return len(frames(capture))


def received(service):
    """Number of datagrams that a service has received up to the one with the data LAST."""
    wait_for("the last datagram", lambda: any(line.endswith(f" {LAST}") for line in service.lines))
    return len(service.stop())


@contextlib.contextmanager
def forged_source(fleet, address):
    """Give the server a foreign address as the source of its packets; it does not answer for it."""
    fleet.lab.exec("server", "sysctl", "-qw", "net.ipv4.conf.all.arp_ignore=1")
    fleet.lab.exec("server", "ip", "address", "add", address, "dev", "lo", *(("nodad",) if ":" in address else ()))
    try:
        yield
    finally:
        length = "128" if ":" in address else "32"
        fleet.lab.exec("server", "ip", "address", "delete", f"{address}/{length}", "dev", "lo")
        fleet.lab.exec("server", "sysctl", "-qw", "net.ipv4.conf.all.arp_ignore=0")


@VERSIONS
def test_neither_pods_nor_users_of_a_node_reach_the_tunnel(dual, version):
    egress_ip, server = FIRST_OF[version], SERVER_OF[version]
    holder = holder_of(dual, egress_ip)
    node = next(name for name in ADDRESS if name not in (holder, "node2"))
    data = tunnel_packet(ADDRESS_OF[version][node], server, inner_mac(dual, holder, egress_ip))
    leaves = f"udp and src host {egress_ip} and dst host {server} and dst port {PORT}"
    targets = (ADDRESS_OF[version][holder], egress_ip, ADDRESS_OF[version][node], GATEWAY[version])

    def attack():
        for target in targets:
            send(dual, OTHER, target, data)
            send(dual, SELECTED, target, data)
            for name in (holder, node, "node2"):
                send(dual, name, target, data, *NOBODY)

    assert seen(dual, leaves, attack) == 0
    # The same from a node itself: the packets of its tunnel device have a mark.
    assert seen(dual, leaves, lambda: send(dual, node, targets[0], data, mark=1), 1) == 1


@VERSIONS
def test_a_host_that_forges_a_node_gets_no_answer_and_no_service(dual, version):
    egress_ip, server = FIRST_OF[version], SERVER_OF[version]
    holder = holder_of(dual, egress_ip)
    own, mac = ADDRESS_OF[version][holder], inner_mac(dual, holder, egress_ip)
    node = next(address for name, address in ADDRESS_OF[version].items() if name != holder)
    targets = (own, egress_ip)
    with forged_source(dual, node), dual.lab.background(holder, "python3", "-c", SERVICE, str(PORT)) as service:
        wait_for("the service", lambda: f":{PORT} " in dual.lab.exec(holder, "ss", "-Hlun"))
        leaves = f"udp and src host {egress_ip} and dst host {server} and dst port {PORT}"

        def attack(inner_source, inner_destination):
            data = tunnel_packet(inner_source, inner_destination, mac)
            for target in targets:
                send(dual, "server", target, data, source=node)

        assert seen(dual, leaves, lambda: attack(server, server)) == 0
        for destination in (own, egress_ip, GATEWAY[version]):
            attack(node, destination)
        attack(server, own)
        # A blind packet in one direction remains, as from any host that can forge a node's address.
        assert seen(dual, leaves, lambda: attack(node, server), len(targets)) == len(targets)
        send(dual, "node2", own, LAST, port=PORT)
        assert received(service) == 1, service.lines


@VERSIONS
def test_without_tables_nothing_from_the_tunnel_is_delivered(dual, unwatched_node, version):
    own = ADDRESS_OF[version][unwatched_node]
    octets = ":".join(f"{int(octet):02x}" for octet in ADDRESS[unwatched_node].split("."))
    for family in ("inet", "netdev"):
        dual.lab.exec(unwatched_node, "nft", "delete", "table", family, "egress_ip")
    with dual.lab.background(unwatched_node, "python3", "-c", SERVICE, str(PORT)) as service:
        wait_for("the service", lambda: f":{PORT} " in dual.lab.exec(unwatched_node, "ss", "-Hlun"))
        for mac in (f"02:e1:{octets}", "ff:ff:ff:ff:ff:ff"):
            send(dual, "server", own, tunnel_packet(SERVER_OF[version], own, mac))
        send(dual, "server", own, LAST, port=PORT)
        assert received(service) == 1, service.lines


@pytest.fixture
def unwatched_node(dual):
    """A node on which only a run repairs anything."""
    dual.lab.exec("node1", "sh", "-ec", STOP_WATCH)
    yield "node1"
    dual.lab.exec("node1", "systemctl", "start", WATCH_TIMER)


@VERSIONS
def test_a_pod_that_others_do_not_track_stays_on_its_node(dual, version):
    server = SERVER_OF[version]
    dual.lab.exec("node2", "nft", "add table inet theirs")
    dual.lab.exec("node2", "nft", "add chain inet theirs raw { type filter hook prerouting priority -300; }")
    dual.lab.exec("node2", "nft", "add rule inet theirs raw iifname pods0 notrack")
    leaves = f"udp and dst host {server} and dst port {PORT}"
    try:
        assert seen(dual, leaves, lambda: send(dual, SELECTED, server, "00", port=PORT)) == 0
    finally:
        dual.lab.exec("node2", "nft", "delete table inet theirs")
    assert seen(dual, leaves, lambda: send(dual, SELECTED, server, "00", port=PORT), 1) > 0


@VERSIONS
@pytest.mark.parametrize("rp_filter", [0, 2])
def test_a_host_of_the_network_cannot_send_as_a_pod(dual, version, rp_filter):
    pod = {4: POD_ADDRESS[SELECTED], 6: f"fd00:88::{POD_ADDRESS[SELECTED].rpartition('.')[2]}"}[version]
    target = {4: "192.0.2.1", 6: "2001:db8:2::1"}[version]
    node, server = ADDRESS_OF[version]["node2"], SERVER_OF[version]
    names = [f"net.ipv4.conf.{name}.rp_filter" for name in ("all", "eth0")]
    former = dual.lab.exec("node2", "sysctl", "-n", *names).split()
    dual.lab.exec("node2", "sysctl", "-qw", *(f"{name}={rp_filter}" for name in names))
    for name in ADDRESS:
        dual.lab.exec(name, "ip", "route", "add", target, "via", server)
    dual.lab.exec("server", "ip", "route", "add", target, "via", node)
    # Not the server's own packet, but what the nodes make of it.
    nodes = " or ".join(f"ether src {dual.mac_of(name)}" for name in ADDRESS)
    leaves = f"udp and dst host {target} and ({nodes})"
    try:
        with forged_source(dual, pod):
            assert seen(dual, leaves, lambda: send(dual, "server", target, "00", source=pod, port=PORT)) == 0
        assert seen(dual, leaves, lambda: send(dual, SELECTED, target, "00", port=PORT), 1) > 0
    finally:
        for name in (*ADDRESS, "server"):
            dual.lab.exec(name, "ip", "route", "delete", target)
        dual.lab.exec("node2", "sysctl", "-qw", *(f"{name}={value}" for name, value in zip(names, former, strict=True)))


def test_services_do_not_answer_on_the_egress_ip_when_inbound_is_drop(dual):
    documents = dual_stack(egressip("egressips-prod", FIRST, SECOND, FIRST6, SECOND6))
    for inbound, count in (("drop", 1), ("accept", 2)):
        dual.good(egress_ip_manifests=documents, hosts=ALL_ASSIGNABLE, egress_ip_inbound=inbound, **EXCLUDED)
        for version in FAMILIES:
            assert answered(dual, version) == count, (inbound, version)
            sources = {answer.source for answer in dual.lab.connect(SELECTED, host=SERVER_OF[version])}
            assert sources <= set(EGRESS_IPS[version])


def answered(dual, version):
    """Number of datagrams that a service of a holder receives: one to the egress IP, and one to its own address."""
    egress_ip = FIRST_OF[version]
    holder = holder_of(dual, egress_ip)
    with dual.lab.background(holder, "python3", "-c", SERVICE, str(PORT)) as service:
        wait_for("the service", lambda: f":{PORT} " in dual.lab.exec(holder, "ss", "-Hlun"))
        for target, data in ((egress_ip, "00"), (ADDRESS_OF[version][holder], LAST)):
            send(dual, "server", target, data, port=PORT)
        return received(service)
