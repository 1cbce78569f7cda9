# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Write to a vCenter, and wait for its tasks. PRIVATE to the collection. No policy."""

from __future__ import annotations

from ._errors import VsphereInterruptedError
from ._vsphere_api import vim
from ._vsphere_fence import OFF
from ._vsphere_inventory import standard_group
from ._vsphere_note import INHERITED, OVERRIDE, read_note, write_note
from ._vsphere_port import GROUP, PORT
from ._vsphere_settings import FLAGS, OVERRIDES
from ._vsphere_specs import bool_policy, port_spec, setting


def write_changes(session, changes):
    """Bring `_vsphere_security.Change` values into the vCenter; all ports of a switch in one task."""
    _write_overrides(session, changes, forbid=False)
    ports = {}
    for change in changes:
        if change.writes and change.target.kind == PORT:
            spec = port_spec(change.target.handle["port"], change.note, setting(change))
            ports.setdefault(change.target.handle["switch"], []).append(spec)
        elif change.writes and change.target.kind == GROUP:
            _write_group(session, change)
        elif change.writes:
            _write_standard(session, change)
    for switch, specs in ports.items():
        session.wait(f"ports {', '.join(spec.key for spec in specs)}", switch.ReconfigureDVPort_Task(specs))
    _write_overrides(session, changes, forbid=True)


def _write_overrides(session, changes, forbid):
    """Change what port groups let their ports override: before the ports for more, after them for less."""
    wanted = {}
    for change in changes:
        names = change.forbid if forbid else change.allow
        if names:
            wanted.setdefault(change.target.handle["group"], set()).update(names)
    for group, names in wanted.items():
        # Fresh, for its version; the policy is written whole, since its fields are required.
        config = session.properties([group], ("config",))[group]["config"]
        note = read_note(config.description)
        for name in names:
            setattr(config.policy, OVERRIDES[name], not forbid)
            if forbid:
                del note[f"{OVERRIDE}{name}"]
            else:
                note[f"{OVERRIDE}{name}"] = False
        spec = vim.dvs.DistributedVirtualPortgroup.ConfigSpec(
            configVersion=config.configVersion,
            policy=config.policy,
            description=write_note(config.description, note),
        )
        session.wait(f"port group {config.name}", group.ReconfigureDVPortgroup_Task(spec))


def _write_group(session, change):
    handle = change.target.handle
    spec = vim.dvs.DistributedVirtualPortgroup.ConfigSpec(
        configVersion=handle["version"],
        defaultPortConfig=setting(change),
        description=write_note(handle["description"], change.note),
    )
    session.wait(change.target.name, handle["group"].ReconfigureDVPortgroup_Task(spec))


def _write_standard(session, change):
    """Write to a standard port group; its spec has no version, so look again right before."""
    handle = change.target.handle
    spec = standard_group(session, handle["system"], change.target.group).spec
    if str(spec) != str(handle["spec"]):
        raise VsphereInterruptedError(f"{change.target.name}: somebody else has changed it meanwhile")
    if spec.policy.security is None:
        spec.policy.security = vim.host.NetworkPolicy.SecurityPolicy()
    for flag, value in change.security.items():
        setattr(spec.policy.security, FLAGS[flag], None if value == INHERITED else value)
    handle["system"].UpdatePortGroup(change.target.group, spec)


def write_step(session, step):
    """Bring a `_vsphere_fence.Step` into the vCenter."""
    adapter, handle = step.adapter, step.adapter.handle
    if step.port_note != adapter.port_note:
        blocked = vim.dvs.VmwareDistributedVirtualSwitch.VmwarePortConfigPolicy(blocked=bool_policy(step.blocked))
        spec = port_spec(handle["port"], step.port_note, blocked)
        session.wait(adapter.name, handle["switch"].ReconfigureDVPort_Task([spec]))
    if step.vm_note != adapter.vm_note:
        spec = vim.vm.ConfigSpec(annotation=write_note(handle["annotation"], step.vm_note))
        if step.connection is not None:
            device = handle["device"]
            device.connectable.connected = step.connection["connected"]
            device.connectable.startConnected = step.connection["start_connected"]
            spec.deviceChange = [vim.vm.device.VirtualDeviceSpec(operation="edit", device=device)]
        session.wait(adapter.name, handle["vm"].ReconfigVM_Task(spec))
    if step.power:
        turn = handle["vm"].PowerOffVM_Task if step.power == OFF else handle["vm"].PowerOnVM_Task
        session.wait(adapter.name, turn())
