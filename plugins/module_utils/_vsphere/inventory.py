# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Find the VMs, network adapters and ports that the modules' option `vms` selects. PRIVATE to the collection.

The number of requests depends on the number of port groups, switches and ESXi hosts, not on the number of adapters.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import (
    Any,
    Callable,
    Collection,
    Iterable,
    Iterator,
    Mapping,
    Sequence,
    TypeVar,
    Union,
)

from .._common.messages import quote
from .errors import VsphereError, VsphereInterruptedError
from .from_pyvmomi import effective
from .places import Places
from .port import choose_nic, choose_vm
from .pyvmomi import vim, vmodl
from .session import Properties, Session, UnparsedError, plain_name

Result = TypeVar("Result")
Selectors = Sequence[Mapping[str, Any]]
Outcome = Union[Result, VsphereError]
NETWORK_SYSTEM = "configManager.networkSystem"
# Properties of an ESXi host.
HOST = ("name", "parent", "runtime.connectionState", NETWORK_SYSTEM)
_VM = ("name", "parent", "config.uuid", "config.instanceUuid", "config.template")
_HARDWARE = (
    "config.hardware.device",
    "config.annotation",
    "config.changeVersion",
    "runtime.connectionState",
    "runtime.dasVmProtection",
    "runtime.host",
    "runtime.powerState",
)
_GROUP = ("key", "name", "config", "vm")
_SWITCH = ("name", "config", "capability.featuresSupported")


@dataclass(frozen=True)
class Chosen:
    """A network adapter that a selector names.

    ``vm``: dict with object, parent, moid, name, uuid, instance_uuid, template; ``host``: the ESXi host object, None
    for none; ``state`` and ``power``: of the VM, in the API's words; ``protected``: whether vSphere HA protects it;
    ``annotation``: its notes; ``version``: of its configuration; ``nic``: dict with device, label, mac, connected,
    network; ``nics``: all adapters of the VM.
    """

    vm: dict[str, Any]
    host: Any
    state: str
    power: str
    protected: bool
    annotation: str | None
    version: str | None
    nic: dict[str, Any]
    nics: tuple[dict[str, Any], ...]


@dataclass(frozen=True)
class Attachment:
    """The port of an adapter on a distributed switch: objects, and dicts of their properties.

    ``port`` is None if there is none: with ephemeral binding, while the VM is off.
    """

    group: Any
    of_group: Properties
    switch: Any
    of_switch: Properties
    port: Any

    @property
    def config(self) -> Any:
        """The configuration of the port group."""
        return self.of_group["config"]

    @property
    def settings(self) -> tuple[Any, Any, Any]:
        """The settings of the port (None without one), its port group and its switch: each inherits from the next."""
        own = self.port and self.port.config.setting
        return own, self.config.defaultPortConfig, self.of_switch["config"].defaultPortConfig

    @property
    def learns(self) -> bool | None:
        """Whether the switch supports MAC learning, None if it does not report that."""
        features = self.of_switch.get("capability.featuresSupported")
        learns: bool | None = features and features.macLearningSupported
        return learns

    @property
    def is_nsx(self) -> bool:
        """Whether NSX controls the port, not the vCenter."""
        return self.config.backingType == "nsx" or bool(self.config.logicalSwitchUuid)


class Inventory:
    """One reading of a vCenter; objects that several adapters share are read once."""

    def __init__(self, session: Session) -> None:
        self.session = session
        self._memory: dict[Any, Any] = {}
        # Per network: the names of its VMs, sorted, and the place of each VM among them.
        self._names: dict[Any, tuple[tuple[str, ...], dict[Any, int]]] = {}
        found = session.all_properties(vim.dvs.DistributedVirtualPortgroup, ("key", "name"))
        self._groups = {each.get("key"): (group, plain_name(each.get("name"))) for group, each in found.items()}
        self.places = Places(session)
        self._vms = list_vms(session)
        self._vm_names = {vm["object"]: vm["name"] for vm in self._vms}

    def choose(self, selectors: Selectors) -> list[Chosen]:
        """Return a Chosen for each entry of the option ``vms``. Raises VsphereError."""
        vms = [choose_vm(each, f"vms[{n}]", self._vms, self._is_there) for n, each in enumerate(selectors)]
        chosen = [self._chosen(*each) for each in self._found(vms, selectors)]
        self._read_ahead(chosen)
        return chosen

    def attempt(self, selectors: Selectors, function: Callable[[Chosen], Result]) -> list[Result | VsphereError]:
        """Return ``function(Chosen)``, or its VsphereError, for each entry of the option ``vms``."""
        vms = [
            _outcome(self.session, choose_vm, each, f"vms[{n}]", self._vms, self._is_there)
            for n, each in enumerate(selectors)
        ]
        outcomes: dict[int, Any] = {n: vm for n, vm in enumerate(vms) if isinstance(vm, VsphereError)}
        for each in self._found(vms, selectors):
            outcomes[each[0]] = _outcome(self.session, self._chosen, *each)
        self._read_ahead([each for each in outcomes.values() if isinstance(each, Chosen)])
        for n, each in outcomes.items():
            if isinstance(each, Chosen):
                outcomes[n] = _outcome(self.session, function, each)
        return [outcomes[n] for n in range(len(selectors))]

    def _is_there(self, vm: Mapping[str, Any], selector: Mapping[str, Any]) -> bool:
        return self.places.of(vm["parent"]).matches(selector)

    def _found(
        self, vms: Sequence[dict[str, Any] | VsphereError], selectors: Selectors
    ) -> Iterator[tuple[int, Mapping[str, Any], dict[str, Any], Properties]]:
        """Yield (index, selector, VM, its properties) of the VMs that were found."""
        known = [(n, selectors[n], vm) for n, vm in enumerate(vms) if not isinstance(vm, VsphereError)]
        hardware = self.session.properties([vm["object"] for _n, _selector, vm in known], _HARDWARE)
        for n, selector, vm in known:
            yield n, selector, vm, hardware[vm["object"]]

    def _chosen(self, index: int, selector: Mapping[str, Any], vm: dict[str, Any], found: Properties) -> Chosen:
        state = str(found["runtime.connectionState"])
        if found["config.hardware.device"] is None:
            raise VsphereError(f"vms[{index}]: {vm['name']} is {state}; its hardware cannot be read now")
        nics = tuple(self._nic(each) for each in found["config.hardware.device"] if _is_nic(each))
        protection = found["runtime.dasVmProtection"]
        return Chosen(
            vm,
            found["runtime.host"],
            state,
            str(found["runtime.powerState"]),
            bool(protection and protection.dasProtected),
            found["config.annotation"],
            found["config.changeVersion"],
            choose_nic(selector, f"vms[{index}]", nics),
            nics,
        )

    def _nic(self, device: Any) -> dict[str, Any]:
        """Return a network adapter as in `Chosen.nic`."""
        return {
            "device": device,
            "label": device.deviceInfo.label if device.deviceInfo else f"device {device.key}",
            "mac": (device.macAddress or "").lower(),
            "connected": bool(device.connectable and device.connectable.connected),
            "network": self._network(device.backing),
        }

    def _network(self, backing: Any) -> str | None:
        """Return the name of the network that an adapter is connected to, None for none."""
        if is_distributed(backing):
            key = backing.port.portgroupKey
            return self._groups[key][1] if key in self._groups else key and str(key)
        if is_opaque(backing):
            return self.opaque_name(backing)
        return plain_name(getattr(backing, "deviceName", None)) or None

    def opaque_name(self, backing: Any) -> str:
        """Return the name of an NSX segment, of which adapters have only the ID; the ID if it cannot be read."""
        if vim.OpaqueNetwork not in self._memory:
            found = self.session.all_properties(vim.OpaqueNetwork, ("name", "summary")).values()
            named = [(each.get("summary"), plain_name(each.get("name"))) for each in found]
            self._memory[vim.OpaqueNetwork] = {about.opaqueNetworkId: name for about, name in named if about}
        return str(self._memory[vim.OpaqueNetwork].get(backing.opaqueNetworkId, backing.opaqueNetworkId))

    def _read_ahead(self, chosen: Sequence[Chosen]) -> None:
        """Read the hosts, port groups, switches and ports of adapters together.

        A fault of a request for several ports is ignored: they are read one by one then, each with its own error.
        """
        self.read_hosts({each.host for each in chosen if each.host})
        ports = [each.nic["device"].backing.port for each in chosen if is_distributed(each.nic["device"].backing)]
        groups = {
            port.portgroupKey: self._groups[port.portgroupKey][0] for port in ports if port.portgroupKey in self._groups
        }
        self._remember(groups.values(), _GROUP)
        configs = {key: self._memory[group].get("config") for key, group in groups.items() if group in self._memory}
        switches = {key: config.distributedVirtualSwitch for key, config in configs.items() if config}
        self._remember({*switches.values()}, _SWITCH)
        keys: dict[Any, list[str]] = {}
        for port in ports:
            if port.portKey and port.portgroupKey in switches:
                keys.setdefault(switches[port.portgroupKey], []).append(port.portKey)
        for switch, wanted in keys.items():
            if len(wanted) > 1:
                self._remember_ports(switch, wanted)

    def read_hosts(self, hosts: Collection[Any]) -> Collection[Any]:
        """Read HOST of several hosts in one request for `remembered`; return them."""
        self._remember(hosts, HOST)
        return hosts

    def _remember(self, things: Collection[Any], paths: Iterable[str]) -> None:
        self._memory.update(self.session.properties([each for each in things if each not in self._memory], paths))

    def _remember_ports(self, switch: Any, keys: Sequence[str]) -> None:
        try:
            found = switch.FetchDVPorts(vim.dvs.PortCriteria(portKey=list(keys)))
        except vim.fault.NotAuthenticated:
            raise
        except (vmodl.MethodFault, UnparsedError):
            return
        self._memory.update({(switch, key): None for key in keys})
        self._memory.update({(switch, port.key): port for port in found})

    def attachment(self, chosen: Chosen) -> Attachment:
        """Return the Attachment of an adapter on a distributed switch. Raises VsphereError.

        Raises VsphereInterruptedError if another adapter is connected to the port by now.
        """
        device = chosen.nic["device"]
        attached = self._attachment(device.backing.port)
        connectee = attached.port and attached.port.connectee
        if connectee and connectee.connectedEntity:
            owner = (connectee.connectedEntity, str(connectee.nicKey))
            if owner != (chosen.vm["object"], str(device.key)):
                name = f"{chosen.vm['name']}, {chosen.nic['label']}"
                raise VsphereInterruptedError(f"{name}: port {attached.port.key} belongs to another adapter now")
        return attached

    def _attachment(self, connection: Any) -> Attachment:
        if connection.portgroupKey is None:
            raise VsphereError(f"port {connection.portKey}: belongs to no port group")
        if connection.portgroupKey not in self._groups:
            raise VsphereError(f"port group {connection.portgroupKey}: this user cannot read it")
        group, key = self._groups[connection.portgroupKey][0], connection.portKey
        if (group, key) not in self._memory:
            attachment = self.group_attachment(group)
            attachment = replace(attachment, port=self._port(attachment.switch, key))
            self._memory[group, key] = _with_present_state(attachment)
        attached: Attachment = self._memory[group, key]
        return attached

    def group_attachment(self, group: Any) -> Attachment:
        """Return the Attachment of a distributed port group, without a port."""
        found = self.remembered(group, _GROUP)
        switch = found["config"].distributedVirtualSwitch
        return Attachment(group, found, switch, self.remembered(switch, _SWITCH), None)

    def _port(self, switch: Any, key: str | None) -> Any:
        """Return a port of a distributed switch; None if it does not exist."""
        if not key:
            return None
        if (switch, key) not in self._memory:
            self._memory[switch, key] = _port(switch, key)
        return self._memory[switch, key]

    def remembered(self, thing: Any, paths: Iterable[str]) -> Properties:
        """Return {path: value} of an object. Each object is read once, always with the same paths."""
        if thing not in self._memory:
            self._memory[thing] = self.session.properties([thing], paths)[thing]
        found: Properties = self._memory[thing]
        return found

    def standard_group(self, host: str, system: Any, name: str) -> tuple[Any, Any]:
        """Return `find_standard_group` of a network system, which is read once."""
        info = self.remembered(system, ("networkInfo",))["networkInfo"] if system else None
        return find_standard_group(info, host, name)

    def other_vms(self, network: Any, vms: Iterable[Any], known: Collection[Any]) -> tuple[str, ...]:
        """Return the names, sorted, of the ``vms`` of a network without the ``known`` ones.

        The ID of a VM is returned if the user may not read its name.
        """
        if network not in self._names:
            named = [(self._vm_names.get(vm) or str(vm._GetMoId()), vm) for vm in vms]
            named.sort(key=lambda pair: pair[0])
            self._names[network] = tuple(name for name, _vm in named), {vm: n for n, (_name, vm) in enumerate(named)}
        names, places = self._names[network]
        left_out = {places[vm] for vm in known if vm in places}
        return tuple(name for n, name in enumerate(names) if n not in left_out)


def _outcome(session: Session, function: Callable[..., Result], *arguments: Any) -> Result | VsphereError:
    """Return the result of a function or its VsphereError. Raises VsphereInterruptedError."""
    try:
        with session.translated():
            return function(*arguments)
    except VsphereInterruptedError:
        raise
    except VsphereError as error:
        return error


def choose_vms(session: Session, selectors: Selectors) -> list[dict[str, Any]]:
    """Return a VM, as in `Chosen.vm`, for each entry of the option ``vms``. Raises VsphereError."""
    vms, places = list_vms(session), Places(session)

    def is_there(vm: Mapping[str, Any], selector: Mapping[str, Any]) -> bool:
        return places.of(vm["parent"]).matches(selector)

    return [choose_vm(selector, f"vms[{n}]", vms, is_there) for n, selector in enumerate(selectors)]


def list_vms(session: Session) -> list[dict[str, Any]]:
    """Return all VMs as in `Chosen.vm`."""
    return [
        {
            "object": vm,
            "parent": found.get("parent"),
            "moid": vm._GetMoId(),
            "name": plain_name(found.get("name")),
            "uuid": found.get("config.uuid") or "",
            "instance_uuid": found.get("config.instanceUuid") or "",
            "template": bool(found.get("config.template")),
        }
        for vm, found in session.all_properties(vim.VirtualMachine, _VM).items()
    ]


def _port(switch: Any, key: str) -> Any:
    return next(iter(switch.FetchDVPorts(vim.dvs.PortCriteria(portKey=[key]))), None)


def _with_present_state(attachment: Attachment) -> Attachment:
    """Return an Attachment whose port, if it is blocked, has the present state from its host; None if unknown.

    Without a refresh, the vCenter returns the last report of the host, which may concern an earlier block.
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


def _is_nic(device: Any) -> bool:
    return isinstance(device, vim.vm.device.VirtualEthernetCard)


def is_distributed(backing: Any) -> bool:
    """Return whether an adapter is connected to a distributed switch."""
    return isinstance(backing, vim.vm.device.VirtualEthernetCard.DistributedVirtualPortBackingInfo)


def is_opaque(backing: Any) -> bool:
    """Return whether an adapter is connected to an NSX segment that is an opaque network in vCenter."""
    return isinstance(backing, vim.vm.device.VirtualEthernetCard.OpaqueNetworkBackingInfo)


def network_of(backing: Any, path: str) -> Any:
    """Return the network of an adapter on a standard switch. Raises VsphereError, which begins with ``path``."""
    network = getattr(backing, "network", None)
    if network is None:
        raise VsphereError(f"{path}: is connected to no network that this user can read")
    return network


def standard_group(session: Session, host: str, system: Any, name: str) -> tuple[Any, Any]:
    """Return `find_standard_group` of the present configuration of a network system."""
    info = system and session.properties([system], ("networkInfo",))[system]["networkInfo"]
    return find_standard_group(info, host, name)


def find_standard_group(info: Any, host: str, name: str) -> tuple[Any, Any]:
    """Return (the standard port group, the security policy of its switch or None) in a network configuration.

    ``host``: name of the host in messages. Raises VsphereError.
    """
    if info is None:
        raise VsphereError(f"{host}: does not show its network configuration now")
    group = next((each for each in info.portgroup if plain_name(each.spec.name) == name), None)
    if group is None:
        raise VsphereError(f"{host}: has no standard port group {quote(name)}")
    policies = [each.spec.policy for each in info.vswitch if each.name == group.spec.vswitchName]
    return group, policies[0].security if policies and policies[0] else None
