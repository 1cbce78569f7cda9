# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The result of the modes `present` and `absent`."""

from __future__ import annotations

from pathlib import Path

from ansible_collections.netops.egress_ip.plugins.module_utils._dataplane.node_state import Held
from ansible_collections.netops.egress_ip.plugins.module_utils._node.result import (
    Difference,
    NodeOutcome,
    file_lines,
    result,
)

A, B = (Held(f"192.168.126.10{n}", "eth0") for n in (1, 2))


def test_nothing_has_all_keys_too():
    shown = result(Difference(frozenset(), frozenset(), {}), NodeOutcome())
    assert shown == {
        "changed": False,
        "diff": {"before": "", "after": ""},
        "held": [],
        "claimed": [],
        "connections": {},
        "released": [],
        "unreleased": [],
        "conflicts": [],
    }


def test_files_and_rules_are_lines_of_the_difference():
    before = file_lines([Path("/etc/a")])
    shown = result(
        Difference(before, frozenset({"nft inet x rule 1: 0123456789ab"}), {"0123456789ab": "drop"}), NodeOutcome()
    )
    assert shown["changed"]
    assert shown["diff"] == {"before": "file /etc/a\n", "after": "nft inet x rule 1: drop\n"}


def test_conflicts_are_sorted():
    shown = result(Difference(frozenset(), frozenset(), {}), NodeOutcome(conflicts={B: "02::2", A: "02::1"}))
    assert shown["conflicts"] == [{**A.to_dict(), "mac": "02::1"}, {**B.to_dict(), "mac": "02::2"}]
