# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which rule of a traffic filter drops an address, and where our rules go."""

from __future__ import annotations

from ipaddress import ip_address

import pytest
from ansible_collections.netops.egress_ip.plugins.module_utils._common.errors import VsphereError
from ansible_collections.netops.egress_ip.plugins.module_utils._vsphere.traffic_filter import allow, dropped_by, without

IN, OUT = "incomingPackets", "outgoingPackets"
EGRESS_IP = ip_address("192.168.126.10")


def rule(sequence, action, source=None, destination=None, direction="both", conditions=False):
    return {
        "description": "",
        "sequence": sequence,
        "direction": direction,
        "action": action,
        "source": source,
        "destination": destination,
        "conditions": conditions,
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
    ],
)
def test_the_rule_that_drops(rules, dropping):
    found = dropped_by(rules, EGRESS_IP)
    assert (found and found["sequence"]) == dropping


def test_ours_come_right_before_it_and_go_again():
    foreign = (rule(5, "drop", conditions=True), rule(10, "drop"), rule(20, "accept"))
    second = ip_address("fd00::10")
    opened = allow(foreign, [EGRESS_IP, second], "here")
    assert [each["sequence"] for each in opened] == [5, 6, 7, 8, 9, 10, 20]
    assert dropped_by(opened, EGRESS_IP) is dropped_by(opened, second) is None
    assert allow(opened, [EGRESS_IP, second], "here") == opened
    assert [each["sequence"] for each in without(opened, [second])] == [5, 8, 9, 10, 20]
    assert without(opened, [EGRESS_IP, second]) == foreign


def test_no_room():
    with pytest.raises(VsphereError, match="^here: there is no room for 2 rules between rule 9 and rule 10, which"):
        allow((rule(9, "accept", conditions=True), rule(10, "drop")), [EGRESS_IP], "here")
