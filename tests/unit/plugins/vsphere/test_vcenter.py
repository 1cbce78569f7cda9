# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The test vCenter does what docs/vsphere.md says it does; asked by pyvmomi alone."""

from __future__ import annotations

import pytest
from pyVim.task import WaitForTask
from pyVmomi import vim, vmodl

dvs = vim.dvs.VmwareDistributedVirtualSwitch
ports = vim.dvs.DistributedVirtualPort
Settings = dvs.VmwarePortConfigPolicy


def switch(vcenter):
    return vcenter.all(vim.DistributedVirtualSwitch)["DVS0"]


def fetch(vcenter, **criteria):
    return switch(vcenter).FetchDVPorts(vim.dvs.PortCriteria(**criteria))


def change(vcenter, key, version=None, **settings):
    spec = ports.ConfigSpec(operation="edit", key=key, configVersion=version, setting=Settings(**settings))
    WaitForTask(switch(vcenter).ReconfigureDVPort_Task([spec]))


def blocked(value=True):
    return vim.BoolPolicy(inherited=value is None, value=value)


def adapter(vcenter, name):
    devices = vcenter.all(vim.VirtualMachine)[name].config.hardware.device
    return next(device for device in devices if isinstance(device, vim.vm.device.VirtualEthernetCard))


def test_settings_come_down_from_switch_to_port(vcenter):
    assert vcenter.port_setting("10").vlan.vlanId == 126
    assert vcenter.port_setting("10").vlan.inherited is True
    vcenter.change_group("nodes", defaultPortConfig=Settings(blocked=blocked()))
    assert (vcenter.port_setting("10").blocked.value, vcenter.port_setting("10").blocked.inherited) == (True, True)
    change(vcenter, "10", blocked=blocked(False))
    assert (vcenter.port_setting("10").blocked.value, vcenter.port_setting("11").blocked.value) == (False, True)
    change(vcenter, "10", blocked=blocked(None))
    assert vcenter.port_setting("10").blocked.value is True


def test_a_spec_changes_what_it_names(vcenter):
    change(vcenter, "10", macManagementPolicy=dvs.MacManagementPolicy(inherited=False, macChanges=True))
    change(vcenter, "10", macManagementPolicy=dvs.MacManagementPolicy(inherited=False, forgedTransmits=True))
    policy = vcenter.port_setting("10").macManagementPolicy
    assert (policy.allowPromiscuous, policy.macChanges, policy.forgedTransmits) == (False, True, True)
    legacy = vcenter.port_setting("10").securityPolicy
    assert (legacy.macChanges.value, legacy.macChanges.inherited, legacy.allowPromiscuous.inherited) == (
        True,
        False,
        True,
    )


def test_an_old_version_is_refused(vcenter):
    version = fetch(vcenter, portKey=["10"])[0].config.configVersion
    change(vcenter, "10", version, blocked=blocked())
    with pytest.raises(vim.fault.ConcurrentAccess):
        change(vcenter, "10", version, blocked=blocked(False))


def test_all_ports_or_none(vcenter):
    specs = [
        ports.ConfigSpec(operation="edit", key="10", setting=Settings(blocked=blocked())),
        ports.ConfigSpec(operation="edit", key="11", configVersion="99", setting=Settings(blocked=blocked())),
    ]
    with pytest.raises(vim.fault.ConcurrentAccess):
        WaitForTask(switch(vcenter).ReconfigureDVPort_Task(specs))
    assert vcenter.port_setting("10").blocked.value is False


def test_a_port_overrides_only_what_it_may(vcenter):
    change(vcenter, "12", blocked=blocked())
    with pytest.raises(vmodl.fault.InvalidArgument):
        change(vcenter, "12", vlan=dvs.VlanIdSpec(inherited=False, vlanId=7))


def test_criteria(vcenter):
    groups = vcenter.all(vim.dvs.DistributedVirtualPortgroup)
    assert [port.key for port in fetch(vcenter, portKey=["11", "12"])] == ["11", "12"]
    assert [port.key for port in fetch(vcenter, portgroupKey=[groups["strict"].key], inside=True)] == ["12"]
    assert "12" not in [port.key for port in fetch(vcenter, portgroupKey=[groups["strict"].key], inside=False)]
    assert [port.key for port in fetch(vcenter, active=False)] == ["13"]
    assert fetch(vcenter, connected=False) == fetch(vcenter, uplinkPort=True) == []
    hosts = [vcenter.all(vim.HostSystem)["DC0_C0_H1"]]
    assert [port.key for port in fetch(vcenter, host=hosts)] == ["11", "13", "16"]


def test_the_runtime_state(vcenter):
    def runtime():
        switch(vcenter).RefreshDVPortState(["10"])
        return runtime_info()

    def runtime_info():
        return fetch(vcenter, portKey=["10"])[0].state.runtimeInfo

    assert (runtime().linkUp, runtime().blocked, runtime().macAddress) == (True, False, "00:50:56:00:01:01")
    change(vcenter, "10", blocked=blocked())
    assert runtime_info().blocked is False, "nobody has asked the host"
    assert (runtime().linkUp, runtime().blocked) == (False, True)
    change(vcenter, "10", blocked=blocked(None))
    assert runtime().blocked is False
    vcenter.control("host", name="DC0_C0_H0", state="notResponding")
    change(vcenter, "10", blocked=blocked())
    with pytest.raises(vim.fault.DvsFault):
        runtime()
    assert (runtime_info().linkUp, runtime_info().blocked) == (True, False), "nobody has told the host"
    vcenter.control("host", name="DC0_C0_H0", state="connected")
    assert (runtime().linkUp, runtime().blocked) == (False, True)


def test_a_host_that_does_not_respond(vcenter):
    vcenter.control("host", name="DC0_C0_H0", state="notResponding")
    vm = vcenter.all(vim.VirtualMachine)["node1"]
    assert vm.runtime.connectionState == "disconnected"
    with pytest.raises(vmodl.fault.HostNotConnected):
        WaitForTask(vm.PowerOff())
    assert vcenter.all(vim.VirtualMachine)["node2"].runtime.connectionState == "connected"


def test_an_adapter_of_one_vm_is_disconnected(vcenter):
    device = adapter(vcenter, "node1")
    device.connectable.connected = False
    device.connectable.startConnected = False
    edit = vim.vm.device.VirtualDeviceSpec(operation="edit", device=device)
    vm = vcenter.all(vim.VirtualMachine)["node1"]
    WaitForTask(vm.ReconfigVM_Task(vim.vm.ConfigSpec(deviceChange=[edit], annotation="cut off")))
    now = adapter(vcenter, "node1").connectable
    assert (now.connected, now.startConnected, vm.config.annotation) == (False, False, "cut off")
    assert fetch(vcenter, portKey=["10"])[0].state.runtimeInfo is None
    assert adapter(vcenter, "node2").connectable.connected is True
    WaitForTask(vm.ReconfigVM_Task(vim.vm.ConfigSpec(deviceChange=[edit], annotation="")))
    assert vm.config.annotation in ("", None)


def test_the_version_of_a_vm(vcenter):
    vm = vcenter.all(vim.VirtualMachine)["node1"]
    spec = vim.vm.ConfigSpec(changeVersion=vm.config.changeVersion, annotation="first")
    WaitForTask(vm.ReconfigVM_Task(spec))
    with pytest.raises(vim.fault.ConcurrentAccess):
        WaitForTask(vm.ReconfigVM_Task(spec))


def test_what_comes_with_the_power_state(vcenter):
    vm = vcenter.all(vim.VirtualMachine)["node1"]
    WaitForTask(vm.PowerOff())
    assert (adapter(vcenter, "node1").connectable.connected, fetch(vcenter, portKey=["10"])[0].state.runtimeInfo) == (
        False,
        None,
    )
    WaitForTask(vm.PowerOn())
    assert adapter(vcenter, "node1").connectable.connected is True
    assert [port.key for port in fetch(vcenter, portKey=["17"])] == ["17"]
    WaitForTask(vcenter.all(vim.VirtualMachine)["node5"].PowerOff())
    assert fetch(vcenter, portKey=["17"]) == [], "an ephemeral port"


def test_a_standard_port_group_is_replaced_on_one_host(vcenter):
    systems = [host.configManager.networkSystem for host in vcenter.all(vim.HostSystem).values()]
    spec = systems[0].networkInfo.portgroup[0].spec
    spec.vlanId = 5
    spec.policy.security.forgedTransmits = True
    systems[0].UpdatePortGroup("VM Network", spec)
    first, second = (system.networkInfo.portgroup[0] for system in systems)
    assert (first.spec.vlanId, first.computedPolicy.security.forgedTransmits) == (5, True)
    assert (first.computedPolicy.security.macChanges, second.spec.vlanId) == (False, 0)
    with pytest.raises(vim.fault.NotFound):
        systems[0].UpdatePortGroup("nowhere", spec)
