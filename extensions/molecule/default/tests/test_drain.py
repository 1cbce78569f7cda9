# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Planned maintenance: a node releases its addresses and takes some back, with a short gap in connections."""

from __future__ import annotations

import time

import pytest
from fleet import ASSIGNABLE, FIRST, SECOND, assert_same, wait_for, within
from lab import longest_gap

SPARE = {"node2": ASSIGNABLE}
POD_OF = ("namespace1/pod2", "namespace2/pod3")


def holder_changes(fleet, *words, **options):
    """Run with connections in a loop; returns (run, answers of both pods)."""
    often = {"interval": 0.02, "timeout": 0.2}
    with fleet.lab.poll(POD_OF[0], **often) as one, fleet.lab.poll(POD_OF[1], **often) as two:
        wait_for("connections", lambda: one.answers and two.answers)
        run = fleet.good(*words, **options)
        time.sleep(0.5)
        return run, one.answers, two.answers


@pytest.mark.parametrize("forks", [50, 1])
def test_drain_and_return(fleet, forks):
    """With fewer forks than nodes a claim cannot wait for its release, so releases come first, in another task."""
    if forks > 3:
        within(1.5, lambda: drain_and_return(fleet, forks))
    else:
        drain_and_return(fleet, forks)


def drain_and_return(fleet, forks):
    """Drain a node and let it take its address back; returns the longer gap in connections in seconds."""
    fleet.arrange(hosts=SPARE)
    lost = next(ip for ip, nodes in fleet.holders().items() if nodes == ["node3"])
    fork = ("--forks", str(forks))
    run, *answers = holder_changes(fleet, "drain", *fork, hosts=SPARE, egress_ip_drain_nodes=["node3"])
    assert fleet.holders()[lost] == ["node2"], run.report()
    drained = check_answers("drain", forks, run, answers)
    # Without the drain the load is still even, so nothing moves back.
    stay = fleet.holders()
    fleet.good(hosts=SPARE)
    assert fleet.holders() == stay
    # When node2 may hold no more, node3 takes the address back.
    run, *answers = holder_changes(fleet, "reconcile", *fork)
    assert fleet.holders()[lost] == ["node3"], run.report()
    return max(drained, check_answers("return", forks, run, answers))


def check_answers(what, forks, run, answers):
    """Check that no source is another than the egress IPs; returns the longest gap in connections in seconds."""
    gap = max(longest_gap(each) for each in answers)
    slowest = max(answer.seconds for each in answers for answer in each)
    print(f"MEASURED {what}, {forks} forks: {run.seconds:.1f} s, gap {gap:.2f} s, slowest connection {slowest:.2f} s")
    assert {answer.source for each in answers for answer in each} - {None} <= {FIRST, SECOND}
    return gap


def test_a_host_variable_drains_too(fleet):
    hosts = {**SPARE, "node3": {"egress_ip_drain": True}}
    run = fleet.good(hosts=hosts)
    assert "node3" not in sum(fleet.holders().values(), []), run.report()
    assert sorted(fleet.holders()) == [FIRST, SECOND]
    before = fleet.snapshot()
    assert fleet.good(hosts=hosts).changed() == []
    assert_same(before, fleet.snapshot())


@pytest.mark.parametrize("nodes", [[], ["nobody"]])
def test_drain_of_nothing_is_refused(fleet, nodes):
    before = fleet.snapshot()
    run = fleet.bad("drain", egress_ip_drain_nodes=nodes)
    assert "egress_ip_drain_nodes: " in "".join(run.failed())
    assert_same(before, fleet.snapshot())
