# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The changes of settings, and their reversal, at one level."""

from __future__ import annotations

from dataclasses import replace

import pytest
from ansible_collections.netops.egress_ip.plugins.module_utils._common.addresses import parse_address
from ansible_collections.netops.egress_ip.plugins.module_utils._vsphere.errors import VsphereError
from ansible_collections.netops.egress_ip.plugins.module_utils._vsphere.port import GROUP, PORT, Level, Target
from ansible_collections.netops.egress_ip.plugins.module_utils._vsphere.port_security import (
    PortSecurity,
    Wanted,
    decide,
)

CLOSED = {"promiscuous": False, "mac_changes": False, "forged_transmits": False}
LEARNING = {"enabled": False, "allow_unicast_flooding": True, "limit": 4096, "limit_policy": "drop"}
LEVEL = Level(CLOSED, LEARNING)
TARGET = Target("10", "port 10 of nodes", PORT, "nodes", LEVEL, LEVEL, {}, {}, ("mac_management", "rules"))


def wanted(present=True, allow_override=False, learning=None, **security):
    return Wanted(security, learning or {}, (), present, allow_override)


def changed(target, want):
    """Return the target after the only change."""
    (change,) = decide([target], want)
    return change, replace(target, own=change.after, note=change.note)


def test_a_change_is_noted_and_reversed():
    change, after = changed(TARGET, wanted(forged_transmits=True))
    assert (change.security, change.note) == (
        {"forged_transmits": True},
        {"forged_transmits": False, "security": "inherited"},
    )
    assert decide([after], wanted(forged_transmits=True)) == []
    back, restored = changed(after, wanted(present=False, forged_transmits=True))
    assert (back.inherit, restored) == ({"security"}, TARGET)


def test_a_value_that_was_changed_since_is_kept():
    _change, after = changed(TARGET, wanted(forged_transmits=True))
    foreign = replace(after, own=replace(after.own, security=CLOSED))
    back, restored = changed(foreign, wanted(present=False, forged_transmits=True))
    assert (back.security, restored.own.security) == ({}, CLOSED)


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
REVERSED = Wanted({}, {"enabled": True}, (parse_address("192.168.126.10", ""),), False, False)


@pytest.mark.parametrize("part", ["rules", "mac_learning"])
@pytest.mark.parametrize("is_own", [True, False])
def test_a_note_is_removed_only_with_its_part(part, is_own):
    """Another client gave the port the values of its port group, or reset it."""
    own, above = (Level(CLOSED, LEARNING, (DROP,), each) for each in (frozenset([part] if is_own else []), frozenset()))
    back, restored = changed(replace(TARGET, own=own, above=above, note={part: "inherited"}), REVERSED)
    assert (back.inherit, back.rules) == ({part} if is_own else set(), is_own and part == "rules")
    assert (restored.own.own, restored.note) == (frozenset(), {})
    assert back.changes_settings is is_own
    assert decide([restored], REVERSED) == []


def test_mac_learning():
    change, after = changed(TARGET, wanted(learning={"enabled": True}))
    assert change.note == {"mac_learning.enabled": False, "mac_learning": "inherited", "security": "inherited"}
    back, restored = changed(after, wanted(present=False, learning={"enabled": True}))
    assert restored == TARGET
    with pytest.raises(VsphereError, match="^mac_learning: is not supported by port 10 of nodes; use a"):
        decide([replace(TARGET, own=Level(CLOSED))], wanted(learning={"enabled": True}))


def test_an_override_that_the_port_group_forbids():
    strict = replace(TARGET, override_allowed=())
    message = (
        "^port 10 of nodes: port group nodes does not let its ports override mac_management; set allow_override: true"
    )
    with pytest.raises(VsphereError, match=message):
        decide([strict], wanted(forged_transmits=True))
    (change,) = decide([strict], wanted(allow_override=True, forged_transmits=True))
    assert change.allow == {"mac_management", "security"}, "the two flags are the same"
    (group,) = decide([replace(strict, kind=GROUP)], wanted(forged_transmits=True))
    assert group.allow == frozenset()


@pytest.mark.parametrize(("in_use", "forbidden"), [(set(), {"mac_management"}), ({"mac_management"}, set())])
def test_an_override_is_forbidden_when_no_port_uses_it(in_use, forbidden):
    _change, after = changed(TARGET, wanted(forged_transmits=True))
    marked = replace(after, marked=frozenset({"mac_management"}), in_use=frozenset(in_use))
    (change,) = decide([marked], wanted(present=False, forged_transmits=True))
    assert change.forbid == forbidden


def test_the_ports_of_another_port_group_with_the_same_name_are_not_in_use_here():
    handles = {"group": "dvportgroup-1"}, {"group": "dvportgroup-2"}
    _change, after = changed(TARGET, wanted(forged_transmits=True))
    marked = replace(after, marked=frozenset({"mac_management"}), handle=handles[0])
    # It keeps an override of its own: only a part of its settings is reversed.
    other = replace(after, id="11", own=replace(after.own, own=frozenset({*CLOSED, "mac_learning"})), note={})
    for handle, forbidden in zip(handles, (set(), {"mac_management"}), strict=True):
        both = decide(
            [marked, replace(other, note={"blocked": "x", "forged_transmits": False}, handle=handle)], REVERSED_FLAG
        )
        assert both[0].forbid == forbidden


REVERSED_FLAG = wanted(present=False, forged_transmits=True)


class FakeClient:
    """A client whose reads return these targets, one list each."""

    def __init__(self, *reads):
        self.reads = list(reads)

    def read_targets(self, *_selectors, **_options):
        """Return the targets of the next read."""
        return self.reads.pop(0), []

    def write(self, _changes):
        """Write nothing."""


def test_a_vm_that_has_moved_to_another_port_meanwhile():
    options = {"vms": [{}], "portgroups": [], "scope": "port", "security": {"forged_transmits": True}}
    options.update(mac_learning={}, allowed_addresses=[], state="present", allow_override=False)
    opened = changed(TARGET, wanted(forged_transmits=True))[1]
    result = PortSecurity(options, check_mode=False)(FakeClient([TARGET], [replace(opened, id="11", name="port 11")]))
    assert [(port["name"], port["changed"]) for port in result["ports"]] == [("port 11", False)]
