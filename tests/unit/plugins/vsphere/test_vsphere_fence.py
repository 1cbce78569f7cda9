# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The module vsphere_fence against a vCenter of our own."""

from __future__ import annotations

import pytest
from pyVim.task import WaitForTask
from pyVmomi import vim

NAME = "vsphere_fence"
NODE1 = {"vms": [{"name": "node1"}]}
STANDARD = {"vms": [{"name": "node3", "network": "VM Network"}]}


def everything(vcenter):
    """Return all that a fence may change: of each VM and of each port."""
    vms = {}
    for vm in vcenter.all(vim.VirtualMachine).values():
        cards = [each for each in vm.config.hardware.device if isinstance(each, vim.vm.device.VirtualEthernetCard)]
        power = str(vm.runtime.powerState)
        vms[vm._moId] = (power, vm.config.annotation or "", [str(card.connectable) for card in cards])
    ports = vcenter.all(vim.DistributedVirtualSwitch)["DVS0"].FetchDVPorts()
    return vms, [(port.key, str(port.config.setting), port.config.description or "") for port in ports]


@pytest.mark.parametrize(
    ("options", "after"),
    [
        ({**NODE1}, {"blocked": True}),
        ({**NODE1, "method": "port_block"}, {"blocked": True}),
        ({**NODE1, "method": "vnic_disconnect"}, {"connected": False, "start_connected": False}),
        ({**NODE1, "method": "power_off"}, {"power_state": "poweredOff"}),
        ({**STANDARD}, {"connected": False, "start_connected": False}),
        ({"vms": [{"name": "nsx1"}]}, {"connected": False, "start_connected": False}),
        ({"vms": [{"name": "nsx2"}]}, {"connected": False, "start_connected": False}),
        ({"vms": [{"name": "node1"}, {"name": "node2"}]}, {"blocked": True}),
    ],
    ids=["auto", "block", "disconnect", "off", "standard", "opaque", "nsx", "two"],
)
def test_four_steps_there_and_back(four_steps, vcenter, options, after):
    for vm in vcenter.all(vim.VirtualMachine).values():
        WaitForTask(vm.ReconfigVM_Task(vim.vm.ConfigSpec(annotation="rack 3")))
    vcenter.journal()
    before = everything(vcenter)
    done = four_steps(NAME, **options)
    told = done["vms"][0]
    assert all(vm["fenced"] for vm in done["vms"])
    assert told["after"] == {**told["before"], **after}
    assert everything(vcenter) != before
    done = four_steps(NAME, **options, state="unfenced")
    assert not any(vm["fenced"] for vm in done["vms"])
    assert everything(vcenter) == before


@pytest.mark.parametrize("method", ["auto", "port_block", "vnic_disconnect", "power_off"])
@pytest.mark.parametrize("state", ["fenced", "unfenced"])
def test_a_host_that_does_not_respond_proves_nothing(run, vcenter, method, state):
    vcenter.control("host", name="DC0_C0_H0", state="notResponding")
    message = run(NAME, **NODE1, method=method, state=state)["msg"]
    assert message == "node1, Network adapter 1: its host DC0_C0_H0 does not respond, so that nothing can be proven"
    assert vcenter.writes() == []


def test_a_block_that_the_host_has_not_heard_of_is_no_fence(run, vcenter):
    run(NAME, **NODE1)
    vcenter.control("host", name="DC0_C0_H0", state="disconnected")
    assert "nothing can be proven" in run(NAME, **NODE1)["msg"]


def test_a_proof_that_never_comes(run, vcenter):
    vcenter.control("deaf", name="DC0_C0_H0")
    message = run(NAME, **NODE1, timeout=1)["msg"]
    assert message == "node1, Network adapter 1: is not proven within 1 seconds; do not rely on it"


def test_what_was_not_ours_stays(run, vcenter):
    setting = vim.dvs.VmwareDistributedVirtualSwitch.VmwarePortConfigPolicy(
        blocked=vim.BoolPolicy(inherited=False, value=True)
    )
    vcenter.change_port("10", setting)
    assert run(NAME, **NODE1)["changed"] is False
    assert run(NAME, **NODE1, state="unfenced")["changed"] is False
    assert vcenter.port_setting("10").blocked.value is True


def test_a_vm_that_is_off_stays_off(run, vcenter):
    node4 = {"vms": [{"name": "node4"}]}
    assert run(NAME, **node4, method="power_off")["changed"] is False
    assert run(NAME, **node4)["vms"][0]["after"]["blocked"] is True
    assert run(NAME, **node4, state="unfenced")["vms"][0]["after"]["power_state"] == "poweredOff"


def test_a_suspended_vm(run, vcenter):
    WaitForTask(vcenter.all(vim.VirtualMachine)["node1"].Suspend())
    message = run(NAME, **NODE1, method="power_off")["msg"]
    assert message.startswith("node1, Network adapter 1: the VM is suspended, and its memory would be lost")
    assert run(NAME, **NODE1)["vms"][0]["fenced"] is True


@pytest.mark.parametrize("vms", [STANDARD["vms"], [{"name": "nsx2"}]])
def test_no_port_to_block(run, vcenter, vms):
    assert run(NAME, vms=vms, method="port_block")["msg"].endswith("use method: vnic_disconnect")
    assert vcenter.writes() == []


def test_a_port_group_that_forbids_to_block(run, vcenter):
    rights = vcenter.all(vim.dvs.DistributedVirtualPortgroup)["nodes"].config.policy
    rights.blockOverrideAllowed = False
    vcenter.change_group("nodes", policy=rights)
    assert "the port group lets no port be blocked" in run(NAME, **NODE1, method="port_block")["msg"]
    assert run(NAME, **NODE1)["vms"][0]["after"]["connected"] is False


@pytest.mark.parametrize(
    ("privilege", "method"),
    [
        ("DVSwitch.PortSetting", "port_block"),
        ("VirtualMachine.Config.EditDevice", "vnic_disconnect"),
        ("VirtualMachine.Config.Annotation", "vnic_disconnect"),
        ("VirtualMachine.Config.Annotation", "power_off"),
        ("VirtualMachine.Interact.PowerOff", "power_off"),
    ],
)
def test_a_missing_privilege_is_named_with_its_object(run, vcenter, privilege, method):
    vcenter.control("user", name="guest", password="secret", lacks=[privilege])
    named = "DVS0" if method == "port_block" else "node1"
    message = run(NAME, username="guest", **NODE1, method=method)["msg"]
    assert message == f"{named}: guest lacks the privilege {privilege}"


@pytest.mark.parametrize("kind", ["drop", "lose_answer", "lose_session"])
@pytest.mark.parametrize(
    ("task", "method"),
    [
        ("ReconfigureDVPort_Task", "port_block"),
        ("ReconfigVM_Task", "vnic_disconnect"),
        ("PowerOffVM_Task", "power_off"),
    ],
)
def test_trouble_that_passes(run, vcenter, kind, task, method):
    before = everything(vcenter)
    vcenter.control("order", method=task, kind=kind)
    done = run(NAME, **NODE1, method=method)
    assert (done.get("changed"), done["vms"][0]["fenced"]) == (True, True), done
    run(NAME, **NODE1, state="unfenced")
    assert everything(vcenter) == before


def test_somebody_changes_the_port_meanwhile(run, vcenter):
    vcenter.control("order", method="ReconfigureDVPort_Task", kind="race")
    assert run(NAME, **NODE1)["vms"][0]["fenced"] is True
    assert vcenter.writes() == ["ReconfigureDVPort_Task"] * 2


def test_two_vms_of_one_name(run, vcenter):
    content = vcenter.admin.content
    view = content.viewManager.CreateContainerView(content.rootFolder, [vim.VirtualMachine], True)
    vms = [{"moid": vm._GetMoId()} for vm in view.view if vm.name == "twin"]
    assert [vm["changed"] for vm in run(NAME, vms=vms[:1])["vms"]] == [True]
    assert [vm["changed"] for vm in run(NAME, vms=vms)["vms"]] == [False, True]
