# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Neighbour discovery frames to the byte."""

from __future__ import annotations

import pytest
from ansible_collections.netops.egress_ip.plugins.module_utils._protocols.ethernet import NeighbourMessage
from ansible_collections.netops.egress_ip.plugins.module_utils._protocols.ndp import (
    announcements,
    parse_frame,
    probe_frame,
)
from hypothesis import given
from hypothesis import strategies as st

MAC, IP = "02:00:c0:a8:7e:15", "2001:db8:126::101"
PACKED = "20010db8012600000000000000000101"


def made(*words):
    return bytes.fromhex("".join(words).replace(" ", ""))


PROBE = made(
    "3333ff000101 0200c0a87e15 86dd",
    "60000000 0018 3a ff 00000000000000000000000000000000 ff0200000000000000000001ff000101",
    "87 00 0000 00000000",
    PACKED,
)
ANNOUNCEMENT = made(
    "333300000001 0200c0a87e15 86dd",
    "60000000 0020 3a ff",
    PACKED,
    "ff020000000000000000000000000001",
    "88 00 0000 20000000",
    PACKED,
    "02 01 0200c0a87e15",
)


def without_checksum(frame):
    return frame[:56] + frame[58:]


def total(frame):
    """The sum that a receiver makes of the pseudo header and the message: all ones when the checksum is right."""
    words = frame[22:54] + (len(frame) - 54).to_bytes(4, "big") + (58).to_bytes(4, "big") + frame[54:]
    value = sum(int.from_bytes(words[i : i + 2], "big") for i in range(0, len(words), 2))
    while value >> 16:
        value = (value & 0xFFFF) + (value >> 16)
    return value


def test_a_probe_to_the_byte():
    assert without_checksum(probe_frame(MAC, IP)) == without_checksum(PROBE)
    assert total(probe_frame(MAC, IP)) == 0xFFFF


def test_an_announcement_to_the_byte():
    (frame,) = announcements(MAC, IP, MAC)
    assert without_checksum(frame) == without_checksum(ANNOUNCEMENT)
    assert total(frame) == 0xFFFF


def test_who_speaks_for_another_sends_from_its_own_mac():
    (frame,) = announcements(MAC, IP, "02:00:c0:a8:7e:16")
    assert without_checksum(frame) == without_checksum(ANNOUNCEMENT)[:-6] + made("0200c0a87e16")
    assert total(frame) == 0xFFFF
    assert parse_frame(frame) == NeighbourMessage("02:00:c0:a8:7e:16", IP, "")


def test_frames_are_read_as_they_were_made():
    assert parse_frame(PROBE) == NeighbourMessage(MAC, "", IP)
    assert parse_frame(ANNOUNCEMENT) == NeighbourMessage(MAC, IP, "")
    assert parse_frame(ANNOUNCEMENT[:-8]) == NeighbourMessage(MAC, IP, "")


def test_who_asks_for_somebody_else_uses_the_address_it_asks_from():
    frame = PROBE[:22] + made("20010db8012600000000000000000022") + PROBE[38:]
    assert parse_frame(frame) == NeighbourMessage(MAC, "2001:db8:126::22", "")


@pytest.mark.parametrize("length", range(len(PROBE)))
def test_a_truncated_frame_is_none(length):
    assert parse_frame(PROBE[:length]) is None


@pytest.mark.parametrize("position", [12, 13, 20, 21, 54])
def test_another_protocol_is_none(position):
    assert parse_frame(PROBE[:position] + b"\x77" + PROBE[position + 1 :]) is None


@given(st.binary(max_size=100))
def test_no_bytes_raise(data):
    parse_frame(data)
    parse_frame(PROBE[:54] + data)
