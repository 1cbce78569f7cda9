# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Turns of standbys, and the times."""

from __future__ import annotations

from ansible_collections.netops.egress_ip.plugins.module_utils._failover.values import Duty, Timing

DUTY = Duty("10.0.0.101", "eth0", ("n2", "n3"))


def turns(holder):
    return sorted(("n1", "n2", "n3"), key=lambda name: DUTY.rank(name, holder))


def test_the_planned_holder_comes_after_its_standbys_and_the_former_holder_last():
    assert turns("") == ["n2", "n3", "n1"]
    assert turns("n1") == ["n2", "n3", "n1"]
    assert turns("n2") == ["n3", "n1", "n2"]
    assert turns("n3") == ["n2", "n1", "n3"]


def test_the_turns_of_two_nodes_are_never_equal():
    for holder in ("", "n1", "n2", "n3"):
        assert len({DUTY.rank(name, holder) for name in ("n1", "n2", "n3")}) == 3


def test_a_cut_off_holder_lets_go_before_the_silence_of_a_standby_is_complete():
    for after in (0.2, 2.0):
        timing = Timing.of(after)
        assert timing.beat + 3 * timing.beat < timing.window + 3 * timing.window
        assert timing.turn > timing.interval + timing.window
