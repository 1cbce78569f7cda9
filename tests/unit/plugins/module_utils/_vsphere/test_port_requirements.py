# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The settings that a port must have for an egress IP."""

from __future__ import annotations

from dataclasses import replace

import pytest
from ansible_collections.netops.egress_ip.plugins.module_utils._common.addresses import parse_address
from ansible_collections.netops.egress_ip.plugins.module_utils._vsphere.port import Level, Port
from ansible_collections.netops.egress_ip.plugins.module_utils._vsphere.port_requirements import (
    CHANGED,
    OWN,
    SECOND,
    need,
)

A = parse_address("192.168.126.10", "")
CLOSED = {"promiscuous": False, "mac_changes": False, "forged_transmits": False}
LEARNING = {"enabled": False, "allow_unicast_flooding": True, "limit": 4096, "limit_policy": "drop"}
DROP = {
    "description": "guard",
    "sequence": 10,
    "direction": "both",
    "action": "drop",
    "source": None,
    "destination": None,
    "conditions": False,
    "protocol": None,
}


def port(learning=..., rules=(), **security):
    learning = LEARNING if learning is ... else learning
    level = Level({**CLOSED, **security}, learning, tuple(rules))
    return Port({}, {}, "esx1", {"type": "distributed"}, {}, "10", None, level, (), (), {}, (), False)


@pytest.mark.parametrize(
    ("there", "guest_mac", "change"),
    [
        (port(), OWN, {}),
        (port(), CHANGED, {"security": {"forged_transmits": True, "mac_changes": True}}),
        (port(), SECOND, {"security": {"forged_transmits": True}, "mac_learning": {"enabled": True}}),
        (port(None), SECOND, {"security": {"forged_transmits": True, "promiscuous": True}}),
        (port(None, promiscuous=True, forged_transmits=True), SECOND, {}),
        (port({**LEARNING, "enabled": True}, forged_transmits=True), SECOND, {}),
        (port(rules=[DROP]), OWN, {"allowed_addresses": ["192.168.126.10"]}),
    ],
)
def test_the_smallest_change(there, guest_mac, change):
    found = need(there, A, guest_mac)
    assert (found["egressIP"], found["needed"], found["change"]) == ("192.168.126.10", bool(change), change)


def test_nsx_is_not_changed():
    found = need(replace(port(), switch={"type": "nsx"}, level=None), A, OWN)
    assert (found["needed"], found["change"]) == (None, {})


def test_reasons():
    assert need(port(), A, CHANGED)["reason"] == "forged_transmits is rejected, mac_changes is rejected"
    assert need(port(rules=[DROP]), A, OWN)["reason"] == "rule 10 (guard) drops the address"
    partly = need(port(rules=[{**DROP, "conditions": True, "protocol": 6}]), A, OWN)
    assert (partly["needed"], partly["reason"]) == (
        False,
        "the guest uses its own MAC address, and the port lets that pass, but for packets that rule 10 (guard) drops",
    )
    assert need(port(), A, OWN)["reason"] == "the guest uses its own MAC address, and the port lets that pass"
