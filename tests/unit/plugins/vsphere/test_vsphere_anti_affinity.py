# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The module vsphere_anti_affinity against a simulated vCenter."""

from __future__ import annotations

import pytest
from pyVim.task import WaitForTask
from pyVmomi import vim

NAME = "vsphere_anti_affinity"
NODES = {"vms": [{"name": f"node{n}"} for n in (1, 2, 3)]}


def clusters(vcenter):
    return vcenter.all(vim.ClusterComputeResource)


def rules(vcenter, cluster="DC0_C0"):
    return clusters(vcenter)[cluster].configurationEx.rule


def write(vcenter, cluster, operation, info):
    spec = vim.cluster.ConfigSpecEx(rulesSpec=[vim.cluster.RuleSpec(operation=operation, info=info)])
    WaitForTask(clusters(vcenter)[cluster].ReconfigureComputeResource_Task(spec, True))
    vcenter.journal()


def foreign(vcenter, kind=vim.cluster.AntiAffinityRuleSpec, name="apart"):
    vms = vcenter.all(vim.VirtualMachine)
    write(vcenter, "DC0_C0", "add", kind(name=name, enabled=True, vm=[vms["node1"], vms["node2"]]))
    return str(rules(vcenter))


def test_four_steps_there_and_back(four_steps, vcenter):
    before = foreign(vcenter)
    done = four_steps(NAME, **NODES)
    (told,) = done["rules"]
    assert told["after"] == {"vms": ["node1", "node2", "node3"], "enabled": True, "mandatory": False}
    assert (told["cluster"], told["before"], done["warnings"]) == ("DC0_C0", None, [])
    own = rules(vcenter)[1]
    assert (own.name, own.userCreated, len(own.vm)) == ("netops.egress_ip nodes", True, 3)
    four_steps(NAME, vms=NODES["vms"][:2], mandatory=True)
    changed = rules(vcenter)[1]
    assert (changed.key, changed.ruleUuid, changed.mandatory, len(changed.vm)) == (own.key, own.ruleUuid, True, 2)
    four_steps(NAME, state="absent")
    assert str(rules(vcenter)) == before


def test_rules_of_several_names(run, vcenter):
    run(NAME, **NODES)
    run(NAME, **NODES, name="others")
    assert [rule.name for rule in rules(vcenter)] == ["netops.egress_ip nodes", "netops.egress_ip others"]
    run(NAME, state="absent")
    assert [rule.name for rule in rules(vcenter)] == ["netops.egress_ip others"]


def test_what_somebody_changed_is_set_again(four_steps, vcenter):
    four_steps(NAME, **NODES)
    (own,) = rules(vcenter)
    own.enabled = False
    write(vcenter, "DC0_C0", "edit", own)
    told = four_steps(NAME, **NODES)["rules"][0]
    assert (told["before"]["enabled"], told["after"]["enabled"]) == (False, True)


def test_a_rule_of_another_kind_with_this_name_stays(run, vcenter):
    before = foreign(vcenter, vim.cluster.AffinityRuleSpec, "netops.egress_ip nodes")
    assert "is a rule of another kind in cluster DC0_C0; use another name" in run(NAME, **NODES)["msg"]
    assert run(NAME, state="absent")["changed"] is False
    assert (str(rules(vcenter)), vcenter.writes()) == (before, [])


@pytest.mark.parametrize("vcenter", [("-clusters", "2")], indirect=True)
def test_a_rule_in_a_cluster_without_the_vms_is_removed(four_steps, vcenter):
    vms = vcenter.all(vim.VirtualMachine)
    info = vim.cluster.AntiAffinityRuleSpec(name="netops.egress_ip nodes", enabled=True, vm=[vms["node1"], vms["twin"]])
    write(vcenter, "DC0_C1", "add", info)
    done = four_steps(NAME, **NODES)
    told = {rule["cluster"]: rule["after"] for rule in done["rules"]}
    assert (told["DC0_C1"], told["DC0_C0"]["vms"]) == (None, ["node1", "node2", "node3"])


def test_a_cluster_without_drs(run, vcenter):
    vcenter.control("drs", enabled=False)
    done = run(NAME, **NODES)
    assert done["warnings"] == ["cluster DC0_C0: DRS is not enabled, so that the rule has no effect"]
    assert run(NAME, state="absent")["warnings"] == []


def test_what_cannot_be_done_is_said(run, vcenter):
    assert run(NAME)["msg"] == "state is present but all of the following are missing: vms"
    assert run(NAME, vms=[{"name": "node1"}])["msg"] == "vms: must name at least 2 VMs, not 1"
    message = run(NAME, vms=[{"name": "node1"}, {"name": "twin"}])["msg"]
    assert message.startswith("vms[1].name: must identify one VM; 2 are named 'twin'")
    vcenter.control("user", name="guest", password="secret", lacks=["Host.Inventory.EditCluster"])
    assert run(NAME, username="guest", **NODES)["msg"] == "DC0_C0: guest lacks the privilege Host.Inventory.EditCluster"
    vcenter.control("lose", name="node1", what="host")
    assert run(NAME, **NODES)["msg"] == "vms[0]: node1 must be in a cluster that this user can read; DRS needs one"


@pytest.mark.parametrize("kind", ["drop", "lose_answer", "lose_session"])
def test_trouble_that_passes(run, vcenter, kind):
    for state in ("present", "absent"):
        vcenter.control("order", method="ReconfigureComputeResource_Task", kind=kind)
        assert run(NAME, **NODES, state=state)["changed"] is True
        assert run(NAME, **NODES, state=state)["changed"] is False
