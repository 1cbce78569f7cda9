# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A node that is stopped, killed, hangs, is cut off or reboots: who holds the address, and never two."""

from __future__ import annotations

import time

import pytest
from fleet import (
    ADDRESS,
    ALL_ASSIGNABLE,
    ASSIGNABLE,
    FIRST,
    INFO_MODULE,
    NODE_MODULE,
    NODE_NAMES,
    SECOND,
    WATCH,
    assert_same,
    frames,
    wait_for,
    within,
)
from lab import longest_gap

pytestmark = pytest.mark.faults

OF_NODE2 = ("namespace1/pod2", "namespace2/pod3")
# node1 and node3 hold addresses; node2 may.
SPARE = {"node2": ASSIGNABLE}


def held_by(fleet, node):
    """The egress IP on that node."""
    return next(ip for ip, nodes in fleet.holders().items() if nodes == [node])


@pytest.fixture
def spare(machines):
    """The fleet with a third node that may hold addresses."""
    machines.arrange(hosts=SPARE)
    assert sorted(sum(machines.holders().values(), [])) == ["node1", "node3"]
    return machines


def wait_until_away(since):
    """Wait until a node that is gone since then has been away for longer than its watch may be late (10 s)."""
    time.sleep(max(0.0, since + 12 - time.monotonic()))


@pytest.mark.parametrize("fault", ["stop", "kill"])
def test_a_node_that_is_gone_loses_its_address_to_another(spare, fault):
    lost = held_by(spare, "node3")
    with spare.lab.poll("namespace2/pod3") as one, spare.lab.poll("namespace1/pod2") as two:
        getattr(spare.lab, fault)("node3")
        gone = time.time()
        run = spare.good(hosts=SPARE)
        wait_for("good connections", lambda: not one.answers[-1].error and not two.answers[-1].error)
        time.sleep(0.5)
        answers = one.answers + two.answers
    assert spare.holders()[lost] == ["node2"]
    assert "node node3 cannot be reached" in run.report()
    # The connections of one failure; the gap is mostly Ansible's start and its connection timeout.
    print(
        f"MEASURED {fault}: run {run.seconds:.1f} s, gap {longest_gap(one.answers) or longest_gap(two.answers):.1f} s"
    )
    # No connection waits for TCP's own timeouts, of more than two minutes.
    assert run.seconds < 100
    assert {answer.source for answer in answers} - {None} <= {FIRST, SECOND}
    assert gone


def test_a_killed_node_comes_back_without_its_address_and_the_balance_is_restored_with_the_fewest_moves(spare):
    lost = held_by(spare, "node3")
    spare.lab.kill("node3")
    spare.good(hosts=SPARE)
    before = spare.holders()
    assert before[lost] == ["node2"]
    spare.lab.start("node3")
    wait_for("the claims at boot", lambda: unit_ended(spare, "node3"))
    assert spare.holders() == before
    run = spare.good(hosts=SPARE)
    assert spare.holders() == before, run.report()
    for pod in ("namespace2/pod3", "namespace1/pod2", "namespace2/pod4"):
        assert spare.sources(pod) <= {FIRST, SECOND}


def unit_ended(fleet, name):
    """True when the unit that claims addresses at boot has ended."""
    words = ("systemctl", "show", "-p", "ActiveState", "netops-egress-ip-claim.service")
    return fleet.lab.exec(name, *words).strip() in ("ActiveState=active", "ActiveState=failed")


def test_a_node_that_hangs_keeps_its_address_while_it_answers_for_it(spare):
    kept = held_by(spare, "node3")
    spare.lab.pause("node3")
    try:
        run = spare.bad(hosts=SPARE)
        assert "node3" not in spare.holders().get(kept, [])
        assert kept not in spare.holders()
        (conflict,) = run.conflicts()
        assert (conflict["egressIP"], conflict["mac"]) == (kept, spare.mac_of("node3"))
        assert "node3" in run.report()
        assert spare.mac_of("node3") in run.report()
        assert spare.sources("namespace2/pod3") <= {FIRST, SECOND}
    finally:
        spare.lab.unpause("node3")
    spare.good(hosts=SPARE)
    assert spare.holders()[kept] == ["node3"]


def test_an_unreachable_node_delays_a_run_by_its_connection_timeout_once(spare):
    idle = spare.good(hosts=SPARE)

    def again():
        run = spare.good(hosts=SPARE, egress_ip_connection_timeout=3)
        assert [host for host, result in run.results(INFO_MODULE) if result.get("unreachable")] == ["node3"]
        assert run.results(NODE_MODULE) == []
        print(
            f"MEASURED unreachable: {idle.seconds:.1f} s idle, {first.seconds:.1f} s first, {run.seconds:.1f} s again"
        )
        return run.seconds

    spare.lab.cut("node3")
    try:
        first = spare.good(hosts=SPARE, egress_ip_connection_timeout=3)
        within(idle.seconds + 3 + 2, again)
    finally:
        spare.lab.plug("node3")


@pytest.mark.parametrize("hosts", [SPARE, {}], ids=["the new holder may keep it", "the old holder is to have it"])
def test_a_cable_pulled_and_plugged_again_leaves_one_holder(spare, hosts):
    """The node that was cut off still bears the address when the cable comes back; a run waits for its watch then."""
    moved = held_by(spare, "node3")
    spare.lab.cut("node3")
    cut = time.monotonic()
    try:
        spare.good(hosts=SPARE)
        assert moved in spare.addresses("node2")
        wait_until_away(cut)
    finally:
        spare.lab.plug("node3")
    run = spare.good(hosts=hosts)
    assert spare.holders()[moved] in (["node2"] if hosts else ["node3"], ["node3"]), run.report()
    spare.wait_for_two_looks(*NODE_NAMES)
    assert sorted(spare.holders()) == [FIRST, SECOND]
    assert len(spare.holders()[moved]) == 1, run.report()
    for pod in OF_NODE2:
        assert spare.sources(pod) <= {FIRST, SECOND}


@pytest.mark.parametrize("hung", [False, True], ids=["cable", "hung"])
def test_a_node_that_was_away_gives_up_what_another_has_without_a_run(spare, hung):
    moved = held_by(spare, "node3")
    began = spare.lab.exec("node2", "date", "+@%s").strip()
    spare.lab.exec("server", "ping", "-c", "1", moved)
    # A switch that receives the new holder's MAC from the old one would send its frames there. While the link is down,
    # no capture can begin.
    with spare.lab.capture("not", "ether", "src", spare.mac_of("node3"), sent_by="node3") as wire:
        spare.lab.cut("node3")
        try:
            if hung:
                spare.lab.pause("node3")
            gone = time.monotonic()
            spare.good(hosts=SPARE)
            assert moved in spare.addresses("node2")
            wait_until_away(gone)
        finally:
            start = time.monotonic()
            if hung:
                spare.lab.unpause("node3")
            spare.lab.plug("node3")
        wait_for("one holder", lambda: len(spare.holders().get(moved, ())) == 1)
        print(f"MEASURED back and given up: {time.monotonic() - start:.1f} s")
        (holder,) = spare.holders()[moved]

        # A node that yields deletes the address first; then it logs that, and tells the neighbours.
        def is_right():
            # On a busy machine the watch of node2 may be late for so long that node2 counts as away too.
            expected = "node3" if was_away(spare, "node2", began) else "node2"
            known = spare.lab.exec("server", "ip", "neighbour", "show", moved)
            return holder == expected and spare.mac_of(holder) in known

        wait_for("the right holder", is_right)
        for pod in ("namespace1/pod1", *OF_NODE2):
            assert spare.sources(pod) <= {FIRST, SECOND}
        assert frames(wire) == []
    assert spare.holders()[moved] == [holder]


def was_away(spare, name, since):
    """Whether a node released an address since then because it had been away."""
    return "while this node was away" in spare.journal(name, "--unit", WATCH, "--since", since)


def test_a_holder_that_lost_its_own_address_releases_what_no_node_could_use(spare):
    """Nodes reach it only at that address; it would answer for the egress IP, and a run would leave it there."""
    lost = held_by(spare, "node3")
    spare.lab.exec("node3", "ip", "address", "delete", f"{ADDRESS['node3']}/18", "dev", "eth0")
    try:
        wait_for("node3 to give the address up", lambda: lost not in spare.addresses("node3"))
        spare.good(hosts=SPARE)
        assert spare.holders()[lost] == ["node2"]
        for pod in OF_NODE2:
            assert spare.sources(pod) <= {FIRST, SECOND}
    finally:
        spare.lab.exec("node3", "ip", "address", "add", f"{ADDRESS['node3']}/18", "dev", "eth0")
    spare.good(hosts=SPARE)
    spare.wait_for_two_looks("node3")
    assert spare.holders()[lost] == ["node2"]


@pytest.mark.user_land
def test_a_reboot_brings_the_data_plane_back_before_the_network_and_a_free_address_after(fleet):
    before = fleet.holders()
    fleet.lab.reboot("node3")
    wait_for("the claims at boot", lambda: unit_ended(fleet, "node3"))
    assert fleet.holders() == before
    times = {unit: active_since(fleet, unit) for unit in ("netops-egress-ip-restore.service", "lab-pods.service")}
    assert times["netops-egress-ip-restore.service"] < times["lab-pods.service"]
    assert fleet.sources("namespace2/pod4") <= {FIRST, SECOND}
    assert fleet.changes() == []


def active_since(fleet, unit):
    """Microseconds since boot at which the unit of node3 became active."""
    words = ("systemctl", "show", "--value", "-p", "ActiveEnterTimestampMonotonic", unit)
    return int(fleet.lab.exec("node3", *words))


def test_all_nodes_labelled_keep_what_they_hold_when_one_reboots(fleet):
    fleet.arrange(hosts=ALL_ASSIGNABLE)
    before = fleet.holders()
    fleet.lab.reboot("node1")
    wait_for("the claims at boot", lambda: unit_ended(fleet, "node1"))
    assert fleet.holders() == before


def test_a_power_cut_of_all_nodes(fleet):
    """They come back at once, without the controller; no address is on two nodes, and sources are right."""
    before = fleet.holders()
    for name in NODE_NAMES:
        fleet.lab.kill(name)
    start = time.monotonic()
    fleet.lab.up()
    for name in NODE_NAMES:
        wait_for(f"the claims of {name}", lambda name=name: unit_ended(fleet, name))
    print(f"MEASURED power cut of all nodes, all addresses back: {time.monotonic() - start:.1f} s")
    assert fleet.holders() == before
    for pod in (*OF_NODE2, "namespace1/pod1", "namespace2/pod4"):
        assert fleet.sources(pod) <= {FIRST, SECOND}
    assert fleet.changes() == []


def test_a_node_out_of_reach_that_still_works_keeps_its_address(spare):
    """The controller cannot reach it, but its traffic still passes."""
    kept = held_by(spare, "node3")
    spare.lab.exec("node3", "sh", "-c", "systemctl stop ssh.service; pkill -x sshd || true")
    try:
        run = spare.bad(hosts=SPARE)
        assert [(item["egressIP"], item["mac"]) for item in run.conflicts()] == [(kept, spare.mac_of("node3"))]
        assert spare.holders()[kept] == ["node3"]
        for pod in (*OF_NODE2, "namespace2/pod4"):
            assert spare.sources(pod) <= {FIRST, SECOND}
    finally:
        spare.lab.exec("node3", "systemctl", "start", "ssh.service")
    spare.good(hosts=SPARE)


def test_too_few_nodes_in_reach_and_nothing_moves(spare):
    before = spare.holders()
    (on_node1,) = (ip for ip, nodes in before.items() if nodes == ["node1"])
    for name in ("node2", "node3"):
        spare.lab.kill(name)
    snapshot = spare.snapshot()
    run = spare.bad(hosts=SPARE)
    assert any("egress_ip_min_available: only 1 of 3 nodes" in message for message in run.failed()), run.failed()
    assert_same(snapshot, spare.snapshot())
    assert spare.holders() == {on_node1: ["node1"]}
    spare.lab.up()
    for name in ("node2", "node3"):
        wait_for("the claims at boot", lambda name=name: unit_ended(spare, name))
    assert spare.holders() == before
