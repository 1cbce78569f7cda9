# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where a change of a standard port group is written; the tests with the simulator check distributed switches."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
from ansible_collections.netops.egress_ip.plugins.module_utils._vsphere.errors import VsphereError
from ansible_collections.netops.egress_ip.plugins.module_utils._vsphere.inventory import (
    NETWORK_SYSTEM,
    Attachment,
    Chosen,
)
from ansible_collections.netops.egress_ip.plugins.module_utils._vsphere.port import GROUP, HOST_GROUP, PORT, Unreachable
from ansible_collections.netops.egress_ip.plugins.module_utils._vsphere.port_groups import PortGroup
from ansible_collections.netops.egress_ip.plugins.module_utils._vsphere.session import Properties
from ansible_collections.netops.egress_ip.plugins.module_utils._vsphere.targets import read_targets
from pyVmomi import vim

NETWORK = vim.Network("network-1")
HOSTS = {name: vim.HostSystem(name) for name in ("host-1", "host-2", "host-3")}
VMS = [vim.VirtualMachine(f"vm-{n}") for n in range(1, 6)]
POLICY = vim.host.NetworkPolicy.SecurityPolicy


class FakeInventory:
    """Cluster `c1` with two hosts and `c2` with one; all have the port group, whose VMs are those of `on`."""

    def __init__(self, on, states=(), notes=None, switches=()):
        self.on = {vm: HOSTS[host] for vm, host in on.items()}
        self.states = {HOSTS[name]: state for name, state in dict(states).items()}
        self.notes = notes or {}
        self.switches = dict(switches)
        self.session = self

    def remembered(self, thing, _paths):
        """Return the properties of the network or a host."""
        if thing == NETWORK:
            return {"host": list(HOSTS.values()), "vm": list(self.on)}
        name = thing._GetMoId()
        state = vim.HostSystem.ConnectionState(self.states.get(thing, "connected"))
        system = vim.host.NetworkSystem(f"network-{name}")
        parent = "c2" if name == "host-3" else "c1"
        return {"name": name, "parent": parent, "runtime.connectionState": state, NETWORK_SYSTEM: system}

    def read_hosts(self, hosts):
        """Return the hosts."""
        return hosts

    def properties(self, objects, paths):
        """Return the notes or the hosts of VMs."""
        if paths == ("runtime.host",):
            return {vm: Properties({"runtime.host": self.on[vm]}) for vm in objects}
        return {vm: Properties({"config.annotation": self.notes.get(vm)}) for vm in objects}

    def other_vms(self, _network, vms, known):
        """Return the IDs of the other VMs."""
        return tuple(vm._GetMoId() for vm in vms if vm not in known)

    def standard_group(self, host, _system, name):
        """Return the port group on a host, closed."""
        closed = POLICY(allowPromiscuous=False, macChanges=False, forgedTransmits=False)
        policy = SimpleNamespace(security=None)
        spec = SimpleNamespace(name=name, vswitchName=self.switches.get(host, "vSwitch0"), policy=policy)
        return SimpleNamespace(spec=spec, computedPolicy=SimpleNamespace(security=closed)), closed


def chosen(vm, host, network=NETWORK):
    backing = SimpleNamespace(network=network, deviceName="VM Network")
    nic = {"device": SimpleNamespace(backing=backing), "label": "Network adapter 1"}
    about = {"object": vm, "name": vm._GetMoId()}
    return Chosen(about, host and HOSTS[host], "connected", "poweredOn", False, None, None, nic, (nic,))


def hosts_of(targets):
    return [target.name.rpartition(" ")[2] for target in targets]


def keepers(target):
    return sorted(vm._GetMoId() for vm in target.handle["keepers"])


def test_the_hosts_of_the_clusters_of_the_vms():
    inventory = FakeInventory({VMS[0]: "host-1", VMS[1]: "host-1"})
    targets, unreachable = read_targets(inventory, [chosen(VMS[0], "host-1")], (), GROUP, False)
    assert (hosts_of(targets), unreachable) == (["host-1", "host-2"], [])
    assert {(target.kind, target.affects) for target in targets} == {(HOST_GROUP, ("vm-2",))}
    assert [keepers(target) for target in targets] == [["vm-1"], ["vm-1"]]


def test_a_host_of_another_cluster_that_was_changed_before():
    note = {VMS[1]: "[netops.egress_ip before: host-3/VM%20Network/forged_transmits=inherited]"}
    inventory = FakeInventory({VMS[0]: "host-1", VMS[1]: "host-1"}, notes=note)
    targets, _unreachable = read_targets(inventory, [chosen(VMS[0], "host-1")], (), GROUP, False)
    assert hosts_of(targets) == ["host-1", "host-2", "host-3"]
    assert (targets[2].note, keepers(targets[2])) == ({"forged_transmits": "inherited"}, ["vm-1", "vm-2"])


@pytest.mark.parametrize(("host", "has_vm"), [("host-1", True), ("host-2", False)])
def test_a_host_that_does_not_respond(host, has_vm):
    inventory = FakeInventory({VMS[0]: "host-1", VMS[1]: "host-2"}, states={host: "notResponding"})
    selected = [chosen(VMS[0], "host-1")]
    targets, unreachable = read_targets(inventory, selected, (), GROUP, False)
    assert unreachable == [Unreachable(host, "notResponding", "VM Network", has_vm)]
    assert hosts_of(targets) == ([] if has_vm else ["host-1"]), "without a VM for the note, no host is changed"


def test_a_port_group_is_read_once_for_all_its_vms():
    inventory = FakeInventory({VMS[0]: "host-1", VMS[1]: "host-2"})
    selected = [chosen(VMS[0], "host-1"), chosen(VMS[1], "host-2")]
    targets, _unreachable = read_targets(inventory, selected, (), GROUP, False)
    assert hosts_of(targets) == ["host-1", "host-2"]
    assert [keepers(target) for target in targets] == [["vm-1", "vm-2"]] * 2


def test_a_port_group_that_is_named_is_changed_on_all_hosts_and_noted_in_three_vms():
    inventory = FakeInventory(dict.fromkeys(VMS, "host-1"))
    targets, _unreachable = read_targets(inventory, [], [named()], PORT, False)
    assert hosts_of(targets) == ["host-1", "host-2", "host-3"]
    assert [keepers(target) for target in targets] == [["vm-1", "vm-2", "vm-3"]] * 3


def test_only_the_hosts_whose_port_group_is_on_the_switch():
    inventory = FakeInventory({VMS[0]: "host-1"}, switches={"host-2": "vSwitch1"})
    targets, _unreachable = read_targets(inventory, [], [named("vSwitch1")], PORT, False)
    assert hosts_of(targets) == ["host-2"]


def named(switch=None):
    return PortGroup("portgroups[0]", "VM Network", NETWORK, switch)


@pytest.mark.parametrize(
    ("selected", "scope", "message"),
    [
        (
            chosen(VMS[0], "host-1"),
            PORT,
            "is on a standard switch, which has no ports of its own; set scope: portgroup",
        ),
        (chosen(VMS[0], None), GROUP, "the VM is on no host, so that its standard port group cannot be read"),
        (chosen(VMS[0], "host-1", None), GROUP, "is connected to no network that this user can read"),
    ],
)
def test_an_adapter_that_cannot_be_changed(selected, scope, message):
    with pytest.raises(VsphereError) as error:
        read_targets(FakeInventory({VMS[0]: "host-1"}), [selected], (), scope, False)
    assert str(error.value) == f"vms[0]: vm-1: {message}"


def test_a_port_group_without_a_vm_for_the_note():
    inventory = FakeInventory({VMS[0]: "host-1"}, states={"host-1": "notResponding"})
    with pytest.raises(VsphereError, match="^portgroups.0.: has no VM whose notes can keep the former settings"):
        read_targets(inventory, [], [named()], PORT, False)
    targets, unreachable = read_targets(inventory, [], [named()], PORT, True)
    assert (targets, [each.host for each in unreachable]) == ([], ["host-1"])


def test_ports_with_one_key_on_two_switches():
    """Another VM's port 10 of the first switch overrides a setting; port 10 of the second switch is a selected one."""
    policy = dvs.MacManagementPolicy(inherited=False, macChanges=True)
    others = [shown("10", dvs.VmwarePortConfigPolicy(macManagementPolicy=policy)), shown("20")]
    switches = [FakeSwitch(number, others) for number in (1, 2)]
    first, second = attachment(switches[0], "20"), attachment(switches[1], "10")
    inventory = SimpleNamespace(attachment=lambda each: first if each.vm["object"] == VMS[0] else second)
    selected = [on_a_distributed_switch(vm) for vm in VMS[:2]]
    targets, _unreachable = read_targets(inventory, selected, (), PORT, True)
    assert [target.in_use for target in targets] == [{"mac_management"}, set()]
    assert read_targets(inventory, selected, (), PORT, False)[0][0].in_use == frozenset()


dvs = vim.dvs.VmwareDistributedVirtualSwitch


class FakeSwitch:
    """A distributed switch with these ports."""

    def __init__(self, number, ports):
        self.number = number
        self.ports = ports

    def _GetMoId(self):
        return f"dvs-{self.number}"

    def FetchDVPorts(self, _criteria):
        """Return all ports."""
        return self.ports


def shown(key, setting=None):
    return SimpleNamespace(
        key=key,
        portgroupKey="g",
        config=SimpleNamespace(setting=setting or dvs.VmwarePortConfigPolicy(), description=""),
    )


def attachment(switch, key):
    group = vim.dvs.DistributedVirtualPortgroup(f"dvportgroup-{key}")
    config = SimpleNamespace(
        backingType="standard",
        logicalSwitchUuid=None,
        defaultPortConfig=dvs.VmwarePortConfigPolicy(),
        description="[netops.egress_ip before: override.mac_management=false]",
        policy=dvs.VMwarePortgroupPolicy(macManagementOverrideAllowed=True),
    )
    features = dvs.FeatureCapability(macLearningSupported=True)
    of_switch = {"config": SimpleNamespace(defaultPortConfig=None), "capability.featuresSupported": features}
    return Attachment(group, {"name": "nodes", "config": config, "vm": []}, switch, of_switch, shown(key))


def on_a_distributed_switch(vm):
    connection = vim.dvs.PortConnection(portgroupKey="g", portKey="1", switchUuid="u")
    backing = vim.vm.device.VirtualEthernetCard.DistributedVirtualPortBackingInfo(port=connection)
    nic = {"device": SimpleNamespace(backing=backing), "label": "Network adapter 1"}
    about = {"object": vm, "name": vm._GetMoId()}
    return Chosen(about, HOSTS["host-1"], "connected", "poweredOn", False, None, None, nic, (nic,))
