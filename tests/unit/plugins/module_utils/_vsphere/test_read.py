# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Ports, adapters and guests from the properties of a vCenter; the tests with the simulator check all else."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
from ansible_collections.netops.egress_ip.plugins.module_utils._vsphere.inventory import Attachment, Chosen
from ansible_collections.netops.egress_ip.plugins.module_utils._vsphere.read import read_adapter, read_guests, read_port
from ansible_collections.netops.egress_ip.plugins.module_utils._vsphere.session import Properties
from pyVmomi import vim

dvs = vim.dvs.VmwareDistributedVirtualSwitch
cards = vim.vm.device
HOST, GROUP, SWITCH = vim.HostSystem("host-1"), vim.dvs.DistributedVirtualPortgroup("dvportgroup-1"), "dvs"
VM = {"object": vim.VirtualMachine("vm-1"), "name": "node1", "moid": "vm-1", "uuid": "4230", "template": False}


class FakeInventory:
    """A port group with one port, and the host of the VM."""

    def __init__(self, attachment=None, state="connected"):
        self._attachment = attachment
        self._state = vim.HostSystem.ConnectionState(state)

    def remembered(self, thing, _paths):
        """Return the properties of the host."""
        assert thing == HOST
        return {"name": "esx1", "runtime.connectionState": self._state}

    def attachment(self, _chosen):
        """Return the attachment of the adapter."""
        return self._attachment

    def other_vms(self, network, vms, known):
        """Return the IDs of the other VMs of a network."""
        assert network in (GROUP, None)
        return tuple(sorted(vm._GetMoId() for vm in vms if vm not in known))


def adapter(kind=cards.VirtualVmxnet3, connected=True, starts=True, bare=False):
    """Return a network adapter on the port group."""
    port = vim.dvs.PortConnection(portgroupKey="dvportgroup-1", portKey="10", switchUuid="u")
    backing = cards.VirtualEthernetCard.DistributedVirtualPortBackingInfo(port=port)
    connectable = cards.VirtualDevice.ConnectInfo(connected=connected, startConnected=starts, allowGuestControl=True)
    return kind(key=4000, backing=backing, connectable=None if bare else connectable)


def chosen(device, power="poweredOn", host=HOST, annotation=None):
    nic = {"device": device, "label": "Network adapter 1", "mac": "00:50:56:00:01:01", "connected": True}
    nic["network"] = "nodes"
    other = {**nic, "label": "Network adapter 2", "mac": "00:50:56:00:01:02"}
    return Chosen(VM, host, "connected", power, False, annotation, "1", nic, (nic, other))


def attached(blocked=None, runtime=False, direct=False, binding="earlyBinding", description="", learns=True, nsx=False):
    """Return an Attachment whose port blocks as its port group (None) or on its own."""
    own = blocked is not None and vim.BoolPolicy(inherited=False, value=blocked)
    setting = dvs.VmwarePortConfigPolicy(blocked=own or None)
    info = SimpleNamespace(blocked=runtime, vmDirectPathGen2Active=direct)
    port = SimpleNamespace(
        key="10",
        config=SimpleNamespace(setting=setting, description=description),
        state=SimpleNamespace(runtimeInfo=info),
    )
    config = SimpleNamespace(
        type=binding,
        backingType="nsx" if nsx else "standard",
        logicalSwitchUuid=None,
        defaultPortConfig=dvs.VmwarePortConfigPolicy(),
        description="[netops.egress_ip before: mac_changes=false override.security=false]",
        policy=dvs.VMwarePortgroupPolicy(blockOverrideAllowed=True, securityPolicyOverrideAllowed=True),
    )
    features = dvs.FeatureCapability(macLearningSupported=learns)
    of_switch = {
        "name": "DVS%2f0",
        "config": SimpleNamespace(defaultPortConfig=None, pvlanConfig=[]),
        "capability.featuresSupported": features,
    }
    vms = [VM["object"], vim.VirtualMachine("vm-2")]
    return Attachment(GROUP, {"name": "nodes", "config": config, "vm": vms}, SWITCH, Properties(of_switch), port)


def test_an_adapter():
    inventory = FakeInventory(attached(description="[netops.egress_ip before: blocked=inherited]"))
    found = read_adapter(inventory, chosen(adapter(), annotation="[netops.egress_ip before: power=on]"))
    assert (found.id, found.host, found.responds, found.direct) == ("vm-1/4000", "esx1", True, False)
    assert (found.port_note, found.vm_note) == ({"blocked": "inherited"}, {"power": "on"})
    assert found.others == (("Network adapter 2", "00:50:56:00:01:02"),)


@pytest.mark.parametrize(
    ("device", "power", "connection"),
    [
        (adapter(connected=True, starts=False), "poweredOn", (True, False)),
        (adapter(connected=True, starts=False), "poweredOff", (False, False)),
        (adapter(connected=False, starts=True), "poweredOff", (True, True)),
        (adapter(bare=True), "poweredOn", (True, True)),
    ],
)
def test_the_connection_of_an_adapter_that_is_off_is_that_after_its_start(device, power, connection):
    found = read_adapter(FakeInventory(attached()), chosen(device, power))
    assert (found.connection["connected"], found.connection["start_connected"]) == connection


@pytest.mark.parametrize(
    ("values", "port"),
    [
        ({}, {"blocked": False, "own": False, "runtime": False, "lasting": True}),
        ({"blocked": True, "runtime": True}, {"blocked": True, "own": True, "runtime": True, "lasting": True}),
        ({"blocked": True, "runtime": True, "direct": True}, {"blocked": True, "own": True, "runtime": False}),
        ({"binding": "ephemeral"}, {"lasting": False}),
    ],
)
def test_the_block_of_a_port(values, port):
    found = read_adapter(FakeInventory(attached(**values)), chosen(adapter())).port
    assert {key: found[key] for key in port} == port


def test_frames_of_an_sriov_adapter_bypass_the_hypervisor():
    assert read_adapter(FakeInventory(attached()), chosen(adapter(cards.VirtualSriovEthernetCard))).direct is True
    assert read_adapter(FakeInventory(attached()), chosen(adapter(bare=True))).direct is True


def test_a_port_of_nsx_cannot_be_blocked_and_shows_no_settings():
    inventory = FakeInventory(attached(nsx=True))
    assert read_adapter(inventory, chosen(adapter())).port is None
    port = read_port(inventory, chosen(adapter()), shared_with=True)
    assert (port.switch["type"], port.level, port.shared_with) == ("nsx", None, ("vm-2",))


@pytest.mark.parametrize(("state", "responds"), [("connected", True), ("notResponding", False)])
def test_a_host_that_does_not_respond(state, responds):
    assert read_adapter(FakeInventory(attached(), state), chosen(adapter())).responds is responds


def test_a_vm_on_no_host():
    found = read_adapter(FakeInventory(attached()), chosen(adapter(), host=None))
    assert (found.host, found.responds) == (None, False)


@pytest.mark.parametrize(("learns", "learning"), [(True, False), (False, None)])
def test_a_port(learns, learning):
    port = read_port(FakeInventory(attached(learns=learns)), chosen(adapter()), shared_with=False)
    assert (port.switch["name"], port.port_group["name"], port.port_key) == ("DVS/0", "nodes", "10")
    assert port.port_group["noted"] == {"mac_changes": False}, "an allowed override is no setting"
    assert (port.override_allowed, port.shared_with) == (("blocked", "security"), None)
    assert (port.level.mac_learning or {}).get("enabled") is learning


class FakeSession:
    """A vCenter with one VM and the report of its VMware Tools."""

    def __init__(self, *nics):
        self._nics = nics

    def all_properties(self, _kind, _paths):
        """Return the VM."""
        return {VM["object"]: Properties({"name": "node1"})}

    def properties(self, objects, paths):
        """Return what VMware Tools report, or the host."""
        values = {"name": "esx1", "runtime.connectionState": vim.HostSystem.ConnectionState("connected")}
        if "guest.net" in paths:
            values = {"runtime.connectionState": "connected", "runtime.host": HOST, "runtime.powerState": "poweredOn"}
            values["guest.net"] = self._nics
        return {each: Properties(values) for each in objects}


def nic(mac, configured=(), older=()):
    config = configured and SimpleNamespace(ipAddress=[SimpleNamespace(ipAddress=each) for each in configured])
    return SimpleNamespace(macAddress=mac, ipConfig=config or None, ipAddress=list(older))


def test_the_addresses_of_a_guest():
    nics = [
        nic("00:50:56:00:01:01", ["192.168.126.21", "fe80::1%eth0", "nonsense"], ["192.168.126.21", "10.0.0.1"]),
        nic(None, older=["fd00::10"]),
    ]
    (guest,) = read_guests(FakeSession(*nics), [{"name": "node1"}])
    shown = [(mac, [str(address) for address in addresses]) for mac, addresses in guest.adapters]
    assert shown == [("00:50:56:00:01:01", ["192.168.126.21", "fe80::1", "10.0.0.1"]), (None, ["fd00::10"])]
    assert (guest.host, guest.tools) == ("esx1", "guestToolsNotRunning")
