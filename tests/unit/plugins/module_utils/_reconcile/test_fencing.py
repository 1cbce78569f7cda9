# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which nodes are fenced before their egress IPs go elsewhere, and which addresses wait."""

from __future__ import annotations

import copy

import pytest
from ansible_collections.netops.egress_ip.plugins.module_utils._common.errors import InventoryError
from ansible_collections.netops.egress_ip.plugins.module_utils._reconcile.fencing import (
    links_to_cut,
    nodes_to_unfence,
    plan_fencing,
)

A, B = "192.168.126.101", "192.168.126.102"
ALL = dict.fromkeys(("node1", "node2", "node3"), "vsphere")


def plan(*assignments):
    return {"assignments": [{"egressIP": ip, "node": node, "name": "web"} for ip, node in assignments]}


def fleet(*silent, current=(), unlabelled=()):
    """Return three nodes of which some are silent, with [(egress IP, node)] as the others show them."""
    return {
        "nodes": [{"name": name} for name in ALL],
        "current": [{"egressIP": ip, "node": node} for ip, node in current],
        "eligible": [name for name in ALL if name not in unlabelled],
        "unavailable": [{"name": name, "reason": "cannot be reached"} for name in silent],
        "observed": {name: {} for name in ALL if name not in silent},
    }


def nodes(*arguments, fences=None):
    return plan_fencing(*arguments, fences or ALL).nodes


def test_a_silent_node_is_fenced_before_another_claims():
    assert nodes(plan((A, "node1"), (B, "node2")), fleet("node3", current=[(A, "node1")])) == {"node3": "vsphere"}


def test_nobody_is_fenced_while_all_is_held_or_only_moves():
    held = [(A, "node1"), (B, "node2")]
    assert nodes(plan(*held), fleet("node3", current=held)) == {}
    assert nodes(plan((A, "node2"), (B, "node1")), fleet("node3", current=held)) == {}
    assert nodes(plan(*held), fleet(current=[])) == {}


def test_every_silent_node_that_may_hold_is_fenced_and_no_other():
    claims = plan((A, "node1"))
    assert list(nodes(claims, fleet("node2", "node3"))) == ["node2", "node3"]
    assert list(nodes(claims, fleet("node2", "node3", unlabelled=["node2"]))) == ["node3"]


@pytest.mark.parametrize("fence", [None, "", False])
def test_without_a_fence_the_wire_decides(fence):
    fencing = plan_fencing(plan((A, "node1")), fleet("node3"), {"node3": fence}, {})
    assert (fencing.nodes, fencing.withheld) == ({}, {})


def test_what_is_fenced_gives_everything_free():
    assert plan_fencing(plan((A, "node1")), fleet("node3"), ALL, {"node3": ""}).withheld == {}


def test_as_long_as_one_node_is_not_fenced_what_it_may_hold_waits():
    arguments = plan((A, "node1"), (B, "node1")), fleet("node2", "node3", current=[(B, "node1")]), ALL
    results = {"node2": "", "node3": "its host esx1 does not respond"}
    reason = f"node3 may hold it and is not fenced: {results['node3']}"
    assert plan_fencing(*arguments, results).withheld == {A: reason}
    assert plan_fencing(*arguments).withheld == {A: "node2 may hold it and is not fenced: no fence was tried"}


def test_inputs_are_unchanged_and_the_order_of_nodes_is_that_of_the_fleet():
    arguments = plan((A, "node1")), fleet("node2", "node3"), ALL, {}
    before = copy.deepcopy(arguments)
    plan_fencing(*arguments)
    assert arguments == before


@pytest.mark.parametrize("fence", ["redfish.yml", "vSphere", True, 5, ["vsphere"]])
def test_a_fence_is_vsphere_or_an_absolute_path(fence):
    with pytest.raises(InventoryError, match=r"^node3: egress_ip_fence: must be vsphere or the absolute path"):
        plan_fencing(plan(), fleet(), {"node3": fence})
    assert nodes(plan((A, "node1")), fleet("node3"), fences={"node3": "/x/y.yml"}) == {"node3": "/x/y.yml"}


NOTICED = {"vnic_disconnect", "power_off"}


def test_a_node_gets_its_network_back_when_it_answered_and_is_clean():
    fenced = {name: ["port_block"] for name in ("node3", "node2", "node1")}
    assert nodes_to_unfence(fenced, NOTICED, fleet("node1"), {}, {}) == ["node3", "node2"]
    results = {"node3": {"failed": True}, "node2": {"changed": True}}
    assert nodes_to_unfence(fenced, NOTICED, fleet("node1"), {}, results) == ["node2"]
    assert nodes_to_unfence(fenced, NOTICED, fleet("node1"), {}, {"node3": {"unreachable": True}}) == ["node2"]


@pytest.mark.parametrize(
    ("methods", "back"),
    [
        (["vnic_disconnect"], True),
        (["power_off"], True),
        (["vnic_disconnect", "power_off"], True),
        (["port_block"], False),
        (["port_block", "power_off"], False),
    ],
)
def test_a_silent_node_gets_it_back_when_it_has_noticed_and_others_hold_everything(methods, back):
    fenced = {"node3": methods}
    assert nodes_to_unfence(fenced, NOTICED, fleet("node3"), {}, {}) == (["node3"] if back else [])
    assert nodes_to_unfence(fenced, NOTICED, fleet("node3"), {"node3": "vsphere"}, {}) == []


def test_the_interfaces_that_may_have_an_address_that_is_to_be_claimed():
    links = [
        {"mac": "00:50:56:00:03:01", "addresses": ["192.168.126.23/18", "2001:db8::23/64"]},
        {"mac": "00:50:56:00:03:02", "addresses": ["10.9.0.23/24"]},
    ]
    silent = {
        **fleet("node3", current=[(B, "node1")]),
        "members": [{"name": "node1"}, {"name": "node3", "links": links}],
    }
    assert links_to_cut("node3", plan((A, "node1")), silent) == ["00:50:56:00:03:01"]
    assert links_to_cut("node3", plan(("10.9.0.10", "node1"), (B, "node1")), silent) == ["00:50:56:00:03:02"]
    assert links_to_cut("node3", plan((B, "node1")), silent) is None
    assert links_to_cut("node1", plan((A, "node1")), silent) == []
