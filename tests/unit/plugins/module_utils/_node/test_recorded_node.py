# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Takeovers and releases that fail half-way, or meet a run, on a host in memory: record and host agree afterwards."""

from __future__ import annotations

import pytest
from ansible_collections.netops.egress_ip.plugins.module_utils._common.errors import CommandError
from ansible_collections.netops.egress_ip.plugins.module_utils._failover.values import Claim, Refused
from ansible_collections.netops.egress_ip.plugins.module_utils._host_io import files
from ansible_collections.netops.egress_ip.plugins.module_utils._node.record import Record
from ansible_collections.netops.egress_ip.plugins.module_utils._node.takeovers import Takeovers
from fake_node_io import address
from followed_node import KEY, MAC2, A, follow_many, locked_out, run_for, standbys_that_fail, state
from node_runs import apply


@pytest.mark.parametrize("rewritten", [True, False], ids=["a record that is written again", "a full disk"])
def test_an_address_that_a_run_has_just_claimed_is_not_taken_over(kernel, standby, monkeypatch, capsys, rewritten):
    """The program read the record of the run before the claim, when nobody had the address."""
    del standby.segment.answers[A]
    note, write = kernel.note_presence, kernel.write_file

    def read_and_note(*words):
        monkeypatch.setattr(kernel, "note_presence", note, raising=True)
        assert standby.read_record()
        assert A in {item.egress_ip for item in standby.node.record.state.held}
        assert standby.node.held == ()
        if not rewritten:
            monkeypatch.setattr(kernel, "write_file", lambda path, *_words: refuse(path), raising=True)
        note(*words)

    def refuse(path):
        raise CommandError(f"{path}: cannot be written: No space left on device")

    monkeypatch.setattr(kernel, "note_presence", read_and_note, raising=True)
    apply(kernel, state("node1", generation=2), failover_key=KEY)
    monkeypatch.setattr(kernel, "write_file", write, raising=True)
    assert standby._take_over(Claim({A: "node2"})) == Refused((A,))
    changed = "a run has changed the plan" if rewritten else "the egress IPs of this node have changed"
    assert f"{A}: not taken over: {changed}" in capsys.readouterr().err
    assert A in kernel.addresses()
    assert standby.read_record()
    assert {item.egress_ip for item in standby.node.held} == {A}


def test_connections_that_cannot_be_forgotten_keep_no_address_off_the_record(kernel, standby, monkeypatch, capsys):
    def refuse(_marks, _mask):
        raise CommandError("conntrack: refused")

    monkeypatch.setattr(kernel, "forget_connections", refuse)
    del standby.segment.answers[A]
    run_for(standby, 1)
    assert A in kernel.addresses()
    assert Record.load(kernel).claimed == {A}
    assert "conntrack: refused" in capsys.readouterr().err


def test_a_takeover_that_fails_leaves_the_record_as_it_was(kernel, standby):
    kernel.fail = (A,)
    del standby.segment.answers[A]
    run_for(standby, 1)
    assert A not in kernel.addresses()
    assert Record.load(kernel).claimed == set()
    assert Takeovers.load(kernel, Record.load(kernel)).taken == {}


def test_a_release_without_the_lock_deletes_the_address(kernel, holder):
    locked_out(kernel)
    holder.segment.answers[A] = MAC2
    holder.segment.hear(MAC2, A)
    run_for(holder, 0.3)
    assert A not in kernel.addresses()


def test_a_takeover_that_fails_at_any_step_leaves_the_node_as_it_was(kernel, standby):
    before, log = kernel.snapshot(), kernel.log
    del standby.segment.answers[A]
    run_for(standby, 1)
    for step, again in standbys_that_fail(kernel, before, log):
        del again.segment.answers[A]
        run_for(again, 0.6)
        kernel.fail = ()
        held = {A} & kernel.addresses().keys()
        assert held == Record.load(kernel).claimed, step
        assert held == Takeovers.load(kernel, Record.load(kernel)).taken.keys(), step
        if not held:
            after = kernel.snapshot()
            after["files"].pop(str(files.TAKEOVERS_FILE), None)
            assert after == before, step


def test_a_takeover_that_cannot_be_put_on_record_is_undone(kernel, standby):
    save, kernel.fail = kernel.snapshot()["files"], (str(files.STATE_FILE),)
    del standby.segment.answers[A]
    run_for(standby, 1)
    assert A not in kernel.addresses()
    assert kernel.files[str(files.STATE_FILE)] == save[str(files.STATE_FILE)]
    kernel.fail = ()
    run_for(standby, 5)
    assert Record.load(kernel).claimed == {A}


def test_a_takeover_that_cannot_be_noted_for_the_watch_stands(kernel, standby, monkeypatch, capsys):
    def refuse(*_arguments):
        raise CommandError("/run/netops-egress-ip.watch: cannot be written: No space left on device")

    monkeypatch.setattr(kernel, "note_presence", refuse)
    del standby.segment.answers[A]
    run_for(standby, 5)
    assert A in kernel.addresses()
    assert Record.load(kernel).claimed == standby.machine.holding.addresses.keys() == {A}
    said = capsys.readouterr().err
    assert said.count("cannot be written") == said.count(f"{A} is taken over: node2 does not answer") == 1
    assert "not taken over" not in said


@pytest.mark.parametrize("comes_back", [False, True])
def test_a_release_without_the_lock_is_completed_after_the_run(kernel, holder, comes_back):
    locked_out(kernel)
    holder.segment.answers[A] = MAC2
    holder.segment.hear(MAC2, A)
    run_for(holder, 0.3)
    assert Record.load(kernel).claimed == {A}
    if comes_back:
        # The run goes back to what it found.
        kernel.interfaces["eth0"]["addr_info"].append(address(A, 32, "eth0:egress0"))
    kernel.first = None
    run_for(holder, 2)
    # As seen by the state machine: with both, it yields again.
    holder.segment.hear(MAC2, A)
    run_for(holder, 1)
    assert A not in kernel.addresses()
    assert Record.load(kernel).claimed == set()
    assert not apply(kernel, state("node2", generation=2))["diff"]["after"]


def test_a_release_of_many_without_the_lock_is_one_command():
    """A standby does not wait for it. One address that is gone already keeps no other."""
    follower, ips = follow_many(100, "node1")
    kernel, gone = follower.io, ips[0]
    locked_out(kernel)
    addresses = kernel.interfaces["eth0"]["addr_info"]
    addresses[:] = [each for each in addresses if each["local"] != gone]
    kernel.log.clear()
    follower.node.release(dict.fromkeys(ips, ""), "a test")
    assert kernel.addresses().keys().isdisjoint(ips)
    assert kernel.logged("run") == ["ip -force -batch -"]


def test_another_plan_ends_a_release_without_the_lock(kernel, holder):
    locked_out(kernel)
    holder.segment.answers[A] = MAC2
    holder.segment.hear(MAC2, A)
    run_for(holder, 0.3)
    kernel.first = None
    del holder.segment.answers[A]
    apply(kernel, state("node1", generation=2))
    run_for(holder, 3)
    assert A in kernel.addresses()
    assert Record.load(kernel).claimed == {A}
