# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The sockets of a resident program on the real kernel: two ends of one cable."""

from __future__ import annotations

import socket
import time

import pytest
from ansible_collections.netops.egress_ip.plugins.module_utils._common.errors import CommandError
from ansible_collections.netops.egress_ip.plugins.module_utils._host_io import packets
from ansible_collections.netops.egress_ip.plugins.module_utils._host_io import segment as segment_module
from ansible_collections.netops.egress_ip.plugins.module_utils._host_io.segment import Segment
from ansible_collections.netops.egress_ip.plugins.module_utils._protocols import arp, ndp
from ansible_collections.netops.egress_ip.plugins.module_utils._protocols.address_probe import (
    announcements,
    probe,
    question,
)
from ansible_collections.netops.egress_ip.plugins.module_utils._protocols.ethernet import KEPT
from kernel_host import ip, tagged
from network_namespace import network_namespace

ONE, TWO = "02:00:00:00:00:01", "02:00:00:00:00:02"
V4, V6 = "10.9.0.101", "2001:db8:9::101"
OWN = [(V4, "10.9.0.2"), (V6, "fe80::2")]
CABLE = (
    f"link add name end1 address {ONE} type veth peer name end2 address {TWO}",
    # No frames of the kernel's own.
    *(f"link set {name} addrgenmode none up" for name in ("end1", "end2")),
)


@pytest.fixture
def cable():
    """The segments at both ends of a cable, end1 and end2."""
    with network_namespace():
        ip(*CABLE)
        segment = Segment()
        segment.open(["end1", "end2"])
        yield segment
        segment.close()


def arrived(segment, seconds=10):
    """What end2 sent to end1, within some seconds."""
    end = time.monotonic() + seconds
    found = []
    while not found and time.monotonic() < end:
        segment.wait(0.1, 0.01)
        found = [each for each in segment.read() if each.interface == "end1" and each.message.mac == TWO]
    return found


@pytest.mark.parametrize("address", [V4, V6])
def test_a_probe_to_all_hosts(cable, address):
    cable.send("end2", *probe(TWO, "", address))
    (heard,) = arrived(cable)
    assert (heard.message.probes, heard.message.uses, heard.direct) == (address, "", False)


@pytest.mark.parametrize(("address", "own"), OWN)
def test_a_probe_to_this_host(cable, address, own):
    cable.send("end2", *probe(TWO, own, address, ONE))
    (heard,) = arrived(cable)
    assert address in (heard.message.probes, heard.solicits)
    assert heard.direct


@pytest.mark.parametrize(("address", "own"), OWN)
def test_a_question_shows_who_asks(cable, address, own):
    cable.send("end2", *question(TWO, own, address, ONE))
    (heard,) = arrived(cable)
    assert (heard.message.uses, heard.direct) == (own, True)


@pytest.mark.parametrize("address", [V4, V6])
def test_an_announcement(cable, address):
    ethertype, frames = announcements(TWO, address)
    for frame in frames:
        cable.send("end2", ethertype, frame)
    heard = arrived(cable)
    assert {each.message.uses for each in heard} == {address}
    assert not any(each.direct for each in heard)


def test_questions_of_others_do_not_wake_the_program(cable):
    """A large network is full of them."""
    cable.send("end2", *question(TWO, "10.9.0.2", "10.9.0.3"))
    cable.send("end2", *probe(TWO, "", V4))
    assert [each.message.probes for each in arrived(cable)] == [V4]


def test_solicitations_of_others_do_not_wake_the_program(cable):
    cable.send("end2", *question(TWO, "fe80::2", "2001:db8:9::3"))
    cable.send("end2", *probe(TWO, "", V6))
    assert [each.message.probes for each in arrived(cable)] == [V6]


@pytest.mark.parametrize("address", [V4, V6])
def test_a_frame_that_comes_again_is_the_same_value(cable, address):
    """Until there are many others."""
    cable.send("end2", *probe(TWO, "", address))
    first = arrived(cable)
    cable.send("end2", *probe(TWO, "", address))
    assert arrived(cable) == first
    for number in range(2 * KEPT):
        cable.send("end2", *probe(f"02:00:00:01:{number // 256:02x}:{number % 256:02x}", "", address))
        cable.read()
    cable.send("end2", *probe(TWO, "", address))
    again = arrived(cable)
    assert again != first
    assert [each.message for each in again] == [each.message for each in first]


@pytest.mark.parametrize(("address", "own"), OWN)
def test_a_probe_to_another_host_that_a_switch_floods_is_not_one_to_all_hosts(cable, address, own):
    cable.send("end2", *probe(TWO, own, address, "02:00:00:00:00:03"))
    cable.send("end2", *probe(TWO, own, address))
    assert len(arrived(cable)) == 1


def test_damaged_frames_are_dropped(cable):
    ethertype, frame = probe(TWO, "", V4)
    for length in range(14, len(frame)):
        cable.send("end2", ethertype, frame[:length])
    cable.send("end2", ethertype, frame)
    assert len(arrived(cable)) == 1


def test_a_missing_interface_is_silent(cable):
    cable.open(["end1", "gone"])
    cable.send("gone", *probe(TWO, "", V4))
    assert cable.read() == []


def test_an_interface_without_a_link_harms_nothing(cable):
    ip("link set end1 down")
    cable.send("end1", *probe(ONE, "", V4))
    cable.read()
    ip("link set end1 up")
    for _try in range(20):
        # The link is there a moment after the command.
        cable.send("end2", *probe(TWO, "", V4))
        if arrived(cable, 0.5):
            return
    pytest.fail("no frame arrives after the link is up again")


def test_an_interface_that_was_replaced_is_opened_again(cable):
    ip("link delete end1", *CABLE)
    cable.open(["end1", "end2"])
    cable.send("end2", *probe(TWO, "", V4))
    assert arrived(cable)


def test_both_clocks_go_on(cable):
    before = cable.clocks()
    cable.wait(0.01, 0)
    assert all(later >= one for one, later in zip(before, cable.clocks(), strict=True))


def seconds_of(wait, *arguments):
    """Return how long a wait takes."""
    start = time.monotonic()
    wait(*arguments)
    return time.monotonic() - start


def test_a_frame_ends_a_wait_after_its_pause_and_another_descriptor_at_once(cable):
    one, other = socket.socketpair()
    with one, other:
        cable.open(["end1", "end2"], (one.fileno(),))
        cable.send("end2", *probe(TWO, "", V4))
        assert 0.4 <= seconds_of(cable.wait, 60, 0.4) < 30
        assert [each.message.probes for each in arrived(cable)] == [V4]
        assert not cable.wait(0.01, 0)
        other.send(b"x")
        assert cable.wait(60, 50)
        assert cable.wait(60, 0)
        assert seconds_of(cable.wait, 60, 50) < 30
        assert seconds_of(cable.wait, 60, 0) < 30
        assert seconds_of(cable.wait, -1, 50) < 30


def until(condition, seconds=10):
    """Whether a condition is true within some seconds: the kernel may deliver frames later."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if condition():
            return True
        time.sleep(0.01)
    return False


@pytest.mark.parametrize("address", [V4, V6])
def test_a_burst_that_is_too_long_is_noticed(cable, monkeypatch, address):
    """What is left of it comes with the next ones."""
    monkeypatch.setattr(segment_module, "_BURST", 8)
    sent, found = range(100), []
    for number in sent:
        cable.send("end2", *probe(f"02:00:00:00:01:{number:02x}", "", address))

    def read():
        found.append((len(cable.read()), cable.is_behind))
        return sum(count for count, _is_behind in found) == len(sent) and not cable.is_behind

    assert until(read)
    assert (8, True) in found
    assert all(is_behind == (count == 8) for count, is_behind in found)


@pytest.mark.parametrize("address", [V4, V6])
def test_dropped_frames_are_noticed_once(cable, monkeypatch, address):
    cable.close()
    monkeypatch.setattr(packets, "_RECEIVE_BUFFER", 1)
    cable.open([])
    cable.open(["end1", "end2"])
    cable.send("end2", *probe(TWO, "", address))
    assert not cable.has_dropped()
    for _frame in range(100):
        cable.send("end2", *probe(TWO, "", address))
    assert until(cable.has_dropped)
    assert until(lambda: not cable.has_dropped())


def test_a_socket_that_fails_is_tried_again_and_the_others_stay(cable, monkeypatch):
    cable.open([])
    opened, fails = [], [("end1", ndp.ETHERTYPE)]

    def limited(interface, ethertype, program):
        if (interface, ethertype) in fails:
            raise CommandError("egress_ip_interface: cannot send on end1: Too many open files")
        opened.append((interface, ethertype))
        return packets.packet_socket(interface, ethertype, program)

    monkeypatch.setattr(segment_module, "packet_socket", limited)
    for _try in range(2):
        assert cable.open(["end1", "end2"]) == "egress_ip_interface: cannot send on end1: Too many open files"
    assert sorted(opened) == [("end1", arp.ETHERTYPE), ("end2", arp.ETHERTYPE), ("end2", ndp.ETHERTYPE)]
    cable.send("end2", *probe(TWO, "", V4))
    assert arrived(cable)
    fails.clear()
    assert cable.open(["end1", "end2"]) == ""
    assert opened[3:] == [("end1", ndp.ETHERTYPE)]
    cable.send("end2", *probe(TWO, "", V6))
    assert arrived(cable)


@pytest.mark.parametrize("address", [V4, V6])
def test_tagged_frames_are_not_of_the_interface(cable, address):
    """An address may be in use in a VLAN."""
    ethertype, frames = announcements(TWO, address)
    for frame in frames:
        cable.send("end2", ethertype, tagged(frame))
    cable.send("end2", *probe(TWO, "", address))
    assert [each.message.probes for each in arrived(cable)] == [address]
