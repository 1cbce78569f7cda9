# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Read ports of VMs, what a fence must know of them, what VMware Tools tell. PRIVATE to the collection. No policy."""

from __future__ import annotations

from .._common.addresses import parse_address
from .._common.errors import Errors, VsphereError
from .change_note import OVERRIDE, noted_of_group, read_note
from .fence import OFF, Adapter, noted_methods
from .from_pyvmomi import effective, read_level, read_overrides, read_standard_level, read_vlan, vlan_of
from .guest_ips import Guest
from .inventory import NETWORK_SYSTEM, choose_vms, is_distributed, is_opaque, network_of, standard_group
from .port import DISTRIBUTED, NSX, STANDARD, Port
from .pyvmomi import vim
from .session import plain_name

_GUEST = ("runtime", "guest.net", "guest.toolsRunningStatus")
_STATIC = "earlyBinding"
_HOST = ("name", "runtime.connectionState")


def read_port(inventory, chosen):
    """Return the `_vsphere.port.Port` of a Chosen adapter."""
    vm, runtime, nic, session = chosen.vm, chosen.runtime, chosen.nic, inventory.session
    backing, adapter, noted = nic["device"].backing, read_adapter(inventory, chosen), {}
    if is_distributed(backing):
        attachment = inventory.attachment(backing.port)
        about = _distributed(attachment, backing.port.portKey)
        noted = read_note(attachment.port.config.description) if attachment.port else {}
    elif is_opaque(backing):
        about = _opaque(backing, nic["network"])
    elif runtime.host is None:
        raise VsphereError(f"{vm['name']}: the VM is on no host, so that its standard port group cannot be seen")
    else:
        network = network_of(backing, vm["name"])
        about = _standard(session, network, nic["network"], runtime.host, adapter.vm_note)
    others = session.names(each for each in about.pop("vms") if each != vm["object"])
    return Port(
        vm={
            **{key: vm[key] for key in ("name", "moid", "uuid", "template")},
            "power_state": str(runtime.powerState),
        },
        nic={key: nic[key] for key in ("label", "mac", "connected")},
        host=adapter.host,
        shared_with=others,
        noted=noted,
        fence=noted_methods(noted, adapter.vm_note, adapter.key),
        fenced=adapter.fenced,
        **about,
    )


def read_adapter(inventory, chosen):
    """Return the `_vsphere.fence.Adapter` of a Chosen adapter."""
    vm, runtime, nic, device = chosen.vm, chosen.runtime, chosen.nic, chosen.nic["device"]
    host = inventory.remembered(runtime.host, _HOST) if runtime.host else None
    protection = runtime.dasVmProtection
    switch = port = shown = None
    if is_distributed(device.backing):
        attachment = inventory.attachment(device.backing.port)
        switch, port = attachment.switch, attachment.port
        shown = _blocking(attachment) if port is not None and not attachment.is_nsx else None
    return Adapter(
        id=f"{vm['moid']}/{device.key}",
        vm=vm["name"],
        label=nic["label"],
        mac=nic["mac"],
        host=host and host["name"],
        responds=_responds(host),
        state=str(runtime.connectionState),
        power=str(runtime.powerState),
        restarts=bool(protection and protection.dasProtected),
        connection=_connection(device.connectable, runtime.powerState),
        direct=device.connectable is None or isinstance(device, vim.vm.device.VirtualSriovEthernetCard),
        port=shown,
        port_note=read_note(port.config.description) if shown else {},
        vm_note=read_note(chosen.annotation),
        key=device.key,
        handle={
            "vm": vm["object"],
            "device": device,
            "annotation": chosen.annotation,
            "version": chosen.version,
            "switch": switch,
            "port": port,
        },
    )


def _connection(connectable, power):
    """Return what an Adapter says of its connection; one that cannot be disconnected has no such thing."""
    if connectable is None:
        return {"connected": True, "start_connected": True}
    starts = connectable.startConnected
    # Of a VM that is off, whether it is connected says nothing.
    return {"connected": starts if power == OFF else connectable.connected, "start_connected": starts}


def read_guests(session, selectors):
    """Return a `_vsphere.guest_ips.Guest` for each entry of the option ``vms``."""
    vms = choose_vms(session, selectors)
    found = session.properties([vm["object"] for vm in vms], _GUEST)
    hosts = session.properties(list({each["runtime"].host for each in found.values()} - {None}), _HOST)
    return [_guest(vm, found[vm["object"]], hosts) for vm in vms]


def _guest(vm, found, hosts):
    runtime = found["runtime"]
    host = hosts.get(runtime.host)
    return Guest(
        vm={key: vm[key] for key in ("name", "moid")},
        host=host and host["name"],
        responds=_responds(host),
        state=str(runtime.connectionState),
        power=str(runtime.powerState),
        tools=found["guest.toolsRunningStatus"] or "guestToolsNotRunning",
        adapters=tuple((nic.macAddress or None, _addresses_of(nic)) for nic in found["guest.net"] or ()),
    )


def _addresses_of(nic):
    """Return the parsed addresses of a guest's adapter; what is no address is none that anybody looks for."""
    configured = [each.ipAddress for each in nic.ipConfig.ipAddress] if nic.ipConfig else []
    entries = [text.partition("%")[0] for text in (*configured, *nic.ipAddress)]
    parsed = [Errors().attempt(parse_address, text, "guest.net") for text in dict.fromkeys(entries)]
    return tuple(address for address in parsed if address is not None)


def _responds(host):
    """Tell whether the vCenter reaches a host, {property: value}; None for no host."""
    return host is not None and host["runtime.connectionState"] == vim.HostSystem.ConnectionState.connected


def _blocking(attachment):
    """Return what an Adapter says of its port."""
    setting, state = attachment.port.config.setting, attachment.port.state
    applied, own = effective(attachment.settings, "blocked"), setting and setting.blocked
    runtime = state and state.runtimeInfo
    return {
        "blocked": bool(applied and applied.value),
        "own": own is not None and not own.inherited,
        # What bypasses the hypervisor bypasses the block.
        "runtime": bool(runtime and runtime.blocked and not runtime.vmDirectPathGen2Active),
        "allowed": attachment.config.policy.blockOverrideAllowed,
        "lasting": attachment.config.type == _STATIC,
    }


def _distributed(attachment, key):
    """Return what a Port says of its port group on a distributed switch; ``key``: of its port."""
    config, switch, note = attachment.config, attachment.of_switch, read_note(attachment.config.description)
    return {
        "switch": {"name": plain_name(switch["name"]), "type": NSX if attachment.is_nsx else DISTRIBUTED},
        "port_group": {
            "name": plain_name(attachment.of_group["name"]),
            "moid": attachment.group._GetMoId(),
            "binding": config.type,
            "noted": {name: value for name, value in note.items() if not name.startswith(OVERRIDE)},
        },
        "port_key": key,
        "vlan": read_vlan(effective(attachment.settings, "vlan"), switch["config"].pvlanConfig),
        "level": None if attachment.is_nsx else read_level(attachment.settings),
        "override_allowed": read_overrides(config.policy),
        "vms": attachment.of_group["vm"] or (),
    }


def _standard(session, network, name, host, note):
    """Return what a Port says of its port group on a standard switch of the host; ``note``: that of the VM."""
    system = session.properties([host], (NETWORK_SYSTEM,))[host][NETWORK_SYSTEM]
    group, _above = standard_group(session, session.name(host), system, name)
    return {
        "switch": {"name": group.spec.vswitchName, "type": STANDARD},
        "port_group": {
            "name": name,
            "moid": network._GetMoId(),
            "binding": None,
            "noted": noted_of_group(note, name),
        },
        "port_key": None,
        "vlan": vlan_of(group.spec.vlanId),
        "level": read_standard_level(group.computedPolicy.security, group.spec.policy.security),
        "override_allowed": (),
        "vms": session.properties([network], ("vm",))[network]["vm"] or (),
    }


def _opaque(backing, name):
    """Return what can be said of a port on an NSX segment that vCenter sees only as an opaque network."""
    return {
        "switch": {"name": backing.opaqueNetworkType, "type": NSX},
        "port_group": {"name": name, "moid": None, "binding": None, "noted": {}},
        "port_key": None,
        "vlan": None,
        "level": None,
        "override_allowed": (),
        "vms": [],
    }
