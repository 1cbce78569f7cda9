# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A traffic filter that lets some addresses pass and drops the rest."""

from __future__ import annotations

from pyVmomi import vim

filters = vim.dvs.DistributedVirtualPort
rules = vim.dvs.TrafficRule


def spoof_guard(*addresses, further=None, last=900, direction="both"):
    """Return settings that accept what is from `addresses`, with a `further` condition, and drop the rest.

    The rules, for packets in a `direction`, are number 10, 20 and so on, the rule that drops is number `last`.
    """
    accepted = [
        rules(
            sequence=10 * n,
            direction=direction,
            action=rules.AcceptAction(),
            qualifier=[rules.IpQualifier(sourceAddress=vim.SingleIp(address=address), protocol=further)],
        )
        for n, address in enumerate(addresses, 1)
    ]
    drop = rules(
        sequence=last,
        direction=direction,
        action=rules.DropAction(),
        description="guard",
        qualifier=[rules.IpQualifier()],
    )
    spec = filters.TrafficFilterConfigSpec(
        operation="add",
        inherited=False,
        agentName="dvfilter-generic-vmware",
        trafficRuleset=vim.dvs.TrafficRuleset(enabled=True, rules=[*accepted, drop]),
    )
    policy = filters.FilterPolicy(inherited=False, filterConfig=[spec])
    return vim.dvs.VmwareDistributedVirtualSwitch.VmwarePortConfigPolicy(filterPolicy=policy)
