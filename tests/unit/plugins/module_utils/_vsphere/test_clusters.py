# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Clusters as a user with few privileges sees them; the tests with the simulator check all else."""

from __future__ import annotations

import pytest
from ansible_collections.netops.egress_ip.plugins.module_utils._vsphere.clusters import read_clusters
from ansible_collections.netops.egress_ip.plugins.module_utils._vsphere.errors import VsphereError
from ansible_collections.netops.egress_ip.plugins.module_utils._vsphere.session import Properties
from pyVmomi import vim

HOSTS = [vim.HostSystem(f"host-{n}") for n in (1, 2)]
VMS = [vim.VirtualMachine(f"vm-{n}") for n in (1, 2, 3)]
HIDDEN = Properties(faults=[vim.fault.NoPermission()])


class FakeSession:
    """The inventory: cluster `C0` with the first host, and `C1`, which the user may not read, with the second."""

    def __init__(self, rule):
        config = vim.cluster.ConfigInfoEx(rule=[rule], drsConfig=vim.cluster.DrsConfigInfo(enabled=True))
        readable = Properties({"name": "C0", "host": HOSTS[:1], "configurationEx": config})
        self.clusters = {vim.ClusterComputeResource(f"domain-c{n}"): each for n, each in enumerate((readable, HIDDEN))}

    def all_properties(self, kind, _paths):
        """Return the clusters, or the first two VMs by name; the third is hidden."""
        if kind is vim.ClusterComputeResource:
            return self.clusters
        return {vm: Properties({"name": f"node{n}"}) for n, vm in enumerate(VMS[:2], 1)}

    def properties(self, objects, paths):
        """Return the host of each VM, the second one's being in the hidden cluster; or names."""
        if paths == ("runtime.host",):
            return {vm: Properties({"runtime.host": HOSTS[VMS.index(vm)]}) for vm in objects}
        return {vm: HIDDEN if vm == VMS[2] else Properties({"name": "node1"}) for vm in objects}


def rule(*vms):
    return vim.cluster.AntiAffinityRuleSpec(name="netops.egress_ip nodes", enabled=True, vm=list(vms))


def test_a_cluster_that_cannot_be_read_is_left_out():
    (cluster,) = read_clusters(FakeSession(rule(VMS[0], VMS[2])), [{"name": "node1"}], "nodes")
    assert (cluster.name, cluster.has_drs, cluster.vms) == ("C0", True, (("vm-1", "node1"),))
    assert cluster.rule.vms == (("vm-1", "node1"), ("vm-3", "vm-3")), "the ID of a VM whose name is hidden"
    assert cluster.rule.mandatory is False


def test_a_vm_in_such_a_cluster_is_an_error():
    with pytest.raises(VsphereError, match=r"^vms\[1\]: node2 must be in a cluster that this user can read"):
        read_clusters(FakeSession(rule(VMS[0])), [{"name": "node1"}, {"name": "node2"}], "nodes")


def test_rules_of_other_names_are_not_ours():
    other = rule(VMS[0])
    other.name = "nodes"
    (cluster,) = read_clusters(FakeSession(other), [], "nodes")
    assert (cluster.rule, cluster.is_foreign, cluster.handle["info"]) == (None, False, None)
