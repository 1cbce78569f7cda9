# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Nodes take over the egress IPs of a node that dies, without a run; the next run adopts that."""

from __future__ import annotations

import contextlib
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from fleet import ASSIGNABLE, FIRST, NODE_NAMES, SECOND, assert_same, wait_for
from lab import longest_gap
from lab_answers import probe_repeatedly, two_answers
from lab_failover import FOLLOW, is_active, wait_until_settled

pytestmark = pytest.mark.faults

# node1 and node3 hold an address, node2 is the standby of both.
OPTIONS = {"hosts": {"node2": ASSIGNABLE}, "egress_ip_failover": True, "egress_ip_answer_timeout": 300}
# Pods of node2, which use both addresses.
PODS = ("namespace1/pod2", "namespace2/pod3")
# `make faults` has the measured figures; a busy machine is slower.
GAP, TOGETHER = 3.0, 1.0
ONE_EACH = {FIRST: 1, SECOND: 1}


@pytest.fixture
def following(machines):
    """The fleet with failover, and programs that have found each other."""
    machines.arrange(**OPTIONS)
    wait_until_settled(machines.lab, NODE_NAMES)
    return machines


def is_good(poll, count=5):
    """Whether more than so many connections were made, and the last one is a good one."""
    return len(poll.answers) > count and not poll.answers[-1].error


def moved(fleet, ip, former):
    """Whether another node than the former one has the address."""
    return [name for name in fleet.holders().get(ip, ()) if name != former] != []


@contextlib.contextmanager
def observed(fleet):
    """Connections of the pods and questions for the addresses meanwhile; checks sources and answers at the end."""
    with contextlib.ExitStack() as stack:
        answers = stack.enter_context(probe_repeatedly(fleet.lab, (FIRST, SECOND)))
        polls = [stack.enter_context(fleet.lab.poll(pod, interval=0.05, timeout=0.2)) for pod in PODS]
        wait_for("good connections", lambda: all(is_good(poll) for poll in polls))
        yield polls
        counts = [len(poll.answers) + 10 for poll in polls]
        wait_for("good connections", lambda: all(map(is_good, polls, counts)))
        assert {answer.source for poll in polls for answer in poll.answers} - {None} <= {FIRST, SECOND}
        assert [each for each in two_answers(answers.lines) if each.seconds > TOGETHER] == []


def address_of_node3(fleet):
    """The address of node3."""
    return next(ip for ip, nodes in fleet.holders().items() if nodes == ["node3"])


def test_a_dead_node_is_replaced_without_a_run_and_never_answers_again(following):
    lost = address_of_node3(following)
    with observed(following) as polls:
        following.lab.kill("node3")
        wait_for("a takeover", lambda: moved(following, lost, "node3"))
    gap = max(longest_gap(poll.answers) for poll in polls)
    print(f"MEASURED gap of a takeover: {gap:.2f} s")
    assert gap < GAP
    assert following.holders()[lost] == ["node2"]

    following.lab.start("node3")
    wait_for("the dead node", lambda: is_active(following.lab, "node3"))
    following.wait_for_two_looks("node3")
    assert following.holders()[lost] == ["node2"]

    run = following.good(**OPTIONS)
    assert "taken over from node3" in run.report()
    assert len(following.holders()[lost]) == 1


def test_a_host_that_shuts_down_gives_its_address_to_its_standby(following):
    lost = address_of_node3(following)
    with observed(following) as polls:
        following.lab.stop("node3")
        wait_for("a takeover", lambda: following.holders().get(lost) == ["node2"])
    print(f"MEASURED gap of a shutdown: {max(longest_gap(poll.answers) for poll in polls):.2f} s")
    # It is logged after the record is written: a disk may be busy.
    reason = f"{lost} is taken over: node3 shuts down"
    wait_for(reason, lambda: reason in following.journal("node2", "--output=cat", f"--unit={FOLLOW}"))
    following.lab.start("node3")
    assert "taken over from node3" in following.good(**OPTIONS).report()


@pytest.mark.parametrize("seconds", [0, 2], ids=["a run that starts during a takeover", "a takeover during a run"])
def test_a_takeover_beside_a_run_leaves_one_holder(following, seconds):
    """What the run does depends on what it saw; after the next one everything is as planned."""
    lost = address_of_node3(following)
    with observed(following), ThreadPoolExecutor() as pool:
        run = pool.submit(following.run, **OPTIONS)
        time.sleep(seconds)
        following.lab.kill("node3")
        run.result()
        wait_for("a takeover", lambda: moved(following, lost, "node3"))
        # Both may have claimed it; how long two nodes answer is measured.
        wait_for("one holder of each", lambda: {ip: len(on) for ip, on in following.holders().items()} == ONE_EACH)
    following.lab.start("node3")
    following.good(**OPTIONS)
    assert {ip: len(nodes) for ip, nodes in following.holders().items()} == ONE_EACH
    assert following.good(**OPTIONS).changed() == []


# Replaces a zip by one with the same files at other places, as an upgrade does.
REPLACE = """
import os, sys, zipfile
program = sys.argv[1]
with zipfile.ZipFile(program) as old, zipfile.ZipFile(f"{program}.new", "w") as new:
    for name in reversed(old.namelist()):
        new.writestr(name, old.read(name))
os.replace(f"{program}.new", program)
"""


def test_the_program_takes_over_after_its_file_was_replaced(following):
    """A run with a newer collection replaces the file at once, and restarts the program some seconds later."""
    lost = address_of_node3(following)
    program = following.lab.exec("node2", "sh", "-c", f"systemctl cat {FOLLOW} | grep -o '[^ ]*[.]pyz'").split()[0]
    following.lab.exec("node2", "python3", "-c", REPLACE, program)
    with observed(following):
        following.lab.kill("node3")
        wait_for("a takeover", lambda: moved(following, lost, "node3"))
    following.lab.start("node3")
    assert "taken over from node3" in following.good(**OPTIONS).report()


def test_a_node_with_another_setting_stops_the_run_before_anything_changes(machines):
    machines.arrange(**OPTIONS)
    before = machines.snapshot()
    settings = {name: {"egress_ip_failover": name != "node3"} for name in NODE_NAMES}
    hosts = {name: {**OPTIONS["hosts"].get(name, {}), **settings[name]} for name in NODE_NAMES}
    run = machines.bad(hosts=hosts)
    assert "egress_ip_failover: must be the same on all nodes, and differs between" in "".join(run.failed())
    assert_same(before, machines.snapshot())


def test_the_end_of_the_program_moves_nothing(following):
    before = following.holders()
    for words in (("kill", "--signal=KILL", FOLLOW), ("restart", FOLLOW), ("stop", FOLLOW), ("start", FOLLOW)):
        following.lab.exec("node1", "systemctl", *words)
        time.sleep(1)
        assert following.holders() == before


def test_without_failover_nothing_runs(following):
    following.good(**{**OPTIONS, "egress_ip_failover": False})
    for name in NODE_NAMES:
        assert not is_active(following.lab, name)
        assert following.lab.exec(name, "sh", "-c", f"ls /etc/systemd/system/{FOLLOW} 2>/dev/null || true") == ""
