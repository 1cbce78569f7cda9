# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which rule of a traffic filter drops an address, and where our rules go."""

from __future__ import annotations

from ipaddress import ip_address

import pytest
from ansible_collections.netops.egress_ip.plugins.module_utils._vsphere.traffic_filter import (
    allow,
    dropped_by,
    equal_rules,
    partly_dropped_by,
    sequences_of,
    with_sequences,
    without,
)

IN, OUT = "incomingPackets", "outgoingPackets"
EGRESS_IP = ip_address("192.168.126.10")


def rule(sequence, action, source=None, destination=None, direction="both", conditions=False, protocol=None):
    return {
        "description": "",
        "sequence": sequence,
        "direction": direction,
        "action": action,
        "source": source,
        "destination": destination,
        "conditions": conditions or protocol is not None,
        "protocol": protocol,
    }


@pytest.mark.parametrize(
    ("rules", "dropping"),
    [
        ([], None),
        ([rule(1, "drop")], 1),
        ([rule(1, "drop", source="192.168.126.10")], 1),
        ([rule(1, "drop", destination="192.168.126.0/24")], 1),
        ([rule(1, "drop", source="192.168.126.11")], None),
        ([rule(1, "drop", source="not 192.168.126.21")], 1),
        ([rule(1, "drop", source="not 192.168.126.0/24")], None),
        ([rule(1, "drop", source="fd00::/8")], None),
        ([rule(1, "drop", source="192.168.126.10", destination="10.0.0.0/8")], None),
        ([rule(1, "drop", conditions=True)], None),
        ([rule(1, "other")], None),
        ([rule(1, "accept", source="192.168.126.10"), rule(2, "drop", source="192.168.126.0/24")], None),
        ([rule(1, "accept", source="192.168.126.10"), rule(2, "drop")], 2),
        ([rule(1, "accept", source="192.168.126.10", direction=IN), rule(2, "drop")], 2),
        ([rule(1, "accept", source="192.168.126.10", direction=OUT), rule(2, "drop", direction=OUT)], None),
        ([rule(1, "accept", source="192.168.126.11", direction=OUT), rule(2, "drop", direction=OUT)], 2),
        ([rule(1, "accept", direction=OUT), rule(2, "drop", source="192.168.126.10")], None),
        ([rule(1, "accept", direction=OUT), rule(2, "drop")], 2),
        ([rule(1, "accept", direction=OUT), rule(2, "accept", direction=IN), rule(3, "drop")], None),
        ([rule(1, "drop", destination="192.168.126.10", direction=OUT)], None),
        ([rule(1, "drop", source="192.168.126.10", direction=IN)], None),
        ([rule(1, "drop", destination="192.168.126.10", direction=IN)], 1),
        ([rule(1, "accept"), rule(2, "drop")], None),
        ([rule(1, "drop", destination="192.168.126.10"), rule(2, "drop", source="192.168.126.10")], 1),
        # A guard with one rule for each protocol.
        ([rule(1, "drop", protocol=1), rule(2, "drop", protocol=6), rule(3, "drop", protocol=17)], 2),
        ([rule(1, "drop", protocol=17), rule(2, "drop")], 1),
        ([rule(1, "drop", protocol=6)], None),
        ([rule(1, "accept", source="192.168.126.10"), rule(2, "drop", protocol=6), rule(3, "drop", protocol=17)], 2),
        ([rule(1, "accept"), rule(2, "drop", protocol=6), rule(3, "drop", protocol=17)], None),
    ],
)
def test_the_rule_that_drops(rules, dropping):
    found = dropped_by(rules, EGRESS_IP)
    assert (found and found["sequence"]) == dropping


def test_ours_come_right_before_it_and_go_again():
    foreign = (rule(5, "drop", conditions=True), rule(10, "drop"), rule(20, "accept"))
    second = ip_address("fd00::10")
    opened = allow(foreign, [EGRESS_IP, second])
    assert [each["sequence"] for each in opened] == [5, 6, 7, 8, 9, 10, 20]
    assert dropped_by(opened, EGRESS_IP) is dropped_by(opened, second) is None
    assert allow(opened, [EGRESS_IP, second]) == opened
    assert [each["sequence"] for each in without(opened, [second])] == [5, 8, 9, 10, 20]
    assert without(opened, [EGRESS_IP, second]) == foreign


def test_a_rule_that_drops_some_packets():
    first = rule(5, "drop", protocol=6)
    assert partly_dropped_by([rule(9, "drop", conditions=True), first], EGRESS_IP) is first
    others = [rule(1, "drop"), rule(2, "accept", protocol=6), rule(3, "drop", source="192.168.126.11", protocol=6)]
    assert partly_dropped_by(others, EGRESS_IP) is None


def test_rules_get_higher_numbers_where_there_is_no_room():
    foreign = (
        rule(10, "accept", "192.168.126.21"),
        rule(20, "accept", conditions=True),
        rule(21, "drop"),
        rule(30, "drop"),
    )
    addresses = [ip_address(f"192.168.126.{n}") for n in range(100, 106)]
    opened = allow(foreign, addresses)
    assert not any(dropped_by(opened, address) for address in addresses)
    assert dropped_by(opened, EGRESS_IP)["sequence"] == 33
    assert [each["sequence"] for each in opened] == [10, 20, *range(21, 33), 33, 42]
    assert allow(opened, addresses) == opened
    closed = without(opened, addresses)
    assert equal_rules(closed, foreign)
    assert not equal_rules(closed[1:], foreign)
    assert with_sequences(closed, sequences_of(foreign)) == foreign
    assert with_sequences(closed[1:], sequences_of(foreign)) == closed[1:], "a rule was removed since"
