# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a probe concludes from what it hears, for both IP versions. No test waits: times are numbers."""

from __future__ import annotations

import pytest
from ansible_collections.netops.egress_ip.plugins.module_utils._protocols.address_probe import (
    PARSERS,
    Probe,
    announcements,
)
from ansible_collections.netops.egress_ip.plugins.module_utils._protocols.ethernet import NeighbourMessage

MAC, OTHER = "02:00:c0:a8:7e:15", "02:00:c0:a8:7e:16"
IP = "192.168.126.101"
ANSWER = NeighbourMessage(OTHER, IP, "")


def probe(**changes):
    return Probe(**{"address": IP, "mac": MAC, "count": 3, "interval": 0.1, "deadline": 120.0, **changes})


def send_all(item, now):
    """Let the probe send what it has from `now` on; returns the time after the last interval."""
    while item.frame_due(now):
        now = round(now + item.interval, 6)
    return now


@pytest.mark.parametrize("address", [IP, "2001:db8:126::101"])
def test_each_ip_version_has_its_frames(address):
    item = probe(address=address)
    parse = PARSERS[item.ethertype]
    assert parse(item.frame_due(100.0)) == NeighbourMessage(MAC, "", address)
    ethertype, frames = announcements(MAC, address)
    assert ethertype == item.ethertype
    assert {parse(frame) for frame in frames} == {NeighbourMessage(MAC, address, "")}


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
    item.receive(ANSWER)
    assert item.conflict(100.001) == OTHER
    assert not item.is_free(100.001)


def test_an_answer_of_another_interface_of_this_host_is_none():
    item = probe(own=frozenset({OTHER}))
    item.receive(ANSWER)
    assert item.is_free(send_all(item, 100.0))


def test_the_last_answer_counts_even_in_the_last_interval():
    item = probe()
    now = send_all(item, 100.0)
    item.receive(ANSWER)
    assert item.conflict(now) == OTHER
    assert not item.is_free(now)


def test_another_host_that_probes_at_the_same_time_is_a_conflict():
    item = probe()
    item.receive(NeighbourMessage(OTHER, "", IP))
    assert item.conflict(100.0) == OTHER


@pytest.mark.parametrize(
    "frame",
    [
        NeighbourMessage(MAC, "", IP),
        NeighbourMessage(MAC, IP, ""),
        NeighbourMessage(OTHER, "", "192.168.126.102"),
        NeighbourMessage(OTHER, "192.168.126.22", ""),
    ],
)
def test_our_own_frames_and_those_about_others_say_nothing(frame):
    item = probe()
    item.receive(frame)
    assert item.conflict(100.0) is None
    now = send_all(item, 100.0)
    assert item.is_free(now)


def test_a_hand_over_is_a_conflict_only_after_the_deadline():
    item = probe(waiting=True)
    item.receive(ANSWER)
    assert item.conflict(119.9) is None
    assert item.conflict(120.0) == OTHER


def test_a_hand_over_begins_to_count_anew_with_every_answer():
    item = probe(waiting=True)
    now = 100.0
    for _round in range(4):
        item.frame_due(now)
        item.receive(ANSWER)
        now += 0.1
        assert not item.is_free(now)
    now = send_all(item, now)
    assert item.is_free(now)
    assert item.conflict(now) is None


def test_a_hand_over_that_ended_in_time_stays_free_after_the_deadline():
    item = probe(waiting=True, deadline=100.2)
    item.receive(ANSWER)
    now = send_all(item, 100.0)
    assert item.conflict(now) is None
    assert item.is_free(now)


def test_a_hand_over_asks_again_while_it_is_answered():
    item, sent, now = probe(waiting=True), 0, 100.0
    for step in range(100):
        now = 100 + step / 10
        if item.frame_due(now):
            sent += 1
            item.receive(ANSWER)
    assert sent == 100
    assert item.next_time() > now


def test_a_holder_does_not_mind_who_only_probes():
    item = probe(holding=True)
    item.receive(NeighbourMessage(OTHER, "", IP))
    assert item.conflict(100.0) is None
    item.receive(ANSWER)
    assert item.conflict(100.0) == OTHER
