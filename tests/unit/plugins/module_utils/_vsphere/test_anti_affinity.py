# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which clusters get which rule."""

from __future__ import annotations

import pytest
from ansible_collections.netops.egress_ip.plugins.module_utils._vsphere.anti_affinity import (
    AntiAffinity,
    DrsCluster,
    Rule,
    decide,
    rule_name,
)
from ansible_collections.netops.egress_ip.plugins.module_utils._vsphere.errors import VsphereError

NODE1, NODE2, NODE3 = (("vm-1", "node1"), ("vm-2", "node2"), ("vm-3", "node3"))


def cluster(*vms, rule=None, foreign=False):
    return DrsCluster("domain-c1", "C0", True, rule, foreign, vms, {})


def rule(*vms, enabled=True, mandatory=False):
    return Rule(vms, enabled, mandatory)


@pytest.mark.parametrize(
    ("before", "vms", "after"),
    [
        (None, (NODE1, NODE2), rule(NODE1, NODE2)),
        (rule(NODE1, NODE2), (NODE1, NODE3), rule(NODE1, NODE3)),
        (rule(NODE1, NODE2, enabled=False), (NODE1, NODE2), rule(NODE1, NODE2)),
        (rule(NODE1, NODE2, mandatory=True), (NODE1, NODE2), rule(NODE1, NODE2)),
        (rule(NODE1, NODE2), (NODE1,), None),
    ],
    ids=["new", "other VMs", "disabled", "mandatory", "one VM"],
)
def test_a_rule_that_differs(before, vms, after):
    (change,) = decide([cluster(*vms, rule=before)], "nodes", True, False)
    assert change.after == after


def test_a_rule_that_is_as_it_should_be():
    clusters = [cluster(NODE1, NODE2, rule=rule(NODE1, NODE2)), cluster(NODE3), cluster()]
    assert decide(clusters, "nodes", True, False) == []


def test_two_fleets_with_one_name_do_not_change_each_others_rules():
    other = cluster(NODE1, NODE2, rule=rule(NODE3, ("vm-4", "node4")))
    message = (
        r"^name: 'netops\.egress_ip nodes' is a rule of other VMs in cluster C0, of node3, node4; use another name, or"
        " remove that rule first$"
    )
    with pytest.raises(VsphereError, match=message):
        decide([other], "nodes", True, False)
    elsewhere = cluster(rule=rule(NODE3, ("vm-4", "node4")))
    assert decide([elsewhere, cluster(NODE1, rule=rule(NODE3))], "nodes", True, False) == []
    (change,) = decide([elsewhere, cluster(NODE3)], "nodes", True, False)
    assert change.after is None, "a VM of this fleet has left the cluster"
    (change,) = decide([cluster(NODE1, NODE2, rule=rule())], "nodes", True, False)
    assert change.after == rule(NODE1, NODE2)


def test_absent_removes_own_rules_only():
    clusters = [cluster(rule=rule(NODE1, NODE2)), cluster(foreign=True), cluster()]
    (change,) = decide(clusters, "nodes", False, False)
    assert (change.cluster, change.after) == (clusters[0], None)


def test_a_rule_of_another_kind_is_not_replaced():
    with pytest.raises(VsphereError, match=r"^name: 'netops\.egress_ip nodes' is a rule of another kind in cluster C0"):
        decide([cluster(NODE1, NODE2, foreign=True)], "nodes", True, False)
    assert decide([cluster(NODE1, foreign=True)], "nodes", True, False) == []
    assert rule_name("nodes") == "netops.egress_ip nodes"


def test_a_rule_needs_two_vms():
    options = {"vms": [{"name": "node1"}], "name": "nodes", "state": "present", "mandatory": False}
    with pytest.raises(VsphereError, match="^vms: must name at least 2 VMs, not 1$"):
        AntiAffinity(options, False)(None)
