# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The steps around the nodes, from the plan, the audit of the ports and the results so far."""

from __future__ import annotations

import json

import pytest
from ansible_collections.netops.egress_ip.plugins.module_utils._common.errors import InventoryError
from ansible_collections.netops.egress_ip.plugins.module_utils._reconcile.providers import audit, audited
from ansible_collections.netops.egress_ip.plugins.module_utils._reconcile.steps import plan_steps

A = "192.168.126.101"
FENCES = {"node1": None, "node2": "/etc/fence.yml"}
NODES = [{"name": "node1", "vms": [{"name": "vm1"}], "uuid": None}, {"name": "node2", "vms": [], "uuid": None}]
VCENTERS = [{"connection": name, "nodes": [name], "vms": []} for name in ("node1", "node2")]
QUERY = {"name": "vsphere", "nodes": NODES, "vcenters": VCENTERS, "egress_ips": [A]}
RUN = {
    "plan": {"assignments": [{"name": "web", "egressIP": A, "node": "node1", "interface": "eth0"}]},
    "fleet": {
        "nodes": [{"name": name, "labels": {}, "networks": []} for name in ("node1", "node2")],
        "eligible": ["node1", "node2"],
        "current": [],
        "observed": {"node1": {}},
        "unavailable": [{"name": "node2", "reason": "cannot be reached: timed out"}],
        "recalled": {},
    },
    "platforms": [QUERY],
    "manifests": {"egressips": []},
    "rollout": {
        "pending": [],
        "assigned": {},
        "following": [{"egressIP": A, "node": "node1", "endpoint": "192.168.126.21"}],
        "states": {"node1": {"generation": 3, "far_ends": []}},
    },
}
NO_AUDIT = {
    "nodes": {},
    "fenced": {},
    "proven": [],
    "labels": {},
    "unchecked": [],
    "egress_ips": [A],
    "failures": [],
    "guest_mac": "own",
    "scope": "port",
}
FENCED = {"vsphere": {**NO_AUDIT, "fenced": {"node1": ["vnic_disconnect"]}, "proven": ["node1"], "failures": ["a"]}}


def test_before_the_fences():
    steps = plan_steps(RUN, FENCES, {}, None, {})
    assert steps["fencing"] == [{"node": "node2", "platform": "", "target": {}, "file": "/etc/fence.yml"}]
    assert (steps["withheld"], steps["unfence"], steps["updates"], steps["in_steps"]) == ({}, [], {}, False)
    assert json.loads(json.dumps(steps)) == steps


@pytest.mark.parametrize(
    ("results", "withheld"),
    [({"node2": ""}, {}), ({"node2": "no power"}, {A: "node2 may hold it and is not fenced: no power"})],
)
def test_after_the_fences(results, withheld):
    assert plan_steps(RUN, FENCES, {}, results, {})["withheld"] == withheld


def test_after_the_nodes():
    steps = plan_steps(RUN, FENCES, FENCED, {"node2": ""}, {"node1": {"claimed": [A]}})
    assert steps["updates"]["node1"]["far_ends"] == [{"egressIP": A, "endpoint": "192.168.126.21"}]
    unfence = [{"platform": "vsphere", "targets": NODES[:1]}]
    assert (steps["unfence"], steps["in_steps"]) == (unfence, True)


def test_the_audits_of_all_platforms():
    made = audited(RUN, {**FENCED, "other": {**NO_AUDIT, "fenced": {"node2": ["off"]}, "failures": ["b"]}})
    assert made["fenced"] == {"node1": ["vnic_disconnect"], "node2": ["off"]}
    assert (made["proven"], made["failures"], set(made["audits"])) == (["node1"], ["a", "b"], {"vsphere", "other"})
    assert not any(audited(RUN, {}).values())


@pytest.mark.parametrize(("spread", "again"), [({}, False), ({"egress-ip.netops/spread": "vsphere/host"}, True)])
def test_labels_of_a_platform_and_a_plan_that_needs_them(spread, again):
    metadata, spec = {"name": "web", "annotations": spread}, {"egressIPs": [A], "namespaceSelector": {}}
    document = {"apiVersion": "k8s.ovn.org/v1", "kind": "EgressIP", "metadata": metadata, "spec": spec}
    run = {**RUN, "manifests": {"egressips": [document]}, "answers": {}}
    labels = {"node1": {"vsphere/host": "esx1"}, "node2": {"vsphere/host": "esx2"}}
    audits = {"vsphere": {**NO_AUDIT, "labels": labels}}
    made = audited(run, audits)
    assert (made["labels"], made["plan_again"]) == (labels, again)
    assert plan_steps(run, FENCES, audits, None, {})["domain_notes"] == {"planned": [], "current": []}
    assert audited(RUN, FENCED)["plan_again"] is True


@pytest.mark.parametrize("selects", [True, False])
@pytest.mark.parametrize("of_node1", [{}, {"vsphere/host": "esx1"}])
def test_an_outage_of_a_platform_whose_labels_are_used(selects, of_node1):
    key, value = ("node-selector", "vsphere/host") if selects else ("spread", "vsphere/host")
    metadata = {"name": "web", "annotations": {f"egress-ip.netops/{key}": value}}
    spec = {"egressIPs": [A], "namespaceSelector": {}}
    document = {"apiVersion": "k8s.ovn.org/v1", "kind": "EgressIP", "metadata": metadata, "spec": spec}
    fleet = {**RUN["fleet"], "observed": {"node1": {}, "node2": {}}}
    run = {**RUN, "fleet": fleet, "manifests": {"egressips": [document]}, "answers": {}}
    failure = "vCenter: timed out"
    made = audited(run, {"vsphere": {**NO_AUDIT, "labels": {"node1": of_node1}, "failures": [failure]}})
    assert (made["plan_again"], made["keep_holders"], made["failures"]) == (True, not selects, [failure])
    assert made["stop_reasons"][1:] == ([failure] if selects else [])
    assert len(made["stop_reasons"]) == (2 if selects else 0)


def test_a_platform_fences_its_own_target():
    (fence,) = plan_steps(RUN, {"node2": "vsphere"}, {}, None, {})["fencing"]
    assert fence == {
        "node": "node2",
        "platform": "vsphere",
        "target": {**NODES[1], "macs": []},
        "file": "",
    }


def test_the_reason_of_a_platforms_fence_names_the_variable():
    steps = plan_steps(RUN, {"node2": "vsphere"}, {}, {"node2": "use method: power_off"}, {})
    reason = "node2 may hold it and is not fenced: use egress_ip_vsphere_fence_method: power_off"
    assert steps["withheld"] == {A: reason}


def test_the_changes_of_a_platform():
    rule = {"description": f"netops.egress_ip {A}", "sequence": 5}
    port = {
        "vm": {"moid": "vm-1"},
        "nic": {"mac": "00:50:56:00:01:01"},
        "connection": "node2",
        "switch": {"type": "distributed"},
        "port_group": {"moid": "dvportgroup-1", "noted": {"forged_transmits": False}},
        "vlan": None,
        "rules": [rule],
        "overridden": ["rules"],
        "mac_learning": None,
        "noted": {},
        "egress_ips": [],
    }
    run = {**RUN, "fleet": {**RUN["fleet"], "observed": {"node1": {"macs": {}}}}}
    steps = plan_steps(run, FENCES, {"vsphere": {**NO_AUDIT, "nodes": {"node1": [port]}}}, None, {})
    vms = [{"moid": "vm-1", "mac": "00:50:56:00:01:01"}]
    change = {"security": {}, "mac_learning": {}, "allowed_addresses": [A], "connection": "node2", "vms": vms}
    assert (steps["open"], steps["close"]) == ([], [{"platform": "vsphere", "changes": [change]}])
    assert (len(steps["notes"]), steps["in_steps"]) == (1, True)


def test_no_node_is_reconnected_before_the_nodes_are_changed():
    assert plan_steps(RUN, FENCES, FENCED, None, {})["unfence"] == []


def test_a_run_that_stops_has_no_updates():
    assert plan_steps({**RUN, "rollout": {}}, FENCES, {}, None, {})["updates"] == {}


def test_an_unknown_fence():
    with pytest.raises(InventoryError, match="^node2: egress_ip_fence: must be vsphere or the absolute path"):
        plan_steps(RUN, {"node2": "redfish.yml"}, {}, None, {})


def test_a_vcenter_that_does_not_answer_is_a_failure():
    settings = {"guest_mac": "own", "scope": "port"}
    answer = {"failed": True, "results": [{"failed": True, "msg": "timed out"}, {"ports": []}]}
    audited = audit([QUERY], "vsphere", answer, settings)
    assert audited == {**NO_AUDIT, "failures": ["vCenter: timed out"]}
    assert audit([QUERY], "vsphere", {"failed": True, "msg": "a"}, settings) == {**NO_AUDIT, "failures": ["vCenter: a"]}
    skipped = audit([QUERY], "vsphere", {"results": [{"skipped": True}, {"ports": []}]}, settings)
    assert skipped == {**NO_AUDIT, "unchecked": ["node1"]}
