# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Frames that change only times: the state machine decides the same whether it knows them or not."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest
from ansible_collections.netops.egress_ip.plugins.module_utils._failover.failover import StateMachine
from ansible_collections.netops.egress_ip.plugins.module_utils._failover.routine import Routine, Stamp
from ansible_collections.netops.egress_ip.plugins.module_utils._failover.values import (
    AGAIN,
    KEPT,
    Claim,
    Clock,
    Configured,
    Duty,
    FailoverSettings,
    Heard,
    Neighbour,
    Refused,
    Release,
    Taken,
)

ROUTER, ROUTER6 = Neighbour("eth0", "10.0.0.254"), Neighbour("eth0", "2001:db8::254")
HELD, WATCHED = ("10.0.0.101", "10.0.0.102"), ("10.0.0.103", "10.0.0.104", "10.0.0.105")
NODES = ("n2", "n3", "n4")


def test_a_known_frame_changes_only_its_times():
    routine, heard, stamps = Routine(), Heard("eth0", "m2", "10.0.0.2"), (Stamp(1.0), Stamp())
    assert not routine.take_in(1.0, heard)
    routine.keep(heard, stamps)
    assert routine.take_in(1.2, heard)
    assert [stamp.at for stamp in stamps] == [1.2, 1.2]
    assert not routine.take_in(1.2, replace(heard)), "another value may be another frame"


def test_a_frame_that_did_not_come_for_a_while_is_news():
    routine, heard = Routine(), Heard("eth0", "m2", "10.0.0.2")
    routine.keep(heard, (Stamp(1.0),))
    assert not routine.take_in(1.01 + AGAIN, heard)


def test_many_frames_do_not_fill_the_memory():
    routine, frames = Routine(), [Heard("eth0", f"m{i}", "10.0.0.2") for i in range(3 * KEPT)]
    for heard in frames:
        routine.keep(heard, (Stamp(1.0),))
    assert sum(routine.take_in(1.0, heard) for heard in frames) <= KEPT


def settings(strict):
    """Node n1 holds two addresses, and is a standby of three others."""
    duties = [Duty(ip, "eth0", ("n2", "n3", "n4")) for ip in HELD] + [Duty(ip, "eth0", ("n1", "n3")) for ip in WATCHED]
    return FailoverSettings(
        "n1",
        duties=tuple(duties),
        held=dict.fromkeys(HELD, "eth0"),
        peers={name: (Neighbour("eth0", f"10.0.0.{name[1:]}"),) for name in NODES},
        macs={"m4": "n4"},
        witnesses=(ROUTER, ROUTER6),
        own_macs=frozenset(["m1"]),
        strict=strict,
    )


FRAMES = [
    Heard("eth0", "mr", ROUTER.address, direct=True),
    Heard("eth0", "mr", ROUTER6.address, direct=True),
    *(Heard("eth0", f"m{name[1:]}", "", ip, direct=True) for name in NODES for ip in HELD),
    *(Heard("eth0", mac, ip, direct=True) for mac, ip in zip(("m2", "m2", "m3"), WATCHED, strict=True)),
]
RARE = [
    *(Heard("eth0", f"m{name[1:]}", f"10.0.0.{name[1:]}", direct=True) for name in NODES),
    Heard("eth0", "ms", ROUTER.address, direct=True),
    Heard("eth0", "m1", WATCHED[0]),
    Heard("eth1", "m2", WATCHED[0], direct=True),
    *(Heard("eth0", "mx", "", ip, direct) for ip in (HELD[0], WATCHED[0]) for direct in (False, True)),
    *(
        Heard("eth0", mac, ip, direct=direct)
        for mac in ("m3", "mx")
        for ip in (HELD[0], WATCHED[0])
        for direct in (False, True)
    ),
    Heard("eth0", "m2", "10.0.0.3", direct=True),
]


def events_of(action, chance, strict):
    """What the host reports after an action."""
    if isinstance(action, Claim):
        return [(Taken if chance < 0.5 else Refused)(action.egress_ips)]
    return [Configured(settings(strict))] if isinstance(action, Release) and chance < 0.5 else []


@pytest.mark.parametrize("seed", range(30))
def test_the_state_machine_decides_the_same_for_known_and_for_new_frames(seed):
    """Copies of frames are never known."""
    chance = random.Random(seed)
    now, reports, strict = 0.0, [], seed % 2 == 1
    known, fresh = (StateMachine(settings(strict), Clock(now, now, now)) for _machine in range(2))
    for _step in range(400):
        silent = chance.choice(["", "", "", "mr", "m2", "m3"]) if chance.random() < 0.2 else "none"
        frames = [each for each in FRAMES if chance.random() < 0.9 and each.mac != silent]
        frames += [chance.choice(RARE)] * (chance.random() < 0.05)
        clock = Clock(now, now, max(now - 0.039, 0.0))
        actions = known.step(clock, [*frames, *reports])
        assert actions == fresh.step(clock, [*map(replace, frames), *reports]), now
        assert known.next_time() == fresh.next_time(), now
        reports = [event for action in actions for event in events_of(action, chance.random(), strict)]
        now += chance.choice([0.04, 0.04, 0.04, 0.011, 0.1, 0.24, 0.6] if chance.random() < 0.3 else [0.04])
