# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Nodes take over the egress IPs of a node that dies, without a run; the next run adopts that."""

from __future__ import annotations

import contextlib
import time

import pytest
from fleet import ASSIGNABLE, FIRST, NODE_NAMES, SECOND, wait_for
from lab import longest_gap

FOLLOW = "netops-egress-ip-follow.service"
# node1 and node3 hold an address, node2 is the standby of both.
OPTIONS = {"hosts": {"node2": ASSIGNABLE}, "egress_ip_failover": True, "egress_ip_answer_timeout": 300}
# Pods of node2, which use both addresses.
PODS = ("namespace1/pod2", "namespace2/pod3")
# `make faults` has the measured figures; a busy machine is slower.
GAP = 3.0
# A run restarts the program some seconds after it, with the new code. Only a holder that has answered a program is
# replaced by it, so the tests begin when the programs have run for a while.
SETTLED = 8.0


@pytest.fixture
def following(machines):
    """The fleet with failover, and programs that have found each other."""
    machines.arrange(**OPTIONS)
    for name in NODE_NAMES:
        wait_for(f"{FOLLOW} on {name}", lambda name=name: seconds_active(machines, name) > SETTLED)
    return machines


def seconds_active(fleet, name):
    """For how long the program has run on a node; 0.0 if it does not run."""
    if not is_active(fleet, name):
        return 0.0
    words = ("systemctl", "show", "--value", "--property", "ActiveEnterTimestampMonotonic", FOLLOW)
    since = int(fleet.lab.exec(name, *words)) / 1e6
    return time.clock_gettime(time.CLOCK_MONOTONIC) - since


def is_active(fleet, name):
    """Whether the program runs on a node."""
    return fleet.lab.exec(name, "sh", "-c", f"systemctl is-active {FOLLOW} || true").strip() == "active"


def is_good(poll, count=5):
    """Whether more than so many connections were made, and the last one is a good one."""
    return len(poll.answers) > count and not poll.answers[-1].error


def moved(fleet, ip, former):
    """Whether another node than the former one has the address."""
    return [name for name in fleet.holders().get(ip, ()) if name != former] != []


def test_a_dead_node_is_replaced_without_a_run_and_never_answers_again(following):
    lost = next(ip for ip, nodes in following.holders().items() if nodes == ["node3"])
    with contextlib.ExitStack() as stack:
        polls = [stack.enter_context(following.lab.poll(pod, interval=0.05, timeout=0.2)) for pod in PODS]
        wait_for("good connections", lambda: all(is_good(poll) for poll in polls))
        following.lab.kill("node3")
        wait_for("a takeover", lambda: moved(following, lost, "node3"))
        counts = [len(poll.answers) + 10 for poll in polls]
        wait_for("good connections", lambda: all(map(is_good, polls, counts)))
    assert {answer.source for poll in polls for answer in poll.answers} - {None} <= {FIRST, SECOND}
    gap = max(longest_gap(poll.answers) for poll in polls)
    print(f"MEASURED gap of a takeover: {gap:.2f} s")
    assert gap < GAP
    assert following.holders()[lost] == ["node2"]

    following.lab.start("node3")
    wait_for("the dead node", lambda: is_active(following, "node3"), 40)
    following.wait_for_two_looks("node3")
    assert following.holders()[lost] == ["node2"]

    run = following.good(**OPTIONS)
    assert "taken over from node3" in run.report()
    assert len(following.holders()[lost]) == 1


def test_the_end_of_the_program_moves_nothing(following):
    before = following.holders()
    for words in (("kill", "--signal=KILL", FOLLOW), ("restart", FOLLOW), ("stop", FOLLOW), ("start", FOLLOW)):
        following.lab.exec("node1", "systemctl", *words)
        time.sleep(1)
        assert following.holders() == before


def test_without_failover_nothing_runs(following):
    following.good(**{**OPTIONS, "egress_ip_failover": False})
    for name in NODE_NAMES:
        assert not is_active(following, name)
        assert following.lab.exec(name, "sh", "-c", f"ls /etc/systemd/system/{FOLLOW} 2>/dev/null || true") == ""
