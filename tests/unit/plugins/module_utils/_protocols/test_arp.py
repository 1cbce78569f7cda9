# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""ARP frames to the byte."""

from __future__ import annotations

import pytest
from ansible_collections.netops.egress_ip.plugins.module_utils._protocols.arp import (
    announcements,
    parse_frame,
    probe_frame,
    question_frame,
)
from ansible_collections.netops.egress_ip.plugins.module_utils._protocols.ethernet import NeighbourMessage
from hypothesis import given
from hypothesis import strategies as st

MAC = "02:00:c0:a8:7e:15"
IP = "192.168.126.101"
OTHER = "02:00:c0:a8:7e:16"
ETHERNET = "ffffffffffff 0200c0a87e15 0806"
ARP = "0001 0800 06 04"


def made(*words):
    return bytes.fromhex(" ".join(words).replace(" ", ""))


PROBE = made(ETHERNET, ARP, "0001", "0200c0a87e15 00000000", "000000000000 c0a87e65")


def test_a_probe_to_the_byte():
    assert probe_frame(MAC, IP) == PROBE


def test_a_probe_to_one_host_and_a_question_to_the_byte():
    to_one = "0200c0a87e16 0200c0a87e15 0806"
    assert probe_frame(MAC, IP, OTHER) == made(to_one, ARP, "0001", "0200c0a87e15 00000000", "000000000000 c0a87e65")
    assert question_frame(MAC, "192.168.126.21", IP, OTHER) == made(
        to_one, ARP, "0001", "0200c0a87e15 c0a87e15", "000000000000 c0a87e65"
    )


def test_announcements_to_the_byte():
    assert announcements(MAC, IP, MAC) == (
        made(ETHERNET, ARP, "0001", "0200c0a87e15 c0a87e65", "000000000000 c0a87e65"),
        made(ETHERNET, ARP, "0002", "0200c0a87e15 c0a87e65", "ffffffffffff c0a87e65"),
    )


def test_who_speaks_for_another_sends_from_its_own_mac():
    assert announcements(MAC, IP, OTHER) == (
        made(ETHERNET, ARP, "0001", "0200c0a87e16 c0a87e65", "000000000000 c0a87e65"),
        made(ETHERNET, ARP, "0002", "0200c0a87e16 c0a87e65", "ffffffffffff c0a87e65"),
    )


def test_frames_are_read_as_they_were_made():
    assert parse_frame(PROBE) == NeighbourMessage(MAC, "", IP)
    assert [parse_frame(frame) for frame in announcements(MAC, IP, OTHER)] == [NeighbourMessage(OTHER, IP, "")] * 2


def test_padding_after_a_frame_is_no_matter():
    assert parse_frame(PROBE + bytes(18)) == parse_frame(PROBE)


@pytest.mark.parametrize("length", range(len(PROBE)))
def test_a_truncated_frame_is_none(length):
    assert parse_frame(PROBE[:length]) is None


@pytest.mark.parametrize("position", [12, 13, 14, 15, 16, 17, 18, 19])
def test_another_protocol_is_none(position):
    assert parse_frame(PROBE[:position] + b"\x77" + PROBE[position + 1 :]) is None


@given(st.binary(max_size=80))
def test_no_bytes_raise(data):
    parse_frame(data)


@given(st.binary(min_size=20, max_size=40))
def test_no_bytes_of_an_arp_frame_raise(data):
    parse_frame(PROBE[:20] + data)
