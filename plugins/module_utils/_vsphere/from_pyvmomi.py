# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What pyvmomi says of settings, as our own values. PRIVATE to the collection. No I/O, no policy."""

from __future__ import annotations

import ipaddress
from dataclasses import replace

from .._common.addresses import canonical, parse_address
from .._common.errors import EgressIPError
from .port import MAC_LEARNING, RULES, SECURITY, Level
from .pyvmomi import vim

FLAGS = {"promiscuous": "allowPromiscuous", "mac_changes": "macChanges", "forged_transmits": "forgedTransmits"}
OVERRIDES = {
    "blocked": "blockOverrideAllowed",
    "mac_management": "macManagementOverrideAllowed",
    "rules": "trafficFilterOverrideAllowed",
    "security": "securityPolicyOverrideAllowed",
    "shaping": "shapingOverrideAllowed",
    "teaming": "uplinkTeamingOverrideAllowed",
    "vlan": "vlanOverrideAllowed",
}


# Where nothing is said at all, nothing is open.
_CLOSED = Level(dict.fromkeys(SECURITY, False))


def read_level(settings):
    """Return the Level of the first of ``settings``, of which each follows the next: port, port group, switch.

    What is unset, or all of a level, is as the next one says.
    """
    if not settings:
        return _CLOSED
    setting, above = settings[0], read_level(settings[1:])
    if setting is None:
        return replace(above, own=frozenset())
    mac, filters = setting.macManagementPolicy, setting.filterPolicy
    security = {flag: _first(_said(setting, name), above.security[flag]) for flag, name in FLAGS.items()}
    learning = mac and mac.macLearningPolicy
    follows = filters is None or (filters.inherited and len(settings) > 1)
    level = Level(security, _mac_learning(learning, above.mac_learning), above.rules if follows else _rules(filters))
    own = {flag for flag in SECURITY if _is_own(_policy(setting, level, flag))}
    own.update(["mac_learning"] if _is_own(learning) else [], [RULES] if _is_own(filters) else [])
    return replace(level, own=frozenset(own))


def _said(setting, name):
    """Return what settings say of a flag, in the words of newer switches or of older ones; None for nothing."""
    older = getattr(setting.securityPolicy, name, None)
    return _first(getattr(setting.macManagementPolicy, name, None), older and older.value)


def _policy(setting, level, flag):
    """Return the policy that says whether a flag follows: one for all flags, or of older switches one for each."""
    older = getattr(setting.securityPolicy, FLAGS[flag], None)
    return older if level.mac_learning is None else setting.macManagementPolicy


def _is_own(policy):
    return policy is not None and not policy.inherited


def _first(*values):
    """Return the first of some values that is set, None for none."""
    return next((value for value in values if value is not None), None)


def _mac_learning(policy, above):
    if policy is None:
        return above
    limit_policy = policy.limitPolicy and policy.limitPolicy.lower()
    said = (policy.enabled, policy.allowUnicastFlooding, policy.limit, limit_policy)
    return {key: _first(value, (above or {}).get(key)) for key, value in zip(MAC_LEARNING, said)}


def effective(settings, name):
    """Return the policy of this name that takes effect at the first of ``settings`` of `read_level`; None for none."""
    found = [policy for policy in (getattr(each, name, None) for each in settings) if policy is not None]
    return next((policy for policy in found if not policy.inherited), found[-1] if found else None)


def read_standard_level(effective_policy, own):
    """Return the Level of a standard port group from its computed policy and its own, None for nothing said."""
    said = {flag for flag, name in FLAGS.items() if getattr(own, name, None) is not None}
    security = {flag: bool(getattr(effective_policy, name, None)) for flag, name in FLAGS.items()}
    return Level(security, own=frozenset(said))


def read_overrides(policy):
    """Return the names of what the ports of a port group may set for themselves."""
    return tuple(sorted(name for name, field in OVERRIDES.items() if getattr(policy, field, False)))


def vlan_of(number):
    """Return the form of `read_vlan` for the VLAN ID of a standard port group."""
    kind = {0: "none", 4095: "trunk"}.get(number, "id")
    return {"type": kind, "ids": [str(number)] if kind == "id" else [], "isolated": False}


def read_vlan(spec, private):
    """Return {type: none, id, trunk or private, ids: list of str, isolated}; None when there are no VLAN settings."""
    switch = vim.dvs.VmwareDistributedVirtualSwitch
    if isinstance(spec, switch.VlanIdSpec):
        return vlan_of(spec.vlanId)
    if isinstance(spec, switch.TrunkVlanSpec):
        ids = [f"{each.start}-{each.end}" if each.end != each.start else str(each.start) for each in spec.vlanId]
        return {"type": "trunk", "ids": ids, "isolated": False}
    if isinstance(spec, switch.PvlanSpec):
        entries = [each for each in private if each.secondaryVlanId == spec.pvlanId]
        isolated = any(each.pvlanType == "isolated" for each in entries)
        return {"type": "private", "ids": [str(spec.pvlanId)], "isolated": isolated}
    return None


def _rules(filters):
    """Return the rules of the traffic filters in the form and the order of `_vsphere.traffic_filter`."""
    rulesets = [config.trafficRuleset for config in filters.filterConfig if has_rules(config)]
    rules = [read_rule(rule) for ruleset in rulesets for rule in ruleset.rules]
    return tuple(sorted(rules, key=lambda rule: rule["sequence"]))


def read_rule(rule):
    """Return a rule as a dict; what it asks for beside one source and one destination are further conditions."""
    kinds = vim.dvs.TrafficRule
    action = {kinds.AcceptAction: "accept", kinds.DropAction: "drop"}.get(type(rule.action), "other")
    of_ip = [each for each in rule.qualifier if isinstance(each, kinds.IpQualifier)]
    plain = len(of_ip) == len(rule.qualifier) <= 1
    qualifier = of_ip[0] if plain and of_ip else None
    further = [getattr(qualifier, name, None) for name in ("protocol", "sourceIpPort", "destinationIpPort", "tcpFlags")]
    source, destination = (_network(getattr(qualifier, f"{side}Address", None)) for side in ("source", "destination"))
    return {
        "description": rule.description or "",
        "sequence": rule.sequence or 0,
        "direction": rule.direction or "both",
        "action": action,
        "source": source or None,
        "destination": destination or None,
        "conditions": not plain or "" in (source, destination) or any(further),
    }


def has_rules(config):
    """Tell whether a filter is a traffic filter with rules, in force."""
    ruleset = getattr(config, "trafficRuleset", None)
    return ruleset is not None and ruleset.enabled is not False


def _network(address):
    """Return an address or a network as text, None for any, empty for what nobody understands."""
    if address is None:
        return None
    text, length = getattr(address, "addressPrefix", None), getattr(address, "prefixLength", None)
    try:
        plain = canonical(parse_address(text or address.address, "rule"))
        if length is not None:
            plain = ipaddress.ip_network(f"{plain}/{length}", strict=False)
    except (EgressIPError, ValueError):
        return ""
    return f"not {plain}" if address.negate else f"{plain}"
