# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Read the objects that `vsphere_port_security` changes. PRIVATE to the collection. No policy."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Collection, Iterator, Mapping, Sequence

from .change_note import OVERRIDE, Note, part_of, part_of_group, read_note
from .errors import VsphereError
from .from_pyvmomi import read_level, read_overrides, read_standard_level
from .inventory import HOST, NETWORK_SYSTEM, Attachment, Chosen, Inventory, is_distributed, is_opaque, network_of
from .port import GROUP, HOST_GROUP, PORT, Target, Unreachable
from .port_groups import PortGroup
from .port_security import overrides_of
from .pyvmomi import vim
from .session import plain_name

_NSX_REFUSAL = "is on NSX; vCenter cannot change its ports, allow the address in the segment profiles of NSX"


# The most VMs that keep the note of a standard port group that is named itself, not by its VMs.
_MOST_KEEPERS = 3


@dataclass(frozen=True)
class _StandardGroup:
    """A standard port group, and where it is changed.

    ``own``: the hosts of VMs that need the change; ``clusters``: those whose hosts are changed, None for all; other
    hosts are left out unless a note shows that they were changed. ``writable``: the VMs that keep a new note; ``vms``:
    those that the user named; ``switch``: name of the switch, None for any.
    """

    network: Any
    name: str
    own: Collection[Any]
    clusters: Collection[Any] | None
    writable: Collection[Any]
    vms: Collection[Any]
    switch: str | None = None


def read_targets(
    inventory: Inventory, chosen: Sequence[Chosen], groups: Sequence[PortGroup], scope: str, neighbours: bool
) -> tuple[list[Target], list[Unreachable]]:
    """Return the `Target` values of a change with ``scope`` (PORT or GROUP), each one once, and hosts without one.

    ``groups``: port groups that are changed as a whole; ``neighbours``: whether to read ``in_use`` and ``marked`` of
    ports, for the reversal of a change.
    """
    targets: dict[str, Target] = {}
    unreachable: list[Unreachable] = []
    vms = {each.vm["object"] for each in chosen}
    for target in (
        *_targets_of_vms(inventory, chosen, scope),
        *(target for group in groups for target in _targets_of_group(inventory, group, vms, neighbours)),
    ):
        if isinstance(target, Unreachable):
            unreachable.append(target)
        else:
            targets.setdefault(target.id, target)
    return _with_neighbours(targets.values()) if neighbours else list(targets.values()), unreachable


def _targets_of_vms(inventory: Inventory, chosen: Sequence[Chosen], scope: str) -> Iterator[Target | Unreachable]:
    networks = set()
    for n, each in enumerate(chosen):
        path, backing = f"vms[{n}]: {each.vm['name']}", each.nic["device"].backing
        network = _shared_network(path, backing, scope)
        # A network is the same for all its adapters.
        if network is None or network not in networks:
            networks.add(network)
            yield from _targets(inventory, path, each, scope, chosen)


def _targets_of_group(
    inventory: Inventory, group: PortGroup, vms: Collection[Any], absent: bool
) -> Iterator[Target | Unreachable]:
    """Yield the Target values of a port group, on all hosts that have it; ``vms``: those that the user named."""
    if group.is_opaque:
        raise VsphereError(f"{group.path}: {_NSX_REFUSAL}")
    if group.is_distributed:
        attachment = inventory.group_attachment(group.network)
        if attachment.is_nsx:
            raise VsphereError(f"{group.path}: {_NSX_REFUSAL}")
        yield _group_target(inventory, attachment, vms)
        return
    users = inventory.remembered(group.network, ("host", "vm"))["vm"] or ()
    found = inventory.session.properties(list(users), ("runtime.host",))
    hosts = {vm: each.get("runtime.host") for vm, each in found.items()}
    inventory.read_hosts({host for host in hosts.values() if host})
    writable = [vm for vm, host in hosts.items() if host and _is_connected(inventory, host)]
    if not writable and not absent:
        words = "has no VM whose notes can keep the former settings; connect a VM to it"
        raise VsphereError(f"{group.path}: {words}")
    keepers = {*sorted(writable, key=lambda vm: str(vm._GetMoId()))[:_MOST_KEEPERS]}
    own = {*hosts.values()} - {None}
    yield from _host_targets(
        inventory, _StandardGroup(group.network, group.name, own, None, keepers, vms, group.switch)
    )


def _shared_network(path: str, backing: Any, scope: str) -> Any:
    """Return the port group or network that a change to the adapter changes as a whole; None for a port."""
    if is_opaque(backing) or scope == PORT:
        return None
    return backing.port.portgroupKey if is_distributed(backing) else network_of(backing, path)


def _targets(
    inventory: Inventory, path: str, adapter: Chosen, scope: str, chosen: Sequence[Chosen]
) -> Sequence[Target | Unreachable]:
    """Return the Target values of a network adapter; ``chosen``: all that are selected."""
    backing = adapter.nic["device"].backing
    if is_opaque(backing):
        raise VsphereError(f"{path}: {_NSX_REFUSAL}")
    if not is_distributed(backing):
        if scope == PORT:
            words = "is on a standard switch, which has no ports of its own; set scope: portgroup"
            raise VsphereError(f"{path}: {words}")
        return list(_targets_of_standard(inventory, path, backing, chosen))
    attachment = inventory.attachment(adapter)
    if attachment.is_nsx:
        raise VsphereError(f"{path}: {_NSX_REFUSAL}")
    if scope == GROUP:
        return [_group_target(inventory, attachment, {each.vm["object"] for each in chosen})]
    if attachment.port is None:
        raise VsphereError(f"{path}: has no port now; power it on, or set scope: portgroup")
    return [_port_target(attachment)]


def _group_target(inventory: Inventory, attachment: Attachment, vms: Collection[Any]) -> Target:
    group, found, config = attachment.group, attachment.of_group, attachment.config
    settings, name = attachment.settings[1:], plain_name(found["name"])
    return Target(
        id=group._GetMoId(),
        name=f"port group {name}",
        kind=GROUP,
        group=name,
        own=read_level(settings, attachment.learns),
        above=read_level(settings[1:], attachment.learns),
        note=read_note(config.description),
        override_allowed=read_overrides(config.policy),
        affects=inventory.other_vms(group, found["vm"] or (), vms),
        handle={
            "group": group,
            "version": config.configVersion,
            "description": config.description,
            "settings": settings,
        },
    )


def _targets_of_standard(
    inventory: Inventory, path: str, backing: Any, chosen: Sequence[Chosen]
) -> Iterator[Target | Unreachable]:
    """Yield the Target values of the standard port group of an adapter, in the clusters of the VMs."""
    network, name = network_of(backing, path), plain_name(backing.deviceName)
    own = {each.host for each in chosen if getattr(each.nic["device"].backing, "network", None) == network}
    if None in own:
        raise VsphereError(f"{path}: the VM is on no host, so that its standard port group cannot be read")
    clusters = {inventory.remembered(host, HOST)["parent"] for host in own}
    # The notes of a VM cannot be written while its host does not respond, and no host is changed without a note.
    writable = {each.vm["object"] for each in chosen if each.host in own and _is_connected(inventory, each.host)}
    vms = {each.vm["object"] for each in chosen}
    yield from _host_targets(inventory, _StandardGroup(network, name, own, clusters, writable, vms))


def _host_targets(inventory: Inventory, group: _StandardGroup) -> Iterator[Target | Unreachable]:
    """Yield a Target, or Unreachable, for each host that has a standard port group."""
    found = inventory.remembered(group.network, ("host", "vm"))
    hosts = {each: inventory.remembered(each, HOST) for each in inventory.read_hosts(found["host"] or ())}
    users = list(found["vm"] or ())
    names = inventory.other_vms(group.network, users, group.vms)
    annotations = inventory.session.properties(users, ("config.annotation",))
    notes = {vm: read_note(each.get("config.annotation")) for vm, each in annotations.items()}
    for each, host in sorted(hosts.items(), key=lambda pair: str(pair[1]["name"])):
        part = part_of_group(each._GetMoId(), group.name)
        parts = {vm: part_of(note, part) for vm, note in notes.items()}
        if group.clusters is not None and host["parent"] not in group.clusters and not any(parts.values()):
            continue
        state = host["runtime.connectionState"]
        if not _is_connected(inventory, each):
            yield Unreachable(host["name"], str(state), group.name, each in group.own)
            continue
        if not group.writable:
            continue
        keepers = [vm for vm, noted in parts.items() if noted or vm in group.writable]
        note = {key: value for each in parts.values() for key, value in each.items()}
        target = _host_target(inventory, host, group.name, note, names, {"part": part, "keepers": keepers})
        if group.switch in (None, plain_name(target.handle["spec"].vswitchName)):
            yield target


def _host_target(
    inventory: Inventory,
    host: Mapping[str, Any],
    name: str,
    note: Note,
    affects: tuple[str, ...],
    handle: Mapping[str, Any],
) -> Target:
    """Return the standard port group of a host; `handle` has the part of the note and the VMs that keep it."""
    system = host[NETWORK_SYSTEM]
    group, above = inventory.standard_group(host["name"], system, name)
    return Target(
        id=f"{system._GetMoId()}/{name}",
        name=f"port group {name} on {host['name']}",
        kind=HOST_GROUP,
        group=name,
        own=read_standard_level(group.computedPolicy.security, group.spec.policy.security),
        above=read_standard_level(above, None),
        note=note,
        affects=affects,
        handle={"host": host["name"], "system": system, "spec": group.spec, **handle},
    )


def _is_connected(inventory: Inventory, host: Any) -> bool:
    state = inventory.remembered(host, HOST)["runtime.connectionState"]
    return bool(state == vim.HostSystem.ConnectionState.connected)


def _port_target(attachment: Attachment) -> Target:
    config, port, name = attachment.config, attachment.port, plain_name(attachment.of_group["name"])
    settings = attachment.settings
    return Target(
        id=f"{attachment.switch._GetMoId()}/{port.key}",
        name=f"port {port.key} of {name}",
        kind=PORT,
        group=name,
        own=read_level(settings, attachment.learns),
        above=read_level(settings[1:], attachment.learns),
        note=read_note(port.config.description),
        override_allowed=read_overrides(config.policy),
        handle={
            "group": attachment.group,
            "group_description": config.description,
            "switch": attachment.switch,
            "port": port,
            "settings": settings,
            "learns": attachment.learns,
        },
    )


def _with_neighbours(targets: Collection[Target]) -> list[Target]:
    """Return the targets, those that are ports with ``marked`` and, if any is marked, ``in_use``."""
    # Keys of ports are unique in their switch only.
    known = {(each.handle["switch"], each.handle["port"].key) for each in targets if each.kind == PORT}
    in_use: dict[Any, frozenset[str]] = {}
    found = []
    for target in targets:
        note = read_note(target.handle["group_description"]) if target.kind == PORT else {}
        marked, group = frozenset(part_of(note, OVERRIDE)), target.handle.get("group")
        if marked and group not in in_use:
            in_use[group] = _overrides_in(target, known)
        found.append(replace(target, marked=marked, in_use=in_use[group]) if marked else target)
    return found


def _overrides_in(target: Target, known: Collection[tuple[Any, str]]) -> frozenset[str]:
    """Return the settings that ports of the target's port group override, without the ``known`` (switch, key)."""
    switch, above = target.handle["switch"], target.handle["settings"][1:]
    criteria = vim.dvs.PortCriteria(portgroupKey=[target.handle["port"].portgroupKey], inside=True)
    ports = [port for port in switch.FetchDVPorts(criteria) if (switch, port.key) not in known]
    levels = [read_level((port.config.setting, *above), target.handle["learns"]) for port in ports]
    overrides: frozenset[str] = frozenset()
    return overrides.union(*(overrides_of(level) for level in levels))
