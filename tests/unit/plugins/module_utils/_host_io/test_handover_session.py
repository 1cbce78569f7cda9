# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A hand-over between two nodes on the loopback interface: 127.0.0.1 gives, 127.0.0.2 takes, or both do both.

The interface is that of a network namespace. A machine may be busy, so nodes that find each other have a minute.
"""

from __future__ import annotations

import contextlib
import socket
import struct
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from types import SimpleNamespace

import pytest
from ansible_collections.netops.egress_ip.plugins.module_utils._dataplane.handover import Partners
from ansible_collections.netops.egress_ip.plugins.module_utils._host_io import handover_session, node_messages
from ansible_collections.netops.egress_ip.plugins.module_utils._protocols.ctnetlink import Flow
from network_namespace import network_namespace

ONE, TWO = "127.0.0.1", "127.0.0.2"
A, B = "192.168.126.101", "192.168.126.102"
FLOW = Flow(6, ("10.0.0.1", 1), ("10.0.0.2", 2), ("10.0.0.2", 2), (A, 3), 300, True, (3, (7, 7), (3, 3)))
REAL_CONNECT = socket.create_connection
GIVE_A, TAKE_A = Partners({TWO: [A]}, {}), Partners({}, {ONE: [A]})


@pytest.fixture(autouse=True)
def _from_the_endpoint(monkeypatch):
    """A node's packets to another come from its endpoint; on loopback, somebody must say so."""
    connect = socket.create_connection

    def create_connection(address, timeout):
        return connect(address, timeout, source_address=(TWO if address[0] == ONE else ONE, 0))

    monkeypatch.setattr(handover_session.socket, "create_connection", create_connection)
    monkeypatch.setattr(handover_session, "PATIENCE", 60.0)


@pytest.fixture
def impatient(monkeypatch):
    """Of a test in which a node waits until the end."""
    monkeypatch.setattr(handover_session, "PATIENCE", 0.5)


@pytest.fixture
def port():
    """A port that no other program has, nor gets from the kernel."""
    with network_namespace():
        yield 4790


def meet(port, one, two, keys=("secret", "secret"), flows=None):
    """Let both hand over; returns (what each received, what each released in each call, seconds)."""
    released = {ONE: [], TWO: []}

    def node(own, partners, key, flows):
        def release(egress_ips):
            released[own].append(set(egress_ips))
            return flows

        return handover_session.hand_over(key, port, (own,), partners, release)

    start = time.monotonic()
    with ThreadPoolExecutor() as pool:
        first = pool.submit(node, ONE, one, keys[0], flows or {A: [FLOW]})
        second = pool.submit(node, TWO, two, keys[1], {B: []})
        received = first.result(), second.result()
    return received, released, time.monotonic() - start


def test_the_new_holder_gets_the_connections(port):
    received, released, seconds = meet(port, GIVE_A, TAKE_A)
    assert received == ({}, {A: [FLOW]})
    assert released == {ONE: [{A}], TWO: [set()]}
    assert seconds < handover_session.PATIENCE


@pytest.mark.parametrize(("size", "fits"), [("6000", True), ("5", False), ("0", True), ("x", True), (None, True)])
def test_more_connections_than_this_host_can_track_are_not_read(port, monkeypatch, tmp_path, size, fits):
    end = ("2001:db8:aaaa:bbbb:cccc:dddd:eeee:ffff", 65535)
    flow = Flow(17, end, end, end, end, 0xFFFFFFFF, False, (255, (255, 255), (255, 255)))
    monkeypatch.setattr(handover_session, "_TABLE_SIZE", tmp_path / "nf_conntrack_max")
    if size is not None:
        (tmp_path / "nf_conntrack_max").write_text(f"{size}\n")
    ip = end[0]
    received, released, _seconds = meet(
        port, Partners({TWO: [ip]}, {}), Partners({}, {ONE: [ip]}), flows={ip: [flow] * 6000}
    )
    assert received == ({}, {ip: [flow] * 6000} if fits else {})
    assert released == {ONE: [{ip}], TWO: [set()]}


def test_two_nodes_that_swap_do_not_wait_for_each_other(port):
    received, released, seconds = meet(port, Partners({TWO: [A]}, {TWO: [B]}), Partners({ONE: [B]}, {ONE: [A]}))
    assert received == ({B: []}, {A: [FLOW]})
    assert released == {ONE: [{A}], TWO: [{B}]}
    assert seconds < handover_session.PATIENCE


@pytest.mark.usefixtures("impatient")
def test_with_another_key_nothing_is_sent_and_the_address_stays(port):
    received, released, _seconds = meet(port, GIVE_A, TAKE_A, ("secret", "guessed"))
    assert received == ({}, {})
    assert released == {ONE: [set()], TWO: [set()]}


@pytest.mark.usefixtures("impatient")
def test_a_node_that_claims_more_than_is_given_gets_nothing(port):
    received, released, _seconds = meet(port, GIVE_A, Partners({}, {ONE: [A, B]}))
    assert received == ({}, {})
    assert released[ONE] == [set()]


def test_only_the_addresses_of_takers_that_connect_are_released(port, monkeypatch):
    """The time for the others is over as soon as the first one has connected."""
    later, new_holder = [0.0], handover_session._NewHolder

    def let_time_pass(*fields):
        later[0] = handover_session.PATIENCE
        return new_holder(*fields)

    clock = SimpleNamespace(monotonic=lambda: time.monotonic() + later[0], sleep=time.sleep)
    monkeypatch.setattr(handover_session, "time", clock)
    monkeypatch.setattr(handover_session, "_NewHolder", let_time_pass)
    received, released, _seconds = meet(port, Partners({TWO: [A], "127.0.0.3": [B]}, {}), TAKE_A)
    assert received == ({}, {A: [FLOW]})
    assert released[ONE] == [{A}]


def noting(released):
    """Return a `release` that notes what it is called with and knows of no connections."""

    def release(egress_ips):
        released.append(set(egress_ips))
        return {}

    return release


def ends_in_time(attempt):
    """Return whether `attempt`, which returns its seconds, ends soon after the deadline, if need be in the fifth try.

    A busy machine delays some.
    """
    return any(attempt() < 3 * handover_session.PATIENCE for _try in range(5))


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize(("one", "two"), [(GIVE_A, Partners()), (Partners(), TAKE_A)])
def test_no_node_waits_for_long(port, one, two):
    def attempt():
        received, released, seconds = meet(port, one, two)
        assert received == ({}, {})
        assert released == {ONE: [set()], TWO: [set()]}
        return seconds

    assert ends_in_time(attempt)


def test_a_port_that_another_program_has_is_no_reason_to_wait_or_to_keep_the_address(port):
    released = []
    with socket.socket() as other:
        other.bind((ONE, port))
        other.listen()
        start = time.monotonic()
        assert handover_session.hand_over("secret", port, (ONE,), GIVE_A, noting(released)) == {}
        assert time.monotonic() - start < handover_session.PATIENCE
    assert released == [{A}]


@pytest.mark.usefixtures("impatient")
def test_a_release_that_fails_raises(port):
    def release(_egress_ips):
        raise RuntimeError("for the test")

    with pytest.raises(RuntimeError, match="for the test"):
        handover_session.hand_over("secret", port, (ONE,), GIVE_A, release)


# Attacks. A program of any user on a node connects from the endpoint of that node.


@contextlib.contextmanager
def attack(port, behave, count=1):
    """Let `count` connections from the endpoint of the taker behave like this, until the end of the test."""
    stop = threading.Event()

    def run():
        while not stop.is_set():
            with contextlib.suppress(OSError), contextlib.ExitStack() as stack:
                connections = [
                    stack.enter_context(REAL_CONNECT((ONE, port), timeout=1, source_address=(TWO, 0)))
                    for _connection in range(count)
                ]
                behave(connections, stop)
            stop.wait(0.005)

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


def drip(connections, stop):
    """Send one byte now and then."""
    while not stop.wait(0.02):
        for connection in connections:
            connection.send(b"x")


def keep_silent(_connections, stop):
    """Keep the connection, and send nothing."""
    stop.wait()


def announce_a_large_message(connections, stop):
    """Send what looks like a greeting without a proof, and the length of a large message."""
    for connection in connections:
        connection.send(bytes(48) + b"\x0f\xff\xff\xff" + bytes(1 << 16))
    stop.wait()


@pytest.mark.parametrize(
    ("behave", "count"), [(drip, 1), (keep_silent, 5), (keep_silent, 200), (announce_a_large_message, 1)]
)
def test_a_stranger_on_the_taking_node_does_not_delay_a_move(port, behave, count):
    with attack(port, behave, count):
        received, released, seconds = meet(port, GIVE_A, TAKE_A)
    assert received == ({}, {A: [FLOW]})
    assert released[ONE] == [{A}]
    assert seconds < handover_session.PATIENCE


def test_the_whole_hand_over_has_one_deadline_which_is_set_before_it(port, monkeypatch):
    """An old holder that comes late, and has proven its key, gets no time of its own."""
    clock, ends, tried = time.monotonic, [], threading.Event()
    read, send, connect = node_messages.read, node_messages.send, socket.create_connection
    whole = 2 * handover_session.PATIENCE

    def noting_read(connection, reading, deadline):
        ends.append(deadline)
        return read(connection, reading, deadline)

    def noting_send(connection, data, seconds):
        ends.append(clock() + seconds)
        send(connection, data, seconds)

    def noting_connect(address, timeout):
        tried.set()
        return connect(address, timeout)

    monkeypatch.setattr(node_messages, "read", noting_read)
    monkeypatch.setattr(node_messages, "send", noting_send)
    monkeypatch.setattr(handover_session.socket, "create_connection", noting_connect)
    with ThreadPoolExecutor() as pool:
        start = clock()
        taker = pool.submit(handover_session.hand_over, "secret", port, (TWO,), TAKE_A, lambda _ips: {})
        assert tried.wait(60)
        time.sleep(2)
        begun = clock()
        handover_session.hand_over("secret", port, (ONE,), GIVE_A, lambda _ips: {A: [FLOW]})
        giver_end = begun + whole
        assert taker.result() == {A: [FLOW]}
    of_the_taker = sorted(end for end in ends if end < giver_end - 1)
    assert len(ends) == 5
    assert len(of_the_taker) == 4
    assert start + whole <= of_the_taker[-1] < giver_end


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize("behave", [drip, keep_silent])
def test_a_stranger_ends_with_the_deadline(port, behave):
    def attempt():
        released, start = [], time.monotonic()
        with attack(port, behave):
            handover_session.hand_over("secret", port, (ONE,), GIVE_A, noting(released))
        assert released == [set()]
        return time.monotonic() - start

    assert ends_in_time(attempt)


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize("said", [b"", b"x", bytes(16), bytes(16 + 32), bytes(16) + b"\xff" * 1000])
def test_a_stranger_that_listens_in_place_of_the_old_holder_is_not_believed(port, said):
    def serve(server, stop):
        with contextlib.suppress(OSError), server.accept()[0] as connection:
            connection.sendall(said)
            stop.wait()

    def attempt():
        stop = threading.Event()
        with socket.create_server((ONE, port)) as server:
            thread = threading.Thread(target=serve, args=(server, stop))
            thread.start()
            start = time.monotonic()
            assert handover_session.hand_over("secret", port, (TWO,), TAKE_A, lambda _ips: {}) == {}
            seconds = time.monotonic() - start
            stop.set()
            # Ends an `accept` that goes on.
            server.shutdown(socket.SHUT_RDWR)
            thread.join()
        return seconds

    assert ends_in_time(attempt)


# What a node of the fleet sends is checked, too.


class Values:
    """Stands for a Flow that is sent as something else."""

    def __init__(self, values):
        self.values = values

    def to_list(self):
        """Return what is sent."""
        return self.values


def changed(**fields):
    return Values(replace(FLOW, **fields).to_list())


@pytest.mark.parametrize(
    "flow",
    [
        changed(translated=(B, 3)),
        changed(source=("x", 1)),
        changed(source=("2001:db8::1", 1)),
        changed(server=("10.0.0.2", 65536)),
        changed(protocol=132),
        Values([]),
        Values({}),
        Values("x" * 8),
        Values(None),
    ],
)
def test_connections_that_cannot_be_are_refused(port, flow):
    received, released, _seconds = meet(port, GIVE_A, TAKE_A, flows={A: [flow]})
    assert received == ({}, {})
    assert released[ONE] == [{A}]


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize("body", [b"", b"x", b"[]", b"{}", b"[" * 100_000, b'{"egressIPs": "192.168.126.101"}'])
def test_a_message_with_another_form_is_refused(port, body, monkeypatch):
    digest = node_messages.digest
    monkeypatch.setattr(
        node_messages,
        "message",
        lambda key, number, _message: struct.pack("!I", len(body)) + digest(key, number, body) + body,
    )
    received, released, _seconds = meet(port, GIVE_A, TAKE_A)
    assert received == ({}, {})
    assert released[ONE] == [set()]


def test_a_bug_is_not_hidden(port, monkeypatch):
    def broken(*_arguments):
        raise TypeError("for the test")

    monkeypatch.setattr(node_messages, "read_flows", broken)
    with pytest.raises(TypeError, match="for the test"):
        meet(port, GIVE_A, TAKE_A)
