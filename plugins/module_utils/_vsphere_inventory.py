# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Find VMs, network adapters and what these are connected to. PRIVATE to the collection. Reads only. No policy."""

from __future__ import annotations

from dataclasses import dataclass

from ._errors import VsphereError, VsphereInterruptedError
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
        return [self._chosen(*each) for each in self._found(choose_vms(self.session, selectors), selectors)]

    def attempt(self, selectors, function):
        """Return ``function(Chosen)`` for each entry of the option ``vms``, or the VsphereError that it comes to."""
        vms = list_vms(self.session)
        chosen = [self._outcome(choose_vm, each, f"vms[{n}]", vms) for n, each in enumerate(selectors)]
        outcomes = {n: vm for n, vm in enumerate(chosen) if isinstance(vm, VsphereError)}
        for each in self._found(chosen, selectors):
            outcomes[each[0]] = self._outcome(lambda *found: function(self._chosen(*found)), *each)
        return [outcomes[n] for n in range(len(selectors))]

    def _outcome(self, function, *arguments):
        """Return what a function returns, or the VsphereError that it comes to, unless that asks for a new attempt."""
        try:
            with self.session.translated():
                return function(*arguments)
        except VsphereInterruptedError:
            raise
        except VsphereError as error:
            return error

    def _found(self, vms, selectors):
        """Return [(place, selector, VM, its properties)] of those VMs that are none of errors."""
        known = [(n, *pair) for n, pair in enumerate(zip(selectors, vms)) if not isinstance(pair[1], VsphereError)]
        hardware = self.session.properties([vm["object"] for _n, _selector, vm in known], _HARDWARE)
        return [(n, selector, vm, hardware[vm["object"]]) for n, selector, vm in known]

    def _chosen(self, place, selector, vm, found):
        if "config.hardware.device" not in found:
            state = found["runtime"].connectionState
            raise VsphereError(f"vms[{place}]: {vm['name']} is {state}; its hardware cannot be seen now")
        nics = [self._nic(each) for each in found["config.hardware.device"] if _is_nic(each)]
        nic = choose_nic(selector, f"vms[{place}]", nics)
        return Chosen(vm, found["runtime"], found.get("config.annotation"), found.get("config.changeVersion"), nic)

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
        group, key = self._groups[connection.portgroupKey][0], connection.portKey
        if (group, key) not in self._memory:
            found = self.remembered(group, _GROUP)
            switch = found["config"].distributedVirtualSwitch
            ports = switch.FetchDVPorts(vim.dvs.PortCriteria(portKey=[key])) if key else []
            about = self.remembered(switch, ("name", "config"))
            self._memory[group, key] = Attachment(group, found, switch, about, ports[0] if ports else None)
        return self._memory[group, key]

    def remembered(self, thing, paths):
        """Return {path: value} of an object, read once for all the ports of one reading."""
        if thing not in self._memory:
            self._memory[thing] = self.session.properties([thing], paths)[thing]
        return self._memory[thing]


def choose_vms(session, selectors):
    """Return a VM, as in `Chosen.vm`, for each entry of the option ``vms``."""
    vms = list_vms(session)
    return [choose_vm(selector, f"vms[{n}]", vms) for n, selector in enumerate(selectors)]


def list_vms(session):
    """Return all VMs as in `Chosen.vm`."""
    return [
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
