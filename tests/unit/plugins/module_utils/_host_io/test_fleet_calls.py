# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Calls from node to node on the loopback interface of a network namespace: 127.0.0.2 calls 127.0.0.1."""

from __future__ import annotations

import contextlib
import select
import socket
import threading
import time

import pytest
from ansible_collections.netops.egress_ip.plugins.module_utils._common.errors import CommandError
from ansible_collections.netops.egress_ip.plugins.module_utils._dataplane.handover import Partners
from ansible_collections.netops.egress_ip.plugins.module_utils._host_io import fleet_calls, handover_session
from ansible_collections.netops.egress_ip.plugins.module_utils._host_io.fleet_calls import (
    CallListener,
    Notice,
    call,
    notify,
)
from network_namespace import network_namespace

ONE, TWO = "127.0.0.1", "127.0.0.2"
REQUEST = {"kind": "leaving", "egressIPs": ["192.168.126.101"]}


# Seconds that only end a test that hangs: both sides are on this machine, which may be busy.
LONG = 60


@pytest.fixture(autouse=True)
def _patient(monkeypatch):
    monkeypatch.setattr(fleet_calls, "CONNECT", LONG)
    monkeypatch.setattr(fleet_calls, "ANSWER", LONG)


@pytest.fixture
def port():
    """A port that no other program has, nor gets from the kernel."""
    with network_namespace():
        yield 4790


@pytest.fixture
def call_listener(port):
    made = CallListener("secret", port, [4, 6])
    yield made
    made.close()


def wait_for_call(call_listener, seconds=LONG):
    """Return the first call that is proven within some seconds, None without one."""
    end = time.monotonic() + seconds
    while True:
        select.select([call_listener], [], [], 0.05)
        for found in call_listener.read():
            return found
        if time.monotonic() > end:
            return None


def in_background(task):
    thread = threading.Thread(target=task, daemon=True)
    thread.start()
    return thread


def test_a_call_and_its_messages(call_listener, port):
    said = []

    def caller():
        with call("secret", TWO, ONE, port, REQUEST) as made:
            said.append(made.receive())
            made.send({"kind": "released", "egressIPs": {}})

    thread = in_background(caller)
    found = wait_for_call(call_listener)
    assert (found.peer, found.request) == (TWO, REQUEST)
    found.send({"kind": "ready"})
    assert found.receive() == {"kind": "released", "egressIPs": {}}
    found.close()
    thread.join(LONG)
    assert said == [{"kind": "ready"}]


def test_a_caller_with_another_key_is_no_call(call_listener, port):
    def caller():
        with pytest.raises(CommandError), call("guessed", TWO, ONE, port, REQUEST) as made:
            made.receive()

    thread = in_background(caller)
    end = time.monotonic() + LONG
    while thread.is_alive():
        assert time.monotonic() < end
        assert wait_for_call(call_listener, 0.05) is None


def test_a_recorded_call_is_no_call_again(call_listener, port):
    """The bytes of a call that was proven, sent once more."""
    recorded = bytearray()

    class Recorder(socket.socket):
        def sendall(self, data):
            recorded.extend(data)
            super().sendall(data)

    recorder = Recorder()
    recorder.connect((ONE, port))
    waiting = in_background(lambda: fleet_calls.node_messages.read(recorder, fleet_calls._read_number(), 1e9))
    wait_for_callers(call_listener, (), 1)
    waiting.join(LONG)
    number = next(iter(call_listener._callers.values())).number
    fleet_calls.node_messages.send(recorder, b"n" * 16, 1)
    fleet_calls.node_messages.send(recorder, fleet_calls.node_messages.message(b"secret", number, REQUEST), 1)
    assert wait_for_call(call_listener).request == REQUEST
    with socket.create_connection((ONE, port)) as again:
        again.sendall(recorded)
        assert wait_for_call(call_listener, 0.5) is None
    recorder.close()


def wait_for_callers(call_listener, known, count):
    """Read until as many callers are known, one of which none of `known` is."""
    end = time.monotonic() + LONG
    while len(call_listener._callers) < count or not {*call_listener._callers.values()} - {*known}:
        assert time.monotonic() < end
        assert wait_for_call(call_listener, 0.05) is None


def test_a_caller_that_makes_room_for_another_one_may_have_sent_something(call_listener, port):
    strangers = [socket.create_connection((ONE, port)) for _number in range(8)]
    wait_for_callers(call_listener, (), 8)
    known = list(call_listener._callers.values())
    strangers[0].sendall(b"x")
    strangers.append(socket.create_connection((ONE, port)))
    wait_for_callers(call_listener, known, 8)
    assert len(call_listener._callers) == 8
    for stranger in strangers:
        stranger.close()


def test_a_node_that_calls_again_and_again_ends_only_its_own_calls(call_listener, port):
    with contextlib.ExitStack() as stack:
        for own in [TWO, *[ONE] * 50]:
            stack.enter_context(socket.create_connection((ONE, port), LONG, (own, 0)))
            wait_for_call(call_listener, 0.01)
        end = time.monotonic() + LONG
        while len(call_listener._callers) < 9 and time.monotonic() < end:
            wait_for_call(call_listener, 0.01)
        peers = [caller.peer for caller in call_listener._callers.values()]
    assert sorted(peers) == [ONE] * 8 + [TWO]


def test_the_calls_of_all_addresses_together_are_limited(call_listener, port, monkeypatch):
    monkeypatch.setattr(fleet_calls, "_UNPROVEN", 20)
    with contextlib.ExitStack() as stack:
        for number in range(2, 40):
            stack.enter_context(socket.create_connection((ONE, port), LONG, (f"127.0.0.{number}", 0)))
            wait_for_call(call_listener, 0.01)
        wait_for_callers(call_listener, (), 20)
        assert len(call_listener._callers) == 20


def test_a_stranger_does_not_stop_a_call(call_listener, port):
    strangers = [socket.create_connection((ONE, port)) for _number in range(80)]
    for stranger in strangers[::2]:
        stranger.sendall(b"x" * 100)
    wait_for_call(call_listener, 0.2)
    assert len(call_listener._callers) <= 64

    def caller():
        with call("secret", TWO, ONE, port, REQUEST):
            pass

    thread = in_background(caller)
    assert wait_for_call(call_listener).request == REQUEST
    thread.join(LONG)
    for stranger in strangers:
        stranger.close()


def test_nobody_listens(port):
    refused = pytest.raises(CommandError, match=f"127.0.0.1 is not reached by TCP on port {port}")
    with refused, call("", TWO, ONE, port, {}):
        pass


def test_a_node_that_says_nothing_ends_the_call(port, monkeypatch):
    monkeypatch.setattr(fleet_calls, "ANSWER", 0.5)
    refused = pytest.raises(CommandError, match="no answer")
    with socket.create_server((ONE, port)), refused, call("secret", TWO, ONE, port, REQUEST):
        pass


def test_another_program_has_the_port(port):
    with socket.create_server((ONE, port)), pytest.raises(CommandError, match=f"TCP port {port}: "):
        CallListener("secret", port, [4])


def serve(call_listener, first_call):
    """Take calls as the program of a node does, until the test ends; `first_call` is set when one has come."""

    def take():
        with contextlib.suppress(ValueError):  # closed
            while True:
                if select.select([call_listener], [], [], 0.05)[0]:
                    first_call.set()
                    call_listener.read()

    in_background(take)


@pytest.mark.parametrize("first", ["old holder", "new holder"])
def test_a_run_that_hands_over_listens_beside_it(call_listener, port, monkeypatch, first):
    """The exact address comes first, whichever began to listen first; a call that came too early is made again."""
    monkeypatch.setattr(handover_session, "PATIENCE", LONG)
    connect, has_called, listens = socket.create_connection, threading.Event(), threading.Event()
    monkeypatch.setattr(
        handover_session.socket, "create_connection", lambda to, timeout: connect(to, timeout, (TWO, 0))
    )
    listen = handover_session._listen

    def listen_and_tell(*arguments):
        listener = listen(*arguments)
        listens.set()
        return listener

    monkeypatch.setattr(handover_session, "_listen", listen_and_tell)
    serve(call_listener, has_called)
    released, taken = [], []

    def give():
        partners = Partners({TWO: ["192.168.126.101"]}, {})
        handover_session.hand_over("run", port, (ONE,), partners, lambda ips: released.append(set(ips)) or {})

    def take():
        taking = Partners({}, {ONE: ["192.168.126.101"]})
        taken.append(handover_session.hand_over("run", port, (TWO,), taking, lambda _ips: {}))

    if first == "old holder":
        threads = [in_background(give)]
        assert listens.wait(LONG)
        threads.append(in_background(take))
    else:
        threads = [in_background(take)]
        assert has_called.wait(LONG)
        threads.append(in_background(give))
    for thread in threads:
        thread.join(LONG)
    assert taken == [{"192.168.126.101": []}]
    assert released == [{"192.168.126.101"}]


def notice(kind="leaving"):
    return Notice(TWO, ONE, {**REQUEST, "kind": kind})


def test_notices_are_delivered(call_listener, port):
    notify("secret", port, [notice(), notice("moved")], lambda: True)
    found = []
    while len(found) < 2:
        found.append(wait_for_call(call_listener))
        found[-1].send({})
    assert sorted(each.request["kind"] for each in found) == ["leaving", "moved"]


def test_a_notice_is_delivered_again_to_a_node_that_did_not_answer(call_listener, port, monkeypatch):
    monkeypatch.setattr(fleet_calls, "_PAUSES", (0.01, 0.01))
    real, failures = fleet_calls.call, [CommandError("1"), CommandError("2")]

    def unreliable(*arguments):
        if failures:
            raise failures.pop()
        return real(*arguments)

    monkeypatch.setattr(fleet_calls, "call", unreliable)
    notify("secret", port, [notice()], lambda: True)
    found = wait_for_call(call_listener)
    assert found.request == REQUEST
    found.send({})
    assert failures == []


def test_a_notice_is_sent_at_once_and_again_with_growing_pauses_while_it_is_true(monkeypatch):
    attempts, pauses = [], []
    monkeypatch.setattr(fleet_calls, "_deliver_once", lambda _key, _port, notices: attempts.append(1) or notices)
    monkeypatch.setattr(fleet_calls.time, "sleep", pauses.append)
    fleet_calls._deliver("secret", 1, [notice()], lambda: len(attempts) < 5)
    assert len(attempts) == 5
    assert pauses == [1.0, 3.0, 10.0, 10.0, 10.0]
