# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The module vsphere_fence against a simulated vCenter."""

from __future__ import annotations

import pytest
from pyVim.task import WaitForTask
from pyVmomi import vim

pytestmark = pytest.mark.usefixtures("patient")
NAME = "vsphere_fence"
NODE1 = {"vms": [{"name": "node1"}]}
STANDARD = {"vms": [{"name": "node3", "network": "VM Network"}]}
BOTH = {"vms": [{"name": "node3", "network": "VM Network"}, {"name": "node3", "network": "strict"}]}
NODE4, NODE5 = {"vms": [{"name": "node4"}]}, {"vms": [{"name": "node5"}]}


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
        ({**NODE1, "method": "power_off"}, {"power_state": "poweredOff", "connected": False}),
        ({**STANDARD}, {"connected": False, "start_connected": False}),
        ({"vms": [{"name": "nsx1"}]}, {"connected": False, "start_connected": False}),
        ({"vms": [{"name": "nsx2"}]}, {"connected": False, "start_connected": False}),
        ({"vms": [{"name": "node1"}, {"name": "node2"}]}, {"blocked": True}),
        ({**BOTH, "method": "vnic_disconnect"}, {"connected": False, "start_connected": False}),
        ({**BOTH, "method": "power_off"}, {"power_state": "poweredOff", "connected": False}),
        ({**BOTH}, {"connected": False, "start_connected": False}),
    ],
    ids=["auto", "block", "disconnect", "off", "standard", "opaque", "nsx", "two", "both", "both off", "both ways"],
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


@pytest.mark.parametrize("method", ["port_block", "vnic_disconnect", "power_off"])
def test_a_vcenter_that_ignores_an_empty_note(four_steps, run, vcenter, method):
    vcenter.control("keeps")
    for _time in (1, 2):
        four_steps(NAME, **NODE1, method=method)
        four_steps(NAME, **NODE1, state="unfenced")
        (port,) = run("vsphere_port_info", **NODE1)["ports"]
        assert (port["fence"], port["noted"], port["fenced"]) == ([], {}, False)
        vcenter.journal()


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


def test_what_the_host_told_of_an_earlier_block_proves_nothing(run, vcenter):
    run(NAME, **NODE1)
    run(NAME, **NODE1, state="unfenced")
    vcenter.control("deaf", name="DC0_C0_H0")
    assert "is not proven within 1 seconds" in run(NAME, **NODE1, timeout=1)["msg"]


def test_a_block_of_the_whole_port_group_is_proven_as_any_other(run, vcenter):
    blocked = vim.dvs.VmwareDistributedVirtualSwitch.VmwarePortConfigPolicy(
        blocked=vim.BoolPolicy(inherited=False, value=True)
    )
    vcenter.control("sparse")
    vcenter.change_group("nodes", defaultPortConfig=blocked)
    done = run(NAME, **NODE1)
    assert (done["changed"], done["vms"][0]["fenced"]) == (False, True)
    assert vcenter.writes() == []


def test_a_host_that_does_not_tell_of_its_ports(run, vcenter):
    run(NAME, **NODE1)
    vcenter.control("order", method="RefreshDVPortState", kind="fault", fault="DvsFault")
    (port,) = run("vsphere_port_info", **NODE1)["ports"]
    assert (port["fence"], port["fenced"]) == (["port_block"], False)
    (port,) = run("vsphere_port_info", **NODE1)["ports"]
    assert port["fenced"] is True
    vcenter.control("host", name="DC0_C0_H0", state="notResponding")
    (port,) = run("vsphere_port_info", **NODE1)["ports"]
    assert (port["fence"], port["fenced"]) == (["port_block"], False)


@pytest.mark.parametrize("method", ["auto", "port_block", "vnic_disconnect", "power_off"])
def test_a_vm_that_the_vcenter_has_lost_proves_nothing(run, vcenter, method):
    vm = vcenter.all(vim.VirtualMachine)["node1"]
    WaitForTask(vm.PowerOff())
    assert run("vsphere_port_info", **NODE1)["ports"][0]["fenced"] is True
    vcenter.control("lose", name="node1", what="sight")
    assert run("vsphere_port_info", **NODE1)["ports"][0]["fenced"] is False
    vcenter.journal()
    message = run(NAME, **NODE1, method=method)["msg"]
    assert message == "node1, Network adapter 1: the VM is orphaned, so that nothing can be proven"
    assert vcenter.writes() == []


@pytest.mark.parametrize("what", ["direct", "bare"])
@pytest.mark.parametrize("method", ["auto", "port_block", "vnic_disconnect"])
def test_an_adapter_past_the_hypervisor_is_only_switched_off(run, four_steps, vcenter, what, method):
    vcenter.control("odd", name="node1", what=what)
    message = run(NAME, **NODE1, method=method)["msg"]
    assert message.endswith(": its frames bypass the hypervisor (SR-IOV); use method: power_off")
    vcenter.journal()
    four_steps(NAME, **NODE1, method="power_off")
    four_steps(NAME, **NODE1, state="unfenced")


def test_a_block_that_frames_pass_by_is_no_fence(run, vcenter):
    vcenter.control("odd", name="node1", what="bypassed")
    assert "is not proven within 1 seconds" in run(NAME, **NODE1, method="port_block", timeout=1)["msg"]
    assert run(NAME, **NODE1, method="vnic_disconnect")["vms"][0]["fenced"] is True


def test_ports_that_show_only_what_they_say_themselves(four_steps, vcenter):
    vcenter.control("sparse")
    before = everything(vcenter)
    four_steps(NAME, **NODE1)
    four_steps(NAME, **NODE1, state="unfenced")
    assert everything(vcenter) == before


def test_one_of_two_that_is_not_proven(run, vcenter):
    vcenter.control("deaf", name="DC0_C0_H1")
    message = run(NAME, vms=[{"name": "node1"}, {"name": "node2"}], timeout=1)["msg"]
    assert message.startswith("node2, Network adapter 1: is not proven")
    assert vcenter.writes() == ["ReconfigureDVPort_Task"]


def test_what_was_not_ours_stays(run, vcenter):
    setting = vim.dvs.VmwareDistributedVirtualSwitch.VmwarePortConfigPolicy(
        blocked=vim.BoolPolicy(inherited=False, value=True)
    )
    vcenter.change_port("10", setting)
    assert run(NAME, **NODE1)["changed"] is False
    assert run(NAME, **NODE1, state="unfenced")["changed"] is False
    assert vcenter.port_setting("10").blocked.value is True


def connectable(vcenter, name):
    """Return [(connected, start_connected)] of the adapters of a VM."""
    devices = vcenter.all(vim.VirtualMachine)[name].config.hardware.device
    cards = [each.connectable for each in devices if isinstance(each, vim.vm.device.VirtualEthernetCard)]
    return [(each.connected, each.startConnected) for each in cards]


def test_a_vm_that_is_off_stays_off(run, four_steps, vcenter):
    assert run(NAME, **NODE4, method="power_off")["changed"] is False
    before = everything(vcenter)
    assert four_steps(NAME, **NODE4)["vms"][0]["after"]["blocked"] is True
    done = four_steps(NAME, **NODE4, state="unfenced")
    assert done["vms"][0]["after"]["power_state"] == "poweredOff"
    assert everything(vcenter) == before


def test_a_vm_that_is_off_is_cut_off_when_it_starts_and_gets_its_link_back(run, four_steps, vcenter):
    vm = vcenter.all(vim.VirtualMachine)["node4"]
    assert connectable(vcenter, "node4") == [(False, True)]
    four_steps(NAME, **NODE4, method="vnic_disconnect")
    WaitForTask(vm.PowerOn())
    assert connectable(vcenter, "node4") == [(False, False)]
    assert run(NAME, **NODE4, method="vnic_disconnect")["changed"] is False
    done = run(NAME, **NODE4, state="unfenced")
    assert (done["vms"][0]["fenced"], done["vms"][0]["after"]["connected"]) == (False, True)
    assert connectable(vcenter, "node4") == [(True, True)]


def test_a_vm_that_is_off_is_blocked_when_it_starts(run, vcenter):
    run(NAME, **NODE4, method="port_block")
    WaitForTask(vcenter.all(vim.VirtualMachine)["node4"].PowerOn())
    done = run(NAME, **NODE4, method="port_block")
    assert (done["changed"], done["vms"][0]["fenced"]) == (False, True)
    run(NAME, **NODE4, state="unfenced")
    assert vcenter.port_setting("13").blocked.value is False


def test_off_is_no_fence_while_vsphere_ha_starts_the_vm_again(run, vcenter):
    vcenter.control("protected", name="node4", protected=True)
    assert "is not proven within 1 seconds" in run(NAME, **NODE4, method="power_off", timeout=1)["msg"]
    vcenter.control("protected", name="node4", protected=False)
    assert run(NAME, **NODE4, method="power_off")["vms"][0]["fenced"] is True


def test_a_suspended_vm(run, vcenter):
    WaitForTask(vcenter.all(vim.VirtualMachine)["node1"].Suspend())
    message = run(NAME, **NODE1, method="power_off")["msg"]
    assert message.startswith("node1, Network adapter 1: the VM is suspended, and its memory would be lost")
    message = run(NAME, **NODE1, method="vnic_disconnect")["msg"]
    assert message.startswith("node1, Network adapter 1: the VM is suspended, and it would resume as it was")
    assert run(NAME, **NODE1)["vms"][0]["fenced"] is True


@pytest.mark.parametrize("method", ["port_block", "vnic_disconnect"])
def test_a_template(run, four_steps, vcenter, method):
    vcenter.all(vim.VirtualMachine)["node4"].MarkAsTemplate()
    before = everything(vcenter)
    vcenter.journal()
    four_steps(NAME, **NODE4, method=method)
    four_steps(NAME, **NODE4, state="unfenced")
    assert everything(vcenter) == before
    assert run(NAME, **NODE4, method="power_off")["changed"] is False


def test_a_port_that_ends_with_its_vm_is_not_blocked(run, four_steps, vcenter):
    message = run(NAME, **NODE5, method="port_block")["msg"]
    assert message == (
        "node5, Network adapter 1: its port ends when the VM stops, and the block with it; use method: vnic_disconnect"
    )
    four_steps(NAME, **NODE5)
    WaitForTask(vcenter.all(vim.VirtualMachine)["node5"].PowerOff())
    assert run(NAME, **NODE5)["changed"] is False
    vcenter.journal()
    four_steps(NAME, **NODE5, state="unfenced")


def test_what_somebody_gave_back_is_taken_again(run, vcenter):
    before = everything(vcenter)
    for method in ("port_block", "vnic_disconnect"):
        run(NAME, **NODE1, method=method)
    vm = vcenter.all(vim.VirtualMachine)["node1"]
    device = next(each for each in vm.config.hardware.device if isinstance(each, vim.vm.device.VirtualEthernetCard))
    device.connectable.connected = True
    edit = vim.vm.device.VirtualDeviceSpec(operation="edit", device=device)
    WaitForTask(vm.ReconfigVM_Task(vim.vm.ConfigSpec(deviceChange=[edit])))
    vcenter.change_port(
        "10",
        vim.dvs.VmwareDistributedVirtualSwitch.VmwarePortConfigPolicy(
            blocked=vim.BoolPolicy(inherited=False, value=False)
        ),
    )
    for method in ("port_block", "vnic_disconnect"):
        assert run(NAME, **NODE1, method=method)["changed"] is True
    assert (connectable(vcenter, "node1"), vcenter.port_setting("10").blocked.value) == ([(False, False)], True)
    run(NAME, **NODE1, state="unfenced")
    assert everything(vcenter) == before


def test_what_is_not_given_back_is_not_forgotten(run, vcenter):
    before = everything(vcenter)
    for method in ("vnic_disconnect", "power_off"):
        run(NAME, **NODE1, method=method)
    vcenter.control("order", method="PowerOnVM_Task", kind="task", fault="InsufficientResourcesFault")
    assert "InsufficientResourcesFault" in run(NAME, **NODE1, state="unfenced")["msg"]
    vcenter.control("user", name="guest", password="secret", lacks=["VirtualMachine.Interact.PowerOn"])
    message = run(NAME, **NODE1, state="unfenced", username="guest")["msg"]
    assert message == "node1: guest lacks the privilege VirtualMachine.Interact.PowerOn"
    assert run(NAME, **NODE1, state="unfenced")["vms"][0]["after"]["power_state"] == "poweredOn"
    assert everything(vcenter) == before


@pytest.mark.parametrize("vms", [STANDARD["vms"], [{"name": "nsx2"}]])
def test_no_port_to_block(run, vcenter, vms):
    assert run(NAME, vms=vms, method="port_block")["msg"].endswith("use method: vnic_disconnect")
    assert vcenter.writes() == []


def test_a_port_group_that_forbids_to_block(run, vcenter):
    rights = vcenter.all(vim.dvs.DistributedVirtualPortgroup)["nodes"].config.policy
    rights.blockOverrideAllowed = False
    vcenter.change_group("nodes", policy=rights)
    assert "the port group does not allow to block its ports" in run(NAME, **NODE1, method="port_block")["msg"]
    assert run(NAME, **NODE1)["vms"][0]["after"]["connected"] is False


@pytest.mark.parametrize(
    ("privilege", "method"),
    [
        ("DVSwitch.PortSetting", "port_block"),
        ("VirtualMachine.Config.EditDevice", "vnic_disconnect"),
        ("VirtualMachine.Interact.DeviceConnection", "vnic_disconnect"),
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
    back = {"PowerOffVM_Task": "PowerOnVM_Task"}.get(task, task)
    vcenter.control("order", method=back, kind=kind)
    done = run(NAME, **NODE1, state="unfenced")
    assert (done.get("changed"), done["vms"][0]["fenced"]) == (True, False), done
    assert everything(vcenter) == before


@pytest.mark.parametrize("kind", ["slow", "lose_answer"])
@pytest.mark.parametrize(
    ("task", "method"),
    [
        ("ReconfigureDVPort_Task", "port_block"),
        ("ReconfigVM_Task", "vnic_disconnect"),
        ("PowerOffVM_Task", "power_off"),
    ],
)
def test_a_task_that_takes_a_while(run, vcenter, kind, task, method):
    vcenter.control("order", method=task, kind=kind, seconds=1)
    done = run(NAME, **NODE1, method=method)
    assert (done.get("changed"), done["vms"][0]["fenced"]) == (True, True), done


@pytest.mark.parametrize(
    ("task", "method"),
    [
        ("ReconfigureDVPort_Task", "port_block"),
        ("ReconfigVM_Task", "vnic_disconnect"),
        ("PowerOffVM_Task", "power_off"),
    ],
)
def test_a_task_that_never_ends_is_no_fence(run, vcenter, task, method):
    vcenter.control("order", method=task, kind="stuck")
    message = run(NAME, **NODE1, method=method, timeout=1)["msg"]
    assert message.endswith(" has not ended within 1 seconds; check the task in vCenter")


@pytest.mark.parametrize("kind", ["fault", "task"])
@pytest.mark.parametrize("fault", ["TaskInProgress", "InvalidPowerState"])
def test_somebody_is_at_the_vm_too(run, vcenter, kind, fault):
    vcenter.control("order", method="PowerOffVM_Task", kind=kind, fault=fault)
    assert run(NAME, **NODE1, method="power_off")["vms"][0]["fenced"] is True
    vcenter.control("order", method="PowerOnVM_Task", kind=kind, fault=fault, times=100)
    assert run(NAME, **NODE1, state="unfenced")["msg"].endswith(f": {fault}")


@pytest.mark.parametrize(
    ("task", "method"), [("ReconfigureDVPort_Task", "port_block"), ("ReconfigVM_Task", "vnic_disconnect")]
)
def test_somebody_changes_the_same_meanwhile(run, vcenter, task, method):
    for state in ("fenced", "unfenced"):
        vcenter.control("order", method=task, kind="race")
        assert run(NAME, **NODE1, method=method, state=state)["vms"][0]["fenced"] is (state == "fenced")
        assert vcenter.writes() == [task] * 2


def test_two_vms_of_one_name(run, vcenter):
    content = vcenter.admin.content
    view = content.viewManager.CreateContainerView(content.rootFolder, [vim.VirtualMachine], True)
    vms = [{"moid": vm._GetMoId()} for vm in view.view if vm.name == "twin"]
    assert [vm["changed"] for vm in run(NAME, vms=vms[:1])["vms"]] == [True]
    assert [vm["changed"] for vm in run(NAME, vms=vms)["vms"]] == [False, True]


FIRST, SECOND = "00:50:56:00:03:01", "00:50:56:00:03:02"


def test_a_fence_of_the_wrong_adapter_is_no_proof(run, vcenter):
    wrong = {"vms": [{"name": "node3", "label": "Network adapter 2"}], "method": "vnic_disconnect"}
    vcenter.journal()
    message = run(NAME, **wrong, macs=[FIRST.upper()])["msg"]
    assert message == (
        "node3, Network adapter 2: is not the only adapter that may have egress IPs: Network adapter 1"
        f" ({FIRST}) is one too; add it to vms, or use method: power_off"
    )
    assert vcenter.writes() == []
    assert run(NAME, **wrong, macs=[SECOND])["vms"][0]["fenced"] is True
    assert run(NAME, **wrong, macs=[FIRST], state="unfenced")["changed"] is True


def test_the_guest_selects_the_adapter(run):
    options = {"vms": [{"name": "node3", "macs": [FIRST]}], "method": "vnic_disconnect"}
    (vm,) = run(NAME, **options, macs=[FIRST])["vms"]
    assert (vm["mac"], vm["fenced"]) == (FIRST, True)


def test_a_vm_without_power_has_no_wrong_adapter(run):
    options = {"vms": [{"name": "node3", "label": "Network adapter 2"}], "method": "power_off"}
    assert run(NAME, **options, macs=[FIRST])["vms"][0]["fenced"] is True
