# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What becomes of a connection when its egress IP moves from node1 to node2; node3 looks on."""

from __future__ import annotations

import pytest
from ansible_collections.netops.egress_ip.plugins.module_utils._dataplane.handover import (
    PlannedRelease,
    flow_after_release,
    flows_after_claim,
    partners,
)
from ansible_collections.netops.egress_ip.plugins.module_utils._protocols.ctnetlink import Flow
from states import held, node_state

NODE1, NODE2, NODE3 = (f"192.168.126.{i}" for i in (21, 22, 23))
NODES = {NODE1, NODE2, NODE3}
EGRESS_IP, POD, SERVER = ("192.168.126.101", 40000), ("10.88.0.2", 40000), ("203.0.113.9", 80)


def flow(source, translated=EGRESS_IP, **parts):
    details = {"destination": SERVER, "server": SERVER, "timeout": 300, "assured": True, "tcp": (3, (7, 7), (3, 3))}
    return Flow(**{"protocol": 6, "source": source, "translated": translated, **details, **parts})


def test_a_flow_of_a_third_node_is_told_as_it_is():
    third = flow((NODE3, 40000))
    assert flow_after_release(third, NODE1, NODES) == (third, None)
    assert flows_after_claim([third], NODE2, ()) == [third]


def test_a_flow_of_the_old_holders_pod_goes_on_through_the_tunnel():
    sent, stays = flow_after_release(flow(POD), NODE1, NODES)
    assert stays == flow(POD, translated=(NODE1, 40000))
    assert sent == flow((NODE1, 40000))
    assert flows_after_claim([sent], NODE2, ()) == [sent]


def test_a_flow_of_a_user_of_the_old_holder_goes_on_through_the_tunnel():
    """Its source is the address of the node, as that of what comes out of the tunnel."""
    sent, stays = flow_after_release(flow((NODE1, 50000)), NODE1, NODES)
    assert stays == flow((NODE1, 50000), translated=(NODE1, 40000))
    assert sent == flow((NODE1, 40000))
    assert flows_after_claim([sent], NODE2, ()) == [sent]


def test_a_flow_of_a_user_of_the_new_holder_goes_out_by_itself():
    sent, _stays = flow_after_release(flow((NODE2, 50000)), NODE1, NODES)
    own = [flow((NODE2, 40001), translated=(NODE2, 50000))]
    assert flows_after_claim([sent], NODE2, own) == [flow((NODE2, 40001))]


def test_a_flow_of_the_new_holders_pod_goes_out_by_itself():
    sent, stays = flow_after_release(flow((NODE2, 50000)), NODE1, NODES)
    assert (sent, stays) == (flow((NODE2, 50000)), None)
    own = [flow(POD, translated=(NODE2, 50000)), flow(("10.88.0.3", 1), translated=(NODE2, 50001))]
    assert flows_after_claim([sent], NODE2, own) == [flow(POD)]


def test_a_flow_that_the_new_holders_pod_has_closed_is_not_made_again():
    assert flows_after_claim([flow((NODE2, 50000))], NODE2, [flow(POD, translated=(NODE2, 50000), protocol=17)]) == []


def test_a_flow_whose_destination_is_translated_too_cannot_go_along():
    service = ("10.96.0.10", 80)
    assert flow_after_release(flow(POD, destination=service), NODE1, NODES) == (None, None)
    own = [flow(POD, destination=service, translated=(NODE2, 50000))]
    assert flows_after_claim([flow((NODE2, 50000))], NODE2, own) == []


A, B, A6 = "192.168.126.101", "192.168.126.102", "2001:db8:126::101"


@pytest.mark.parametrize(
    ("releases", "giving", "taking"),
    [
        pytest.param([PlannedRelease(A, "node1", "node2")], {NODE2: [A]}, {}, id="it gives"),
        pytest.param([PlannedRelease(B, "node2", "node1")], {}, {NODE2: [B]}, id="it takes"),
        pytest.param(
            [PlannedRelease(A, "node1", "node2"), PlannedRelease(B, "node2", "node1")],
            {NODE2: [A]},
            {NODE2: [B]},
            id="they swap",
        ),
        pytest.param([PlannedRelease(A, "node1")], {}, {}, id="nobody takes it"),
        pytest.param([PlannedRelease(A, "node1", "nobody")], {}, {}, id="the taker is not known"),
        pytest.param([PlannedRelease(A, "node2", "node3")], {}, {}, id="it is not ours"),
        pytest.param([PlannedRelease("192.168.126.103", "node1", "node2")], {}, {}, id="it has not got it"),
        pytest.param([PlannedRelease(A6, "node1", "node2")], {"2001:db8:126::22": [A6]}, {}, id="over IPv6"),
    ],
)
def test_partners(releases, giving, taking):
    state = node_state(held=held(B))
    found = partners(state, releases, {A, A6}, {B})
    assert (found.giving, found.taking) == (giving, taking)
    assert bool(found) == bool(giving or taking)
