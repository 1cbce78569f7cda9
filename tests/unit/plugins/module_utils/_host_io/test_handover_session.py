# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Two nodes that meet, over the loopback interface: 127.0.0.1 gives, 127.0.0.2 takes, or both do both."""

from __future__ import annotations

import socket
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from ansible_collections.netops.egress_ip.plugins.module_utils._dataplane.handover import Partners
from ansible_collections.netops.egress_ip.plugins.module_utils._host_io import handover_session
from ansible_collections.netops.egress_ip.plugins.module_utils._protocols.ctnetlink import Flow

ONE, TWO = "127.0.0.1", "127.0.0.2"
A, B = "192.168.126.101", "192.168.126.102"
FLOW = Flow(6, ("10.0.0.1", 1), ("10.0.0.2", 2), ("10.0.0.2", 2), (A, 3), 300, True, (3, (7, 7), (3, 3)))
GIVE_A, TAKE_A = Partners({TWO: [A]}, {}), Partners({}, {ONE: [A]})


@pytest.fixture(autouse=True)
def _from_the_endpoint(monkeypatch):
    """A node's packets to another come from its endpoint; on loopback, somebody must say so."""
    connect = socket.create_connection

    def create_connection(address, timeout):
        return connect(address, timeout, source_address=(TWO if address[0] == ONE else ONE, 0))

    monkeypatch.setattr(handover_session.socket, "create_connection", create_connection)
    monkeypatch.setattr(handover_session, "PATIENCE", 0.5)


@pytest.fixture
def port():
    with socket.socket() as sock:
        sock.bind((ONE, 0))
        return sock.getsockname()[1]


def meet(port, one, two, keys=("secret", "secret")):
    """Let both meet; returns (what each learned, how often each released, seconds)."""
    released = {ONE: 0, TWO: 0}

    def node(own, partners, key, flows):
        def release():
            released[own] += 1
            return flows

        return handover_session.hand_over(key, port, (own,), partners, release)

    start = time.monotonic()
    with ThreadPoolExecutor() as pool:
        first = pool.submit(node, ONE, one, keys[0], {A: [FLOW]})
        second = pool.submit(node, TWO, two, keys[1], {B: []})
        learned = first.result(), second.result()
    return learned, released, time.monotonic() - start


def test_the_new_holder_learns_the_connections(port):
    learned, released, seconds = meet(port, GIVE_A, TAKE_A)
    assert learned == ({}, {A: [FLOW]})
    assert released == {ONE: 1, TWO: 1}
    assert seconds < handover_session.PATIENCE


def test_two_nodes_that_swap_do_not_wait_for_each_other(port):
    learned, released, seconds = meet(port, Partners({TWO: [A]}, {TWO: [B]}), Partners({ONE: [B]}, {ONE: [A]}))
    assert learned == ({B: []}, {A: [FLOW]})
    assert released == {ONE: 1, TWO: 1}
    assert seconds < handover_session.PATIENCE


def test_another_key_learns_nothing_and_the_address_is_released_all_the_same(port):
    learned, released, _seconds = meet(port, GIVE_A, TAKE_A, ("secret", "guessed"))
    assert learned == ({}, {})
    assert released == {ONE: 1, TWO: 1}


def test_who_asks_for_more_than_is_given_learns_nothing(port):
    assert meet(port, GIVE_A, Partners({}, {ONE: [A, B]}))[0] == ({}, {})


@pytest.mark.parametrize(("one", "two"), [(GIVE_A, Partners()), (Partners(), TAKE_A)])
def test_nobody_waits_for_long(port, one, two):
    learned, released, seconds = meet(port, one, two)
    assert learned == ({}, {})
    assert released == {ONE: 1, TWO: 1}
    assert seconds < 3 * handover_session.PATIENCE


def test_a_port_that_somebody_has_is_no_reason_to_wait(port):
    with socket.socket() as other:
        other.bind((ONE, port))
        other.listen()
        start = time.monotonic()
        assert handover_session.hand_over("secret", port, (ONE,), GIVE_A, dict) == {}
        assert time.monotonic() - start < handover_session.PATIENCE


def test_a_release_that_fails_is_told(port):
    def release():
        raise RuntimeError("for the test")

    with pytest.raises(RuntimeError, match="for the test"):
        handover_session.hand_over("secret", port, (ONE,), GIVE_A, release)
