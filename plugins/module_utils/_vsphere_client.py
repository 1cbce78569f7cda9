# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The only I/O with vCenter, and the only file that knows pyvmomi. PRIVATE to the collection. No policy."""

from __future__ import annotations

import contextlib
import itertools
import ssl
import time
import traceback
from dataclasses import replace
from http.client import HTTPException
from xml.parsers.expat import ExpatError

from ._errors import VsphereError, VsphereInterruptedError
from ._text import quote
from ._vsphere_fence import OFF, Adapter
from ._vsphere_filter import is_ours
from ._vsphere_note import INHERITED, read_note, write_note
from ._vsphere_port import (
    DISTRIBUTED,
    GROUP,
    HOST_GROUP,
    NSX,
    PORT,
    SECURITY,
    STANDARD,
    Level,
    Port,
    Target,
    choose_nic,
    choose_vm,
)
from ._vsphere_security import overrides_of

try:
    from pyVim.connect import Disconnect
    from pyVmomi import SoapStubAdapter, vim, vmodl
except ImportError:
    # The module says so in Ansible's own words.
    PYVMOMI_ERROR = traceback.format_exc()
else:
    PYVMOMI_ERROR = None

_FIRST_API = (7, 0)
# What we use is there since then, and newer ones understand it.
_VERSION = "vim.version.v7_0"
_ATTEMPTS = 5
_PAGE = 500
_POLL_SECONDS = (0.05, 0.1, 0.2, 0.5, 1)
_VM = ("name", "config.uuid", "config.instanceUuid", "config.template")
_GROUP = ("key", "name", "config", "vm")
_SYSTEM = "configManager.networkSystem"
_NSX_REFUSAL = "is on NSX; vCenter cannot change its ports, allow the address in the segment profiles of NSX"
_OVERRIDES = {
    "blocked": "blockOverrideAllowed",
    "mac_management": "macManagementOverrideAllowed",
    "rules": "trafficFilterOverrideAllowed",
    "security": "securityPolicyOverrideAllowed",
    "shaping": "shapingOverrideAllowed",
    "teaming": "uplinkTeamingOverrideAllowed",
    "vlan": "vlanOverrideAllowed",
}
_OVERRIDE_NOTE = "override."
_LEARNING = {
    "enabled": "enabled",
    "allow_unicast_flooding": "allowUnicastFlooding",
    "limit": "limit",
    "limit_policy": "limitPolicy",
}
_FLAGS = {"promiscuous": "allowPromiscuous", "mac_changes": "macChanges", "forged_transmits": "forgedTransmits"}


def with_client(parameters, function):
    """Return ``function(client)``, tried again, a few times, when it raises VsphereInterruptedError.

    ``parameters``: {option: value} of doc_fragments/vsphere.py. There is one session, a new one only after a loss.
    """
    client = Client(parameters)
    try:
        for attempt in range(_ATTEMPTS):
            try:
                return function(client)
            except VsphereInterruptedError:
                if attempt == _ATTEMPTS - 1:
                    raise
                time.sleep(_POLL_SECONDS[attempt])
    finally:
        client.close()


class Client:
    """A session with a vCenter, opened when it is first used. Every method raises VsphereError."""

    def __init__(self, parameters):
        self._parameters = parameters
        self._instance = None
        self._memory = {}

    def close(self):
        """End the session."""
        if self._instance is not None:
            Disconnect(self._instance)
            self._instance = None

    def read_ports(self, selectors):
        """Return a `_vsphere_port.Port` for each entry of the option ``vms``."""
        with self._translated():
            groups = self._groups()
            return [self._port(vm, runtime, nic, groups) for vm, runtime, nic in self._chosen(selectors, groups)]

    def read_targets(self, selectors, scope, neighbours):
        """Return the `_vsphere_port.Target` values that a change of ``scope`` (PORT or GROUP) has, each one once.

        ``neighbours``: whether ``in_use`` and ``marked`` of ports are wanted too.
        """
        with self._translated():
            groups = self._groups()
            targets, chosen = {}, self._chosen(selectors, groups)
            vms = {vm["object"] for vm, _runtime, _nic in chosen}
            for n, (vm, _runtime, nic) in enumerate(chosen):
                for target in self._targets(f"vms[{n}]: {vm['name']}", nic, scope, groups, vms):
                    targets[target.id] = target
            ports = {target.handle["port"].key for target in targets.values() if target.kind == PORT}
            return [_with_neighbours(each, ports) if neighbours else each for each in targets.values()]

    def write(self, changes):
        """Bring `_vsphere_security.Change` values into the vCenter; all ports of a switch in one task."""
        with self._translated():
            self._write_overrides(changes, forbid=False)
            ports = {}
            for change in changes:
                if change.writes and change.target.kind == PORT:
                    spec = _port_spec(change.target.handle["port"], change.note, _setting(change))
                    ports.setdefault(change.target.handle["switch"], []).append(spec)
                elif change.writes and change.target.kind == GROUP:
                    self._write_group(change)
                elif change.writes:
                    self._write_standard(change)
            for dvs, specs in ports.items():
                self._wait(f"ports {', '.join(spec.key for spec in specs)}", dvs.ReconfigureDVPort_Task(specs))
            self._write_overrides(changes, forbid=True)

    def read_adapters(self, selectors):
        """Return a `_vsphere_fence.Adapter` for each entry of the option ``vms``."""
        with self._translated():
            groups = self._groups()
            return [self._adapter(vm, runtime, nic, groups) for vm, runtime, nic in self._chosen(selectors, groups)]

    def write_steps(self, steps):
        """Bring `_vsphere_fence.Step` values into the vCenter."""
        with self._translated():
            for step in steps:
                self._write_step(step)

    def wait_for(self, look, name):
        """Return what ``look()`` returns as soon as that is something; VsphereError when it takes too long."""
        seconds = self._parameters["timeout"]
        give_up = time.monotonic() + seconds
        found = look()
        while not found:
            if time.monotonic() > give_up:
                raise VsphereError(f"{name}: is not proven within {seconds} seconds; do not rely on it")
            time.sleep(_POLL_SECONDS[-1])
            found = look()
        return found

    # --- the session

    @contextlib.contextmanager
    def _translated(self):
        """Turn what pyvmomi raises into VsphereError, once and for all calls."""
        where = f"{self._parameters['hostname']}:{self._parameters['port']}"
        try:
            yield
        except vim.fault.NotAuthenticated as fault:  # a NoPermission too, by its type
            self._instance = None
            raise VsphereInterruptedError(f"{where}: {_words(fault)}") from None
        except vim.fault.ConcurrentAccess as fault:
            raise VsphereInterruptedError(f"{where}: {_words(fault)}") from None
        except vim.fault.NoPermission as fault:
            user = self._parameters["username"]
            raise VsphereError(f"{self._name(fault.object)}: {user} lacks the privilege {fault.privilegeId}") from None
        except vim.fault.InvalidLogin:
            user = quote(self._parameters["username"])
            raise VsphereError(f"username: {where} refuses {user}; name or password is wrong") from None
        except ssl.SSLCertVerificationError as error:
            reason = error.verify_message
            raise VsphereError(f"hostname: the certificate of {where} is not trusted: {reason}") from None
        except (OSError, HTTPException, ExpatError) as error:
            connected, self._instance = self._instance is not None, None
            kind = VsphereInterruptedError if connected else VsphereError
            raise kind(f"hostname: {where} does not answer: {error or type(error).__name__}") from None
        except vmodl.MethodFault as fault:
            raise VsphereError(f"{where}: {_words(fault)}") from None

    @property
    def _content(self):
        if self._instance is None:
            options = self._parameters
            # Not pyVim's SmartConnect: it asks for the versions without a timeout.
            stub = SoapStubAdapter(
                options["hostname"],
                options["port"],
                version=_VERSION,
                path="/sdk",
                # Explicit, or pyvmomi trusts everybody who calls himself localhost.
                sslContext=_tls(options["validate_certs"]),
                httpConnectionTimeout=options["timeout"],
                httpProxyHost=options["proxy_host"],
                httpProxyPort=options["proxy_port"],
            )
            instance = vim.ServiceInstance("ServiceInstance", stub)
            content = instance.RetrieveContent()
            version = tuple(int(part) for part in content.about.apiVersion.split(".")[:2])
            if content.about.apiType != "VirtualCenter" or version < _FIRST_API:
                raise VsphereError(f"hostname: is {content.about.fullName}; a vCenter with API 7.0 or newer is needed")
            content.sessionManager.Login(options["username"], options["password"], None)
            self._instance = instance
        return self._instance.content

    def _name(self, thing):
        """Return the name of an inventory object; its ID when the user may not even see that."""
        try:
            return self._properties([thing], ("name",))[thing]["name"]
        except (vmodl.MethodFault, OSError, HTTPException, KeyError):
            return str(thing).strip("'")

    def _properties(self, objects, paths):
        """Return {object: {path: value}} of what is set, for any number of objects of one type, in few requests."""
        if not objects:
            return {}
        collect = vmodl.query.PropertyCollector
        return self._retrieve(
            [collect.ObjectSpec(obj=each) for each in objects],
            collect.PropertySpec(type=type(objects[0]), pathSet=list(paths)),
        )

    def _remembered(self, thing, paths):
        """Return {path: value} of an object, read once for all the ports of one reading."""
        if thing not in self._memory:
            self._memory[thing] = self._properties([thing], paths)[thing]
        return self._memory[thing]

    def _all_properties(self, kind, paths):
        """Return {object: {path: value}} for every object of a type in the inventory."""
        collect = vmodl.query.PropertyCollector
        view = self._content.viewManager.CreateContainerView(self._content.rootFolder, [kind], True)
        try:
            walk = collect.TraversalSpec(name="view", path="view", skip=False, type=vim.view.ContainerView)
            spec = collect.PropertySpec(type=kind, pathSet=list(paths))
            return self._retrieve([collect.ObjectSpec(obj=view, skip=True, selectSet=[walk])], spec)
        finally:
            view.Destroy()

    def _retrieve(self, object_specs, property_spec):
        collector, collect = self._content.propertyCollector, vmodl.query.PropertyCollector
        spec = collect.FilterSpec(objectSet=object_specs, propSet=[property_spec])
        page = collector.RetrievePropertiesEx([spec], collect.RetrieveOptions(maxObjects=_PAGE))
        found = {}
        while page:
            for each in page.objects:
                if each.missingSet:
                    raise each.missingSet[0].fault
                found[each.obj] = {prop.name: prop.val for prop in each.propSet}
            page = collector.ContinueRetrievePropertiesEx(page.token) if page.token else None
        return found

    # --- writing

    def _write_overrides(self, changes, forbid):
        """Change what port groups let their ports override: before the ports for more, after them for less."""
        wanted = {}
        for change in changes:
            names = change.forbid if forbid else change.allow
            if names:
                wanted.setdefault(change.target.handle["group"], set()).update(names)
        for group, names in wanted.items():
            # Fresh, for its version; the policy is written whole, since its fields are required.
            config = self._properties([group], ("config",))[group]["config"]
            note = read_note(config.description)
            for name in names:
                setattr(config.policy, _OVERRIDES[name], not forbid)
                if forbid:
                    del note[f"{_OVERRIDE_NOTE}{name}"]
                else:
                    note[f"{_OVERRIDE_NOTE}{name}"] = False
            spec = vim.dvs.DistributedVirtualPortgroup.ConfigSpec(
                configVersion=config.configVersion,
                policy=config.policy,
                description=write_note(config.description, note),
            )
            self._wait(f"port group {config.name}", group.ReconfigureDVPortgroup_Task(spec))

    def _write_group(self, change):
        handle = change.target.handle
        spec = vim.dvs.DistributedVirtualPortgroup.ConfigSpec(
            configVersion=handle["version"],
            defaultPortConfig=_setting(change),
            description=write_note(handle["description"], change.note),
        )
        self._wait(change.target.name, handle["group"].ReconfigureDVPortgroup_Task(spec))

    def _write_standard(self, change):
        """Write to a standard port group; its spec has no version, so look again right before."""
        handle = change.target.handle
        spec = self._standard_group(handle["system"], change.target.group).spec
        if str(spec) != str(handle["spec"]):
            raise VsphereInterruptedError(f"{change.target.name}: somebody else has changed it meanwhile")
        if spec.policy.security is None:
            spec.policy.security = vim.host.NetworkPolicy.SecurityPolicy()
        for flag, value in change.security.items():
            setattr(spec.policy.security, _FLAGS[flag], None if value == INHERITED else value)
        handle["system"].UpdatePortGroup(change.target.group, spec)

    def _wait(self, what, task):
        """Wait for the end of a task; raises its fault, and VsphereError when it takes too long."""
        seconds = self._parameters["timeout"]
        give_up = time.monotonic() + seconds
        for pause in itertools.chain(_POLL_SECONDS, itertools.repeat(_POLL_SECONDS[-1])):
            info = self._properties([task], ("info",))[task]["info"]
            if info.state == vim.TaskInfo.State.success:
                return
            if info.state == vim.TaskInfo.State.error:
                raise info.error
            if time.monotonic() > give_up:
                raise VsphereError(f"{what}: {info.key} has not ended within {seconds} seconds; look at it in vCenter")
            time.sleep(pause)

    def _write_step(self, step):
        adapter, handle = step.adapter, step.adapter.handle
        if step.port_note != adapter.port_note:
            setting = vim.dvs.VmwareDistributedVirtualSwitch.VmwarePortConfigPolicy(blocked=_bool_policy(step.blocked))
            spec = _port_spec(handle["port"], step.port_note, setting)
            self._wait(adapter.name, handle["switch"].ReconfigureDVPort_Task([spec]))
        if step.vm_note != adapter.vm_note:
            spec = vim.vm.ConfigSpec(annotation=write_note(handle["annotation"], step.vm_note))
            if step.connection is not None:
                device = handle["device"]
                device.connectable.connected = step.connection["connected"]
                device.connectable.startConnected = step.connection["start_connected"]
                spec.deviceChange = [vim.vm.device.VirtualDeviceSpec(operation="edit", device=device)]
            self._wait(adapter.name, handle["vm"].ReconfigVM_Task(spec))
        if step.power:
            turn = handle["vm"].PowerOffVM_Task if step.power == OFF else handle["vm"].PowerOnVM_Task
            self._wait(adapter.name, turn())

    # --- reading

    def _chosen(self, selectors, groups):
        """Begin a reading: return (VM, runtime information, network adapter) for each selector."""
        self._memory = {}
        vms = self._vms()
        chosen = [choose_vm(selector, f"vms[{n}]", vms) for n, selector in enumerate(selectors)]
        hardware = self._properties([vm["object"] for vm in chosen], ("config.hardware.device", "runtime"))
        result = []
        for n, (selector, vm) in enumerate(zip(selectors, chosen)):
            found = hardware[vm["object"]]
            if "config.hardware.device" not in found:
                state = found["runtime"].connectionState
                raise VsphereError(f"vms[{n}]: {vm['name']} is {state}; its hardware cannot be seen now")
            nics = [self._nic(each, groups) for each in found["config.hardware.device"] if _is_nic(each)]
            result.append((vm, found["runtime"], choose_nic(selector, f"vms[{n}]", nics)))
        return result

    def _vms(self):
        """Return every VM: dicts with object, moid, name, uuid, instance_uuid, template."""
        return [
            {
                "object": vm,
                "moid": vm._GetMoId(),
                "name": found.get("name", ""),
                "uuid": found.get("config.uuid") or "",
                "instance_uuid": found.get("config.instanceUuid") or "",
                "template": bool(found.get("config.template")),
            }
            for vm, found in self._all_properties(vim.VirtualMachine, _VM).items()
        ]

    def _groups(self):
        """Return {key: (object, name)} of every distributed port group."""
        found = self._all_properties(vim.dvs.DistributedVirtualPortgroup, ("key", "name"))
        return {each["key"]: (group, each["name"]) for group, each in found.items()}

    def _nic(self, device, groups):
        """Return a network adapter: a dict with device, label, mac, connected, network."""
        backing = device.backing
        if _is_distributed(backing):
            network = groups.get(backing.port.portgroupKey, (None, backing.port.portgroupKey))[1]
        elif isinstance(backing, vim.vm.device.VirtualEthernetCard.OpaqueNetworkBackingInfo):
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

    def _port(self, vm, runtime, nic, groups):
        """Return the Port of a network adapter."""
        backing = nic["device"].backing
        if _is_distributed(backing):
            about = self._distributed(backing.port, groups)
        elif isinstance(backing, vim.vm.device.VirtualEthernetCard.OpaqueNetworkBackingInfo):
            about = _opaque(backing)
        else:
            about = self._standard(backing, runtime.host)
        others = self._names(each for each in about.pop("vms") if each != vm["object"])
        return Port(
            vm={
                **{key: vm[key] for key in ("name", "moid", "uuid", "template")},
                "power_state": str(runtime.powerState),
            },
            nic={key: nic[key] for key in ("label", "mac", "connected")},
            host=self._name(runtime.host) if runtime.host else None,
            shared_with=others,
            **about,
        )

    def _adapter(self, vm, runtime, nic, groups):
        """Return the Adapter of a network adapter."""
        device = nic["device"]
        host = self._remembered(runtime.host, ("name", "runtime.connectionState"))
        annotation = self._properties([vm["object"]], ("config.annotation",))[vm["object"]].get("config.annotation")
        switch = port = shown = None
        if _is_distributed(device.backing):
            _group, found, switch, _about, port = self._group(device.backing.port, groups)
            if port is not None and not _is_nsx(found["config"]):
                blocked, runtime_info = port.config.setting.blocked, port.state and port.state.runtimeInfo
                shown = {
                    "blocked": bool(blocked.value),
                    "own": not blocked.inherited,
                    "runtime": bool(runtime_info and runtime_info.blocked),
                    "allowed": found["config"].policy.blockOverrideAllowed,
                }
        return Adapter(
            id=f"{vm['moid']}/{device.key}",
            vm=vm["name"],
            label=nic["label"],
            mac=nic["mac"],
            host=host["name"],
            responds=host["runtime.connectionState"] == vim.HostSystem.ConnectionState.connected,
            power=str(runtime.powerState),
            connection={
                "connected": device.connectable.connected,
                "start_connected": device.connectable.startConnected,
            },
            port=shown,
            port_note=read_note(port.config.description) if shown else {},
            vm_note=read_note(annotation),
            key=device.key,
            handle={"vm": vm["object"], "device": device, "annotation": annotation, "switch": switch, "port": port},
        )

    def _group(self, connection, groups):
        """Return (port group, its properties, its switch, the switch's properties, its port or None)."""
        if connection.portgroupKey not in groups:
            raise VsphereError(f"port group {connection.portgroupKey}: this user cannot see it")
        group = groups[connection.portgroupKey][0]
        found = self._remembered(group, _GROUP)
        dvs = found["config"].distributedVirtualSwitch
        switch = self._remembered(dvs, ("name", "config"))
        # With ephemeral binding an adapter has no port while it is off.
        key = connection.portKey
        ports = dvs.FetchDVPorts(vim.dvs.PortCriteria(portKey=[key])) if key else []
        return group, found, dvs, switch, ports[0] if ports else None

    def _distributed(self, connection, groups):
        """Return what a Port says of its port group on a distributed switch."""
        group, found, _dvs, switch, port = self._group(connection, groups)
        config, nsx = found["config"], _is_nsx(found["config"])
        setting = port.config.setting if port else config.defaultPortConfig
        return {
            "switch": {"name": switch["name"], "type": NSX if nsx else DISTRIBUTED},
            "port_group": {
                "name": found["name"],
                "moid": group._GetMoId(),
                "binding": config.type,
            },
            "port_key": connection.portKey,
            "vlan": _vlan(setting.vlan, switch["config"].pvlanConfig),
            "level": None if nsx else _level(setting),
            "override_allowed": _overrides(config.policy),
            "vms": found["vm"],
        }

    def _standard(self, backing, host):
        """Return what a Port says of its port group on a standard switch of the host."""
        network = self._properties([backing.network], ("vm",))[backing.network]
        system = self._properties([host], (_SYSTEM,))[host][_SYSTEM]
        name = backing.deviceName
        group = self._standard_group(system, name)
        if group is None:
            raise VsphereError(f"{self._name(host)}: has no standard port group {quote(name)}")
        return {
            "switch": {"name": group.spec.vswitchName, "type": STANDARD},
            "port_group": {"name": name, "moid": backing.network._GetMoId(), "binding": None},
            "port_key": None,
            "vlan": _vlan_id(group.spec.vlanId),
            "level": _standard_level(group.computedPolicy.security, group.spec.policy.security),
            "override_allowed": (),
            "vms": network["vm"],
        }

    def _standard_group(self, system, name):
        """Return a standard port group of a host; None when there is none."""
        info = self._properties([system], ("networkInfo",))[system]["networkInfo"]
        return next((each for each in info.portgroup if each.spec.name == name), None)

    # --- what can be written to

    def _targets(self, path, nic, scope, groups, vms):
        """Return the Target values behind a network adapter; ``vms``: the chosen ones, which are no others."""
        backing = nic["device"].backing
        if isinstance(backing, vim.vm.device.VirtualEthernetCard.OpaqueNetworkBackingInfo):
            raise VsphereError(f"{path}: {_NSX_REFUSAL}")
        if not _is_distributed(backing):
            if scope == PORT:
                words = "is on a standard switch, which has no ports of its own; set scope: portgroup"
                raise VsphereError(f"{path}: {words}")
            return list(self._host_targets(backing, vms))
        group, found, dvs, switch, port = self._group(backing.port, groups)
        if _is_nsx(found["config"]):
            raise VsphereError(f"{path}: {_NSX_REFUSAL}")
        if scope == GROUP:
            return [self._group_target(group, found, switch, vms)]
        if port is None:
            raise VsphereError(f"{path}: has no port now; power it on, or set scope: portgroup")
        return [_port_target(group, found, dvs, port)]

    def _group_target(self, group, found, switch, vms):
        config = found["config"]
        return Target(
            id=group._GetMoId(),
            name=f"port group {found['name']}",
            kind=GROUP,
            group=found["name"],
            own=_level(config.defaultPortConfig),
            above=_level(switch["config"].defaultPortConfig),
            note=read_note(config.description),
            override_allowed=_overrides(config.policy),
            affects=self._names(each for each in found["vm"] if each not in vms),
            handle={
                "group": group,
                "version": config.configVersion,
                "description": config.description,
                "setting": config.defaultPortConfig,
            },
        )

    def _host_targets(self, backing, vms):
        """Yield a Target for each host that has a standard port group."""
        network, name = backing.network, backing.deviceName
        found = self._properties([network], ("host", "vm"))[network]
        hosts = self._properties(list(found["host"]), ("name", "runtime.connectionState", _SYSTEM))
        names = self._names(each for each in found["vm"] if each not in vms)
        for host in sorted(hosts.values(), key=lambda host: host["name"]):
            state = host["runtime.connectionState"]
            if state != vim.HostSystem.ConnectionState.connected:
                raise VsphereError(f"{host['name']}: is {state}; port group {quote(name)} cannot be changed there")
            system = host[_SYSTEM]
            info = self._properties([system], ("networkInfo",))[system]["networkInfo"]
            group = {each.spec.name: each for each in info.portgroup}[name]
            vswitch = {each.name: each for each in info.vswitch}[group.spec.vswitchName]
            yield Target(
                id=f"{system._GetMoId()}/{name}",
                name=f"port group {name} on {host['name']}",
                kind=HOST_GROUP,
                group=name,
                own=_standard_level(group.computedPolicy.security, group.spec.policy.security),
                above=_standard_level(vswitch.spec.policy.security, None),
                note=None,
                affects=names,
                handle={"system": system, "spec": group.spec},
            )

    def _names(self, objects):
        return tuple(sorted(each["name"] for each in self._properties(list(objects), ("name",)).values()))


def _port_target(group, found, dvs, port):
    config = found["config"]
    return Target(
        id=f"{dvs._GetMoId()}/{port.key}",
        name=f"port {port.key} of {found['name']}",
        kind=PORT,
        group=found["name"],
        own=_level(port.config.setting),
        above=_level(config.defaultPortConfig),
        note=read_note(port.config.description),
        override_allowed=_overrides(config.policy),
        handle={
            "group": group,
            "group_description": config.description,
            "switch": dvs,
            "port": port,
            "setting": port.config.setting,
        },
    )


def _with_neighbours(target, ours):
    """Return a Target with ``marked`` and, if that says something, ``in_use``; ``ours``: keys of the run's ports."""
    note = read_note(target.handle["group_description"]) if target.kind == PORT else {}
    names = frozenset(name[len(_OVERRIDE_NOTE) :] for name in note if name.startswith(_OVERRIDE_NOTE))
    if not names:
        return target
    criteria = vim.dvs.PortCriteria(portgroupKey=[target.handle["port"].portgroupKey], inside=True)
    ports = target.handle["switch"].FetchDVPorts(criteria)
    levels = [_level(port.config.setting) for port in ports if port.key not in ours]
    in_use = frozenset().union(*(overrides_of(level) for level in levels))
    return replace(target, marked=names, in_use=in_use)


def _port_spec(port, note, setting):
    """Return the spec that changes a port as it was read, and its note."""
    return vim.dvs.DistributedVirtualPort.ConfigSpec(
        operation="edit",
        key=port.key,
        configVersion=port.config.configVersion,
        description=write_note(port.config.description, note),
        setting=setting,
    )


def _setting(change):
    """Return the partial settings that a Change writes to a port or a distributed port group, None for none."""
    if not change.changes_settings:
        return None
    switch = vim.dvs.VmwareDistributedVirtualSwitch
    setting = switch.VmwarePortConfigPolicy()
    if change.target.own.mac_learning is None:
        if change.security:
            policies = {_FLAGS[flag]: _bool_policy(value) for flag, value in change.security.items()}
            inherited = not change.after.own & {*SECURITY}
            setting.securityPolicy = switch.SecurityPolicy(inherited=inherited, **policies)
    elif "security" in change.inherit:
        setting.macManagementPolicy = switch.MacManagementPolicy(inherited=True)
    elif change.security or change.mac_learning:
        flags = {_FLAGS[flag]: value for flag, value in change.security.items()}
        setting.macManagementPolicy = switch.MacManagementPolicy(inherited=False, **flags)
        setting.macManagementPolicy.macLearningPolicy = _learning_policy(change)
    if change.rules:
        setting.filterPolicy = _filter_policy(change)
    return setting


def _bool_policy(value):
    return vim.BoolPolicy(inherited=True) if value == INHERITED else vim.BoolPolicy(inherited=False, value=value)


def _learning_policy(change):
    """Return the partial policy, None when nothing of it changes. `enabled` is required, so it is always said."""
    if not change.mac_learning:
        return None
    values = {"enabled": change.after.mac_learning["enabled"], **change.mac_learning}
    if values.get("limit_policy"):
        values["limit_policy"] = values["limit_policy"].upper()
    return vim.dvs.VmwareDistributedVirtualSwitch.MacLearningPolicy(
        inherited="mac_learning" in change.inherit, **{_LEARNING[key]: value for key, value in values.items()}
    )


def _filter_policy(change):
    """Return the filters after a change: rules that are not ours are the vCenter's own objects, untouched."""
    kinds = vim.dvs.DistributedVirtualPort
    if "rules" in change.inherit:
        return kinds.FilterPolicy(inherited=True)
    filters = change.target.handle["setting"].filterPolicy
    config = next(each for each in filters.filterConfig if _has_rules(each))
    wanted = [rule for rule in change.after.rules if is_ours(rule)]
    kept = [rule for rule in config.trafficRuleset.rules if not is_ours(_rule(rule)) or _rule(rule) in wanted]
    there = [_rule(rule) for rule in kept]
    rules = [*kept, *(_native_rule(rule) for rule in wanted if rule not in there)]
    if filters.inherited:
        # The level gets filters of its own, with all the rules that it had; keys are the vCenter's to give.
        for each in (config, config.trafficRuleset, *kept):
            each.key = None
    config = kinds.TrafficFilterConfigSpec(
        operation="add" if filters.inherited else "edit",
        inherited=False,
        key=config.key,
        agentName=config.agentName,
        slotNumber=config.slotNumber,
        parameters=config.parameters,
        onFailure=config.onFailure,
        trafficRuleset=config.trafficRuleset,
    )
    config.trafficRuleset.rules = sorted(rules, key=lambda rule: rule.sequence or 0)
    return kinds.FilterPolicy(inherited=False, filterConfig=[config])


def _has_rules(config):
    return isinstance(config, vim.dvs.DistributedVirtualPort.TrafficFilterConfig) and config.trafficRuleset is not None


def _native_rule(rule):
    kinds = vim.dvs.TrafficRule
    ends = {f"{side}Address": vim.SingleIp(address=rule[side]) for side in ("source", "destination") if rule[side]}
    return kinds(
        description=rule["description"],
        sequence=rule["sequence"],
        direction=rule["direction"],
        action=kinds.AcceptAction(),
        qualifier=[kinds.IpQualifier(**ends)],
    )


def _is_nsx(config):
    return config.backingType == "nsx" or bool(config.logicalSwitchUuid)


def _tls(validate):
    context = ssl.create_default_context()
    if not validate:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


def _words(fault):
    """Return what a fault of the API says, on one line."""
    name = type(fault).__name__.rpartition(".")[2]
    return f"{name}: {' '.join(fault.msg.split())}" if fault.msg and fault.msg != name else name


def _is_nic(device):
    return isinstance(device, vim.vm.device.VirtualEthernetCard)


def _is_distributed(backing):
    return isinstance(backing, vim.vm.device.VirtualEthernetCard.DistributedVirtualPortBackingInfo)


def _opaque(backing):
    """Return what can be said of a port on an NSX segment that vCenter sees only as an opaque network."""
    name = backing.opaqueNetworkId
    return {
        "switch": {"name": backing.opaqueNetworkType, "type": NSX},
        "port_group": {"name": name, "moid": None, "binding": None},
        "port_key": None,
        "vlan": None,
        "level": None,
        "override_allowed": (),
        "vms": [],
    }


def _level(setting):
    """Return the Level that the effective settings of a port, a port group or a distributed switch make."""
    mac, legacy, filters = setting.macManagementPolicy, setting.securityPolicy, setting.filterPolicy
    own = set()
    if mac is not None:
        security = {flag: bool(getattr(mac, name)) for flag, name in _FLAGS.items()}
        own.update(() if mac.inherited else SECURITY)
    else:
        policies = {flag: getattr(legacy, name) for flag, name in _FLAGS.items()}
        security = {flag: bool(policy.value) for flag, policy in policies.items()}
        own.update(flag for flag, policy in policies.items() if not policy.inherited)
    learning = mac.macLearningPolicy if mac else None
    if learning is not None and not learning.inherited:
        own.add("mac_learning")
    if filters is not None and not filters.inherited:
        own.add("rules")
    return Level(security, _mac_learning(learning), _rules(filters), frozenset(own))


def _mac_learning(policy):
    if policy is None:
        return None
    return {
        "enabled": policy.enabled,
        "allow_unicast_flooding": policy.allowUnicastFlooding,
        "limit": policy.limit,
        "limit_policy": policy.limitPolicy and policy.limitPolicy.lower(),
    }


def _standard_level(effective, own):
    """Return the Level of a standard port group from its computed policy and its own."""
    said = {flag for flag, name in _FLAGS.items() if own is not None and getattr(own, name) is not None}
    return Level({flag: bool(getattr(effective, name)) for flag, name in _FLAGS.items()}, own=frozenset(said))


def _overrides(policy):
    """Return the names of what the ports of a port group may set for themselves."""
    return tuple(sorted(name for name, field in _OVERRIDES.items() if getattr(policy, field)))


def _vlan_id(number):
    kind = {0: "none", 4095: "trunk"}.get(number, "id")
    return {"type": kind, "ids": [str(number)] if kind == "id" else [], "isolated": False}


def _vlan(spec, private):
    """Return {type: none, id, trunk or private, ids: list of str, isolated}; None when there are no VLAN settings."""
    switch = vim.dvs.VmwareDistributedVirtualSwitch
    if isinstance(spec, switch.VlanIdSpec):
        return _vlan_id(spec.vlanId)
    if isinstance(spec, switch.TrunkVlanSpec):
        ids = [f"{each.start}-{each.end}" if each.end != each.start else str(each.start) for each in spec.vlanId]
        return {"type": "trunk", "ids": ids, "isolated": False}
    if isinstance(spec, switch.PvlanSpec):
        entries = [each for each in private if each.secondaryVlanId == spec.pvlanId]
        isolated = any(each.pvlanType == "isolated" for each in entries)
        return {"type": "private", "ids": [str(spec.pvlanId)], "isolated": isolated}
    return None


def _rules(filters):
    """Return the rules of the traffic filters in the form and the order of `_vsphere_filter`."""
    rulesets = [config.trafficRuleset for config in (filters.filterConfig if filters else ()) if _has_rules(config)]
    rules = [_rule(rule) for ruleset in rulesets if ruleset.enabled is not False for rule in ruleset.rules]
    return tuple(sorted(rules, key=lambda rule: rule["sequence"]))


def _rule(rule):
    """Return a rule as a dict; what it asks for beside one source and one destination are further conditions."""
    kinds = vim.dvs.TrafficRule
    action = {kinds.AcceptAction: "accept", kinds.DropAction: "drop"}.get(type(rule.action), "other")
    of_ip = [each for each in rule.qualifier if isinstance(each, kinds.IpQualifier)]
    plain = len(of_ip) == len(rule.qualifier) <= 1
    qualifier = of_ip[0] if plain and of_ip else None
    further = ("protocol", "sourceIpPort", "destinationIpPort", "tcpFlags")
    return {
        "description": rule.description or "",
        "sequence": rule.sequence or 0,
        "direction": rule.direction or "both",
        "action": action,
        "source": _network(qualifier.sourceAddress) if qualifier else None,
        "destination": _network(qualifier.destinationAddress) if qualifier else None,
        "conditions": not plain or any(qualifier and getattr(qualifier, name) for name in further),
    }


def _network(address):
    if address is None:
        return None
    single = isinstance(address, vim.SingleIp)
    text = address.address if single else f"{address.addressPrefix}/{address.prefixLength}"
    return f"not {text}" if address.negate else text
