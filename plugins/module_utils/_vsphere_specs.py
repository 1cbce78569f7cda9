# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Our own values as specs of pyvmomi, partial: what is not named stays. PRIVATE to the collection. No I/O."""

from __future__ import annotations

from ._vsphere_api import vim
from ._vsphere_filter import is_ours
from ._vsphere_note import INHERITED, write_note
from ._vsphere_port import SECURITY
from ._vsphere_settings import FLAGS, has_rules, read_rule

_LEARNING = {
    "enabled": "enabled",
    "allow_unicast_flooding": "allowUnicastFlooding",
    "limit": "limit",
    "limit_policy": "limitPolicy",
}


def port_spec(port, note, setting):
    """Return the spec that changes a port as it was read, and its note."""
    return vim.dvs.DistributedVirtualPort.ConfigSpec(
        operation="edit",
        key=port.key,
        configVersion=port.config.configVersion,
        description=write_note(port.config.description, note),
        setting=setting,
    )


def setting(change):
    """Return the partial settings that a Change writes to a port or a distributed port group, None for none."""
    if not change.changes_settings:
        return None
    switch = vim.dvs.VmwareDistributedVirtualSwitch
    setting = switch.VmwarePortConfigPolicy()
    if change.target.own.mac_learning is None:
        if change.security:
            policies = {FLAGS[flag]: bool_policy(value) for flag, value in change.security.items()}
            inherited = not change.after.own & {*SECURITY}
            setting.securityPolicy = switch.SecurityPolicy(inherited=inherited, **policies)
    elif "security" in change.inherit:
        setting.macManagementPolicy = switch.MacManagementPolicy(inherited=True)
    elif change.security or change.mac_learning:
        flags = {FLAGS[flag]: value for flag, value in change.security.items()}
        setting.macManagementPolicy = switch.MacManagementPolicy(inherited=False, **flags)
        setting.macManagementPolicy.macLearningPolicy = _learning_policy(change)
    if change.rules:
        setting.filterPolicy = _filter_policy(change)
    return setting


def bool_policy(value):
    """Return the policy for True, False or INHERITED."""
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
    config = next(each for each in filters.filterConfig if has_rules(each))
    wanted = [rule for rule in change.after.rules if is_ours(rule)]
    kept = [rule for rule in config.trafficRuleset.rules if not is_ours(read_rule(rule)) or read_rule(rule) in wanted]
    there = [read_rule(rule) for rule in kept]
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
