# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The only I/O with vCenter, and the only file that knows pyvmomi. PRIVATE to the collection. No policy."""

from __future__ import annotations

import contextlib
import ssl
import traceback
from http.client import HTTPException

from ._errors import VsphereError, VsphereInterruptedError
from ._text import quote
from ._vsphere_port import DISTRIBUTED, NSX, SECURITY, STANDARD, Level, Port, choose_nic, choose_vm

try:
    from pyVim.connect import Disconnect, SmartConnect
    from pyVmomi import vim, vmodl
except ImportError:
    # The module says so in Ansible's own words.
    PYVMOMI_ERROR = traceback.format_exc()
else:
    PYVMOMI_ERROR = None

_FIRST_API = (7, 0)
_ATTEMPTS = 5
_PAGE = 500
_POLL_SECONDS = (0.05, 0.1, 0.2, 0.5, 1)
_VM = ("name", "config.uuid", "config.instanceUuid", "config.template")
_GROUP = ("key", "name", "config", "vm")
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
    finally:
        client.close()


class Client:
    """A session with a vCenter, opened when it is first used. Every method raises VsphereError."""

    def __init__(self, parameters):
        self._parameters = parameters
        self._instance = None

    def close(self):
        """End the session."""
        if self._instance is not None:
            Disconnect(self._instance)
            self._instance = None

    def read_ports(self, selectors):
        """Return a `_vsphere_port.Port` for each entry of the option ``vms``."""
        with self._translated():
            vms = self._vms()
            chosen = [choose_vm(selector, f"vms[{n}]", vms) for n, selector in enumerate(selectors)]
            hardware = self._properties([vm["object"] for vm in chosen], ("config.hardware.device", "runtime"))
            groups = self._groups()
            ports = []
            for n, (selector, vm) in enumerate(zip(selectors, chosen)):
                found = hardware[vm["object"]]
                if "config.hardware.device" not in found:
                    raise VsphereError(
                        f"vms[{n}]: {vm['name']} is {found['runtime'].connectionState}; no hardware to see"
                    )
                nics = [self._nic(each, groups) for each in found["config.hardware.device"] if _is_nic(each)]
                nic = choose_nic(selector, f"vms[{n}]", nics)
                ports.append(self._port(vm, found["runtime"], nic, groups))
            return ports

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
        except (OSError, HTTPException) as error:
            connected, self._instance = self._instance is not None, None
            kind = VsphereInterruptedError if connected else VsphereError
            raise kind(f"hostname: {where} does not answer: {error or type(error).__name__}") from None
        except vmodl.MethodFault as fault:
            raise VsphereError(f"{where}: {_words(fault)}") from None

    @property
    def _content(self):
        if self._instance is None:
            options = self._parameters
            self._instance = SmartConnect(
                host=options["hostname"],
                port=options["port"],
                user=options["username"],
                pwd=options["password"],
                # Explicit, or pyvmomi trusts everybody who calls himself localhost.
                sslContext=_tls(options["validate_certs"]),
                httpConnectionTimeout=options["timeout"],
                httpProxyHost=options["proxy_host"],
                httpProxyPort=options["proxy_port"],
            )
            about = self._instance.content.about
            version = tuple(int(part) for part in about.apiVersion.split(".")[:2])
            if about.apiType != "VirtualCenter" or version < _FIRST_API:
                raise VsphereError(f"hostname: is {about.fullName}; a vCenter with API 7.0 or newer is needed")
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

    # --- reading

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
        others = about.pop("vms")
        names = self._properties([each for each in others if each != vm["object"]], ("name",))
        return Port(
            vm={
                **{key: vm[key] for key in ("name", "moid", "uuid", "template")},
                "power_state": str(runtime.powerState),
            },
            nic={key: nic[key] for key in ("label", "mac", "connected")},
            host=self._name(runtime.host) if runtime.host else None,
            shared_with=tuple(sorted(each["name"] for each in names.values())),
            **about,
        )

    def _distributed(self, connection, groups):
        if connection.portgroupKey not in groups:
            raise VsphereError(f"port group {connection.portgroupKey}: this user cannot see it")
        group = groups[connection.portgroupKey][0]
        found = self._properties([group], _GROUP)[group]
        config = found["config"]
        dvs = config.distributedVirtualSwitch
        switch = self._properties([dvs], ("name", "config"))[dvs]
        port = self._fetch_port(dvs, connection.portKey)
        nsx = config.backingType == "nsx" or bool(config.logicalSwitchUuid)
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

    @staticmethod
    def _fetch_port(dvs, key):
        """Return the port, None when the adapter has none now (ephemeral binding while it is off)."""
        ports = dvs.FetchDVPorts(vim.dvs.PortCriteria(portKey=[key])) if key else []
        return ports[0] if ports else None

    def _standard(self, backing, host):
        network = self._properties([backing.network], ("vm",))[backing.network]
        systems = self._properties([host], ("configManager.networkSystem",))[host]
        system = systems["configManager.networkSystem"]
        info = self._properties([system], ("networkInfo",))[system]["networkInfo"]
        name = backing.deviceName
        group = next((each for each in info.portgroup if each.spec.name == name), None)
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
    allowed = {
        "blocked": policy.blockOverrideAllowed,
        "mac_learning": policy.macManagementOverrideAllowed,
        "rules": policy.trafficFilterOverrideAllowed,
        "security": policy.securityPolicyOverrideAllowed,
        "shaping": policy.shapingOverrideAllowed,
        "teaming": policy.uplinkTeamingOverrideAllowed,
        "vlan": policy.vlanOverrideAllowed,
    }
    return tuple(sorted(name for name, flag in allowed.items() if flag))


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
    """Return the rules of the traffic filters in the form of `_vsphere_filter`."""
    return tuple(
        _rule(rule)
        for config in (filters.filterConfig if filters else ())
        if getattr(config, "trafficRuleset", None) and config.trafficRuleset.enabled is not False
        for rule in config.trafficRuleset.rules
    )


def _rule(rule):
    """Return a rule as a dict; what it asks for beside one source and one destination are further conditions."""
    kinds = vim.dvs.TrafficRule
    action = {kinds.AcceptAction: "accept", kinds.DropAction: "drop"}.get(type(rule.action), "other")
    of_ip = [each for each in rule.qualifier if isinstance(each, kinds.IpQualifier)]
    plain = len(of_ip) == len(rule.qualifier) <= 1
    qualifier = of_ip[0] if plain and of_ip else None
    further = ("protocol", "sourceIpPort", "destinationIpPort", "tcpFlags")
    return {
        "key": rule.key,
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
