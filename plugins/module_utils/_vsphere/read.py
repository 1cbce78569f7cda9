# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Read ports, network adapters and guest data of VMs. PRIVATE to the collection. No policy."""

from __future__ import annotations

from typing import Any, Mapping, Sequence

from .._common.addresses import Address, parse_address
from .._common.errors import Errors
from .change_note import OVERRIDE, Note, noted_of_group, read_note
from .errors import VsphereError
from .fence import OFF, Adapter, noted_methods
from .from_pyvmomi import effective, read_level, read_overrides, read_standard_level, read_vlan, vlan_of
from .guest_ips import Guest
from .inventory import (
    HOST,
    NETWORK_SYSTEM,
    Attachment,
    Chosen,
    Inventory,
    choose_vms,
    is_distributed,
    is_opaque,
    network_of,
)
from .port import DISTRIBUTED, NSX, STANDARD, Port
from .pyvmomi import vim
from .session import Properties, Session, plain_name

_GUEST = ("runtime.connectionState", "runtime.host", "runtime.powerState", "guest.net", "guest.toolsRunningStatus")
_STATIC = "earlyBinding"


def read_port(inventory: Inventory, chosen: Chosen, shared_with: bool) -> Port:
    """Return the `Port` of a Chosen adapter, with the other VMs of its port group if ``shared_with``."""
    vm, nic = chosen.vm, chosen.nic
    backing, adapter = nic["device"].backing, read_adapter(inventory, chosen)
    noted: Note = {}
    if is_distributed(backing):
        attachment = inventory.attachment(chosen)
        about = _distributed(attachment, backing.port.portKey)
        noted = read_note(attachment.port.config.description) if attachment.port else {}
    elif is_opaque(backing):
        about = _opaque(backing, nic["network"])
    elif chosen.host is None:
        raise VsphereError(f"{vm['name']}: the VM is on no host, so that its standard port group cannot be read")
    else:
        about = _standard(inventory, network_of(backing, vm["name"]), nic["network"], chosen.host, adapter.vm_note)
    network, vms = about.pop("vms")
    return Port(
        vm={**{key: vm[key] for key in ("name", "moid", "uuid", "template")}, "power_state": chosen.power},
        nic={key: nic[key] for key in ("label", "mac", "connected")},
        host=adapter.host,
        shared_with=inventory.other_vms(network, vms, {vm["object"]}) if shared_with else None,
        noted=noted,
        fence=noted_methods(noted, adapter.vm_note, adapter.key),
        fenced=adapter.fenced,
        **about,
    )


def read_adapter(inventory: Inventory, chosen: Chosen) -> Adapter:
    """Return the `fence.Adapter` of a Chosen adapter."""
    vm, nic, device = chosen.vm, chosen.nic, chosen.nic["device"]
    host = inventory.remembered(chosen.host, HOST) if chosen.host else None
    switch = port = shown = None
    if is_distributed(device.backing):
        attachment = inventory.attachment(chosen)
        switch, port = attachment.switch, attachment.port
        shown = _blocking(attachment) if port is not None and not attachment.is_nsx else None
    return Adapter(
        id=f"{vm['moid']}/{device.key}",
        vm=vm["name"],
        label=nic["label"],
        mac=nic["mac"],
        host=host["name"] if host else None,
        responds=_responds(host),
        state=chosen.state,
        power=chosen.power,
        restarts=chosen.protected,
        connection=_connection(device.connectable, chosen.power),
        direct=device.connectable is None or isinstance(device, vim.vm.device.VirtualSriovEthernetCard),
        port=shown,
        port_note=read_note(port.config.description) if port is not None and shown else {},
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
        others=tuple((each["label"], each["mac"]) for each in chosen.nics if each is not nic),
    )


def _connection(connectable: Any, power: str) -> dict[str, bool]:
    """Return `Adapter.connection`; an adapter without ``connectable`` cannot be disconnected."""
    if connectable is None:
        return {"connected": True, "start_connected": True}
    starts = connectable.startConnected
    # The value of a VM that is off has no meaning.
    return {"connected": starts if power == OFF else connectable.connected, "start_connected": starts}


def read_guests(session: Session, selectors: Sequence[Mapping[str, Any]]) -> list[Guest]:
    """Return a `Guest` for each entry of the option ``vms``."""
    vms = choose_vms(session, selectors)
    found = session.properties([vm["object"] for vm in vms], _GUEST)
    hosts = session.properties(list({each["runtime.host"] for each in found.values()} - {None}), HOST)
    return [_guest(vm, found[vm["object"]], hosts) for vm in vms]


def _guest(vm: Mapping[str, Any], found: Properties, hosts: Mapping[Any, Properties]) -> Guest:
    host = hosts.get(found["runtime.host"])
    return Guest(
        vm={key: vm[key] for key in ("name", "moid")},
        host=host["name"] if host else None,
        responds=_responds(host),
        state=str(found["runtime.connectionState"]),
        power=str(found["runtime.powerState"]),
        tools=found["guest.toolsRunningStatus"] or "guestToolsNotRunning",
        adapters=tuple((nic.macAddress or None, _addresses_of(nic)) for nic in found["guest.net"] or ()),
    )


def _addresses_of(nic: Any) -> tuple[Address, ...]:
    """Return the addresses of a guest's adapter; entries that are not addresses are ignored."""
    configured = [each.ipAddress for each in nic.ipConfig.ipAddress] if nic.ipConfig else []
    entries = [text.partition("%")[0] for text in (*configured, *nic.ipAddress)]
    parsed = [Errors().attempt(parse_address, text, "guest.net") for text in dict.fromkeys(entries)]
    return tuple(address for address in parsed if address is not None)


def _responds(host: Properties | None) -> bool:
    """Return whether the vCenter reaches a host; False for None."""
    return host is not None and bool(host["runtime.connectionState"] == vim.HostSystem.ConnectionState.connected)


def _blocking(attachment: Attachment) -> dict[str, Any]:
    """Return `Adapter.port`."""
    setting, state = attachment.port.config.setting, attachment.port.state
    applied, own = effective(attachment.settings, "blocked"), setting and setting.blocked
    runtime = state and state.runtimeInfo
    return {
        "blocked": bool(applied and applied.value),
        "own": own is not None and not own.inherited,
        # Frames that bypass the hypervisor bypass the block.
        "runtime": bool(runtime and runtime.blocked and not runtime.vmDirectPathGen2Active),
        "allowed": attachment.config.policy.blockOverrideAllowed,
        "lasting": attachment.config.type == _STATIC,
    }


def _distributed(attachment: Attachment, key: str | None) -> dict[str, Any]:
    """Return the fields of a Port on a distributed switch, and ``vms``: (port group, its VMs); ``key``: of the port."""
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
        "level": None if attachment.is_nsx else read_level(attachment.settings, attachment.learns),
        "override_allowed": read_overrides(config.policy),
        "vms": (attachment.group, attachment.of_group["vm"] or ()),
    }


def _standard(inventory: Inventory, network: Any, name: str, host: Any, note: Note) -> dict[str, Any]:
    """Return the fields of a Port on a standard switch of the host, and ``vms``; ``note``: that of the VM."""
    of_host = inventory.remembered(host, HOST)
    group, _above = inventory.standard_group(of_host["name"], of_host[NETWORK_SYSTEM], name)
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
        "vms": (network, inventory.remembered(network, ("host", "vm"))["vm"] or ()),
    }


def _opaque(backing: Any, name: str) -> dict[str, Any]:
    """Return the fields of a Port on an NSX segment that is an opaque network in vCenter, and ``vms``."""
    return {
        "switch": {"name": backing.opaqueNetworkType, "type": NSX},
        "port_group": {"name": name, "moid": None, "binding": None, "noted": {}},
        "port_key": None,
        "vlan": None,
        "level": None,
        "override_allowed": (),
        "vms": (None, ()),
    }
