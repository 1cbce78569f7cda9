# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Settings of pyvmomi as values of the collection."""

from __future__ import annotations

import pytest
from ansible_collections.netops.egress_ip.plugins.module_utils._vsphere.from_pyvmomi import (
    effective,
    read_filters,
    read_level,
    read_overrides,
    read_rule,
    read_standard_level,
    read_vlan,
    vlan_of,
)
from pyVmomi import vim

dvs = vim.dvs.VmwareDistributedVirtualSwitch


def settings(**flags):
    """Return settings with a MAC management policy of their own."""
    return dvs.VmwarePortConfigPolicy(macManagementPolicy=dvs.MacManagementPolicy(inherited=False, **flags))


def test_unset_values_come_from_the_next_level():
    level = read_level((settings(macChanges=True), settings(forgedTransmits=True, macChanges=False)), None)
    assert level.security == {"promiscuous": False, "mac_changes": True, "forged_transmits": True}
    assert read_level((None, settings(macChanges=True)), None).own == frozenset()
    assert read_level((), None).security["promiscuous"] is False


LEARNING = dvs.MacLearningPolicy(inherited=False, enabled=True, limit=8)


@pytest.mark.parametrize("learns", [True, False, None])
def test_the_capability_of_the_switch_decides_about_mac_learning(learns):
    shown, hidden = read_level((settings(macLearningPolicy=LEARNING),), learns), read_level((settings(),), learns)
    assert (shown.mac_learning or {}).get("enabled") is (None if learns is False else True)
    assert (hidden.mac_learning is None) is (learns is not True)


def test_a_switch_without_mac_learning_shows_its_flags_in_the_older_form():
    setting = settings(forgedTransmits=False)
    flag = vim.BoolPolicy(inherited=False, value=True)
    setting.securityPolicy = dvs.SecurityPolicy(inherited=False, forgedTransmits=flag)
    level = read_level((setting,), False)
    assert (level.security["forged_transmits"], level.own) == (True, {"forged_transmits"})
    assert read_level((setting,), True).own == {"forged_transmits", "mac_changes", "promiscuous"}
    setting.macManagementPolicy = None
    assert read_level((setting,), True).own == {"forged_transmits"}


def test_the_effective_policy_is_the_first_that_is_not_inherited():
    own = dvs.VmwarePortConfigPolicy(blocked=vim.BoolPolicy(inherited=True, value=False))
    above = dvs.VmwarePortConfigPolicy(blocked=vim.BoolPolicy(inherited=False, value=True))
    assert effective((own, above), "blocked").value is True
    assert effective((own,), "blocked").value is False
    assert effective((None,), "blocked") is None


def test_a_standard_port_group():
    computed = vim.host.NetworkPolicy.SecurityPolicy(allowPromiscuous=True, macChanges=False, forgedTransmits=False)
    own = vim.host.NetworkPolicy.SecurityPolicy(allowPromiscuous=True)
    level = read_standard_level(computed, own)
    assert (level.security["promiscuous"], level.own) == (True, {"promiscuous"})


@pytest.mark.parametrize(("number", "vlan"), [(0, ("none", [])), (5, ("id", ["5"])), (4095, ("trunk", []))])
def test_a_vlan_of_a_standard_port_group(number, vlan):
    found = vlan_of(number)
    assert (found["type"], found["ids"]) == vlan


def test_vlans_of_distributed_port_groups():
    trunk = dvs.TrunkVlanSpec(vlanId=[vim.NumericRange(start=1, end=9), vim.NumericRange(start=12, end=12)])
    assert read_vlan(trunk, ())["ids"] == ["1-9", "12"]
    private = [dvs.PvlanMapEntry(primaryVlanId=200, secondaryVlanId=201, pvlanType="isolated")]
    assert read_vlan(dvs.PvlanSpec(pvlanId=201), private) == {"type": "private", "ids": ["201"], "isolated": True}
    assert read_vlan(None, ()) is None


def test_overrides():
    policy = dvs.VMwarePortgroupPolicy(blockOverrideAllowed=True, securityPolicyOverrideAllowed=False)
    assert read_overrides(policy) == ("blocked",)


def rule(*qualifiers):
    return vim.dvs.TrafficRule(
        description="guard",
        sequence=7,
        direction="incomingPackets",
        qualifier=list(qualifiers),
        action=vim.dvs.TrafficRule.DropAction(),
    )


def ip(**values):
    return vim.dvs.TrafficRule.IpQualifier(**values)


@pytest.mark.parametrize(
    ("qualifiers", "source", "conditions"),
    [
        ((), None, False),
        ((ip(sourceAddress=vim.SingleIp(address="192.168.126.10")),), "192.168.126.10", False),
        ((ip(sourceAddress=vim.SingleIp(address="192.168.126.10", negate=True)),), "not 192.168.126.10", False),
        ((ip(sourceAddress=vim.IpRange(addressPrefix="10.1.2.3", prefixLength=8)),), "10.0.0.0/8", False),
        ((ip(sourceAddress=vim.SingleIp(address="nonsense")),), None, True),
        ((ip(protocol=vim.IntExpression(value=6)),), None, True),
        ((vim.dvs.TrafficRule.MacQualifier(),), None, True),
    ],
)
def test_a_rule(qualifiers, source, conditions):
    found = read_rule(rule(*qualifiers))
    assert (found["source"], found["conditions"]) == (source, conditions)
    assert found["protocol"] == (6 if qualifiers and getattr(qualifiers[0], "protocol", None) else None)
    assert (found["action"], found["sequence"], found["direction"]) == ("drop", 7, "incomingPackets")


def filters(inherited, *keys):
    """Return settings with a filter of each key, whose agent name is its level and number."""
    level = "above" if inherited else "own"
    configs = [
        vim.dvs.DistributedVirtualPort.TrafficFilterConfig(key=key, inherited=False, agentName=f"{level} {number}")
        for number, key in enumerate(keys)
    ]
    return dvs.VmwarePortConfigPolicy(
        filterPolicy=vim.dvs.DistributedVirtualPort.FilterPolicy(inherited=False, filterConfig=configs)
    )


def test_a_filter_replaces_the_inherited_one_of_its_key_and_no_other():
    found = read_filters((filters(False, None, "a", None), filters(True, None, "a", None)))
    assert [each.agentName for each in found] == ["above 0", "own 1", "above 2", "own 0", "own 2"]
