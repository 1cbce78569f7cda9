# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a node tells the others after a takeover, and what they do then, on a host in memory."""

from __future__ import annotations

from dataclasses import replace

import pytest
from ansible_collections.netops.egress_ip.plugins.module_utils._common.errors import CommandError
from ansible_collections.netops.egress_ip.plugins.module_utils._dataplane.moved_ends import after_move
from ansible_collections.netops.egress_ip.plugins.module_utils._node import fleet_messages
from ansible_collections.netops.egress_ip.plugins.module_utils._node.fleet_handover import take_over_from
from ansible_collections.netops.egress_ip.plugins.module_utils._node.fleet_news import apply_notice, notify_takeover
from ansible_collections.netops.egress_ip.plugins.module_utils._node.follow import Follower
from ansible_collections.netops.egress_ip.plugins.module_utils._node.record import Record
from ansible_collections.netops.egress_ip.plugins.module_utils._protocols.challenge_ack import challenges
from ansible_collections.netops.egress_ip.plugins.module_utils._protocols.ctnetlink import Flow
from followed_node import A, FakeCall, following, run_for, state
from node_runs import SERVER, B, apply, observe
from states import held

# Of a pod of node1, by the tunnel to the holder.
OWN = Flow(6, ("10.88.0.2", 40000), SERVER, SERVER, ("192.168.126.21", 40000), 300, True, (3, (7, 7), (11, 11)))
MOVED = {"kind": "moved", "from": "node2", "to": "node1", "egressIPs": [A]}


def notified(kernel):
    """Return {endpoint: egress IPs} of what the node notified others."""
    assert {notice.request["kind"] for notice in kernel.notified} <= {"moved"}
    assert {notice.own for notice in kernel.notified} <= {"192.168.126.21"}
    return {notice.endpoint: notice.request["egressIPs"] for notice in kernel.notified}


def test_the_others_hear_of_a_takeover(kernel, standby):
    del standby.segment.answers[A]
    run_for(standby, 1)
    assert notified(kernel) == {"192.168.126.22": [A], "192.168.126.23": [A]}
    settling = [line for line in kernel.logged("nft") if "settling4" in line]
    assert settling == [f"add element inet egress_ip settling4 {{ {A} timeout 5s }}"]
    # Before the address is there.
    order = [line for kind, line in kernel.log if kind in ("nft", "ip") and A in line]
    assert order.index(settling[0]) < order.index(next(line for line in order if line.startswith("address add")))


def test_many_addresses_are_announced_in_several_notices(kernel, monkeypatch):
    monkeypatch.setattr(fleet_messages, "_MOST_ADDRESSES", 1)
    holder = following(kernel, "node1", held=held(A, B))
    notify_takeover(holder.node, holder.node.held)
    sent = sorted((notice.endpoint, *notice.request["egressIPs"]) for notice in kernel.notified)
    assert sent == [(endpoint, ip) for endpoint in ("192.168.126.22", "192.168.126.23") for ip in (A, B)]


def test_the_others_hear_of_a_hand_over(kernel, standby):
    released = {"kind": "released", "egressIPs": {A: []}}
    request = {"kind": "leaving", "from": "node2", "to": "node1", "egressIPs": [A]}
    take_over_from(standby, FakeCall(released, request=request))
    assert notified(kernel) == {"192.168.126.22": [A], "192.168.126.23": [A]}


def test_without_a_key_no_one_hears_of_it(kernel, standby):
    standby.node.key = ""
    del standby.segment.answers[A]
    run_for(standby, 1)
    assert A in kernel.addresses()
    assert notified(kernel) == {}


def sent_after(kernel, follower, monkeypatch, **changes):
    """Return the packets that the node sends after a call."""
    sent = []
    monkeypatch.setattr(kernel, "send_packets", sent.extend)
    kernel.flows = {follower.node.record.state.options.mark(follower.node.record.marks[A]): [OWN]}
    before = kernel.snapshot()
    call = FakeCall(request={**MOVED, **changes})
    apply_notice(follower, call)
    assert call.closed
    assert kernel.snapshot() == before
    return sent, call.sent


def test_pods_speak_to_the_new_holder(kernel, standby, monkeypatch):
    sent, answers = sent_after(kernel, standby, monkeypatch)
    assert sent == challenges([OWN])
    assert answers == [{"kind": "moved", "egressIPs": [A]}]


def test_a_node_that_calls_again_and_again_causes_one_challenge(kernel, standby, monkeypatch):
    assert sent_after(kernel, standby, monkeypatch)[0] == challenges([OWN])
    assert sent_after(kernel, standby, monkeypatch) == ([], [{"kind": "moved", "egressIPs": [A]}])
    run_for(standby, 6)
    assert sent_after(kernel, standby, monkeypatch)[0] == challenges([OWN])


@pytest.mark.parametrize("changes", [{"from": "node3"}, {"to": "node2"}, {"egressIPs": ["10.0.0.1", 7, []]}])
def test_a_call_without_known_addresses_or_from_elsewhere_has_no_effect(kernel, standby, monkeypatch, changes):
    sent, _answers = sent_after(kernel, standby, monkeypatch, **changes)
    assert sent == []


# --- An address on another interface than the primary one of its holder -----------------------------------------------

ENDS = [{"egressIP": A, "ends": {"node1": "192.168.126.21", "node2": "192.168.126.22"}}]


def following_far(kernel, holder):
    """Return a program of node1 in a fleet in which the tunnel for A ends at its holder."""
    end = {"node1": "192.168.126.21", "node2": "192.168.126.22"}[holder]
    more = {"ends": ENDS, "far_ends": [{"egressIP": A, "endpoint": end}]}
    return following(kernel, holder, **more)


def tunnel_to(kernel):
    """Return where the tunnel for A ends, on the host and on record."""
    record = Record.load(kernel)
    ends = {item.egress_ip: item.endpoint for item in record.state.far_ends}
    assert observe(kernel)["drift"] == []
    return ends.get(A, A)


def test_the_tunnel_ends_at_the_node_that_took_over(kernel):
    standby = following_far(kernel, "node2")
    del standby.segment.answers[A]
    run_for(standby, 1)
    assert A in kernel.addresses()
    assert tunnel_to(kernel) == "192.168.126.21"


def test_the_tunnels_of_other_nodes_follow(kernel):
    follower = following_far(kernel, "node1")
    kernel.interfaces["eth0"]["addr_info"] = [
        item for item in kernel.interfaces["eth0"]["addr_info"] if item["local"] != A
    ]
    apply(kernel, state("node2", generation=2, ends=ENDS, far_ends=[{"egressIP": A, "endpoint": "192.168.126.21"}]))
    run_for(follower, 2)
    call = FakeCall(request=MOVED)
    apply_notice(follower, call)
    assert call.sent == [{"kind": "moved", "egressIPs": [A]}]
    assert tunnel_to(kernel) == "192.168.126.22"
    # A second time, and from a node that may not hold the address, nothing changes.
    before = kernel.snapshot()
    apply_notice(follower, FakeCall(request=MOVED))
    apply_notice(follower, FakeCall(request={**MOVED, "from": "node3"}, peer="192.168.126.23"))
    assert kernel.snapshot() == before


def test_a_holder_waits_with_its_tunnel_until_it_has_yielded(kernel):
    holder = following_far(kernel, "node1")
    call = FakeCall(request=MOVED)
    apply_notice(holder, call)
    assert call.sent == []
    assert tunnel_to(kernel) == "192.168.126.21"


def test_a_run_comes_before_a_change_of_the_tunnel(kernel):
    follower = following_far(kernel, "node2")
    follower.node.record = replace(follower.node.record, state=after_move(follower.node.record.state, [A], "node1"))

    def locked():
        raise CommandError("another run holds the lock")

    kernel.first = locked
    call = FakeCall(request=MOVED)
    apply_notice(follower, call)
    # Not confirmed, so it comes again.
    assert call.sent == []


def test_a_program_that_starts_again_repeats_what_it_took_over(kernel, standby):
    del standby.segment.answers[A]
    run_for(standby, 1)
    kernel.notified.clear()
    standby.segment.answers["192.168.126.22"] = "02:00:c0:a8:7e:12"
    run_for(Follower(kernel), 1)
    assert notified(kernel) == {"192.168.126.22": [A], "192.168.126.23": [A]}
