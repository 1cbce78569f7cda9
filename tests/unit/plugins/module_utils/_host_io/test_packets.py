# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Probes and frames on the real kernel."""

from __future__ import annotations

import contextlib
import itertools
import socket
import struct

import pytest
from ansible_collections.netops.egress_ip.plugins.module_utils._common.errors import (
    CommandError,
)
from ansible_collections.netops.egress_ip.plugins.module_utils._host_io import (
    packets,
)
from ansible_collections.netops.egress_ip.plugins.module_utils._protocols import arp
from ansible_collections.netops.egress_ip.plugins.module_utils._protocols.address_probe import PARSERS, Probe
from kernel_host import connect_wire, tagged
from node_runs import A, B, C

A6, B6 = "2001:db8:126::101", "2001:db8:126::102"


@pytest.mark.parametrize("address", [A, A6])
def test_frames_go_over_the_wire(host, address):
    connect_wire()
    probe = Probe(address, "02:00:c0:a8:7e:15", 1, 0.01, 10**12)
    with socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(probe.ethertype)) as sock:
        sock.bind(("wire", probe.ethertype))
        sock.settimeout(60)
        assert list(packets.run_probes({"eth0": [probe]})) == [({address}, {})]
        heard = None
        # The kernel probes for the link-local address of eth0.
        while heard is None or heard.probes != address:
            heard = PARSERS[probe.ethertype](sock.recv(2048))
        assert heard.mac == probe.mac


def sending_before_the_first_wait(monkeypatch, sock, frames):
    """Let others send these frames after the first probes, before this host waits for answers."""
    select, left = packets.select.select, list(frames)

    def send_and_select(*arguments):
        while left:
            sock.send(left.pop(0))
        return select(*arguments)

    monkeypatch.setattr(packets.select, "select", send_and_select)


def test_no_answer_is_lost_among_the_frames_of_others(host, monkeypatch):
    """Hundreds of probes for other addresses, and one host that says that it has ours. The kernel may drop more."""
    other = "02:00:c0:a8:7e:16"
    connect_wire()
    frames = [arp.probe_frame(other, f"192.168.{64 + n // 250}.{n % 250}") for n in range(900)]
    frames.append(arp.announcements(other, B, other)[1])
    probes = [Probe(address, "02:00:c0:a8:7e:15", 3, 0.1, 10**12) for address in (A, B, C)]
    with socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0) as sock:
        sock.bind(("wire", arp.ETHERTYPE))
        sending_before_the_first_wait(monkeypatch, sock, frames)
        found = list(packets.run_probes({"eth0": probes}))
    assert {address: mac for _free, conflicts in found for address, mac in conflicts.items()} == {B: other}
    assert set().union(*(free for free, _conflicts in found)) == {A, C}


class VirtualWire:
    """A socket on eth0, and the clock; at a `late` reading of the clock, frames have arrived and a second has passed.

    So it is with a process that gets no processor for a while.
    """

    def __init__(self, late, frames, drops=()):
        self.now, self.readings, self.late, self.frames, self.unread = 0.0, 0, late, frames, []
        # How many frames are dropped before each reading.
        self.drops = iter(drops)
        self.sent = 0

    def monotonic(self):
        self.readings += 1
        if self.readings == self.late:
            self.now += 1
            self.unread += self.frames
        return self.now

    def select(self, sockets, _writable, _failed, timeout):
        self.now += 0 if self.unread else timeout
        return (sockets if self.unread else [], [], [])

    def recvfrom(self, _size, _flags):
        if not self.unread:
            raise BlockingIOError
        return self.unread.pop(0), ("eth0", arp.ETHERTYPE, 1, 1, b"")

    def send(self, frame):
        assert frame
        self.sent += 1

    def getsockopt(self, *_words):
        return struct.pack("=II", 0, next(self.drops, 0))

    def getsockname(self):
        return ("eth0",)


@pytest.mark.parametrize("others", [0, 255, 256, 2000])
@pytest.mark.parametrize("late", range(1, 7))
def test_an_answer_counts_when_the_host_was_too_busy_to_read_it(monkeypatch, late, others):
    """Two readings of the clock belong to each of three probes."""
    other = "02:00:c0:a8:7e:16"
    frames = [arp.probe_frame(other, B)] * others + [arp.announcements(other, A, other)[1]]
    assert probe_on(VirtualWire(late, frames), monkeypatch) == [(set(), {A: other})]


def probe_on(wire, monkeypatch):
    """The verdicts of three probes for an address."""
    monkeypatch.setattr(packets, "time", wire)
    monkeypatch.setattr(packets, "select", wire)
    monkeypatch.setattr(packets, "has_link", lambda _interface: True)
    monkeypatch.setattr(packets, "packet_socket", lambda *_words: contextlib.nullcontext(wire))
    return list(packets.run_probes({"eth0": [Probe(A, "02:00:c0:a8:7e:15", 3, 0.1, 10**12)]}))


@pytest.mark.parametrize(("drops", "sent"), [((), 3), ((5,), 4), ((0, 0, 1), 6), ((0, 7, 1), 6)])
def test_probes_begin_again_when_the_kernel_has_dropped_frames(monkeypatch, drops, sent):
    """One of them may have been the answer."""
    wire = VirtualWire(0, [], drops)
    assert probe_on(wire, monkeypatch) == [({A}, {})]
    assert wire.sent == sent


def test_frames_that_never_end_are_an_error(monkeypatch):
    """They must not keep a node's lock for ever."""
    with pytest.raises(CommandError, match="^egress_ip_interface: eth0: more ARP or ND frames arrive than this host"):
        probe_on(VirtualWire(0, [], itertools.repeat(1)), monkeypatch)


def test_no_interface_is_a_clear_error(host):
    with pytest.raises(CommandError, match="cannot send on eth7"):
        packets.send_frames("eth7", [(0x0806, [])])


def test_an_answer_in_a_vlan_is_no_conflict(host, monkeypatch):
    other = "02:00:c0:a8:7e:16"
    connect_wire()
    probe = Probe(A, "02:00:c0:a8:7e:15", 3, 0.1, 10**12)
    with socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0) as sock:
        sock.bind(("wire", arp.ETHERTYPE))
        frames = [tagged(frame) for frame in arp.announcements(other, A, other)]
        sending_before_the_first_wait(monkeypatch, sock, frames)
        found = list(packets.run_probes({"eth0": [probe]}))
    assert found == [({A}, {})]


@pytest.mark.parametrize(
    ("name", "kind", "expected"),
    [("eth0", kind, kind < 3) for kind in range(6)] + [("eth0.5", kind, False) for kind in range(6)],
)
def test_a_frame_belongs_to_the_interface_that_received_it(name, kind, expected):
    """The kernel also delivers what the devices of its VLANs receive, what others send to others, and what it sends."""
    assert packets.is_received((name, 0x0806, kind, 1, b""), "eth0") is expected
