# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Write to a vCenter, and wait for its tasks. PRIVATE to the collection. No policy."""

from __future__ import annotations

from typing import Any, Mapping, Sequence

from .change_note import INHERITED, NOTHING, OVERRIDE, Note, read_note, with_part, write_note
from .errors import VsphereError, VsphereInterruptedError
from .fence import OFF, Step
from .from_pyvmomi import FLAGS, OVERRIDES
from .inventory import standard_group
from .port import GROUP, HOST_GROUP, PORT
from .port_security import PortChange
from .pyvmomi import vim
from .session import Session, plain_name
from .to_pyvmomi import bool_policy, port_spec, setting


def write_changes(session: Session, changes: Sequence[PortChange]) -> None:
    """Write `PortChange` values to the vCenter, all ports of a switch in one task."""
    _write_overrides(session, changes, forbid=False)
    for vm, notes in _kept(changes, done=False).items():
        _write_kept(session, vm, notes)
    ports: dict[Any, list[Any]] = {}
    for change in changes:
        if change.writes and change.target.kind == PORT:
            spec = port_spec(change.target.handle["port"], change.note, setting(change))
            ports.setdefault(change.target.handle["switch"], []).append(spec)
    _write_ports(session, ports)
    _write_groups(session, [change for change in changes if change.writes and change.target.kind != PORT])
    failed = _update_kept(session, _kept(changes, done=True))
    _write_overrides(session, changes, forbid=True)
    if failed:
        raise VsphereError("; ".join(failed))


def _write_overrides(session: Session, changes: Sequence[PortChange], forbid: bool) -> None:
    """Write the overrides that port groups allow: more of them before the ports change, fewer of them after."""
    wanted: dict[Any, set[str]] = {}
    for change in changes:
        overrides = change.forbid if forbid else change.allow
        if overrides:
            wanted.setdefault(change.target.handle["group"], set()).update(overrides)
    for group, names in wanted.items():
        # Read again for the present version; the policy is written as a whole, since its fields are required.
        config = session.properties([group], ("config",))[group]["config"]
        note = read_note(config.description)
        for name in names:
            setattr(config.policy, OVERRIDES[name], not forbid)
            if forbid:
                note.pop(f"{OVERRIDE}{name}", None)
            else:
                note[f"{OVERRIDE}{name}"] = False
        spec = vim.dvs.DistributedVirtualPortgroup.ConfigSpec(
            configVersion=config.configVersion,
            policy=config.policy,
            description=write_note(config.description, note),
        )
        _write_description(session, f"port group {plain_name(config.name)}", group, spec)


def _kept(changes: Sequence[PortChange], done: bool) -> dict[Any, dict[str, Note]]:
    """Return {VM: {part: note}} of standard port groups: with new entries before the change, without old ones after."""
    parts: dict[Any, dict[str, Note]] = {}
    for change in changes:
        if change.target.kind == HOST_GROUP:
            handle, note = change.target.handle, change.note if done else {**change.note, **change.target.note}
            for vm in handle["keepers"]:
                parts.setdefault(vm, {})[handle["part"]] = note
    return parts


def _update_kept(session: Session, parts: Mapping[Any, Mapping[str, Note]]) -> list[str]:
    """Write the notes after a change; return the failures. A VM on a host that fails does not stop the others."""
    failed = []
    for vm, notes in parts.items():
        try:
            _write_kept(session, vm, notes)
        except VsphereInterruptedError:
            raise
        except VsphereError as error:
            failed.append(str(error))
    return failed


def _write_kept(session: Session, vm: Any, notes: Mapping[str, Note]) -> None:
    """Write the notes of standard port groups, {part: note}, to a VM."""
    found = session.properties([vm], ("name", "config.annotation", "config.changeVersion"))[vm]
    annotation, version = found["config.annotation"], found["config.changeVersion"]
    note = before = read_note(annotation)
    for part, values in notes.items():
        note = with_part(note, part, values)
    if note != before:
        spec = vim.vm.ConfigSpec(changeVersion=version, annotation=write_note(annotation, note))
        _write_annotation(session, found["name"], vm, spec)


def _write_groups(session: Session, changes: Sequence[PortChange]) -> None:
    """Write to port groups, one after the other; an error names those that are changed already."""
    done: list[str] = []
    for change in changes:
        try:
            if change.target.kind == GROUP:
                _write_group(session, change)
            elif change.changes_settings:
                _write_standard(session, change)
        except VsphereInterruptedError:
            raise
        except VsphereError as error:
            before = f"; changed before that: {', '.join(done)}" if done else ""
            raise VsphereError(f"{error}{before}") from None
        done.append(change.target.name)


def _write_group(session: Session, change: PortChange) -> None:
    handle = change.target.handle
    spec = vim.dvs.DistributedVirtualPortgroup.ConfigSpec(
        configVersion=handle["version"],
        defaultPortConfig=setting(change),
        description=write_note(handle["description"], change.note),
    )
    _write_description(session, change.target.name, handle["group"], spec)


def _write_description(session: Session, name: str, group: Any, spec: Any) -> None:
    """Write a spec with a description to a distributed port group; an empty one that is ignored becomes NOTHING."""
    session.run(name, group.ReconfigureDVPortgroup_Task, spec)
    config = spec.description == "" and session.properties([group], ("config",))[group]["config"]
    if config and config.description:
        cleared = vim.dvs.DistributedVirtualPortgroup.ConfigSpec(
            configVersion=config.configVersion, description=NOTHING
        )
        session.run(name, group.ReconfigureDVPortgroup_Task, cleared)


def _write_annotation(session: Session, name: str, vm: Any, spec: Any) -> None:
    """Write a spec with an annotation to a VM; an empty one that is ignored becomes NOTHING."""
    session.run(name, vm.ReconfigVM_Task, spec)
    if spec.annotation == "":
        found = session.properties([vm], ("config.annotation", "config.changeVersion"))[vm]
        if found["config.annotation"]:
            cleared = vim.vm.ConfigSpec(changeVersion=found["config.changeVersion"], annotation=NOTHING)
            session.run(name, vm.ReconfigVM_Task, cleared)


def _write_standard(session: Session, change: PortChange) -> None:
    """Write to a standard port group. Its spec has no version, so it is read again and compared directly before."""
    handle = change.target.handle
    spec = standard_group(session, handle["host"], handle["system"], change.target.group)[0].spec
    if str(spec) != str(handle["spec"]):
        raise VsphereInterruptedError(f"{change.target.name}: was changed by another client; run the task again")
    if spec.policy.security is None:
        spec.policy.security = vim.host.NetworkPolicy.SecurityPolicy()
    for flag, value in change.security.items():
        setattr(spec.policy.security, FLAGS[flag], None if value == INHERITED else value)
    with session.translated(change.target.name):
        handle["system"].UpdatePortGroup(spec.name, spec)


def write_steps(session: Session, steps: Sequence[Step]) -> None:
    """Write `Step` values to the vCenter: ports first, then all changes of each VM in one task."""
    ports: dict[Any, list[Any]] = {}
    vms: dict[Any, list[Step]] = {}
    for step in steps:
        before, after, handle = step.before, step.after, step.before.handle
        if (before.port, before.port_note) != (after.port, after.port_note):
            policy = bool_policy(after.port["blocked"] if after.port else None)
            blocked = vim.dvs.VmwareDistributedVirtualSwitch.VmwarePortConfigPolicy(blocked=policy)
            spec = port_spec(handle["port"], after.port_note, blocked)
            ports.setdefault(handle["switch"], []).append(spec)
        vms.setdefault(handle["vm"], []).append(step)
    _write_ports(session, ports)
    for vm, own in vms.items():
        _write_vm(session, vm, own)


def _write_ports(session: Session, ports: Mapping[Any, Sequence[Any]]) -> None:
    """Write {switch: specs of ports}, those of a switch in one task; an empty note that is ignored becomes NOTHING."""
    for switch, specs in ports.items():
        session.run(f"ports {_keys(specs)}", switch.ReconfigureDVPort_Task, specs)
        emptied = [spec.key for spec in specs if spec.description == ""]
        found = switch.FetchDVPorts(vim.dvs.PortCriteria(portKey=emptied)) if emptied else ()
        left = [
            vim.dvs.DistributedVirtualPort.ConfigSpec(
                operation="edit", key=port.key, configVersion=port.config.configVersion, description=NOTHING
            )
            for port in found
            if port.config.description
        ]
        if left:
            session.run(f"ports {_keys(left)}", switch.ReconfigureDVPort_Task, left)


def _keys(specs: Sequence[Any]) -> str:
    return ", ".join(spec.key for spec in specs)


def _write_vm(session: Session, vm: Any, steps: Sequence[Step]) -> None:
    before, after, devices = steps[0].before, steps[-1].after, []
    for step in steps:
        if step.before.connection != step.after.connection:
            device = step.before.handle["device"]
            device.connectable.connected = step.after.connection["connected"]
            device.connectable.startConnected = step.after.connection["start_connected"]
            devices.append(vim.vm.device.VirtualDeviceSpec(operation="edit", device=device))
    if devices or before.vm_note != after.vm_note:
        spec = vim.vm.ConfigSpec(
            changeVersion=before.handle["version"],
            annotation=write_note(before.handle["annotation"], after.vm_note),
            deviceChange=devices,
        )
        _write_annotation(session, before.vm, vm, spec)
    if before.power != after.power:
        turn = vm.PowerOffVM_Task if after.power == OFF else vm.PowerOnVM_Task
        session.run(before.vm, turn)
