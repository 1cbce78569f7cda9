# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs on a host in memory, one after the other: what they change, and what check mode shows."""

from __future__ import annotations

import re

import pytest
from ansible_collections.netops.egress_ip.plugins.module_utils._dataplane.handover import PlannedRelease
from ansible_collections.netops.egress_ip.plugins.module_utils._node import systemd_units
from fake_node_io import FOREIGN_TABLE, address, ethernet
from node_runs import (
    FOREVER,
    OTHER_MAC,
    A,
    B,
    apply,
    lines_of,
    observe,
    remove,
)
from states import egress_object, held, node_state


def test_the_first_run_makes_the_node_what_the_state_says(kernel):
    result = apply(kernel, node_state())
    assert result["changed"]
    assert result["held"] == held(A)
    assert (result["claimed"], result["released"], result["conflicts"]) == ([A], [], [])
    assert kernel.addresses()[A] == "eth0"
    assert kernel.sysctls["net.ipv4.ip_forward"] == "1"
    assert kernel.sysctls["net.ipv4.conf.egress0.rp_filter"] == "2"
    assert kernel.units == {path.name for path in systemd_units.links()}
    assert kernel.files[str(kernel.STATE_FILE)][1] == 0o600
    assert observe(kernel)["drift"] == []


def test_the_second_run_changes_nothing(kernel):
    apply(kernel, node_state())
    kernel.log.clear()
    before = kernel.snapshot()
    result = apply(kernel, node_state())
    assert not result["changed"]
    assert result["diff"] == {"before": "", "after": ""}
    assert result["held"] == held(A)
    assert result["claimed"] == []
    assert kernel.log == []
    assert kernel.snapshot() == before


def test_a_newer_plan_that_says_the_same_changes_nothing(kernel):
    apply(kernel, node_state())
    kernel.log.clear()
    assert not apply(kernel, node_state(generation=2))["changed"]
    assert kernel.log == []


def test_foreign_things_are_as_they_were(kernel):
    kernel.interfaces["eth1"] = ethernet(address("10.1.0.1", 24, "eth1"))
    before = kernel.snapshot()
    apply(kernel, node_state())
    apply(kernel, node_state(generation=2, held=held(B)))
    after = kernel.snapshot()
    assert all(rule in after["rules"] for rule in before["rules"])
    assert all(item in after["neighbours"] for item in before["neighbours"])
    assert after["tables"]["ip", "nat"] == FOREIGN_TABLE
    assert after["interfaces"]["eth1"] == before["interfaces"]["eth1"]
    assert all(kernel.files[path] == content for path, content in before["files"].items())
    assert after["sysctls"]["net.ipv4.conf.all.rp_filter"] == "1"


@pytest.mark.parametrize("first", [False, True])
def test_check_mode_shows_everything_and_writes_nothing(kernel, first):
    if first:
        apply(kernel, node_state())
    before, kernel.log = kernel.snapshot(), []
    state = node_state(generation=2, held=held(B))
    shown = apply(kernel, state, check=True)
    assert kernel.snapshot() == before
    assert {word for word, _detail in kernel.log} <= {"probe"}
    assert shown == apply(kernel, state)


def test_check_mode_asks_the_wire_about_what_nobody_releases(kernel):
    kernel.wire = {A: FOREVER, B: FOREVER}
    state = node_state(held=held(A, B))
    shown = apply(kernel, state, releases=[PlannedRelease(B, "node2")], check=True)
    assert shown["conflicts"] == [{**held(A)[0], "mac": OTHER_MAC}]
    assert shown["claimed"] == [B]
    assert set(kernel.logged("probe")) == {A}


def test_the_diff_shows_rules_by_their_text(kernel):
    apply(kernel, node_state())
    egressips = [egress_object("web", [A, B], [A])]
    diff = apply(kernel, node_state(generation=2, egressips=egressips))["diff"]
    old, new = (
        [line.partition("chain object_web rule ")[2] for line in lines_of(diff[key]) if "chain object_web rule" in line]
        for key in ("before", "after")
    )
    assert old == [
        f"0: jhash ip saddr . ip daddr mod 2 seed 0x1 == 0 goto mark_{A}",
        f"1: meta nfproto ipv4 goto mark_{B}",
        "2: return",
    ]
    assert new == [f"0: meta nfproto ipv4 goto mark_{A}", "1: return"]
    assert not re.search(r"rule \d+: [0-9a-f]{12}$", diff["before"] + diff["after"], re.MULTILINE)


def test_a_device_that_is_made_anew_keeps_the_egress_ips(kernel):
    apply(kernel, node_state())
    kernel._link_delete(["egress0"])
    kernel.log.clear()
    result = apply(kernel, node_state())
    assert result["claimed"] == []
    assert not [line for line in kernel.logged("ip") if A in line and line.startswith("address")]


def test_another_tunnel_device_replaces_the_old_one(kernel):
    before = kernel.snapshot()
    apply(kernel, node_state())
    apply(kernel, node_state(generation=2, options={"tunnel_device": "tun7"}))
    assert "egress0" not in kernel.interfaces
    assert observe(kernel)["drift"] == []
    remove(kernel)
    assert kernel.snapshot() == before
