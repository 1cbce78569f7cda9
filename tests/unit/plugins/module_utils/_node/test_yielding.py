# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Of two holders that were both away exactly one keeps an address, however slow they are."""

from __future__ import annotations

import itertools
import json
import random

import pytest
from ansible_collections.netops.egress_ip.plugins.module_utils._host_io import files
from ansible_collections.netops.egress_ip.plugins.module_utils._host_io.watch import LONGEST_PAUSE
from ansible_collections.netops.egress_ip.plugins.module_utils._node.yielding import AFTER_THE_OTHER
from node_runs import FOREVER, OTHER_MAC, A, B, apply, observe, watch
from slow_nodes import slow_nodes
from states import held, node_state

PROMPT = (0.0, 0.0)


def two_holders(wire, lower=PROMPT, higher=PROMPT, first_delays=()):
    """Return nodes 1 and 2, which both hold A; each is (pause, delay), as numbers or as functions.

    `first_delays` are those of the lower MAC address after its first probes.
    """
    nodes = []
    for number, (pause, delay) in enumerate((lower, higher), start=1):
        pauses, delays = (iter(each, None) if callable(each) else itertools.repeat(each) for each in (pause, delay))
        node = wire.add(number, pauses, itertools.repeat(0.0))
        endpoints = [f"192.168.126.2{number}", f"2001:db8:126::2{number}"]
        # The claim comes before the other node's, into silence.
        node.run_probes, real = lambda probes: iter([({A}, {})] if probes else []), node.run_probes
        apply(node, node_state(name=f"node{number}", endpoints=endpoints, held=held(A)))
        node.run_probes, node.away, node.settled = real, True, 0.0
        node._delays = itertools.chain(first_delays if number == 1 else (), delays)
        nodes.append(node)
    return nodes


def test_both_yield_if_the_lower_mac_address_is_slow_and_one_takes_the_address_back():
    """The second probe of node2 comes after the first one of node1, and before what follows from that."""
    with slow_nodes() as wire:
        lower, higher = two_holders(wire, first_delays=[LONGEST_PAUSE - 1])
        higher.live(since=0.0)
        lower.live(since=AFTER_THE_OTHER - 0.3)
        wire.time.run(AFTER_THE_OTHER + 2)
        assert wire.holders(A) == [lower]
        wire.time.run(AFTER_THE_OTHER + LONGEST_PAUSE)
        assert wire.holders(A) == []
        wire.time.run(AFTER_THE_OTHER + LONGEST_PAUSE + 10)
        assert wire.holders(A) == [higher]
        wire.time.run(200)
        assert wire.holders(A) == [higher]
        assert str(files.YIELDED_FILE) not in higher.files


@pytest.mark.parametrize("seed", range(12))
def test_one_holder_stays_for_any_delay(seed):
    chance = random.Random(seed)
    slowness = [chance.choice([0.0, AFTER_THE_OTHER, LONGEST_PAUSE]) for _each in range(4)]
    draws = [lambda most=most: chance.uniform(0, most) for most in slowness]
    with slow_nodes() as wire:
        nodes = two_holders(wire, draws[:2], draws[2:])
        for node in nodes:
            node.live(since=chance.choice([0.0, chance.uniform(0, 30)]))
        # The minute after an absence, and what the slowest watch does after it.
        wire.time.run(300)
        assert len(wire.holders(A)) == 1
        (holder,) = wire.holders(A)
        assert observe_held(holder) == [A]
        assert [str(files.YIELDED_FILE) in node.files for node in nodes] == [False, False]


def observe_held(node):
    """Return the egress IPs on the record of a node."""
    return [item["egressIP"] for item in node.load_record()["state"]["held"]]


@pytest.mark.parametrize("away", [0, 1], ids=["lower MAC address", "higher MAC address"])
@pytest.mark.parametrize("slow", [0.0, LONGEST_PAUSE])
def test_a_node_that_was_here_keeps_the_address_all_the_time(away, slow):
    with slow_nodes() as wire:
        nodes = two_holders(wire, (slow, slow), (slow, slow))
        there = nodes[1 - away]
        there.away = False
        for node in nodes:
            node.live(since=0.0)
        for second in range(200):
            wire.time.run(float(second))
            assert there in wire.holders(A)
        assert wire.holders(A) == [there]


@pytest.fixture
def yielded(watched):
    """A node that was away, has yielded A, and waits."""
    watched.interfaces["eth0"]["address"] = "02:00:c0:a8:7e:17"
    watched.wire = {A: FOREVER}
    watch(watched)
    assert observe(watched)["held"] == held(B)
    watched.away = False
    return watched


def later(node, monkeypatch):
    monkeypatch.setattr(node, "monotonic_clock", lambda: 100.0 + LONGEST_PAUSE)


def test_nothing_is_taken_back_before_the_other_one_must_have_yielded(yielded, monkeypatch):
    yielded.wire = {}
    watch(yielded)
    assert observe(yielded)["held"] == held(B)
    later(yielded, monkeypatch)
    watch(yielded)
    assert observe(yielded)["held"] == held(A, B)
    assert observe(yielded)["drift"] == []
    assert str(files.YIELDED_FILE) not in yielded.files


def test_what_is_yielded_later_does_not_hide_what_was_yielded_before(yielded, monkeypatch):
    yielded.away, yielded.wire = True, {A: FOREVER, B: FOREVER}
    watch(yielded)
    assert observe(yielded)["held"] == []
    yielded.away, yielded.wire = False, {}
    later(yielded, monkeypatch)
    watch(yielded)
    assert observe(yielded)["held"] == held(A, B)


def test_nothing_is_taken_back_that_another_host_has(yielded, monkeypatch, capsys):
    later(yielded, monkeypatch)
    watch(yielded)
    assert observe(yielded)["held"] == held(B)
    assert f"{A} is not claimed: {OTHER_MAC} answers for it" in capsys.readouterr().err
    yielded.wire = {}
    watch(yielded)
    assert observe(yielded)["held"] == held(B)


def test_an_address_that_is_gone_from_the_host_comes_back_only_after_a_probe(watched):
    """What it yields and what it has lost are two addresses: another host may have both."""
    watched.interfaces["eth0"]["addr_info"] = [a for a in watched.interfaces["eth0"]["addr_info"] if a["local"] != B]
    watched.wire = {A: FOREVER, B: FOREVER}
    watch(watched)
    assert {A, B}.isdisjoint(watched.addresses())
    assert observe(watched)["held"] == []


def test_an_address_in_doubt_is_not_announced(watched, monkeypatch):
    """Another one was claimed in the same run. The other holder of A yields it later, so A stays here."""
    monkeypatch.setattr(watched, "sleep", lambda seconds: seconds == AFTER_THE_OTHER and watched.wire.clear())
    watched.interfaces["eth0"]["address"] = "02:00:c0:a8:7e:17"
    watched.interfaces["eth0"]["addr_info"] = [a for a in watched.interfaces["eth0"]["addr_info"] if a["local"] != B]
    watched.wire = {A: FOREVER}
    watched.log.clear()
    watch(watched)
    assert {ip for _interface, ip in watched.logged("announce")} == {B}
    assert observe(watched)["held"] == held(A, B)


def test_nothing_is_taken_back_while_the_interface_has_no_link(yielded, monkeypatch):
    yielded.wire = {}
    later(yielded, monkeypatch)
    with monkeypatch.context() as patch:
        patch.setattr(yielded, "has_link", lambda _interface: False)
        watch(yielded)
    yielded.away = False
    assert observe(yielded)["held"] == held(B)
    watch(yielded)
    assert observe(yielded)["held"] == held(A, B)


def test_nothing_is_taken_back_against_a_newer_plan(yielded, monkeypatch):
    apply(yielded, node_state(generation=2, held=held(B), excluded=[]))
    yielded.wire = {}
    later(yielded, monkeypatch)
    watch(yielded)
    assert observe(yielded)["held"] == held(B)
    assert str(files.YIELDED_FILE) not in yielded.files


def test_a_newer_plan_that_comes_while_the_node_waits_counts(watched, monkeypatch):
    """It may have given the address to this node, and the other one releases it in the same run."""
    watched.interfaces["eth0"]["address"] = "02:00:c0:a8:7e:17"
    watched.wire = {A: FOREVER}
    plan = node_state(generation=2, held=held(A, B), excluded=[])
    monkeypatch.setattr(watched, "sleep", lambda seconds: seconds == AFTER_THE_OTHER and apply(watched, plan))
    watch(watched)
    assert observe(watched)["held"] == held(A, B)


def test_a_removal_while_the_node_waits(watched, monkeypatch):
    watched.interfaces["eth0"]["address"] = "02:00:c0:a8:7e:17"
    watched.wire = {A: FOREVER}
    monkeypatch.setattr(watched, "sleep", lambda _seconds: watched.files.pop(str(watched.STATE_FILE), None))
    watch(watched)
    assert A in watched.addresses()


@pytest.mark.parametrize(
    "data",
    [b"{", b"\xff", b"{}", b"1", b"[1]", b"[1, 2.0]", b'[1, 2.0, ["a"]]', b'["1", 2.0, {}]', b'[1, 2.0, {"a": 1}]']
    + [json.dumps([1, 2.0, {"192.0.2.99": "eth0"}]).encode()],
)
def test_a_damaged_note_is_none(watched, data):
    watched.away = False
    watched.write_file(files.YIELDED_FILE, data, 0o600)
    watch(watched)
    assert observe(watched)["held"] == held(A, B)
    assert str(files.YIELDED_FILE) not in watched.files
