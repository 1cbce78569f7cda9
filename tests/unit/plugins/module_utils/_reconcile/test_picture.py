# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The picture of a fleet: golden/picture/CASE holds run.yml (of a RunPlan) and picture.yml, planned or as observed."""

from __future__ import annotations

import copy

import pytest
from ansible_collections.netops.egress_ip.plugins.module_utils._reconcile.picture import picture


@pytest.mark.golden("picture")
def test_picture(golden, request):
    (run,) = golden["run"]
    before = copy.deepcopy(run)
    made = picture(run, planned="planned" in request.node.callspec.id)
    assert run == before
    golden.check("picture.yml", made)


A, B = "192.168.126.101", "192.168.126.102"


def document(name, *egress_ips):
    spec = {"egressIPs": list(egress_ips), "namespaceSelector": {}}
    return {"apiVersion": "k8s.ovn.org/v1", "kind": "EgressIP", "metadata": {"name": name}, "spec": spec}


@pytest.mark.parametrize(
    ("holder", "assigned", "owner"),
    [("web", None, "web"), (None, None, "db"), ("removed", None, "db"), ("web", "web", "web"), (None, "web", "web")],
)
def test_an_address_that_several_objects_list_is_with_its_owner_only(holder, assigned, owner):
    current = [{"egressIP": A, "node": "node1", **({"name": holder} if holder else {})}]
    assignments = [{"egressIP": A, "node": "node1", "name": assigned}] if assigned else []
    nodes = [{"name": "node1", "labels": {}, "ready": True, "networks": [], "capacity": None}]
    fleet = {"nodes": nodes, "current": current, "eligible": ["node1"], "unavailable": [], "faulty": []}
    manifests = {"egressips": [document("web", A, B), document("db", A, B)]}
    manifests.update({key: [] for key in ("namespaces", "pods", "nodes", "invalid", "ignored")})
    plan = {"assignments": assignments, "unassigned": []}
    run = {"fleet": {**fleet, "observed": {"node1": {"generation": 1}}}, "manifests": manifests, "plan": plan}
    made = picture({**run, "stop_reasons": []}, planned=False)
    assert made["nodes"][0]["addresses"][0]["name"] == owner
    listed = {each["name"]: [item["egressIP"] for item in each["addresses"]] for each in made["objects"]}
    assert listed == {"web": [], "db": [B], **{owner: [A, B] if owner == "db" else [A]}}
