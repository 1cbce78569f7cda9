# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The numbers that the data plane takes on a host stand in the order that their reasons require."""

from __future__ import annotations

from ansible_collections.netops.egress_ip.plugins.module_utils._dataplane import numbers

CONNTRACK, DNAT, FILTER, SNAT = -200, -100, 0, 100
VRF_RULE = 1000


def test_the_priorities_of_our_chains():
    assert numbers.NFT_RAW < CONNTRACK < DNAT < numbers.NFT_MARK
    assert numbers.NFT_FORWARD < numbers.NFT_FILTER < FILTER
    assert FILTER < numbers.NFT_SNAT < SNAT < numbers.NFT_GUARD


def test_the_priorities_of_our_rules():
    order = [numbers.RULE_BYPASS, numbers.RULE_LOCAL, numbers.RULE_GROUPS, numbers.RULE_FIRST_GROUP]
    assert order == sorted(set(order))
    assert list(range(numbers.RULES_PER_GROUP)) == [numbers.GROUP_START, numbers.GROUP_CLAIM, numbers.GROUP_TUNNEL]
    last_group = numbers.RULE_FIRST_GROUP + numbers.RULES_PER_GROUP * (numbers.MAX_GROUPS - 1)
    # The rules `unreachable` and the target of every `goto` come last.
    assert last_group + numbers.GROUP_TUNNEL < numbers.RULE_END - 1
    assert numbers.VRF_PRIORITY < VRF_RULE


def test_the_overhead_of_the_tunnel():
    ethernet, ipv6, udp, vxlan = 14, 40, 8, 8
    assert ethernet + ipv6 + udp + vxlan == numbers.VXLAN_OVERHEAD
