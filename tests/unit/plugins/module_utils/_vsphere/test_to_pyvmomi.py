# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Specs with filters of other clients. The simulator supports no filters without rules."""

from __future__ import annotations

import pytest
from ansible_collections.netops.egress_ip.plugins.module_utils._common.addresses import parse_address
from ansible_collections.netops.egress_ip.plugins.module_utils._vsphere.from_pyvmomi import read_level
from ansible_collections.netops.egress_ip.plugins.module_utils._vsphere.port import PORT, Target
from ansible_collections.netops.egress_ip.plugins.module_utils._vsphere.port_security import Wanted, decide
from ansible_collections.netops.egress_ip.plugins.module_utils._vsphere.to_pyvmomi import setting
from pyVmomi import vim
from spoof_guard import spoof_guard

kinds = vim.dvs.DistributedVirtualPort
dvs = vim.dvs.VmwareDistributedVirtualSwitch


def target(settings, note=None):
    """Return the target of the first of some settings."""
    own, above = read_level(settings, True), read_level(settings[1:], True)
    return Target("", "port 1", PORT, "", own, above, note or {}, {"settings": settings}, ("rules",))


def written(there, present=True):
    """Return the only change that lets an egress IP pass, or takes that back, and the filter policy that it writes."""
    wanted = Wanted({}, {}, (parse_address("192.168.126.10", ""),), present, False)
    (change,) = decide([there], wanted)
    return change, setting(change).filterPolicy


def guarded():
    """Return settings with filters of others, of which one has a rule that drops everything."""
    group = spoof_guard("192.168.126.21")
    guard = group.filterPolicy.filterConfig[0]
    guard.key = "9"
    resting = vim.dvs.TrafficRuleset(enabled=False, rules=guard.trafficRuleset.rules)
    others = [
        kinds.FilterConfig(inherited=False, key="7", agentName="vendor", slotNumber="4"),
        kinds.TrafficFilterConfig(inherited=False, key="8", agentName="resting", trafficRuleset=resting),
    ]
    group.filterPolicy.filterConfig = [*others, guard]
    return group


def shown_at_a_port(group, *own):
    """Return the settings of a port that shows the filters of its group, marked as inherited, beside its own."""
    inherited = spoof_guard("192.168.126.21").filterPolicy.filterConfig[0]
    inherited.key, inherited.inherited = "9", True
    policy = kinds.FilterPolicy(inherited=not own, filterConfig=[*own, inherited])
    return (dvs.VmwarePortConfigPolicy(filterPolicy=policy), group, group)


VENDOR = kinds.FilterConfig(inherited=False, key="5", agentName="vendor")


@pytest.mark.parametrize("own", [[], [VENDOR]], ids=["nothing", "vendor"])
@pytest.mark.parametrize("shown", [True, False])
def test_an_inherited_filter_is_overridden_by_its_key_and_others_are_not_copied(own, shown):
    group = guarded()
    settings = shown_at_a_port(group, *own) if shown else (None, group, group)
    assert "rules" not in read_level(settings, True).own
    change, policy = written(target(settings))
    (ours,) = policy.filterConfig
    assert (policy.inherited, ours.operation, ours.key, ours.inherited) == (False, "edit", "9", False)
    assert (ours.trafficRuleset.key, {rule.key for rule in ours.trafficRuleset.rules}) == (None, {None})
    assert [rule.description for rule in ours.trafficRuleset.rules] == [
        None,
        *["netops.egress_ip 192.168.126.10"] * 2,
        "guard",
    ]
    assert change.note == {"rules": "inherited"}


@pytest.mark.parametrize("own", [[], [VENDOR]], ids=["nothing", "vendor"])
def test_an_overridden_filter_is_inherited_again(own):
    group = guarded()
    change, policy = written(target((None, group, group)))
    (spec,) = policy.filterConfig
    there = kinds.TrafficFilterConfig(
        inherited=False, key=spec.key, agentName=spec.agentName, trafficRuleset=spec.trafficRuleset
    )
    port = dvs.VmwarePortConfigPolicy(filterPolicy=kinds.FilterPolicy(inherited=False, filterConfig=[*own, there]))
    change, policy = written(target((port, guarded(), group), change.note), present=False)
    assert (change.inherit, change.note) == ({"rules"}, {})
    if own:
        (spec,) = policy.filterConfig
        assert (policy.inherited, spec.operation, spec.key, spec.inherited) == (False, "edit", "9", True)
    else:
        assert (policy.inherited, list(policy.filterConfig)) == (True, [])


@pytest.mark.parametrize("filters", ["equal", "none"])
def test_rules_that_equal_those_of_the_group_are_inherited_again(filters):
    group = guarded() if filters == "equal" else dvs.VmwarePortConfigPolicy()
    own = [guarded().filterPolicy.filterConfig[2]] if filters == "equal" else []
    port = dvs.VmwarePortConfigPolicy(filterPolicy=kinds.FilterPolicy(inherited=False, filterConfig=own))
    change, policy = written(target((port, group, group), {"rules": "inherited"}), present=False)
    assert (change.note, policy.inherited, list(policy.filterConfig)) == ({}, True, [])


def test_mac_learning_that_equals_that_of_the_group_is_inherited_again():
    def settings(inherited):
        learning = dvs.MacLearningPolicy(
            inherited=inherited, enabled=False, allowUnicastFlooding=True, limit=4096, limitPolicy="DROP"
        )
        management = dvs.MacManagementPolicy(
            inherited=inherited, allowPromiscuous=False, macChanges=False, forgedTransmits=False
        )
        management.macLearningPolicy = learning
        return dvs.VmwarePortConfigPolicy(macManagementPolicy=management)

    there = target((settings(False), settings(True)), {"mac_learning": "inherited"})
    (change,) = decide([there], Wanted({}, {"enabled": True}, (), False, False))
    policy = setting(change).macManagementPolicy
    assert (change.note, policy.inherited, policy.macLearningPolicy.inherited) == ({}, False, True)
