# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Find VMs, network adapters and what these are connected to. PRIVATE to the collection. Reads only. No policy."""

from __future__ import annotations

from dataclasses import dataclass

from ._errors import VsphereError
from ._vsphere_api import vim
from ._vsphere_port import choose_nic, choose_vm

NETWORK_SYSTEM = "configManager.networkSystem"
_VM = ("name", "config.uuid", "config.instanceUuid", "config.template")
_HARDWARE = ("config.hardware.device", "config.annotation", "config.changeVersion", "runtime")
_GROUP = ("key", "name", "config", "vm")


@dataclass(frozen=True)
class Chosen:
    """A network adapter that a selector names.

    ``vm`` is a dict with object, moid, name, uuid, instance_uuid, template; ``runtime`` the VM's runtime information,
    ``annotation`` its notes, ``version`` that of its configuration; ``nic`` a dict with device, label, mac, connected,
    network.
    """

    vm: dict
    runtime: object
    annotation: object
    version: object
    nic: dict


@dataclass(frozen=True)
class Attachment:
    """Where an adapter is connected to a distributed switch: objects, and dicts of their properties.

    ``port`` is None while there is none: with ephemeral binding, while the VM is off.
    """

    group: object
    of_group: dict
    switch: object
    of_switch: dict
    port: object

    @property
    def config(self):
        """The configuration of the port group."""
        return self.of_group["config"]

    @property
    def is_nsx(self):
        """Whether NSX, not the vCenter, says what the port lets pass."""
        return self.config.backingType == "nsx" or bool(self.config.logicalSwitchUuid)


class Inventory:
    """One reading of a vCenter; what several adapters share is read once."""

    def __init__(self, session):
        self.session = session
        self._memory = {}
        found = session.all_properties(vim.dvs.DistributedVirtualPortgroup, ("key", "name"))
        self._groups = {each["key"]: (group, each["name"]) for group, each in found.items()}

    def choose(self, selectors):
        """Return a Chosen for each entry of the option ``vms``."""
        chosen = choose_vms(self.session, selectors)
        hardware = self.session.properties([vm["object"] for vm in chosen], _HARDWARE)
        result = []
        for n, (selector, vm) in enumerate(zip(selectors, chosen)):
            found = hardware[vm["object"]]
            if "config.hardware.device" not in found:
                state = found["runtime"].connectionState
                raise VsphereError(f"vms[{n}]: {vm['name']} is {state}; its hardware cannot be seen now")
            nics = [self._nic(each) for each in found["config.hardware.device"] if _is_nic(each)]
            nic = choose_nic(selector, f"vms[{n}]", nics)
            notes = found.get("config.annotation"), found.get("config.changeVersion")
            result.append(Chosen(vm, found["runtime"], *notes, nic))
        return result

    def _nic(self, device):
        """Return a network adapter as in `Chosen.nic`."""
        backing = device.backing
        if is_distributed(backing):
            network = self._groups.get(backing.port.portgroupKey, (None, backing.port.portgroupKey))[1]
        elif is_opaque(backing):
            network = backing.opaqueNetworkId
        else:
            network = backing.deviceName
        return {
            "device": device,
            "label": device.deviceInfo.label,
            "mac": device.macAddress.lower(),
            "connected": bool(device.connectable and device.connectable.connected),
            "network": network,
        }

    def attachment(self, connection):
        """Return the Attachment of an adapter with this connection."""
        if connection.portgroupKey not in self._groups:
            raise VsphereError(f"port group {connection.portgroupKey}: this user cannot see it")
        group = self._groups[connection.portgroupKey][0]
        found = self.remembered(group, _GROUP)
        switch = found["config"].distributedVirtualSwitch
        key = connection.portKey
        ports = switch.FetchDVPorts(vim.dvs.PortCriteria(portKey=[key])) if key else []
        return Attachment(
            group, found, switch, self.remembered(switch, ("name", "config")), ports[0] if ports else None
        )

    def remembered(self, thing, paths):
        """Return {path: value} of an object, read once for all the ports of one reading."""
        if thing not in self._memory:
            self._memory[thing] = self.session.properties([thing], paths)[thing]
        return self._memory[thing]


def choose_vms(session, selectors):
    """Return a VM, as in `Chosen.vm`, for each entry of the option ``vms``."""
    vms = [
        {
            "object": vm,
            "moid": vm._GetMoId(),
            "name": found.get("name", ""),
            "uuid": found.get("config.uuid") or "",
            "instance_uuid": found.get("config.instanceUuid") or "",
            "template": bool(found.get("config.template")),
        }
        for vm, found in session.all_properties(vim.VirtualMachine, _VM).items()
    ]
    return [choose_vm(selector, f"vms[{n}]", vms) for n, selector in enumerate(selectors)]


def _is_nic(device):
    return isinstance(device, vim.vm.device.VirtualEthernetCard)


def is_distributed(backing):
    """Tell whether an adapter is connected to a distributed switch."""
    return isinstance(backing, vim.vm.device.VirtualEthernetCard.DistributedVirtualPortBackingInfo)


def is_opaque(backing):
    """Tell whether an adapter is connected to an NSX segment that vCenter sees only as an opaque network."""
    return isinstance(backing, vim.vm.device.VirtualEthernetCard.OpaqueNetworkBackingInfo)


def standard_group(session, system, name):
    """Return a standard port group as it is now on the host of a network system; None when there is none."""
    info = session.properties([system], ("networkInfo",))[system]["networkInfo"]
    return next((each for each in info.portgroup if each.spec.name == name), None)
