# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Convert settings of pyvmomi to values of the collection. PRIVATE to the collection. No I/O, no policy."""

from __future__ import annotations

import ipaddress
from dataclasses import replace
from typing import Any, Sequence

from .._common.addresses import canonical, parse_address
from .._common.errors import EgressIPError
from .port import MAC_LEARNING, RULES, SECURITY, Level
from .pyvmomi import vim
from .traffic_filter import Rule

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
# Settings that are unset at every level are closed.
_CLOSED = dict.fromkeys(SECURITY, False)
_NOT_LEARNING = {**dict.fromkeys(MAC_LEARNING), "enabled": False}


def read_level(settings: Sequence[Any], learns: bool | None) -> Level:
    """Return the Level of the first of ``settings``; each inherits from the next: port, port group, switch.

    A level may be None; unset values are inherited. ``learns``: whether the switch supports MAC learning; if that is
    unknown (None), a switch that shows it supports it.
    """
    if not settings:
        return Level(dict(_CLOSED), dict(_NOT_LEARNING) if learns else None)
    setting, above = settings[0], read_level(settings[1:], learns)
    if setting is None:
        return replace(above, own=frozenset())
    mac, filters = setting.macManagementPolicy if learns is not False else None, setting.filterPolicy
    security = {flag: bool(_first(_flag(setting, mac, name), above.security[flag])) for flag, name in FLAGS.items()}
    learning = mac and mac.macLearningPolicy
    level = Level(security, _mac_learning(learning, above.mac_learning), _rules(read_filters(settings)))
    own = {flag for flag in SECURITY if _is_own(_policy(setting, mac if level.mac_learning else None, flag))}
    own.update(["mac_learning"] if _is_own(learning) else [], [RULES] if _has_own_rules(filters) else [])
    return replace(level, own=frozenset(own))


def _flag(setting: Any, mac: Any, name: str) -> bool | None:
    """Return a flag of settings, in the form ``mac`` of newer switches or in that of older ones; None if unset."""
    older = getattr(setting.securityPolicy, name, None)
    flag: bool | None = _first(getattr(mac, name, None), older and older.value)
    return flag


def _policy(setting: Any, mac: Any, flag: str) -> Any:
    """Return the policy whose `inherited` applies to a flag: ``mac`` for all flags, on older switches one for each."""
    return getattr(setting.securityPolicy, FLAGS[flag], None) if mac is None else mac


def _is_own(policy: Any) -> bool:
    return policy is not None and not policy.inherited


def _first(*values: Any) -> Any:
    """Return the first value that is set; None if none is."""
    return next((value for value in values if value is not None), None)


def _mac_learning(policy: Any, above: dict[str, Any] | None) -> dict[str, Any] | None:
    if policy is None:
        return above
    limit_policy = policy.limitPolicy and policy.limitPolicy.lower()
    own = (policy.enabled, policy.allowUnicastFlooding, policy.limit, limit_policy)
    return {key: _first(value, (above or {}).get(key)) for key, value in zip(MAC_LEARNING, own)}


def effective(settings: Sequence[Any], name: str) -> Any:
    """Return the effective policy ``name`` of the first of ``settings`` of `read_level`; None if there is none."""
    found = [policy for policy in (getattr(each, name, None) for each in settings) if policy is not None]
    return next((policy for policy in found if not policy.inherited), found[-1] if found else None)


def read_standard_level(effective_policy: Any, own: Any) -> Level:
    """Return the Level of a standard port group from its computed policy and its own policy (None if unset)."""
    overridden = {flag for flag, name in FLAGS.items() if getattr(own, name, None) is not None}
    security = {flag: bool(getattr(effective_policy, name, None)) for flag, name in FLAGS.items()}
    return Level(security, own=frozenset(overridden))


def read_overrides(policy: Any) -> tuple[str, ...]:
    """Return the names of the settings that the ports of a port group may override."""
    return tuple(sorted(name for name, field in OVERRIDES.items() if getattr(policy, field, False)))


def vlan_of(number: int) -> dict[str, Any]:
    """Return the form of `read_vlan` for the VLAN ID of a standard port group."""
    kind = {0: "none", 4095: "trunk"}.get(number, "id")
    return {"type": kind, "ids": [str(number)] if kind == "id" else [], "isolated": False}


def read_vlan(spec: Any, private: Sequence[Any]) -> dict[str, Any] | None:
    """Return {type: none, id, trunk or private, ids: list of str, isolated}; None without VLAN settings.

    ``private``: the private VLANs of the switch.
    """
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


def read_filters(settings: Sequence[Any]) -> list[Any]:
    """Return the effective filters of the first of ``settings`` of `read_level`.

    A level adds its filters to those that it inherits; one with the key of an inherited filter replaces it. A level may
    show inherited filters too.
    """
    found: dict[Any, Any] = {}
    policies: list[Any] = [getattr(setting, "filterPolicy", None) for setting in reversed(settings)]
    for policy in policies:
        known = bool(found)
        for config in policy.filterConfig if policy else ():
            if not (known and (policy.inherited or config.inherited)):
                # Keys are texts; a filter without one replaces none.
                found[config.key or len(found)] = config
    return list(found.values())


def _has_own_rules(filters: Any) -> bool:
    """Return whether a level overrides the rules that it inherits; with no filters at all, it has none on purpose."""
    if filters is None or filters.inherited:
        return False
    return not filters.filterConfig or any(has_rules(each) and not each.inherited for each in filters.filterConfig)


def _rules(filters: Sequence[Any]) -> tuple[Rule, ...]:
    """Return the rules of traffic filters in the form and the order of `traffic_filter`."""
    rulesets = [config.trafficRuleset for config in filters if has_rules(config)]
    rules = [read_rule(rule) for ruleset in rulesets for rule in ruleset.rules]
    return tuple(sorted(rules, key=lambda rule: rule["sequence"]))


def read_rule(rule: Any) -> Rule:
    """Return a rule as a dict; matches other than one source and one destination are further conditions."""
    kinds = vim.dvs.TrafficRule
    action = {kinds.AcceptAction: "accept", kinds.DropAction: "drop"}.get(type(rule.action), "other")
    of_ip = [each for each in rule.qualifier if isinstance(each, kinds.IpQualifier)]
    plain = len(of_ip) == len(rule.qualifier) <= 1
    qualifier = of_ip[0] if plain and of_ip else None
    further = [getattr(qualifier, name, None) for name in ("protocol", "sourceIpPort", "destinationIpPort", "tcpFlags")]
    source, destination = (_network(getattr(qualifier, f"{side}Address", None)) for side in ("source", "destination"))
    readable = plain and "" not in (source, destination)
    return {
        "description": rule.description or "",
        "sequence": rule.sequence or 0,
        "direction": rule.direction or "both",
        "action": action,
        "source": source or None,
        "destination": destination or None,
        "conditions": not readable or any(further),
        "protocol": _protocol(further) if readable else None,
    }


def _protocol(further: Sequence[Any]) -> int | None:
    """Return the protocol if it is the only further condition, None otherwise."""
    protocol, *others = further
    if protocol is None or protocol.negate or any(others):
        return None
    return int(protocol.value)


def has_rules(config: Any) -> bool:
    """Return whether a filter is a traffic filter with enabled rules."""
    ruleset = getattr(config, "trafficRuleset", None)
    return ruleset is not None and ruleset.enabled is not False


def _network(address: Any) -> str | None:
    """Return an address or a network as text, None for any, empty if it is in no known form."""
    if address is None:
        return None
    text, length = getattr(address, "addressPrefix", None), getattr(address, "prefixLength", None)
    try:
        plain = canonical(parse_address(text or address.address, "rule"))
        if length is not None:
            plain = str(ipaddress.ip_network(f"{plain}/{length}", strict=False))
    except (EgressIPError, ValueError):
        return ""
    return f"not {plain}" if address.negate else plain
