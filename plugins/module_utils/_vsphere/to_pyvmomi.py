# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Convert changes to partial specs of pyvmomi. PRIVATE to the collection. No I/O."""

from __future__ import annotations

from typing import Any, Sequence

from .change_note import INHERITED, Note, write_note
from .from_pyvmomi import FLAGS, effective, has_rules, read_rule
from .port import MAC_LEARNING, RULES, SECURITY
from .port_security import Change
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


def setting(change: Change) -> Any:
    """Return the partial settings that a Change writes to a port or a distributed port group; None for none."""
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


def _learning_policy(change: Change) -> Any:
    """Return the policy with the changes, complete if the level inherited it; None if nothing changes.

    `enabled` is a required field.
    """
    if not change.mac_learning:
        return None
    after, partial = change.after.mac_learning or {}, "mac_learning" in change.target.own.own
    values = {"enabled": after["enabled"], **change.mac_learning} if partial else dict(after)
    if values.get("limit_policy"):
        values["limit_policy"] = values["limit_policy"].upper()
    return vim.dvs.VmwareDistributedVirtualSwitch.MacLearningPolicy(
        inherited="mac_learning" in change.inherit, **{_LEARNING[key]: value for key, value in values.items()}
    )


def _filter_policy(change: Change) -> Any:
    """Return the filters after a change; foreign rules are the objects that were read, unchanged."""
    policy = vim.dvs.DistributedVirtualPort.FilterPolicy
    if RULES in change.inherit:
        return policy(inherited=True)
    filters = effective(change.target.handle["settings"], "filterPolicy").filterConfig
    ruled = next(each for each in filters if has_rules(each))
    wanted = [rule for rule in change.after.rules if is_ours(rule)]
    kept = [rule for rule in ruled.trafficRuleset.rules if not is_ours(read_rule(rule)) or read_rule(rule) in wanted]
    there = [read_rule(rule) for rule in kept]
    new = [_native_rule(rule) for rule in wanted if rule not in there]
    _number(kept, change.after.rules, [rule for rule in wanted if rule not in there])
    rules = [*kept, *new]
    if RULES in change.target.own.own:
        return policy(inherited=False, filterConfig=[_filter_spec(ruled, "edit", rules)])
    # The level gets copies of all filters that it inherited; the vCenter assigns their keys.
    for rule in kept:
        rule.key = None
    return policy(
        inherited=False, filterConfig=[_filter_spec(each, "add", rules if each is ruled else None) for each in filters]
    )


def _number(kept: Sequence[Any], after: Sequence[Rule], new: Sequence[Rule]) -> None:
    """Give rules that are kept the sequence numbers that they have after the change; their order is the same."""
    numbers = sorted(rule["sequence"] for rule in after if rule not in new)
    for rule, number in zip(sorted(kept, key=lambda rule: rule.sequence or 0), numbers):
        rule.sequence = number


def _filter_spec(config: Any, operation: str, rules: Sequence[Any] | None) -> Any:
    """Return the spec of a filter with ``rules`` in place of its own, None to keep them."""
    kinds = vim.dvs.DistributedVirtualPort
    spec = (kinds.TrafficFilterConfigSpec if isinstance(config, kinds.TrafficFilterConfig) else kinds.FilterConfigSpec)(
        operation=operation,
        inherited=False,
        agentName=config.agentName,
        slotNumber=config.slotNumber,
        parameters=config.parameters,
        onFailure=config.onFailure,
    )
    ruleset = getattr(config, "trafficRuleset", None)
    if ruleset is not None:
        spec.trafficRuleset = vim.dvs.TrafficRuleset(
            enabled=ruleset.enabled,
            precedence=ruleset.precedence,
            rules=ruleset.rules if rules is None else sorted(rules, key=lambda rule: rule.sequence or 0),
        )
    if operation == "edit" and ruleset is not None:
        spec.key, spec.trafficRuleset.key = config.key, ruleset.key
    return spec


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
