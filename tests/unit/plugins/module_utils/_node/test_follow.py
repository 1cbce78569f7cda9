# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The program that follows the egress IPs, on a host in memory: what a takeover and a release do to it."""

from __future__ import annotations

import json
from dataclasses import replace
from itertools import pairwise

import pytest
from ansible_collections.netops.egress_ip.plugins.module_utils._common.addresses import version_of
from ansible_collections.netops.egress_ip.plugins.module_utils._common.errors import CommandError
from ansible_collections.netops.egress_ip.plugins.module_utils._dataplane.failover import Failover
from ansible_collections.netops.egress_ip.plugins.module_utils._dataplane.options import DataPlaneOptions
from ansible_collections.netops.egress_ip.plugins.module_utils._failover.values import (
    Announce,
    Release,
    Taken,
)
from ansible_collections.netops.egress_ip.plugins.module_utils._host_io import files
from ansible_collections.netops.egress_ip.plugins.module_utils._node import metrics_file
from ansible_collections.netops.egress_ip.plugins.module_utils._node.follow import Follower, follow
from ansible_collections.netops.egress_ip.plugins.module_utils._node.observe import observe
from ansible_collections.netops.egress_ip.plugins.module_utils._node.record import Record
from ansible_collections.netops.egress_ip.plugins.module_utils._node.takeovers import Takeovers
from counted_steps import growth, steps_of
from fake_node_io import FakeKernel, address
from followed_node import A6, KEY, MAC2, A, FakeSegment, follow_many, following, locked_out, run_for, state
from node_runs import apply
from states import node_state


def test_a_standby_takes_over_what_nobody_answers_for(kernel, standby, capsys):
    del standby.segment.answers[A]
    run_for(standby, 1)
    assert kernel.addresses()[A] == "eth0"
    assert Record.load(kernel).state.held == state("node1").held
    assert json.loads(kernel.read_file(files.TAKEOVERS_FILE))["taken"] == {A: ["node2", 1_000_000_000.0]}
    assert f"{A} is taken over: node2 does not answer" in capsys.readouterr().err
    announced = [message for _interface, message in standby.segment.sent if message.uses == A]
    assert announced[0].mac == "02:00:c0:a8:7e:15"
    # Exactly what a run would have made of the node.
    changed = kernel.snapshot()
    assert not apply(kernel, replace(state("node1"), generation=2))["diff"]["after"]
    assert changed["rules"] == kernel.rules


def test_node_info_and_the_metrics_show_a_takeover(kernel, standby):
    assert observe(kernel, DataPlaneOptions()).to_dict()["takeovers"] == []
    del standby.segment.answers[A]
    run_for(standby, 1)
    facts = observe(kernel, DataPlaneOptions()).to_dict()
    assert facts["takeovers"] == [{"egressIP": A, "from": "node2", "since": 1_000_000_000.0}]
    assert facts["drift"] == []
    options = replace(standby.node.record.state.options, metrics_dir="/metrics")
    metrics_file.write(kernel, replace(standby.node.record, state=replace(standby.node.record.state, options=options)))
    assert b"\negress_ip_takeovers_total 1\n" in kernel.files["/metrics/egress_ip.prom"][0]


def test_a_standby_takes_nothing_while_the_holder_answers(kernel, standby):
    before = kernel.snapshot()
    run_for(standby, 20)
    assert kernel.snapshot() == before


@pytest.mark.parametrize("flood", ["behind", "drops"])
def test_silence_means_nothing_while_frames_are_lost(kernel, standby, flood):
    del standby.segment.answers[A]
    standby.segment.is_behind = flood == "behind"
    standby.segment.drops = [flood == "drops"] * 1000
    run_for(standby, 5)
    assert A not in kernel.addresses()
    standby.segment.is_behind, standby.segment.drops = False, []
    run_for(standby, 0.5)
    assert A in kernel.addresses()


def test_frames_that_were_lost_before_an_address_was_in_question_delay_nothing():
    def seconds(drops):
        kernel = FakeKernel()
        standby = following(kernel, "node2")
        standby.segment.drops = [drops]
        run_for(standby, 5)
        assert standby.segment.drops, "the kernel is not asked as long as all answer"
        del standby.segment.answers[A]
        begin = standby.segment.now
        while A not in kernel.addresses():
            run_for(standby, 0.001)
        return standby.segment.now - begin

    assert seconds(drops=True) == seconds(drops=False)


def test_a_takeover_does_not_wait_for_a_run(kernel, standby, capsys):
    del standby.segment.answers[A]
    locked_out(kernel)
    run_for(standby, 1)
    assert A not in kernel.addresses()
    assert capsys.readouterr().err.count("not taken over: another run holds the lock") == 1
    kernel.first = None
    # After some refusals the other standbys have their turn.
    run_for(standby, 3)
    assert A in kernel.addresses()


@pytest.mark.parametrize("lost_at", [0.0, 0.2, 0.4, 0.6, 0.8])
def test_a_node_without_its_own_address_takes_nothing(kernel, standby, capsys, lost_at):
    """It claims before its check of each second has found that, or the check comes first and it hears nothing."""
    run_for(standby, lost_at)
    del standby.segment.answers[A]
    own = kernel.interfaces["eth0"]["addr_info"]
    own[:] = [item for item in own if item["local"] != "192.168.126.21"]
    run_for(standby, 3)
    assert A not in kernel.addresses()
    said = "not taken over: this node has lost the address at which its tunnel ends" in capsys.readouterr().err
    assert said == (lost_at > 0)
    with pytest.raises(CommandError, match="has lost the address at which its tunnel ends"):
        standby.node.check_current((A,))


def test_the_planned_holder_yields_to_a_node_that_took_over(kernel, holder, capsys):
    holder.segment.answers[A] = MAC2
    holder.segment.hear(MAC2, A)
    run_for(holder, 1)
    assert A not in kernel.addresses()
    assert Record.load(kernel).state.held == ()
    assert f"{A} is released: node2 has taken over" in capsys.readouterr().err


def test_a_restart_keeps_all_addresses(kernel, holder):
    before = kernel.snapshot()
    again = Follower(kernel)
    run_for(again, 3)
    assert kernel.snapshot() == before


def test_without_failover_the_program_ends(kernel):
    kernel.the_segment = FakeSegment()
    follow(kernel)
    apply(kernel, node_state())
    follow(kernel)
    assert kernel.the_segment.sent == []
    kernel.write_record(b"damaged")
    with pytest.raises(CommandError, match="state.json: cannot be read"):
        follow(kernel)
    # systemd starts it again at once, which would take most of a processor.
    assert sum(kernel.logged("sleep")) == pytest.approx(3 * 5.0)


def test_a_program_that_starts_before_the_record_is_written_begins_at_once(kernel, monkeypatch):
    """A run starts it while it writes the record. It ends, and systemd starts it again."""
    waits = []

    def wait(seconds):
        waits.append(seconds)
        apply(kernel, state("node2"), failover_key=KEY)

    monkeypatch.setattr(kernel, "sleep", wait, raising=True)
    follow(kernel)
    assert len(waits) == 1
    assert waits[0] < 0.5


# --- The host changes -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("version", [4, 6])
def test_a_node_asks_as_soon_as_its_own_address_has_come(kernel, version):
    addresses = kernel.interfaces["eth0"]["addr_info"]
    apply(kernel, state("node2"), failover_key=KEY)
    own = [item for item in addresses if version_of(item["local"]) == version]
    addresses[:] = [item for item in addresses if item not in own]
    kernel.the_segment = FakeSegment()
    follower = Follower(kernel)
    run_for(follower, 2)
    assert version not in follower.own["eth0"]
    addresses += own
    run_for(follower, 2)
    assert (version in follower.own["eth0"]) == (version == 4), "nothing of IPv6 is watched"


@pytest.mark.parametrize("field", ["ifindex", "address"])
def test_an_interface_that_was_replaced_is_read_again(kernel, standby, field):
    opened = []
    standby.segment.open = lambda interfaces, _awaited: opened.append(interfaces)
    run_for(standby, 5)
    assert opened == []
    kernel.files[f"/sys/class/net/eth0/{field}"] = (b"new\n", 0o444)
    kernel.interfaces["eth0"]["address"] = "02:00:00:00:00:99"
    run_for(standby, 2)
    assert len(opened) == 1
    assert standby.machine.settings.own_macs >= {"02:00:00:00:00:99"}


def test_a_node_with_another_address_of_its_own_asks_with_that_one(kernel, standby):
    """A new lease. The former address may be another host's by now."""
    (own,) = [item for item in kernel.interfaces["eth0"]["addr_info"] if item["local"] == "192.168.126.21"]
    own["local"] = "192.168.126.31"
    run_for(standby, 2)
    standby.segment.sent.clear()
    run_for(standby, 20)
    used = {message.uses for _interface, message in standby.segment.sent}
    assert used == {"192.168.126.31", ""}


def test_an_address_that_is_deleted_and_restored_is_noticed_without_a_new_record(kernel, holder):
    """The watch does not write a record again that is the same."""
    (egress_ip,) = [item for item in kernel.interfaces["eth0"]["addr_info"] if item["local"] == A]
    kernel.interfaces["eth0"]["addr_info"].remove(egress_ip)
    run_for(holder, 2)
    assert holder.machine.holding.addresses.keys() == set()
    holder.segment.answers.pop(A, None)
    kernel.interfaces["eth0"]["addr_info"].append(egress_ip)
    run_for(holder, 2)
    assert holder.machine.holding.addresses.keys() == {A}


def test_sockets_that_cannot_be_opened_are_tried_again_every_second_and_logged_once(kernel, capsys):
    tries, error = [], "egress_ip_interface: cannot send on eth0: Too many open files"
    apply(kernel, state("node2"), failover_key=KEY)
    kernel.the_segment = FakeSegment()
    kernel.the_segment.open = lambda _interfaces, _awaited: tries.append(1) or error
    follower = Follower(kernel)
    run_for(follower, 5)
    reads = kernel.log.copy()
    run_for(follower, 5)
    assert 8 <= len(tries) <= 12
    assert kernel.log == reads, "only the sockets are tried again"
    assert capsys.readouterr().err.count(error) == 1
    error = ""
    run_for(follower, 2)
    tries.clear()
    run_for(follower, 5)
    assert tries == []


class Changes:
    """Notices when a test has replaced the record."""

    works, noticed = True, False

    def fileno(self):
        return 8

    def watch(self):
        self.noticed = False

    forget = watch


@pytest.mark.parametrize("works", [True, False])
def test_the_record_is_read_when_it_was_replaced(kernel, monkeypatch, works):
    """Without a notice after a second at the latest, or in each step if there are none."""
    changes, looks = Changes(), []
    changes.works = works
    monkeypatch.setattr(kernel, "file_changes", lambda _folder: changes, raising=False)
    version = kernel.file_version
    monkeypatch.setattr(kernel, "file_version", lambda path: looks.append(path) or version(path), raising=False)
    follower = following(kernel, "node2")
    assert 8 in follower.segment.awaited
    wait = follower.segment.wait
    follower.segment.wait = lambda seconds, rest: wait(seconds, rest) or changes.noticed
    looks.clear()
    run_for(follower, 10)
    assert (len(looks) < 25) is works
    for generation, after, notice in ((2, 0.3, True), (3, 0.4, False)):
        apply(kernel, replace(state("node2", generation=generation), failover=Failover(after)))
        changes.noticed = notice
        run_for(follower, 0.3 if notice or not works else 2)
        assert follower.machine.settings.after == after


def test_a_node_that_holds_and_watches_nothing_makes_its_checks_too(kernel, monkeypatch):
    """Without a notice, a record that was replaced is found by them."""
    changes, looks, version = Changes(), [], kernel.file_version
    monkeypatch.setattr(kernel, "file_changes", lambda _folder: changes, raising=False)
    follower = following(kernel, "node2", standbys=[])
    monkeypatch.setattr(kernel, "file_version", lambda path: looks.append(follower.segment.now) or version(path))
    run_for(follower, 30)
    assert max(later - sooner for sooner, later in pairwise(looks)) <= 2


# --- Others come first ------------------------------------------------------------------------------------------------


def test_an_address_that_another_node_takes_while_this_one_prepares_is_left_to_it(kernel, standby, monkeypatch, capsys):
    """The next standby may have had its turn on a slow host."""
    other, real = "02:00:c0:a8:7e:13", kernel.execute

    def take_time(transaction):
        standby.segment.answers[A] = other
        standby.segment.hear(other, A)
        real(transaction)

    before = kernel.snapshot()
    monkeypatch.setattr(kernel, "execute", take_time)
    del standby.segment.answers[A]
    run_for(standby, 2)
    assert f"{A}: not taken over: {other} uses {A} now" in capsys.readouterr().err
    assert A not in kernel.addresses()
    assert standby.machine.watch.addresses[A].holder == other
    monkeypatch.undo()
    assert kernel.snapshot() == before


def test_an_address_is_not_taken_over_if_a_flood_begins_while_this_node_prepares(kernel, standby, monkeypatch, capsys):
    real = kernel.execute

    def take_time(transaction):
        standby.segment.is_behind = True
        real(transaction)

    monkeypatch.setattr(kernel, "execute", take_time)
    del standby.segment.answers[A]
    run_for(standby, 2)
    assert f"{A}: not taken over: more frames arrive than this node can read" in capsys.readouterr().err
    assert A not in kernel.addresses()


def test_a_plan_with_other_times_may_come_between_a_claim_and_its_result(kernel, standby):
    standby.events.append(Taken((A,)))
    apply(kernel, replace(state("node2", generation=2), failover=Failover(after=1.0)))
    run_for(standby, 1)
    assert standby.machine.settings.after == 1.0


def test_calls_are_taken_as_soon_as_another_program_leaves_the_port(kernel, capsys):
    kernel.port_is_busy = True
    follower = following(kernel, "node2")
    run_for(follower, 5)
    assert follower.call_listener is None
    assert capsys.readouterr().err.count("cannot listen for calls of other nodes: TCP port 4790") == 1
    kernel.port_is_busy = False
    run_for(follower, 3)
    assert follower.call_listener.key == KEY


def test_two_faults_at_the_same_time_are_logged_once_and_again_after_a_while(kernel, capsys):
    error = "egress_ip_interface: cannot send on eth0: Too many open files"
    apply(kernel, state("node2"), failover_key=KEY)
    kernel.port_is_busy, kernel.the_segment = True, FakeSegment()
    kernel.the_segment.open = lambda _interfaces, _awaited: error
    follower = Follower(kernel)
    run_for(follower, 10)
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 2, lines
    follower.segment.now += 600
    run_for(follower, 10)
    assert sorted(capsys.readouterr().err.splitlines()) == sorted(lines)


@pytest.mark.parametrize("failover", [{"after": 0.2}, None])
def test_an_address_that_is_taken_just_now_is_no_own_address_of_the_node(kernel, failover):
    """It is added before the record has it, and an IPv6 address has no label."""
    apply(kernel, node_state(failover=failover))
    Takeovers.load(kernel, Record.load(kernel)).with_taken({A6: "node2"}, 5.0).save(kernel)
    kernel.interfaces["eth0"]["addr_info"].append(address(A6, 128, "eth0"))
    facts = observe(kernel, DataPlaneOptions())
    assert (A6 in facts.addresses) is (failover is None)
    assert (A6 in [item.egress_ip for item in facts.held]) is (failover is not None)


# --- Many addresses ---------------------------------------------------------------------------------------------------


def test_each_of_many_addresses_costs_as_much_as_each_of_few():
    """Takeover, acceptance of a hand-over, announcements, release: 1 would be linear, 2 quadratic."""

    def taken(number):
        follower, ips = follow_many(number, "node2")
        for ip in ips:
            del follower.segment.answers[ip]
        found = steps_of(lambda: run_for(follower, 5))
        assert len(follower.node.held) == number
        return found

    def accepted(number):
        follower, ips = follow_many(number, "node2")
        return steps_of(lambda: [*follower.accept("node2", ips)])

    def announced(number):
        follower, ips = follow_many(number, "node1")
        return steps_of(lambda: [follower._do(Announce((ip,))) for ip in ips])

    def released(number):
        follower, ips = follow_many(number, "node1")
        found = steps_of(lambda: follower._do(Release(dict.fromkeys(ips, ""), "a test")))
        assert not follower.node.held
        return found

    assert max(map(growth, (taken, accepted, announced, released))) < 1.2
