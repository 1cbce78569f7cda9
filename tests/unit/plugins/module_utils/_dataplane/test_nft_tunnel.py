# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Attacks on the data plane of two real nodes in network namespaces, each with an ordinary use that must go on."""

from __future__ import annotations

import contextlib
import socket

import pytest
from small_fleet import (
    BROADCAST,
    EGRESS1,
    EGRESS2,
    FAMILIES,
    FAR_SERVER,
    GATEWAY,
    NODE1,
    NODE2,
    OTHER,
    OUTSIDER,
    SELECTED,
    SERVER,
    TUNNEL_PORT,
    connects,
    device_mac,
    forge_source,
    inside,
    ip,
    listener,
    nft,
    run,
    send,
    small_fleet,
    sources,
    sysctl,
    tunnel_packet,
)

NOBODY = 65534
VERSIONS = pytest.mark.parametrize("version", [4, 6])


@pytest.fixture(scope="module", autouse=True)
def fleet():
    with small_fleet():
        yield


def tunnel(name, target, packet, **how):
    send(name, target, packet, port=TUNNEL_PORT, **how)


def with_egress_ip(version):
    """Return what the server sees of a selected pod on node2: the address that node1 holds."""
    with contextlib.closing(listener("server", version)) as server:
        send("pod2", SERVER[version], source=SELECTED[version])
        return sources(server, expected=1)


@VERSIONS
def test_a_selected_pod_uses_the_egress_ip_of_another_node(version):
    assert with_egress_ip(version) == [EGRESS1[version]]


@VERSIONS
@pytest.mark.parametrize("target", [NODE1, EGRESS1], ids=["endpoint", "egress IP"])
@pytest.mark.parametrize(
    ("attacker", "source", "uid"),
    [
        pytest.param("pod2", OTHER, 0, id="another node's pod"),
        pytest.param("pod1", OTHER, 0, id="the holder's pod"),
        pytest.param("node2", NODE2, NOBODY, id="another node's user"),
        pytest.param("node1", NODE1, NOBODY, id="the holder's user"),
        pytest.param("outsider", OUTSIDER, 0, id="a host of the network"),
    ],
)
def test_neither_pods_nor_users_nor_others_reach_the_tunnel(version, attacker, source, uid, target):
    inner = NODE2[version]
    with contextlib.closing(listener("server", version)) as server:
        tunnel(attacker, target[version], tunnel_packet(inner, SERVER[version], EGRESS1[version]), uid=uid)
        assert sources(server) == []
    assert with_egress_ip(version) == [EGRESS1[version]]


@VERSIONS
@pytest.mark.parametrize(("mark", "passes"), [(0, False), (1, True), (0xFFF, False)], ids=hex)
def test_what_leaves_the_host_for_the_tunnel_has_the_mark_of_an_egress_ip(version, mark, passes):
    """All bits: a selected pod's packet to the host itself, which IPVS translates there."""
    packet = tunnel_packet(NODE2[version], SERVER[version], EGRESS1[version])
    with contextlib.closing(listener("server", version)) as server:
        with inside("node2"), socket.socket(FAMILIES[version], socket.SOCK_DGRAM) as sock:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_MARK, mark)
            sock.bind((NODE2[version], 0))
            with contextlib.suppress(PermissionError):
                sock.sendto(packet, (NODE1[version], TUNNEL_PORT))
        assert sources(server, expected=passes) == [EGRESS1[version]] * passes


@VERSIONS
@pytest.mark.parametrize("attacker", ["outsider", "pod1"])
@pytest.mark.parametrize(
    ("victim", "inner_source", "inner_destination"),
    [
        pytest.param("server", OUTSIDER, SERVER, id="the egress IP for itself"),
        pytest.param("node1", NODE2, NODE1, id="a service of the node"),
        pytest.param("node1", NODE2, GATEWAY, id="a service of the node, by another address"),
        pytest.param("node1", NODE2, EGRESS1, id="a service of the node, by the egress IP"),
        pytest.param("pod1", NODE2, OTHER, id="a pod"),
        pytest.param("pod1", NODE2, SELECTED, id="a selected pod"),
        pytest.param("node2", NODE2, NODE2, id="another node"),
    ],
)
def test_a_forged_node_as_outer_source(version, attacker, victim, inner_source, inner_destination):
    """An outer source that is a node's gets nobody further than a blind packet from that node."""
    forge_source(attacker, NODE2[version])
    packet = tunnel_packet(inner_source[version], inner_destination[version], EGRESS1[version])
    try:
        with contextlib.closing(listener(victim, version)) as service:
            for target in (NODE1, EGRESS1, GATEWAY):
                with contextlib.suppress(OSError):
                    tunnel(attacker, target[version], packet, source=NODE2[version])
            assert sources(service) == []
    finally:
        ip(attacker, f"address delete {NODE2[version]} dev lo")
    assert with_egress_ip(version) == [EGRESS1[version]]


@VERSIONS
def test_a_pod_cannot_forge_a_node_at_all(version):
    forge_source("pod1", NODE2[version])
    try:
        with contextlib.closing(listener("server", version)) as server:
            for target in (NODE1, EGRESS1):
                packet = tunnel_packet(NODE2[version], SERVER[version], EGRESS1[version])
                tunnel("pod1", target[version], packet, source=NODE2[version])
            assert sources(server) == []
    finally:
        ip("pod1", f"address delete {NODE2[version]} dev lo")


@VERSIONS
def test_nothing_from_the_tunnel_reaches_a_pod_by_a_foreign_translation(version):
    """As a service of Kubernetes would: the inner destination becomes a pod on the holder."""
    family, service = {4: ("ip", "198.51.100.1"), 6: ("ip6", "2001:db8:5::1")}[version]
    rule = f"{family} daddr {service} dnat {family} to {OTHER[version]}"
    forge_source("outsider", NODE2[version])
    nft(
        "node1",
        "add table inet theirs",
        "add chain inet theirs dstnat { type nat hook prerouting priority -100; }",
        f"add rule inet theirs dstnat {rule}",
    )
    try:
        with contextlib.closing(listener("pod1", version)) as pod:
            packet = tunnel_packet(NODE2[version], service, EGRESS1[version])
            tunnel("outsider", NODE1[version], packet, source=NODE2[version])
            assert sources(pod) == []
    finally:
        nft("node1", "delete table inet theirs")
        ip("outsider", f"address delete {NODE2[version]} dev lo")


@VERSIONS
@pytest.mark.parametrize(
    ("attacker", "uid", "reaches"),
    [
        pytest.param("node2", 0, True, id="a node"),
        pytest.param("node2", NOBODY, False, id="a node's user"),
        pytest.param("pod2", 0, False, id="a pod"),
        pytest.param("pod1", 0, False, id="the node's own pod"),
        pytest.param("outsider", 0, False, id="a host of the network"),
    ],
)
def test_the_port_of_the_hand_over_is_open_to_nodes_alone(version, attacker, uid, reaches):
    with contextlib.closing(listener("node1", version, TUNNEL_PORT, socket.SOCK_STREAM)) as server:
        server.listen()
        assert connects(attacker, NODE1[version], TUNNEL_PORT, uid, timeout=3 if reaches else 0.3) is reaches


@VERSIONS
def test_other_destinations_of_that_port_stay_open(version):
    with contextlib.closing(listener("server", version, TUNNEL_PORT)) as server:
        send("node2", SERVER[version], port=TUNNEL_PORT, uid=NOBODY)
        send("pod2", SERVER[version], source=OTHER[version], port=TUNNEL_PORT)
        assert sources(server, expected=2) == [NODE2[version]] * 2


@VERSIONS
@pytest.mark.parametrize("mac", ["of the device", "of the endpoint", "broadcast"])
def test_without_tables_nothing_from_the_tunnel_is_delivered(version, mac):
    with small_fleet_without_tables("netdev", "inet"):
        octets = [f"{int(part):02x}" for part in NODE1[4].split(".")]
        macs = {"of the endpoint": ":".join(["02", "e1", *octets]), "broadcast": BROADCAST}
        # The attacker does not know the address of the device; a guess has 40 bits to find.
        assert device_mac("node1") not in macs.values()
        guess = macs.get(mac, "0a:00:00:00:00:01")
        with (
            contextlib.closing(listener("node1", version)) as node,
            contextlib.closing(listener("server", version)) as server,
        ):
            for destination in (NODE1, SERVER):
                packet = tunnel_packet(OUTSIDER[version], destination[version], mac=guess)
                tunnel("outsider", NODE1[version], packet)
            assert (sources(node), sources(server)) == ([], [])


@VERSIONS
def test_without_the_table_of_the_device_a_host_that_knows_its_address_gets_nothing_forwarded(version):
    with small_fleet_without_tables("netdev"), contextlib.closing(listener("server", version)) as server:
        packet = tunnel_packet(NODE2[version], SERVER[version], mac=device_mac("node1"))
        forge_source("outsider", NODE2[version])
        try:
            tunnel("outsider", NODE1[version], packet, source=NODE2[version])
        finally:
            ip("outsider", f"address delete {NODE2[version]} dev lo")
        assert sources(server) == []


@contextlib.contextmanager
def small_fleet_without_tables(*families):
    """Take our tables of these families away from node1, of both as `nft flush ruleset` does, and put them back."""
    with inside("node1"):
        tables = "".join(run("nft", "list", "table", family, "egress_ip") for family in families)
    nft("node1", *(f"delete table {family} egress_ip" for family in families))
    try:
        yield
    finally:
        nft("node1", tables)


@VERSIONS
def test_a_selected_pod_that_others_do_not_track_stays_on_its_node(version):
    nft(
        "node2",
        "add table inet theirs",
        "add chain inet theirs raw { type filter hook prerouting priority -300; }",
        "add rule inet theirs raw iifname pods0 notrack",
    )
    try:
        with contextlib.closing(listener("server", version)) as server:
            send("pod2", SERVER[version], source=SELECTED[version])
            assert sources(server) == []
            assert connects("pod2", GATEWAY[version], 99), "node traffic needs no egress IP"
    finally:
        nft("node2", "delete table inet theirs")
    assert with_egress_ip(version) == [EGRESS1[version]]


@VERSIONS
@pytest.mark.parametrize("reverse_path_filter", [0, 2])
def test_a_host_of_the_network_cannot_send_as_a_pod(version, reverse_path_filter):
    sysctl("node2", ipv4__conf__all__rp_filter=reverse_path_filter, ipv4__conf__eth0__rp_filter=reverse_path_filter)
    forge_source("outsider", SELECTED[version])
    try:
        with contextlib.closing(listener("server", version)) as server:
            send("outsider", FAR_SERVER[version], source=SELECTED[version])
            assert sources(server) == []
    finally:
        ip("outsider", f"address delete {SELECTED[version]} dev lo")
    assert with_egress_ip(version) == [EGRESS1[version]]


@VERSIONS
def test_by_default_services_answer_on_the_egress_ip(version):
    with contextlib.closing(listener("node2", version)) as service:
        send("outsider", EGRESS2[version])
        assert sources(service, expected=1) == [OUTSIDER[version]]
    assert connects("outsider", EGRESS2[version], 22)


@pytest.mark.parametrize(("found", "passes"), [("saddr . mark . iif", False), ("saddr . mark", True)])
def test_a_firewall_that_checks_the_path_back_must_do_so_loosely(found, passes):
    """The rules that firewalld makes of the default and of `loose` in IPv6_rpfilter, see docs/firewalls.md."""
    nft(
        "node1",
        "add table inet theirs",
        "add chain inet theirs mangle { type filter hook prerouting priority -140; }",
        "add rule inet theirs mangle icmpv6 type { nd-router-advert, nd-neighbor-solicit } accept",
        f"add rule inet theirs mangle meta nfproto ipv6 fib {found} oif missing drop",
    )
    try:
        with contextlib.closing(listener("server", 6)) as server:
            send("pod2", SERVER[6], source=SELECTED[6])
            assert sources(server, expected=passes) == [EGRESS1[6]] * passes
    finally:
        nft("node1", "delete table inet theirs")
