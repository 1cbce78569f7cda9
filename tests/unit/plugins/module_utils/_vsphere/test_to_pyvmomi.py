# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Specs with filters of other clients. The simulator supports no filters without rules."""

from __future__ import annotations

from ansible_collections.netops.egress_ip.plugins.module_utils._common.addresses import parse_address
from ansible_collections.netops.egress_ip.plugins.module_utils._vsphere.from_pyvmomi import read_level
from ansible_collections.netops.egress_ip.plugins.module_utils._vsphere.port import PORT, Target
from ansible_collections.netops.egress_ip.plugins.module_utils._vsphere.port_security import Wanted, decide
from ansible_collections.netops.egress_ip.plugins.module_utils._vsphere.to_pyvmomi import setting
from pyVmomi import vim
from spoof_guard import spoof_guard

kinds = vim.dvs.DistributedVirtualPort


def test_filters_of_others_go_along_to_a_port_that_gets_its_own():
    group = spoof_guard("192.168.126.21")
    guard = group.filterPolicy.filterConfig[0]
    resting = vim.dvs.TrafficRuleset(enabled=False, rules=guard.trafficRuleset.rules)
    parameters = vim.dvs.DistributedVirtualPort.FilterParameter(parameters=["a"])
    others = [
        kinds.FilterConfig(inherited=False, key="7", agentName="vendor", slotNumber="4", parameters=parameters),
        kinds.TrafficFilterConfig(inherited=False, key="8", agentName="resting", trafficRuleset=resting),
    ]
    group.filterPolicy.filterConfig = [*others, guard]
    settings = (None, group, group)
    own, above = read_level(settings), read_level(settings[1:])
    target = Target("", "port 1", PORT, "", own, above, {}, {"settings": settings}, ("rules",))
    wanted = Wanted({}, {}, (parse_address("192.168.126.10", ""),), True, False)
    (change,) = decide([target], wanted)
    vendor, idle, ours = setting(change).filterPolicy.filterConfig
    assert isinstance(vendor, kinds.FilterConfigSpec)
    assert (vendor.operation, vendor.agentName, vendor.slotNumber, vendor.key) == ("add", "vendor", "4", None)
    assert str(vendor.parameters) == str(parameters)
    assert (idle.trafficRuleset.enabled, len(idle.trafficRuleset.rules)) == (False, 2)
    assert [rule.description for rule in ours.trafficRuleset.rules] == [
        None,
        *["netops.egress_ip 192.168.126.10"] * 2,
        "guard",
    ]
