# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What pyvmomi says of settings, as our own values. PRIVATE to the collection. No I/O, no policy."""

from __future__ import annotations

from ._vsphere_api import vim
from ._vsphere_port import SECURITY, Level

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


def read_level(setting):
    """Return the Level that the effective settings of a port, a port group or a distributed switch make."""
    mac, legacy, filters = setting.macManagementPolicy, setting.securityPolicy, setting.filterPolicy
    own = set()
    if mac is not None:
        security = {flag: bool(getattr(mac, name)) for flag, name in FLAGS.items()}
        own.update(() if mac.inherited else SECURITY)
    else:
        policies = {flag: getattr(legacy, name) for flag, name in FLAGS.items()}
        security = {flag: bool(policy.value) for flag, policy in policies.items()}
        own.update(flag for flag, policy in policies.items() if not policy.inherited)
    learning = mac.macLearningPolicy if mac else None
    if learning is not None and not learning.inherited:
        own.add("mac_learning")
    if filters is not None and not filters.inherited:
        own.add("rules")
    return Level(security, _mac_learning(learning), _rules(filters), frozenset(own))


def _mac_learning(policy):
    if policy is None:
        return None
    return {
        "enabled": policy.enabled,
        "allow_unicast_flooding": policy.allowUnicastFlooding,
        "limit": policy.limit,
        "limit_policy": policy.limitPolicy and policy.limitPolicy.lower(),
    }


def read_standard_level(effective, own):
    """Return the Level of a standard port group from its computed policy and its own."""
    said = {flag for flag, name in FLAGS.items() if own is not None and getattr(own, name) is not None}
    return Level({flag: bool(getattr(effective, name)) for flag, name in FLAGS.items()}, own=frozenset(said))


def read_overrides(policy):
    """Return the names of what the ports of a port group may set for themselves."""
    return tuple(sorted(name for name, field in OVERRIDES.items() if getattr(policy, field)))


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
    """Return the rules of the traffic filters in the form and the order of `_vsphere_filter`."""
    rulesets = [config.trafficRuleset for config in (filters.filterConfig if filters else ()) if has_rules(config)]
    rules = [read_rule(rule) for ruleset in rulesets if ruleset.enabled is not False for rule in ruleset.rules]
    return tuple(sorted(rules, key=lambda rule: rule["sequence"]))


def read_rule(rule):
    """Return a rule as a dict; what it asks for beside one source and one destination are further conditions."""
    kinds = vim.dvs.TrafficRule
    action = {kinds.AcceptAction: "accept", kinds.DropAction: "drop"}.get(type(rule.action), "other")
    of_ip = [each for each in rule.qualifier if isinstance(each, kinds.IpQualifier)]
    plain = len(of_ip) == len(rule.qualifier) <= 1
    qualifier = of_ip[0] if plain and of_ip else None
    further = ("protocol", "sourceIpPort", "destinationIpPort", "tcpFlags")
    return {
        "description": rule.description or "",
        "sequence": rule.sequence or 0,
        "direction": rule.direction or "both",
        "action": action,
        "source": _network(qualifier.sourceAddress) if qualifier else None,
        "destination": _network(qualifier.destinationAddress) if qualifier else None,
        "conditions": not plain or any(qualifier and getattr(qualifier, name) for name in further),
    }


def has_rules(config):
    """Tell whether a filter is a traffic filter with rules."""
    return isinstance(config, vim.dvs.DistributedVirtualPort.TrafficFilterConfig) and config.trafficRuleset is not None


def _network(address):
    if address is None:
        return None
    single = isinstance(address, vim.SingleIp)
    text = address.address if single else f"{address.addressPrefix}/{address.prefixLength}"
    return f"not {text}" if address.negate else text
