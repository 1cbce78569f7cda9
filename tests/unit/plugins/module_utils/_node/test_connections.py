# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Connections that leave and arrive, in the connection tracking of the real kernel."""

from __future__ import annotations

import socket
import subprocess
from dataclasses import replace

import pytest
from ansible_collections.netops.egress_ip.plugins.module_utils._common.errors import CommandError
from ansible_collections.netops.egress_ip.plugins.module_utils._host_io import conntrack
from ansible_collections.netops.egress_ip.plugins.module_utils._host_io.host_io import HostIO
from ansible_collections.netops.egress_ip.plugins.module_utils._node.connections import Connections
from ansible_collections.netops.egress_ip.plugins.module_utils._protocols.ctnetlink import (
    Flow,
    create_request,
    parse_entries,
)
from network_namespace import network_namespace
from states import egress_object, node_state

MARKS = {"192.168.126.101": 1, "2001:db8:126::101": 2}
OWN = {"192.168.126.101": "192.168.126.21", "2001:db8:126::101": "2001:db8:126::21"}
OTHER = {"192.168.126.101": "192.168.126.23", "2001:db8:126::101": "2001:db8:126::23"}
POD = {"192.168.126.101": "10.88.0.2", "2001:db8:126::101": "fd00:88::2"}
SERVER = {"192.168.126.101": ("203.0.113.9", 80), "2001:db8:126::101": ("2001:db8:9::9", 80)}


@pytest.fixture(params=MARKS)
def egress_ip(request):
    """An egress IP, in a network namespace whose kernel tracks and translates connections."""
    with network_namespace():
        rules = "add table inet t; add chain inet t p { type nat hook postrouting priority 90; }"
        subprocess.run(["nft", rules], check=True)
        yield request.param


@pytest.fixture
def connections():
    return Connections(HostIO(), node_state(egressips=[egress_object("web", list(MARKS))], held=[]), MARKS)


def flow(egress_ip, source, port=40000, translated=None, **parts):
    known = {"destination": SERVER[egress_ip], "server": SERVER[egress_ip], "timeout": 300, "assured": True}
    tcp = {"protocol": 6, "tcp": (3, (7, 7), (11, 11))}
    return Flow(**{**tcp, **known, "source": (source, port), "translated": translated or (egress_ip, port), **parts})


def track(egress_ip, *flows):
    requests = [create_request(item, MARKS[egress_ip]) for item in flows]
    assert HostIO.change_connections(requests) == [0] * len(flows)


def tracked(egress_ip):
    """What the kernel tracks with the mark of the address, but for the seconds left."""
    found = HostIO.read_connections([(MARKS[egress_ip], 0xFFF)])
    assert {mark for mark, _item in found} <= {MARKS[egress_ip]}
    return {replace(item, timeout=300) for _mark, item in found}


def test_what_is_made_known_is_read_again(egress_ip):
    flows = {
        flow(egress_ip, POD[egress_ip]),
        flow(egress_ip, POD[egress_ip], 40001, tcp=(4, (0, 0), (8, 8)), assured=False),
        flow(egress_ip, POD[egress_ip], 40002, protocol=17, tcp=()),
    }
    track(egress_ip, *flows)
    assert tracked(egress_ip) == flows


def test_what_is_over_is_not_read(egress_ip):
    track(egress_ip, *(flow(egress_ip, POD[egress_ip], 40000 + n, tcp=(n, (7, 7), (3, 3))) for n in (7, 8)))
    assert tracked(egress_ip) == set()


def test_the_connections_of_an_address_leave(egress_ip, connections):
    third, own = flow(egress_ip, OTHER[egress_ip]), flow(egress_ip, POD[egress_ip], 50000)
    elsewhere = flow(egress_ip, POD[egress_ip], 50001, translated=(OWN[egress_ip], 50001))
    track(egress_ip, third, own, elsewhere)
    leaving = connections.leaving([egress_ip])[egress_ip]
    assert {replace(item, timeout=300) for item in leaving} == {third, own}
    HostIO.forget_connections([MARKS[egress_ip]], 0xFFF)
    told = {replace(item, timeout=300) for item in connections.send_on(egress_ip, leaving)}
    assert told == {third, flow(egress_ip, OWN[egress_ip], 50000)}
    assert tracked(egress_ip) == {replace(own, translated=(OWN[egress_ip], 50000))}


def test_a_port_that_is_taken_is_replaced(egress_ip, connections):
    taken = flow(egress_ip, "10.88.0.9" if ":" not in egress_ip else "fd00:88::9", translated=(OWN[egress_ip], 40000))
    track(egress_ip, taken)
    (told,) = connections.send_on(egress_ip, [flow(egress_ip, POD[egress_ip])])
    address, port = told.source
    assert address == OWN[egress_ip]
    assert port >= 32768
    assert port != 40000
    assert told.translated == (egress_ip, 40000)
    (rerouted,) = tracked(egress_ip) - {taken}
    assert rerouted.translated == told.source
    assert taken in tracked(egress_ip)


def test_connections_arrive_in_place_of_what_was_there(egress_ip, connections):
    own = flow(egress_ip, POD[egress_ip], translated=(OWN[egress_ip], 50000))
    track(egress_ip, own, flow(egress_ip, POD[egress_ip], 1, translated=(OWN[egress_ip], 2)))
    # What this node passed on after it had lost the address.
    passed_on = flow(egress_ip, SERVER[egress_ip][0], 80, (SERVER[egress_ip][0], 80))
    track(egress_ip, replace(passed_on, destination=(egress_ip, 40000), server=(egress_ip, 40000)))
    third = flow(egress_ip, OTHER[egress_ip])
    coming = flow(egress_ip, OWN[egress_ip], 50000, translated=(egress_ip, 40001))
    connections.arrive({egress_ip: [third, coming]})
    assert connections.arrived == {egress_ip: 2}
    assert tracked(egress_ip) == {third, flow(egress_ip, POD[egress_ip], translated=(egress_ip, 40001))}


def between(connections, monkeypatch, mark, *flows):
    """Let the kernel track these connections twice after their entries were deleted, before others are made."""
    real, times = HostIO.change_connections, [1, 2]

    def change(messages):
        if times:
            times.pop()
            real([create_request(each, mark) for each in flows])
        return real(messages)

    monkeypatch.setattr(connections.io, "change_connections", change, raising=False)


def test_a_packet_of_the_pod_or_the_server_comes_before_its_connection_is_tracked(egress_ip, connections, monkeypatch):
    """The kernel has made an entry of its own then, which must not keep the connection off."""
    own = flow(egress_ip, POD[egress_ip], translated=(OWN[egress_ip], 50000))
    from_server = replace(
        flow(egress_ip, *SERVER[egress_ip]), destination=(egress_ip, 40001), server=(egress_ip, 40001)
    )
    passed_on = replace(from_server, translated=SERVER[egress_ip])
    track(egress_ip, own)
    between(connections, monkeypatch, MARKS[egress_ip], own, passed_on)
    third = flow(egress_ip, OTHER[egress_ip], 40001)
    coming = flow(egress_ip, OWN[egress_ip], 50000, translated=(egress_ip, 40000))
    connections.arrive({egress_ip: [coming, third]})
    assert connections.arrived == {egress_ip: 2}
    assert tracked(egress_ip) == {third, flow(egress_ip, POD[egress_ip])}


def test_a_packet_of_the_pod_comes_before_its_connection_is_sent_on(egress_ip, connections, monkeypatch):
    leaving = flow(egress_ip, POD[egress_ip])
    between(connections, monkeypatch, MARKS[egress_ip], leaving)
    (told,) = connections.send_on(egress_ip, [leaving])
    assert told.source == (OWN[egress_ip], 40000)
    assert tracked(egress_ip) == {replace(leaving, translated=told.source)}


def test_another_node_cannot_replace_a_connection_that_is_not_its_own(egress_ip, connections):
    """It may send any flow from the endpoint of a node."""
    present = flow(egress_ip, OTHER[egress_ip], translated=(OTHER[egress_ip], 40000))
    assert HostIO.change_connections([create_request(present, 0)]) == [0]
    connections.arrive({egress_ip: [flow(egress_ip, OTHER[egress_ip])]})
    assert connections.arrived == {egress_ip: 0}
    assert [replace(item, timeout=300) for _mark, item in HostIO.read_connections([(0, 0)])] == [present]


def test_what_still_goes_another_way_is_forgotten(egress_ip, connections):
    right = flow(egress_ip, POD[egress_ip])
    track(egress_ip, right, flow(egress_ip, POD[egress_ip], 1, translated=(OWN[egress_ip], 1)))
    connections.forget_others([egress_ip])
    assert tracked(egress_ip) == {right}


ESP = socket.IPPROTO_ESP
ECHO = {4: (socket.IPPROTO_ICMP, b"\x08\0\xf7\xfd\0\1\0\1"), 6: (socket.IPPROTO_ICMPV6, b"\x80\0\0\0\0\1\0\1")}
PROTOCOLS = {
    "UDP": lambda _version: (socket.SOCK_DGRAM, 0, b"x"),
    "TCP": lambda _version: (socket.SOCK_STREAM, 0, b""),
    "ICMP": lambda version: (socket.SOCK_RAW, *ECHO[version]),
    "ESP": lambda _version: (socket.SOCK_RAW, ESP, bytes(16)),
}


def send_unanswered(egress_ip, protocol):
    """Send to the server, from this node and from the egress IP, with the mark; no host gets the packets."""
    version, family = (6, socket.AF_INET6) if ":" in egress_ip else (4, socket.AF_INET)
    kind, number, data = PROTOCOLS[protocol](version)
    sources = OWN[egress_ip], egress_ip
    lines = ["link add swallow type veth peer name end", "link set swallow arp off up", "link set end up"]
    lines += [f"address add {each} dev swallow {'nodad' if version == 6 else ''}" for each in sources]
    lines += [f"route add default dev swallow {'' if version == 4 else 'metric 1'}"]
    subprocess.run(["ip", f"-{version}", "-batch", "-"], input="\n".join(lines), text=True, check=True)
    for source in sources:
        with socket.socket(family, kind, number) as sock:
            sock.bind((source, 40000 if kind != socket.SOCK_RAW else 0))
            sock.setblocking(False)
            if kind == socket.SOCK_STREAM:
                sock.connect_ex(SERVER[egress_ip])
            else:
                sock.sendto(data, (SERVER[egress_ip][0], 80 if kind == socket.SOCK_DGRAM else 0))


def entries(egress_ip):
    """Return the addresses to which the replies of all entries with the mark of an address go."""
    return [entry.replies_to for part in conntrack.dump([(MARKS[egress_ip], 0xFFF)], parse_entries) for entry in part]


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("zone", ["", "ct original zone set 225", "ct zone set 225"], ids=["", "original", "both"])
def test_what_no_server_has_answered_is_forgotten_too(egress_ip, connections, protocol, zone):
    """Each packet of it would keep its entry, and would be dropped, as long as the pod or the user sends."""
    marking = "add chain inet m o { type filter hook output priority -150; }; add rule inet m o ct mark set "
    zones = f"add chain inet m z {{ type filter hook output priority -300; }}; add rule inet m z {zone}"
    rules = ["add table inet m", f"{marking}{MARKS[egress_ip]}", *([zones] if zone else [])]
    subprocess.run(["nft", "; ".join(rules)], check=True)
    send_unanswered(egress_ip, protocol)
    assert sorted(entries(egress_ip)) == sorted([OWN[egress_ip], egress_ip])
    connections.forget_others([egress_ip])
    assert entries(egress_ip) == [egress_ip]


def test_a_kernel_that_refuses_keeps_no_address_from_moving(egress_ip, connections, monkeypatch):
    def refuse(*_arguments):
        raise CommandError("conntrack: for the test")

    monkeypatch.setattr(HostIO, "read_connections", refuse)
    monkeypatch.setattr(HostIO, "forget_elsewhere", refuse)
    assert connections.leaving([egress_ip]) == {egress_ip: []}
    connections.arrive({egress_ip: [flow(egress_ip, OTHER[egress_ip])]})
    connections.forget_others([egress_ip])
    assert connections.arrived == {}
