# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The modules against govmomi's simulator alone, with its own inventory: what others wrote, without our assumptions.

It has no ports of distributed switches, no UpdatePortGroup, and shows adapters as not connected. An empty annotation in
a spec changes nothing there.
"""

from __future__ import annotations

import pytest
from pyVmomi import vim

pytestmark = pytest.mark.parametrize("vcenter", [("-stock",)], indirect=True)

VM, OTHER = "DC0_C0_RP0_VM0", "DC0_C0_RP0_VM1"
ONE, TWO = {"vms": [{"name": VM}]}, {"vms": [{"name": VM}, {"name": OTHER}]}


def there_and_back(run, name, way, back):
    """Apply options twice, then others twice; the second time changes nothing. Returns the first two results."""
    results = []
    for options in (way, back):
        check = run(name, check=True, **options)
        done = run(name, **options)
        assert (check.get("changed"), done.get("changed")) == (True, True), (check, done)
        assert check["diff"]["before"] == done["diff"]["before"]
        assert run(name, **options)["changed"] is False
        results.append(done)
    return results


def annotation(vcenter):
    return vcenter.all(vim.VirtualMachine)[VM].config.annotation or ""


def test_a_port(run, vcenter):
    (port,) = run("vsphere_port_info", **ONE, egress_ips=["10.0.0.1"])["ports"]
    assert (port["vm"]["name"], port["switch"]) == (VM, {"name": "DVS0", "type": "distributed"})
    assert (port["port_group"]["name"], port["port_key"], port["mac_learning"]) == ("DC0_DVPG0", None, None)
    assert port["egress_ips"][0]["needed"] is False
    assert port["host"] in vcenter.all(vim.HostSystem)


def test_a_vm_by_its_datacenter_and_folder(run):
    for folder in (None, "DC0/vm"):
        assert "ports" in run("vsphere_port_info", vms=[{"name": VM, "datacenter": "DC0", "folder": folder}])
    assert "datacenter 'DC1'" in run("vsphere_port_info", vms=[{"name": VM, "datacenter": "DC1"}])["msg"]


def test_a_guest_without_tools(run):
    (guest,) = run("vsphere_guest_ip_info", **ONE, egress_ips=["10.0.0.1"])["guests"]
    assert (guest["tools"], guest["egress_ips"][0]["state"]) == ("guestToolsNotRunning", "unknown")


@pytest.mark.parametrize("method", ["power_off", "vnic_disconnect"])
def test_a_fence(run, vcenter, method):
    done, back = there_and_back(run, "vsphere_fence", {**ONE, "method": method}, {**ONE, "state": "unfenced"})
    assert (done["vms"][0]["fenced"], back["vms"][0]["fenced"]) == (True, False)
    assert annotation(vcenter) == "[netops.egress_ip before: nothing]"
    (port,) = run("vsphere_port_info", **ONE)["ports"]
    assert port["fence"] == []


def test_a_port_that_cannot_be_blocked(run):
    assert "has no port that vCenter can block" in run("vsphere_fence", **ONE, method="port_block")["msg"]


def test_a_distributed_port_group(run, vcenter):
    options = {"portgroups": [{"name": "DC0_DVPG0", "switch": "DVS0"}], "security": {"forged_transmits": True}}
    done = run("vsphere_port_security", **options)
    assert done["ports"][0]["after"]["security"]["forged_transmits"] is True
    assert run("vsphere_port_security", **options)["changed"] is False
    group = vcenter.all(vim.dvs.DistributedVirtualPortgroup)["DC0_DVPG0"]
    assert group.config.defaultPortConfig.securityPolicy.forgedTransmits.value is True


def test_a_rule_that_keeps_vms_apart(run, vcenter):
    done, _back = there_and_back(run, "vsphere_anti_affinity", TWO, {"state": "absent"})
    assert done["rules"][0]["after"]["vms"] == [VM, OTHER]
    assert not vcenter.all(vim.ClusterComputeResource)["DC0_C0"].configurationEx.rule
