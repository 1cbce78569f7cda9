# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""ARP frames to the byte, and what a probe concludes from what it hears. No test waits: times are numbers."""

from __future__ import annotations

import pytest
from ansible_collections.netops.egress_ip.plugins.module_utils._arp import (
    Frame,
    Probe,
    announcements,
    parse_frame,
    probe_frame,
)
from hypothesis import given
from hypothesis import strategies as st

MAC, OTHER = "02:00:c0:a8:7e:15", "02:00:c0:a8:7e:16"
IP = "192.168.126.101"
ETHERNET = "ffffffffffff 0200c0a87e15 0806"
ARP = "0001 0800 06 04"
ANSWER = Frame(2, OTHER, IP, "192.168.126.21")


def made(*words):
    return bytes.fromhex(" ".join(words).replace(" ", ""))


PROBE = made(ETHERNET, ARP, "0001", "0200c0a87e15 00000000", "000000000000 c0a87e65")


def probe(**changes):
    return Probe(**{"address": IP, "mac": MAC, "count": 3, "interval": 0.1, "deadline": 120.0, **changes})


def send_all(item, now):
    """Let the probe send what it has from `now` on; returns the time after the last interval."""
    while item.frame_due(now):
        now = round(now + item.interval, 6)
    return now


def test_a_probe_to_the_byte():
    assert probe_frame(MAC, IP) == PROBE


def test_announcements_to_the_byte():
    assert announcements(MAC, IP) == (
        made(ETHERNET, ARP, "0001", "0200c0a87e15 c0a87e65", "000000000000 c0a87e65"),
        made(ETHERNET, ARP, "0002", "0200c0a87e15 c0a87e65", "ffffffffffff c0a87e65"),
    )


def test_frames_are_read_as_they_were_made():
    assert parse_frame(PROBE) == Frame(1, MAC, "0.0.0.0", IP)
    assert [parse_frame(frame) for frame in announcements(MAC, IP)] == [Frame(1, MAC, IP, IP), Frame(2, MAC, IP, IP)]


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
    frame = parse_frame(PROBE[:20] + data)
    if frame:
        probe().hear(frame)


def test_silence_for_all_intervals_is_free():
    item, sent = probe(), []
    for step in range(31):
        now = 100 + step / 100
        assert item.is_free(now) == (step >= 30)
        sent += [step] if item.frame_due(now) else []
        assert item.conflict(now) is None
    assert sent == [0, 10, 20]


def test_nothing_is_free_before_anything_was_sent():
    assert not probe().is_free(10**9)


def test_an_answer_is_a_conflict_at_once():
    item = probe()
    item.frame_due(100.0)
    item.hear(ANSWER)
    assert item.conflict(100.001) == OTHER
    assert not item.is_free(100.001)


def test_the_last_answer_counts_even_in_the_last_interval():
    item = probe()
    now = send_all(item, 100.0)
    item.hear(ANSWER)
    assert item.conflict(now) == OTHER
    assert not item.is_free(now)


@pytest.mark.parametrize("operation", [1, 2])
def test_whoever_speaks_as_the_address_has_it(operation):
    item = probe()
    item.hear(Frame(operation, OTHER, IP, "192.168.126.50"))
    assert item.conflict(100.0) == OTHER


def test_another_host_that_probes_at_the_same_time_is_a_conflict():
    item = probe()
    item.hear(Frame(1, OTHER, "0.0.0.0", IP))
    assert item.conflict(100.0) == OTHER


@pytest.mark.parametrize(
    "frame",
    [
        parse_frame(PROBE),
        *map(parse_frame, announcements(MAC, IP)),
        Frame(1, OTHER, "0.0.0.0", "192.168.126.102"),
        Frame(1, OTHER, "192.168.126.22", IP),
        Frame(2, OTHER, "192.168.126.22", "192.168.126.21"),
    ],
)
def test_our_own_frames_and_those_about_others_say_nothing(frame):
    item = probe()
    item.hear(frame)
    assert item.conflict(100.0) is None
    now = send_all(item, 100.0)
    assert item.is_free(now)


def test_a_hand_over_is_a_conflict_only_after_the_deadline():
    item = probe(waiting=True)
    item.hear(ANSWER)
    assert item.conflict(119.9) is None
    assert item.conflict(120.0) == OTHER


def test_a_hand_over_begins_to_count_anew_with_every_answer():
    item = probe(waiting=True)
    now = 100.0
    for _round in range(4):
        item.frame_due(now)
        item.hear(ANSWER)
        now += 0.1
        assert not item.is_free(now)
    now = send_all(item, now)
    assert item.is_free(now)
    assert item.conflict(now) is None


def test_a_hand_over_that_ended_in_time_stays_free_after_the_deadline():
    item = probe(waiting=True, deadline=100.2)
    item.hear(ANSWER)
    now = send_all(item, 100.0)
    assert item.conflict(now) is None
    assert item.is_free(now)


def test_a_hand_over_asks_again_while_it_is_answered():
    item, sent, now = probe(waiting=True), 0, 100.0
    for step in range(100):
        now = 100 + step / 10
        if item.frame_due(now):
            sent += 1
            item.hear(ANSWER)
    assert sent == 100
    assert item.next_time() > now
