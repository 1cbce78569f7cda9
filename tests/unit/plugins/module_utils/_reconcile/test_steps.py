# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The steps around the nodes, from the plan, the audit of the ports and the results so far."""

from __future__ import annotations

import json

import pytest
from ansible_collections.netops.egress_ip.plugins.module_utils._common.errors import InventoryError
from ansible_collections.netops.egress_ip.plugins.module_utils._reconcile.steps import (
    NO_AUDIT,
    audit_ports,
    plan_steps,
)

A = "192.168.126.101"
HOSTS = [{"name": "node1", "fence": None}, {"name": "node2", "fence": "/etc/fence.yml"}]
RUN = {
    "plan": {"assignments": [{"name": "web", "egressIP": A, "node": "node1", "interface": "eth0"}]},
    "fleet": {
        "nodes": [{"name": name, "networks": []} for name in ("node1", "node2")],
        "eligible": ["node1", "node2"],
        "current": [],
        "observed": {"node1": {}},
        "unavailable": [{"name": "node2", "reason": "cannot be reached: timed out"}],
        "recalled": {},
    },
    "rollout": {
        "following": [{"egressIP": A, "node": "node1", "endpoint": "192.168.126.21"}],
        "states": {"node1": {"generation": 3, "farEnds": []}},
    },
}
FENCED = {**NO_AUDIT, "fenced": {"node1": ["vnic_disconnect"]}}


def test_before_the_fences():
    steps = plan_steps(RUN, HOSTS, NO_AUDIT, None, {})
    assert steps["fencing"] == {"node2": "/etc/fence.yml"}
    assert (steps["withheld"], steps["unfence"], steps["tunnels"], steps["in_steps"]) == ({}, [], {}, False)
    assert json.loads(json.dumps(steps)) == steps


@pytest.mark.parametrize(
    ("results", "withheld"),
    [({"node2": ""}, {}), ({"node2": "no power"}, {A: "node2 may hold it and is not fenced: no power"})],
)
def test_after_the_fences(results, withheld):
    assert plan_steps(RUN, HOSTS, NO_AUDIT, results, {})["withheld"] == withheld


def test_after_the_nodes():
    steps = plan_steps(RUN, HOSTS, FENCED, {"node2": ""}, {"node1": {"claimed": [A]}})
    assert steps["tunnels"]["node1"]["farEnds"] == [{"egressIP": A, "endpoint": "192.168.126.21"}]
    assert (steps["unfence"], steps["in_steps"]) == (["node1"], True)


def test_no_node_is_reconnected_before_the_nodes_are_changed():
    assert plan_steps(RUN, HOSTS, FENCED, None, {})["unfence"] == []


def test_a_run_that_stops_has_no_tunnels():
    assert plan_steps({**RUN, "rollout": {}}, HOSTS, NO_AUDIT, None, {})["tunnels"] == {}


def test_an_unknown_fence():
    with pytest.raises(InventoryError, match="^node2: egress_ip_fence: must be vsphere or the absolute path"):
        plan_steps(RUN, [{"name": "node2", "fence": "redfish.yml"}], NO_AUDIT, None, {})


def test_a_vcenter_that_does_not_answer_is_a_failure():
    audited = audit_ports({"nodes": []}, {"failed": True, "msg": "timed out"}, "own", "port")
    assert audited == {**NO_AUDIT, "failures": ["vCenter: timed out"]}
    assert audit_ports({"nodes": []}, {"skipped": True}, "own", "port") == NO_AUDIT
