# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Read what a change of security can be written to. PRIVATE to the collection. Reads only. No policy."""

from __future__ import annotations

from dataclasses import replace

from .._common.errors import VsphereError
from .._common.messages import quote
from .change_note import OVERRIDE, part_of, part_of_group, read_note
from .from_pyvmomi import read_level, read_overrides, read_standard_level
from .inventory import NETWORK_SYSTEM, is_distributed, is_opaque, network_of, standard_group
from .port import GROUP, HOST_GROUP, PORT, Target
from .port_security import overrides_of
from .pyvmomi import vim
from .session import plain_name

_NSX_REFUSAL = "is on NSX; vCenter cannot change its ports, allow the address in the segment profiles of NSX"


def read_targets(inventory, chosen, scope, neighbours):
    """Return the `_vsphere.port.Target` values that a change of ``scope`` (PORT or GROUP) has, each one once.

    ``chosen``: Chosen values; ``neighbours``: whether ``in_use`` and ``marked`` of ports are wanted too.
    """
    targets, vms = {}, {each.vm["object"] for each in chosen}
    for n, each in enumerate(chosen):
        for target in _targets(inventory, f"vms[{n}]: {each.vm['name']}", each.nic["device"].backing, scope, vms):
            targets[target.id] = target
    ports = {target.handle["port"].key for target in targets.values() if target.kind == PORT}
    return [_with_neighbours(each, ports) if neighbours else each for each in targets.values()]


def _targets(inventory, path, backing, scope, vms):
    """Return the Target values behind a network adapter; ``vms``: the chosen ones, which are no others."""
    if is_opaque(backing):
        raise VsphereError(f"{path}: {_NSX_REFUSAL}")
    if not is_distributed(backing):
        if scope == PORT:
            words = "is on a standard switch, which has no ports of its own; set scope: portgroup"
            raise VsphereError(f"{path}: {words}")
        return list(_host_targets(inventory.session, path, backing, vms))
    attachment = inventory.attachment(backing.port)
    if attachment.is_nsx:
        raise VsphereError(f"{path}: {_NSX_REFUSAL}")
    if scope == GROUP:
        return [_group_target(inventory.session, attachment, vms)]
    if attachment.port is None:
        raise VsphereError(f"{path}: has no port now; power it on, or set scope: portgroup")
    return [_port_target(attachment)]


def _group_target(session, attachment, vms):
    group, found, config = attachment.group, attachment.of_group, attachment.config
    settings, name = attachment.settings[1:], plain_name(found["name"])
    return Target(
        id=group._GetMoId(),
        name=f"port group {name}",
        kind=GROUP,
        group=name,
        own=read_level(settings),
        above=read_level(settings[1:]),
        note=read_note(config.description),
        override_allowed=read_overrides(config.policy),
        affects=session.names(each for each in found["vm"] or () if each not in vms),
        handle={
            "group": group,
            "version": config.configVersion,
            "description": config.description,
            "settings": settings,
        },
    )


def _host_targets(session, path, backing, vms):
    """Yield a Target for each host that has a standard port group."""
    network, name = network_of(backing, path), plain_name(backing.deviceName)
    found = session.properties([network], ("host", "vm"))[network]
    hosts = session.properties(list(found["host"] or ()), ("name", "runtime.connectionState", NETWORK_SYSTEM))
    users = list(found["vm"] or ())
    names = session.names(each for each in users if each not in vms)
    annotations = session.properties(users, ("config.annotation",))
    notes = {vm: read_note(each.get("config.annotation")) for vm, each in annotations.items()}
    for moid, host in sorted(
        ((each._GetMoId(), host) for each, host in hosts.items()), key=lambda pair: pair[1]["name"]
    ):
        state = host["runtime.connectionState"]
        if state != vim.HostSystem.ConnectionState.connected:
            raise VsphereError(f"{host['name']}: is {state}; port group {quote(name)} cannot be changed there")
        system = host[NETWORK_SYSTEM]
        group, above = standard_group(session, host["name"], system, name)
        part = part_of_group(moid, name)
        parts = {vm: part_of(note, part) for vm, note in notes.items()}
        yield Target(
            id=f"{system._GetMoId()}/{name}",
            name=f"port group {name} on {host['name']}",
            kind=HOST_GROUP,
            group=name,
            own=read_standard_level(group.computedPolicy.security, group.spec.policy.security),
            above=read_standard_level(above, None),
            note={key: value for each in parts.values() for key, value in each.items()},
            affects=names,
            handle={
                "host": host["name"],
                "system": system,
                "spec": group.spec,
                "part": part,
                "keepers": [vm for vm, each in parts.items() if each or vm in vms],
            },
        )


def _port_target(attachment):
    config, port, name = attachment.config, attachment.port, plain_name(attachment.of_group["name"])
    settings = attachment.settings
    return Target(
        id=f"{attachment.switch._GetMoId()}/{port.key}",
        name=f"port {port.key} of {name}",
        kind=PORT,
        group=name,
        own=read_level(settings),
        above=read_level(settings[1:]),
        note=read_note(port.config.description),
        override_allowed=read_overrides(config.policy),
        handle={
            "group": attachment.group,
            "group_description": config.description,
            "switch": attachment.switch,
            "port": port,
            "settings": settings,
        },
    )


def _with_neighbours(target, ours):
    """Return a Target with ``marked`` and, if that says something, ``in_use``; ``ours``: keys of the run's ports."""
    note = read_note(target.handle["group_description"]) if target.kind == PORT else {}
    names = frozenset(part_of(note, OVERRIDE))
    if not names:
        return target
    criteria = vim.dvs.PortCriteria(portgroupKey=[target.handle["port"].portgroupKey], inside=True)
    ports = target.handle["switch"].FetchDVPorts(criteria)
    above = target.handle["settings"][1:]
    levels = [read_level((port.config.setting, *above)) for port in ports if port.key not in ours]
    in_use = frozenset().union(*(overrides_of(each) for each in levels))
    return replace(target, marked=names, in_use=in_use)
