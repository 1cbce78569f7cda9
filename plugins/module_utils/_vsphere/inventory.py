# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Find VMs, network adapters and what these are connected to. PRIVATE to the collection. Reads only. No policy."""

from __future__ import annotations

from dataclasses import dataclass, replace

from .._common.errors import VsphereError, VsphereInterruptedError
from .._common.messages import quote
from .from_pyvmomi import effective
from .port import choose_nic, choose_vm
from .pyvmomi import vim
from .session import plain_name

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
    def settings(self):
        """Those of the port (None without one), its port group and its switch: each follows the next one."""
        own = self.port and self.port.config.setting
        return own, self.config.defaultPortConfig, self.of_switch["config"].defaultPortConfig

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
        self._groups = {each.get("key"): (group, plain_name(each.get("name"))) for group, each in found.items()}

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
        if found["config.hardware.device"] is None:
            state = found["runtime"].connectionState
            raise VsphereError(f"vms[{place}]: {vm['name']} is {state}; its hardware cannot be seen now")
        nics = [self._nic(each) for each in found["config.hardware.device"] if _is_nic(each)]
        nic = choose_nic(selector, f"vms[{place}]", nics)
        return Chosen(vm, found["runtime"], found["config.annotation"], found["config.changeVersion"], nic)

    def _nic(self, device):
        """Return a network adapter as in `Chosen.nic`."""
        return {
            "device": device,
            "label": device.deviceInfo.label if device.deviceInfo else f"device {device.key}",
            "mac": (device.macAddress or "").lower(),
            "connected": bool(device.connectable and device.connectable.connected),
            "network": self._network(device.backing),
        }

    def _network(self, backing):
        """Return the name of the network that an adapter is connected to, None for none."""
        if is_distributed(backing):
            key = backing.port.portgroupKey
            return self._groups.get(key, (None, key))[1]
        if is_opaque(backing):
            return self.opaque_name(backing)
        return plain_name(getattr(backing, "deviceName", None)) or None

    def opaque_name(self, backing):
        """Return the name of a segment that adapters know by its ID alone; the ID when the user cannot see it."""
        if vim.OpaqueNetwork not in self._memory:
            found = self.session.all_properties(vim.OpaqueNetwork, ("name", "summary")).values()
            named = [(each.get("summary"), plain_name(each.get("name"))) for each in found]
            self._memory[vim.OpaqueNetwork] = {about.opaqueNetworkId: name for about, name in named if about}
        return self._memory[vim.OpaqueNetwork].get(backing.opaqueNetworkId, backing.opaqueNetworkId)

    def attachment(self, connection):
        """Return the Attachment of an adapter with this connection."""
        if connection.portgroupKey is None:
            raise VsphereError(f"port {connection.portKey}: belongs to no port group")
        if connection.portgroupKey not in self._groups:
            raise VsphereError(f"port group {connection.portgroupKey}: this user cannot see it")
        group, key = self._groups[connection.portgroupKey][0], connection.portKey
        if (group, key) not in self._memory:
            found = self.remembered(group, _GROUP)
            switch = found["config"].distributedVirtualSwitch
            about = self.remembered(switch, ("name", "config"))
            attachment = Attachment(group, found, switch, about, _port(switch, key) if key else None)
            self._memory[group, key] = _as_its_host_tells(attachment)
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
            "name": plain_name(found.get("name")),
            "uuid": found.get("config.uuid") or "",
            "instance_uuid": found.get("config.instanceUuid") or "",
            "template": bool(found.get("config.template")),
        }
        for vm, found in session.all_properties(vim.VirtualMachine, _VM).items()
    ]


def _port(switch, key):
    """Return a port of a distributed switch, None for none."""
    return next(iter(switch.FetchDVPorts(vim.dvs.PortCriteria(portKey=[key]))), None)


def _as_its_host_tells(attachment):
    """Return an Attachment whose port, if it is blocked, has the state that its host tells now, None for no answer.

    The vCenter keeps what a host told last, perhaps of an earlier block.
    """
    port, blocked = attachment.port, effective(attachment.settings, "blocked")
    if port is None or not (blocked and blocked.value):
        return attachment
    try:
        attachment.switch.RefreshDVPortState([port.key])
    except vim.fault.DvsFault:
        port.state = None
        return attachment
    return replace(attachment, port=_port(attachment.switch, port.key))


def _is_nic(device):
    return isinstance(device, vim.vm.device.VirtualEthernetCard)


def is_distributed(backing):
    """Tell whether an adapter is connected to a distributed switch."""
    return isinstance(backing, vim.vm.device.VirtualEthernetCard.DistributedVirtualPortBackingInfo)


def is_opaque(backing):
    """Tell whether an adapter is connected to an NSX segment that vCenter sees only as an opaque network."""
    return isinstance(backing, vim.vm.device.VirtualEthernetCard.OpaqueNetworkBackingInfo)


def network_of(backing, path):
    """Return the network behind an adapter on a standard switch; VsphereError, with ``path``, when there is none."""
    network = getattr(backing, "network", None)
    if network is None:
        raise VsphereError(f"{path}: is connected to no network that can be seen")
    return network


def standard_group(session, host, system, name):
    """Return (a standard port group as it is now on the host of a network system, the security policy of its switch).

    ``host`` is the host's name. The policy is None where there is none.
    """
    info = system and session.properties([system], ("networkInfo",))[system]["networkInfo"]
    if info is None:
        raise VsphereError(f"{host}: does not show its network configuration now")
    group = next((each for each in info.portgroup if plain_name(each.spec.name) == name), None)
    if group is None:
        raise VsphereError(f"{host}: has no standard port group {quote(name)}")
    policies = [each.spec.policy for each in info.vswitch if each.name == group.spec.vswitchName]
    return group, policies[0].security if policies and policies[0] else None
