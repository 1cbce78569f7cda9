# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How a standby asks for the addresses of others, step by step: rules 1 to 4 of the failover."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import pytest
from ansible_collections.netops.egress_ip.plugins.module_utils._failover.neighbours import Neighbours
from ansible_collections.netops.egress_ip.plugins.module_utils._failover.values import (
    Ask,
    Clock,
    Duty,
    FailoverSettings,
    Heard,
    Neighbour,
    Note,
    Resolve,
    Timing,
)
from ansible_collections.netops.egress_ip.plugins.module_utils._failover.watched import Watch

A, B = "10.0.0.101", "10.0.0.102"
SETTINGS = FailoverSettings(
    "n2",
    peers={name: (Neighbour("eth0", f"10.0.0.{name[1:]}"),) for name in ("n1", "n3")},
    witnesses=(Neighbour("eth0", "10.0.0.254"),),
)


class Standby:
    """The watch of node n2, the first standby of A and B, which n1 holds. Time goes on by hand."""

    def __init__(self, *ips, name="n2", witnesses=("10.0.0.254",)):
        settings = replace(SETTINGS, witnesses=tuple(Neighbour("eth0", address) for address in witnesses))
        self.neighbours = Neighbours(settings, 0.0)
        self.watch = Watch(name, Timing.of(0.2), self.neighbours)
        self.now = self.judged = 0.0
        for node in ("n1", "n3"):
            self.hear(Heard("eth0", f"m{node[1:]}", f"10.0.0.{node[1:]}"))
        for ip in ips:
            self.watch.add(Duty(ip, "eth0", ("n2", "n3")), 0.0)
            self.hear(Heard("eth0", "m1", ip))

    def hear(self, heard):
        self.neighbours.hear(self.now, heard)
        self.watch.hear(self.now, heard)

    def decide(self, now):
        """The questions of this time, and the free addresses."""
        self.watch.sent(self.judged)
        self.now = self.judged = now
        return self.watch.decide(Clock(now, now, now))

    def proven(self):
        """A holder that has answered a probe."""
        self.decide(0.0)
        self.hear(Heard("eth0", "m1", A, direct=True))
        return self

    def witness(self):
        self.hear(Heard("eth0", "mr", "10.0.0.254", direct=True))


def test_a_holder_is_asked_by_frames_to_its_mac_for_one_address_after_the_other():
    standby = Standby(A, B)
    asked = []
    for step in range(4):
        actions, free = standby.decide(step * 0.1)
        assert free == []
        asked += actions
        standby.hear(Heard("eth0", "m1", actions[0].address, direct=True))
    assert asked == [Ask("eth0", ip, "m1") for ip in (A, B, A, B)]


def test_holders_are_asked_together_and_at_a_beat_before_the_time_for_it():
    standby = Standby(A, B)
    standby.decide(0.0)
    # B moves, and its new holder is asked at once.
    standby.hear(Heard("eth0", "m3", B))
    assert standby.decide(0.03)[0] == [Ask("eth0", B, "m3")]
    times = []
    for beat in range(1, 26):
        now = beat * 0.04
        standby.watch.sent(now)
        for ip, mac in ((A, "m1"), (B, "m3")):
            standby.hear(Heard("eth0", mac, ip, direct=True))
        asked = standby.watch.decide(Clock(now, now, now), is_beat=True)[0]
        assert asked in ([], [Ask("eth0", A, "m1"), Ask("eth0", B, "m3")])
        times += [beat] * bool(asked)
    assert len(times) == 10
    assert {later - sooner for sooner, later in pairwise(times)} == {2, 3}


def test_a_missing_answer_puts_all_addresses_of_the_holder_in_question():
    standby = Standby(A, B).proven()
    assert standby.decide(0.1) == ([Ask("eth0", B, "m1")], [])
    assert standby.decide(0.14) == ([], [])
    assert standby.decide(0.16) == ([Ask("eth0", A), Ask("eth0", B), Resolve("eth0", "10.0.0.254")], [])


def silent(standby, begin, windows, witness):
    """Let windows pass from a question on; returns the free addresses at their end."""
    free = []
    for window in range(1, windows + 1):
        if witness:
            standby.witness()
        _actions, free = standby.decide(begin + window * 0.051)
    return free


@pytest.mark.parametrize(("windows", "witness", "expected"), [(2, True, []), (3, True, [A]), (9, False, [])])
def test_three_silent_windows_in_which_a_witness_answered_make_an_address_free(windows, witness, expected):
    standby = Standby(A).proven()
    standby.decide(0.1)
    standby.decide(0.16)
    assert silent(standby, 0.16, windows, witness) == expected


def test_without_a_witness_only_the_witness_is_asked_after_three_windows():
    standby = Standby(A).proven()
    standby.decide(0.1)
    standby.decide(0.16)
    silent(standby, 0.16, 3, witness=False)
    assert standby.decide(0.4)[0] == [Resolve("eth0", "10.0.0.254")]
    standby.witness()
    # That window does not count: this node did not ask for the address in it.
    assert standby.decide(0.46)[0] == [Ask("eth0", A), Resolve("eth0", "10.0.0.254", "mr")]


def test_a_witness_that_has_just_fallen_silent_is_asked_by_a_frame_to_all_hosts():
    """It may be another router now, with the same address."""
    standby = Standby(A).proven()
    standby.decide(0.1)
    standby.witness()
    assert standby.decide(0.16)[0] == [Ask("eth0", A), Resolve("eth0", "10.0.0.254", "mr")]
    assert standby.decide(0.22)[0] == [Ask("eth0", A), Resolve("eth0", "10.0.0.254")]
    standby.hear(Heard("eth0", "ms", "10.0.0.254", direct=True))
    assert standby.decide(0.28)[0] == [Ask("eth0", A), Resolve("eth0", "10.0.0.254", "ms")]


def test_an_answer_ends_the_suspicion():
    standby = Standby(A, B).proven()
    standby.decide(0.1)
    standby.decide(0.16)
    standby.hear(Heard("eth0", "m1", A, direct=True))
    standby.hear(Heard("eth0", "m1", B, direct=True))
    assert silent(standby, 0.16, 4, witness=True) == []


def test_a_window_begins_when_the_question_was_sent():
    """A program that is late with sending must not take its own lateness for silence."""
    standby = Standby(A).proven()
    standby.watch.decide(Clock(0.1, 0.1, 0.0))
    standby.watch.sent(0.5)
    assert standby.decide(0.52) == ([], [])
    standby.hear(Heard("eth0", "m1", A, direct=True))
    assert standby.decide(0.56)[0] == [Ask("eth0", A, "m1")]


def test_a_holder_that_never_answered_a_probe_is_reported_and_not_replaced():
    standby = Standby(A)
    actions = [action for step in range(300) for action in standby.decide(step * 0.02)[0]]
    assert [action for action in actions if isinstance(action, Note)] == [
        Note("n1 does not answer probes on eth0, so nothing of it can be taken over")
    ]
    assert {action for action in actions if not isinstance(action, Note)} == {Ask("eth0", A, "m1")}


@pytest.mark.parametrize("probe", [1, 2, 3])
def test_a_holder_that_answered_a_later_probe_and_then_died_is_replaced(probe):
    """It has proven that probes get through, also while its addresses were in question."""
    standby = Standby(A, B).proven()
    standby.decide(0.1)
    standby.decide(0.16)
    silent(standby, 0.16, probe - 1, witness=True)
    for ip in (A, B):
        standby.hear(Heard("eth0", "m1", ip, direct=True))
    begin, free = standby.now, []
    while not free and standby.now < begin + 60:
        standby.witness()
        actions, free = standby.decide(standby.now + 0.01)
        assert not [action for action in actions if isinstance(action, Note)]
    assert free == [A, B]
    assert standby.now - begin <= 0.3


def test_an_address_without_a_known_holder_is_resolved_every_second_and_never_probed():
    standby = Standby()
    standby.watch.add(Duty(A, "eth0", ("n2",)), 0.0)
    actions = [action for step in range(100) for action in standby.decide(step * 0.02)[0]]
    assert actions == [Resolve("eth0", A), Resolve("eth0", A)]
    standby.hear(Heard("eth0", "mx", A))
    assert standby.decide(2.1)[0] == [Resolve("eth0", A)]


def test_the_second_standby_begins_a_turn_later():
    standby = Standby(A, name="n3").proven()
    standby.decide(0.1)
    assert standby.decide(0.16) == ([], [])
    assert standby.watch.next_time() == pytest.approx(0.41)
    assert Ask("eth0", A) in standby.decide(0.42)[0]


# --- Rule 4: another host probes for the address ----------------------------------------------------------------------


def suspecting(name="n2"):
    standby = Standby(A, name=name).proven()
    standby.decide(0.1)
    standby.decide(0.16)
    return standby


def test_a_standby_with_a_later_turn_delays_nothing():
    standby = suspecting()
    standby.hear(Heard("eth0", "m3", "", A))
    assert silent(standby, 0.16, 3, witness=True) == [A]


def test_an_unknown_host_delays_a_takeover_but_only_for_three_seconds():
    standby = suspecting()
    free, step = [], 0
    while not free:
        step += 1
        standby.now = 0.16 + step * 0.02
        standby.hear(Heard("eth0", "mx", "", A))
        standby.witness()
        free = standby.decide(standby.now)[1]
    assert 3.16 <= standby.now <= 3.5


def test_a_node_with_an_earlier_turn_goes_first():
    standby = suspecting("n3")
    for step in range(300):
        standby.now = 0.16 + step * 0.02
        standby.neighbours._names["m2"] = "n2"
        standby.hear(Heard("eth0", "m2", "", A))
        standby.witness()
        assert standby.decide(standby.now)[1] == []


def test_who_probed_before_the_holder_fell_silent_moves_the_address_by_plan():
    standby = Standby(A).proven()
    standby.decide(0.1)
    standby.hear(Heard("eth0", "m3", "", A))
    assert standby.decide(0.16) == ([], [])
    assert standby.watch.next_time() == pytest.approx(0.45)


@pytest.mark.parametrize("claimant", ["n3", "n4"])
def test_a_claimant_that_is_slow_keeps_the_standby_back_for_three_seconds(claimant):
    """Of a run that moves the address to the next standby, or to a node that is none."""
    standby = Standby(A).proven()
    standby.neighbours._names[f"m{claimant[1:]}"] = claimant
    if claimant == "n3":
        standby.hear(Heard("eth0", "m3", "", A))
    standby.decide(0.1)
    standby.decide(0.16)
    free, step = [], 0
    while not free:
        step += 1
        standby.now = 0.16 + step * 0.02
        standby.hear(Heard("eth0", f"m{claimant[1:]}", "", A))
        standby.witness()
        free = standby.decide(standby.now)[1]
    assert 3.16 <= standby.now <= 3.5


def test_an_address_is_in_question_until_an_answer():
    standby = Standby(A, B).proven()
    standby.decide(0.1)
    assert not standby.watch.suspects
    standby.decide(0.16)
    assert standby.watch.suspects
    standby.hear(Heard("eth0", "m1", A, direct=True))
    assert standby.watch.suspects
    standby.hear(Heard("eth0", "m1", B, direct=True))
    assert not standby.watch.suspects


def test_own_pause_begins_all_questions_again():
    standby = suspecting()
    silent(standby, 0.16, 2, witness=True)
    standby.watch.forget_silence(5.0)
    standby.witness()
    assert standby.decide(5.0)[1] == []
    assert silent(standby, 5.0, 2, witness=True) == []


# --- This node cannot take an address ---------------------------------------------------------------------------------


@pytest.mark.parametrize(("prompt", "pauses"), [(True, [0.05, 0.05, 0.05, 3.3, 3.3]), (False, [3.3, 3.3])])
def test_a_refused_node_gives_all_others_their_turn(prompt, pauses):
    standby = suspecting()
    for pause in pauses:
        standby.watch.refuse([A], standby.now, prompt)
        assert standby.watch.next_time() == pytest.approx(standby.now + pause)


def test_a_refused_node_tries_at_once_again_after_a_holder_was_heard():
    standby = suspecting()
    for _refusal in range(4):
        standby.watch.refuse([A], standby.now, prompt=True)
    standby.decide(0.3)
    standby.hear(Heard("eth0", "m1", A))
    standby.decide(0.5)
    standby.hear(Heard("eth0", "m1", A, direct=True))
    standby.decide(0.6)
    standby.decide(0.66)
    standby.watch.refuse([A], standby.now, prompt=True)
    assert standby.watch.next_time() == pytest.approx(0.71)


def test_only_a_witness_of_the_same_ip_version_shows_that_silence_counts():
    standby = Standby(A, witnesses=("10.0.0.254", "2001:db8::254")).proven()
    standby.decide(0.1)
    standby.decide(0.16)
    for window in range(1, 6):
        standby.hear(Heard("eth0", "mr", "2001:db8::254", direct=True))
        assert standby.decide(0.16 + window * 0.051)[1] == []
