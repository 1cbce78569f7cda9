# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Probes and frames on the real kernel."""

from __future__ import annotations

import socket
import threading

import pytest
from ansible_collections.netops.egress_ip.plugins.module_utils._common.errors import (
    CommandError,
)
from ansible_collections.netops.egress_ip.plugins.module_utils._host_io import (
    packets,
)
from ansible_collections.netops.egress_ip.plugins.module_utils._protocols import arp
from ansible_collections.netops.egress_ip.plugins.module_utils._protocols.address_probe import PARSERS, Probe
from kernel_host import ip, tagged
from node_runs import A, B, C

A6, B6 = "2001:db8:126::101", "2001:db8:126::102"


@pytest.mark.parametrize("address", [A, A6])
def test_frames_go_over_the_wire(host, address):
    ip("link add port0 type veth peer name wire", "link set port0 master eth0 up", "link set wire up")
    probe = Probe(address, "02:00:c0:a8:7e:15", 1, 0.01, 10**12)
    with socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(probe.ethertype)) as sock:
        sock.bind(("wire", probe.ethertype))
        sock.settimeout(5)
        assert list(packets.run_probes({"eth0": [probe]})) == [({address}, {})]
        heard = None
        while heard is None or heard.mac != probe.mac:
            heard = PARSERS[probe.ethertype](sock.recv(2048))
        assert heard.probes == address


def test_no_answer_is_lost_among_the_frames_of_others(host):
    """Two thousand probes for other addresses, and one host that says that it has ours."""
    other = "02:00:c0:a8:7e:16"
    ip("link add port0 type veth peer name wire", "link set port0 master eth0 up", "link set wire up")
    frames = [arp.probe_frame(other, f"192.168.{64 + n // 250}.{n % 250}") for n in range(2000)]
    frames.append(arp.announcements(other, B, other)[1])
    probes = [Probe(address, "02:00:c0:a8:7e:15", 3, 0.1, 10**12) for address in (A, B, C)]
    with socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0) as sock:
        sock.bind(("wire", arp.ETHERTYPE))
        sending = threading.Timer(0.05, lambda: [sock.send(frame) for frame in frames])
        sending.start()
        found = list(packets.run_probes({"eth0": probes}))
        sending.join()
    assert {address: mac for _free, conflicts in found for address, mac in conflicts.items()} == {B: other}
    assert set().union(*(free for free, _conflicts in found)) == {A, C}


def test_no_interface_is_a_clear_error(host):
    with pytest.raises(CommandError, match="cannot send on eth7"):
        packets.send_frames("eth7", [(0x0806, [])])


def test_an_answer_in_a_vlan_is_no_conflict(host):
    other = "02:00:c0:a8:7e:16"
    ip("link add port0 type veth peer name wire", "link set port0 master eth0 up", "link set wire up")
    probe = Probe(A, "02:00:c0:a8:7e:15", 3, 0.1, 10**12)
    with socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0) as sock:
        sock.bind(("wire", arp.ETHERTYPE))
        frames = [tagged(frame) for frame in arp.announcements(other, A, other)]
        sending = threading.Timer(0.05, lambda: [sock.send(frame) for frame in frames])
        sending.start()
        found = list(packets.run_probes({"eth0": [probe]}))
        sending.join()
    assert found == [({A}, {})]


@pytest.mark.parametrize(
    ("name", "kind", "expected"),
    [("eth0", kind, kind < 3) for kind in range(6)] + [("eth0.5", kind, False) for kind in range(6)],
)
def test_a_frame_belongs_to_the_interface_that_received_it(name, kind, expected):
    """The kernel also delivers what the devices of its VLANs receive, what others send to others, and what it sends."""
    assert packets.is_received((name, 0x0806, kind, 1, b""), "eth0") is expected
