# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Convert changes to partial specs of pyvmomi. PRIVATE to the collection. No I/O."""

from __future__ import annotations

from typing import Any, Sequence

from .change_note import INHERITED, Note, write_note
from .from_pyvmomi import FLAGS, has_rules, read_filters, read_rule
from .port import MAC_LEARNING, RULES, SECURITY
from .port_security import MAC_LEARNING as _LEARNING_POLICY
from .port_security import PortChange
from .pyvmomi import vim
from .traffic_filter import Rule, is_ours

_LEARNING = dict(zip(MAC_LEARNING, ("enabled", "allowUnicastFlooding", "limit", "limitPolicy")))


def port_spec(port: Any, note: Note, setting: Any) -> Any:
    """Return the spec that writes settings and a note to a port; it fails if the port was changed since the read."""
    return vim.dvs.DistributedVirtualPort.ConfigSpec(
        operation="edit",
        key=port.key,
        configVersion=port.config.configVersion,
        description=write_note(port.config.description, note),
        setting=setting,
    )


def setting(change: PortChange) -> Any:
    """Return the partial settings that a PortChange writes to a port or a distributed port group; None for none."""
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
    elif change.security or change.mac_learning or _LEARNING_POLICY in change.inherit:
        # A level that inherited must set all flags now: an unset one is no longer inherited.
        written = change.security if change.target.own.own & {*SECURITY} else change.after.security
        flags = {FLAGS[flag]: value for flag, value in written.items()}
        setting.macManagementPolicy = switch.MacManagementPolicy(inherited=False, **flags)
        setting.macManagementPolicy.macLearningPolicy = _learning_policy(change)
    if change.rules:
        setting.filterPolicy = _filter_policy(change)
    return setting


def bool_policy(value: Any) -> Any:
    """Return the policy for True, False or INHERITED."""
    return vim.BoolPolicy(inherited=True) if value == INHERITED else vim.BoolPolicy(inherited=False, value=value)


def _learning_policy(change: PortChange) -> Any:
    """Return the policy with the changes, complete if the level inherited it; None if nothing changes.

    `enabled` is a required field.
    """
    if not change.mac_learning and _LEARNING_POLICY not in change.inherit:
        return None
    after, partial = change.after.mac_learning or {}, _LEARNING_POLICY in change.target.own.own
    values = {"enabled": after["enabled"], **change.mac_learning} if partial else dict(after)
    if values.get("limit_policy"):
        values["limit_policy"] = values["limit_policy"].upper()
    return vim.dvs.VmwareDistributedVirtualSwitch.MacLearningPolicy(
        inherited=_LEARNING_POLICY in change.inherit, **{_LEARNING[key]: value for key, value in values.items()}
    )


def _filter_policy(change: PortChange) -> Any:
    """Return the filters after a change; foreign rules are the objects that were read, unchanged."""
    policy, settings = vim.dvs.DistributedVirtualPort.FilterPolicy, change.target.handle["settings"]
    # There is none if a level with no filters at all inherits again.
    ruled: Any = next((each for each in read_filters(settings) if has_rules(each)), None)
    if RULES in change.inherit:
        others = [
            each for each in settings[0].filterPolicy.filterConfig if each.key != ruled.key and not each.inherited
        ]
        # Without filters of others, the whole policy is inherited again.
        return policy(inherited=False, filterConfig=[_filter_spec(ruled, None)]) if others else policy(inherited=True)
    wanted = [rule for rule in change.after.rules if is_ours(rule)]
    kept = [rule for rule in ruled.trafficRuleset.rules if not is_ours(read_rule(rule)) or read_rule(rule) in wanted]
    there = [read_rule(rule) for rule in kept]
    new = [_native_rule(rule) for rule in wanted if rule not in there]
    _number(kept, change.after.rules, [rule for rule in wanted if rule not in there])
    rules = [*kept, *new]
    if RULES not in change.target.own.own:
        # An inherited filter is overridden by a filter with its key; its rules are new ones.
        ruled.trafficRuleset.key = None
        for rule in kept:
            rule.key = None
    return policy(inherited=False, filterConfig=[_filter_spec(ruled, rules)])


def _number(kept: Sequence[Any], after: Sequence[Rule], new: Sequence[Rule]) -> None:
    """Give rules that are kept the sequence numbers that they have after the change; their order is the same."""
    numbers = sorted(rule["sequence"] for rule in after if rule not in new)
    for rule, number in zip(sorted(kept, key=lambda rule: rule.sequence or 0), numbers):
        rule.sequence = number


def _filter_spec(config: Any, rules: Sequence[Any] | None) -> Any:
    """Return the spec that edits a traffic filter with ``rules``; with None it is inherited again."""
    ruleset = config.trafficRuleset
    return vim.dvs.DistributedVirtualPort.TrafficFilterConfigSpec(
        operation="edit",
        inherited=rules is None,
        key=config.key,
        agentName=config.agentName,
        slotNumber=config.slotNumber,
        parameters=config.parameters,
        onFailure=config.onFailure,
        trafficRuleset=vim.dvs.TrafficRuleset(
            key=ruleset.key,
            enabled=ruleset.enabled,
            precedence=ruleset.precedence,
            rules=sorted(ruleset.rules if rules is None else rules, key=lambda rule: rule.sequence or 0),
        ),
    )


def _native_rule(rule: Rule) -> Any:
    kinds = vim.dvs.TrafficRule
    ends = {f"{side}Address": vim.SingleIp(address=rule[side]) for side in ("source", "destination") if rule[side]}
    return kinds(
        description=rule["description"],
        sequence=rule["sequence"],
        direction=rule["direction"],
        action=kinds.AcceptAction(),
        qualifier=[kinds.IpQualifier(**ends)],
    )
