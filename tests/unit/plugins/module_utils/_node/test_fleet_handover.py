# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The hand-over of a node that shuts down, on a host in memory that is the holder or the standby."""

from __future__ import annotations

import pytest
from ansible_collections.netops.egress_ip.plugins.module_utils._common.errors import CommandError
from ansible_collections.netops.egress_ip.plugins.module_utils._host_io import files
from ansible_collections.netops.egress_ip.plugins.module_utils._node import fleet_messages
from ansible_collections.netops.egress_ip.plugins.module_utils._node.fleet_handover import (
    hand_over_all,
    take_over_from,
)
from ansible_collections.netops.egress_ip.plugins.module_utils._node.follow import follow
from ansible_collections.netops.egress_ip.plugins.module_utils._node.record import Record
from ansible_collections.netops.egress_ip.plugins.module_utils._node.takeovers import Takeovers
from ansible_collections.netops.egress_ip.plugins.module_utils._protocols.ctnetlink import Flow, create_request
from followed_node import KEY, A, FakeCall, following, run_for, standbys_that_fail, state
from node_runs import SERVER, B, apply, observe, remove
from states import held as held_form
from states import node_state

FLOW = Flow(6, ("192.168.126.23", 40000), SERVER, SERVER, (A, 40000), 300, True, (3, (7, 7), (11, 11)))
LEAVING = {"kind": "leaving", "from": "node2", "to": "node1", "egressIPs": [A]}
READY = {"kind": "ready", "egressIPs": [A]}
RELEASED = {"kind": "released", "egressIPs": {A: [FLOW.to_list()]}}


def held(kernel):
    """Return the egress IPs of the host, which its record must have too."""
    found = {A} & kernel.addresses().keys()
    assert found == Record.load(kernel).claimed
    return found


# --- The standby ------------------------------------------------------------------------------------------------------


def test_a_standby_takes_what_the_holder_hands_over(kernel, standby, capsys):
    call = FakeCall(RELEASED, request=LEAVING)
    take_over_from(standby, call)
    assert call.sent == [READY]
    assert call.closed
    assert held(kernel) == {A}
    mark = standby.node.record.state.options.mark(standby.node.record.marks[A])
    assert create_request(FLOW, mark) in kernel.changed
    assert Takeovers.load(kernel, Record.load(kernel)).taken.keys() == {A}
    assert f"{A} is taken over: node2 shuts down" in capsys.readouterr().err
    announced = [message for _interface, message in standby.segment.sent if message.uses == A]
    assert announced
    run_for(standby, 5)
    assert held(kernel) == {A}
    assert standby.machine.holding.addresses[A].taken
    # Exactly what a run would have made of the node.
    assert not apply(kernel, state("node1", generation=2))["diff"]["after"]


def test_a_standby_claims_nothing_before_the_release(kernel, standby):
    def release():
        assert held(kernel) == set()
        return RELEASED

    take_over_from(standby, FakeCall(release, request=LEAVING))
    assert held(kernel) == {A}


@pytest.mark.parametrize("answer", [None, {}, READY, {"kind": "released", "egressIPs": {A: "x"}}])
def test_without_a_release_the_standby_is_as_before(kernel, standby, answer):
    before = kernel.snapshot()
    call = FakeCall(answer, request=LEAVING)
    take_over_from(standby, call)
    assert call.closed
    assert kernel.snapshot() == before
    run_for(standby, 2)
    assert held(kernel) == set()
    # It still takes over when the holder is lost.
    del standby.segment.answers[A]
    run_for(standby, 1)
    assert held(kernel) == {A}


def test_a_hand_over_that_fails_at_any_step_leaves_the_standby_as_it_was(kernel, standby):
    before, log = kernel.snapshot(), kernel.log
    take_over_from(standby, FakeCall(RELEASED, request=LEAVING))
    for step, again in standbys_that_fail(kernel, before, log):
        take_over_from(again, FakeCall(RELEASED, request=LEAVING))
        kernel.fail = ()
        if held(kernel):
            assert Takeovers.load(kernel, Record.load(kernel)).taken.keys() == {A}, step
        else:
            assert Takeovers.load(kernel, Record.load(kernel)).taken == {}, step
            after = kernel.snapshot()
            after["files"].pop(str(files.TAKEOVERS_FILE), None)
            # What the standby has tracked ends by itself without packets.
            assert {**after, "changed": []} == before, step


@pytest.mark.parametrize(
    ("changes", "peer"),
    [
        ({"to": "node3"}, "192.168.126.22"),
        ({"from": "node3"}, "192.168.126.23"),
        ({}, "192.168.126.23"),
        ({"from": "node9"}, "192.168.126.22"),
        ({"kind": "released"}, "192.168.126.22"),
        ({"egressIPs": None}, "192.168.126.22"),
        ({"egressIPs": [["x"], 7, "192.168.126.102"]}, "192.168.126.22"),
        ({"from": ["node2"]}, "192.168.126.22"),
    ],
)
def test_a_call_that_is_not_for_this_node_changes_nothing(kernel, standby, changes, peer):
    before = kernel.snapshot()
    call = FakeCall(RELEASED, peer=peer, request={**LEAVING, **changes})
    take_over_from(standby, call)
    assert (call.sent, call.closed) == ([], True)
    assert kernel.snapshot() == before


def test_a_node_that_broke_a_hand_over_off_is_refused_for_a_minute(kernel, standby, capsys):
    take_over_from(standby, FakeCall(None, request=LEAVING))
    run_for(standby, 50)
    again = FakeCall(RELEASED, request=LEAVING)
    take_over_from(standby, again)
    assert (again.sent, again.closed, held(kernel)) == ([], True, set())
    assert "node2 is refused for a minute: it did not complete a hand-over" in capsys.readouterr().err
    run_for(standby, 20)
    take_over_from(standby, FakeCall(RELEASED, request=LEAVING))
    assert held(kernel) == {A}


def test_a_run_on_the_standby_comes_first(kernel, standby, capsys):
    def locked():
        raise CommandError("another run holds the lock")

    kernel.first = locked
    call = FakeCall(RELEASED, request=LEAVING)
    take_over_from(standby, call)
    assert call.sent == []
    assert "another run holds the lock" in capsys.readouterr().err
    kernel.first = None
    run_for(standby, 1)
    assert held(kernel) == set()


def test_a_node_that_holds_an_address_already_does_not_take_it(kernel, holder):
    call = FakeCall(RELEASED, request=LEAVING)
    take_over_from(holder, call)
    assert call.sent == []
    assert held(kernel) == {A}


# --- The holder -------------------------------------------------------------------------------------------------------


def calling(kernel, *answers):
    """Let another node answer each call; returns [(arguments, call)]."""
    calls = []

    def on_call(*arguments):
        calls.append((arguments, FakeCall(*answers)))
        return calls[-1][1]

    kernel.on_call = on_call
    return calls


def test_a_holder_hands_over_to_the_first_standby(kernel, holder, capsys):
    kernel.flows = {holder.node.record.state.options.mark(holder.node.record.marks[A]): [FLOW]}

    def ready():
        assert held(kernel) == {A}
        return READY

    calls = calling(kernel, ready)
    hand_over_all(holder)
    ((key, own, endpoint, port, request), call), *others = calls
    assert (key, own, endpoint, port) == (KEY, "192.168.126.21", "192.168.126.22", 4790)
    assert request == {**LEAVING, "from": "node1", "to": "node2"}
    assert call.sent == [RELEASED]
    assert not others
    assert held(kernel) == set()
    assert f"{A}: handed over to node2, because this host shuts down" in capsys.readouterr().err
    # Exactly what a run would have made of the node.
    assert not apply(kernel, state("node2", generation=2))["diff"]["after"]


def test_an_address_is_deleted_before_the_standby_hears_of_it(kernel, holder):
    calls = calling(kernel, READY)
    hand_over_all(holder)
    ((_arguments, call),) = calls
    kernel.on_call = None
    order = [kind for kind, line in kernel.log if A in line and ("delete" in line or "del" in line)]
    assert order[0] == "ip"
    assert call.sent[0]["kind"] == "released"


def test_a_standby_that_is_lost_in_the_middle_gets_nothing_and_the_address_does_not_come_back(kernel, holder, capsys):
    """The message may have arrived."""
    calls = calling(kernel, READY)

    def broken(*arguments):
        calls.append((arguments, FakeCall(READY)))

        def send(_content):
            raise CommandError("not sent: broken pipe")

        calls[-1][1].send = send
        return calls[-1][1]

    kernel.on_call = broken
    hand_over_all(holder)
    assert held(kernel) == set()
    assert "not handed over to node2: not sent: broken pipe" in capsys.readouterr().err
    assert observe(kernel)["drift"] == []


@pytest.mark.parametrize("answer", [None, {}, {"kind": "ready", "egressIPs": []}, RELEASED])
def test_without_a_ready_standby_the_holder_keeps_the_address(kernel, holder, answer, capsys):
    before = kernel.snapshot()
    calls = calling(kernel, answer)
    hand_over_all(holder)
    assert [call.sent for _arguments, call in calls] == [[]]
    assert kernel.snapshot() == before
    assert "not handed over to node2" in capsys.readouterr().err


THREE = [
    {"name": f"node{number}", "address": f"192.168.126.2{number}", "mac": f"02:00:00:00:00:0{number}"}
    for number in (3, 2, 1)
]


@pytest.mark.parametrize(("answers", "expected"), [([None, READY], set()), ([None, None], {A}), ([READY], set())])
def test_the_next_standby_is_called_if_the_first_one_does_not_answer(kernel, answers, expected):
    standbys = [{"egressIP": A, "interface": "eth0", "order": THREE}]
    holder, called = following(kernel, "node1", standbys=standbys), []

    def on_call(_key, _own, endpoint, _port, _request):
        called.append(endpoint)
        return FakeCall(answers[len(called) - 1])

    kernel.on_call = on_call
    hand_over_all(holder)
    assert called == ["192.168.126.23", "192.168.126.22"][: len(answers)]
    assert held(kernel) == expected


def test_many_addresses_are_handed_over_in_several_calls(kernel, monkeypatch):
    monkeypatch.setattr(fleet_messages, "_MOST_ADDRESSES", 1)
    standbys = [{"egressIP": ip, "interface": "eth0", "order": THREE} for ip in (A, B)]
    holder, called = following(kernel, "node1", held=held_form(A, B), standbys=standbys), []

    def on_call(_key, _own, endpoint, _port, request):
        called.append((endpoint, *request["egressIPs"]))
        return FakeCall({**READY, "egressIPs": request["egressIPs"]})

    kernel.on_call = on_call
    hand_over_all(holder)
    assert called == [("192.168.126.23", A), ("192.168.126.23", B)]
    assert {A, B}.isdisjoint(kernel.addresses())
    assert Record.load(kernel).claimed == set()


def test_the_holder_gives_up_in_time(kernel):
    standbys = [{"egressIP": A, "interface": "eth0", "order": THREE}]
    holder, called = following(kernel, "node1", standbys=standbys), []

    def on_call(_key, _own, endpoint, _port, _request):
        called.append(endpoint)
        holder.segment.now += 11
        return FakeCall()

    kernel.on_call = on_call
    hand_over_all(holder)
    assert called == ["192.168.126.23"]
    assert held(kernel) == {A}


def test_a_run_in_progress_comes_first(kernel, holder):
    def locked():
        raise CommandError("another run holds the lock")

    kernel.first = locked
    calls = calling(kernel, READY)
    hand_over_all(holder)
    assert calls == []
    kernel.first = None
    assert held(kernel) == {A}


@pytest.mark.parametrize("is_known", [False, True])
@pytest.mark.parametrize("change", [remove, lambda kernel: apply(kernel, node_state(generation=2, held=held_form(A)))])
def test_after_the_end_of_failover_nothing_is_handed_over(kernel, holder, change, is_known):
    """A run has ended failover, or removed the node, just before the host shuts down."""
    change(kernel)
    after, calls = kernel.snapshot(), calling(kernel, READY)
    if is_known:
        assert not holder.read_record()
    hand_over_all(holder)
    assert calls == []
    assert kernel.snapshot() == after


def test_without_the_key_nothing_is_handed_over(kernel, holder):
    holder.node.key = ""
    calls = calling(kernel, READY)
    hand_over_all(holder)
    assert calls == []
    assert held(kernel) == {A}


@pytest.mark.parametrize("shuts_down", [False, True])
def test_only_a_host_that_shuts_down_hands_over(kernel, holder, shuts_down):
    kernel.ends, kernel.shuts_down = True, shuts_down
    calls = calling(kernel, READY)
    follow(kernel)
    assert held(kernel) == (set() if shuts_down else {A})
    assert len(calls) == shuts_down
