# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a node tells the others after a takeover, and what they do then, on a host in memory."""

from __future__ import annotations

import pytest
from ansible_collections.netops.egress_ip.plugins.module_utils._node.fleet_handover import take_over_from
from ansible_collections.netops.egress_ip.plugins.module_utils._node.fleet_news import heed
from ansible_collections.netops.egress_ip.plugins.module_utils._protocols.challenge_ack import challenges
from ansible_collections.netops.egress_ip.plugins.module_utils._protocols.ctnetlink import Flow
from followed_node import A, FakeCall, following, go_on
from node_runs import SERVER

# Of a pod of node1, by the tunnel to the holder.
OWN = Flow(6, ("10.88.0.2", 40000), SERVER, SERVER, ("192.168.126.21", 40000), 300, True, (3, (7, 7), (11, 11)))
MOVED = {"kind": "moved", "from": "node2", "to": "node1", "egressIPs": [A]}


@pytest.fixture
def standby(kernel):
    return following(kernel, "node2")


def told(kernel):
    """Return {endpoint: egress IPs} of what the node told others."""
    assert {letter.request["kind"] for letter in kernel.told} <= {"moved"}
    assert {letter.own for letter in kernel.told} <= {"192.168.126.21"}
    return {letter.endpoint: letter.request["egressIPs"] for letter in kernel.told}


def test_the_others_hear_of_a_takeover(kernel, standby):
    del standby.segment.answers[A]
    go_on(standby, 1)
    assert told(kernel) == {"192.168.126.22": [A], "192.168.126.23": [A]}
    settling = [line for line in kernel.logged("nft") if "settling4" in line]
    assert settling == [f"add element inet egress_ip settling4 {{ {A} timeout 5s }}"]
    # Before the address is there.
    order = [line for kind, line in kernel.log if kind in ("nft", "ip") and A in line]
    assert order.index(settling[0]) < order.index(next(line for line in order if line.startswith("address add")))


def test_the_others_hear_of_a_hand_over(kernel, standby):
    released = {"kind": "released", "egressIPs": {A: []}}
    request = {"kind": "leaving", "from": "node2", "to": "node1", "egressIPs": [A]}
    take_over_from(standby, FakeCall(released, request=request))
    assert told(kernel) == {"192.168.126.22": [A], "192.168.126.23": [A]}


def test_without_a_key_no_one_hears_of_it(kernel, standby):
    standby.key = ""
    del standby.segment.answers[A]
    go_on(standby, 1)
    assert A in kernel.addresses()
    assert told(kernel) == {}


def sent_after(kernel, follower, monkeypatch, **changes):
    """Return the packets that the node sends after a call."""
    sent = []
    monkeypatch.setattr(kernel, "send_packets", sent.extend)
    kernel.flows = {follower.record.state.options.mark(follower.record.marks[A]): [OWN]}
    before = kernel.snapshot()
    call = FakeCall(request={**MOVED, **changes})
    heed(follower, call)
    assert call.closed
    assert kernel.snapshot() == before
    return sent, call.sent


def test_pods_speak_to_the_new_holder(kernel, standby, monkeypatch):
    sent, answers = sent_after(kernel, standby, monkeypatch)
    assert sent == challenges([OWN])
    assert answers == [{"kind": "moved", "egressIPs": [A]}]


@pytest.mark.parametrize("changes", [{"from": "node3"}, {"to": "node2"}, {"egressIPs": ["10.0.0.1", 7, []]}])
def test_a_call_without_known_addresses_or_from_elsewhere_has_no_effect(kernel, standby, monkeypatch, changes):
    sent, _answers = sent_after(kernel, standby, monkeypatch, **changes)
    assert sent == []
