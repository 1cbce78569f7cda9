# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where the tunnel ends after a takeover of an address on another interface than the primary one."""

from __future__ import annotations

import pytest
from ansible_collections.netops.egress_ip.plugins.module_utils._dataplane.moved_ends import after_move
from states import node_state

A, B = "192.168.126.101", "192.168.126.102"
# node2 holds A on its primary interface, node1 and node3 on another one.
ENDS = [{"egressIP": A, "ends": {"node1": "192.168.126.21", "node2": "", "node3": "192.168.126.23"}}]
FAILOVER = {"after": 0.2, "ends": ENDS}


def ends(state):
    return {item.egress_ip: item.endpoint for item in state.far_ends}


def state(*far_ends, **more):
    listed = [{"egressIP": ip, "endpoint": end} for ip, end in far_ends]
    return node_state(**{"far_ends": listed, "failover": FAILOVER, **more})


@pytest.mark.parametrize(
    ("holder", "expected"),
    [
        ("node1", {A: "192.168.126.21", B: "192.168.126.22"}),
        ("node2", {B: "192.168.126.22"}),
        ("node3", {A: "192.168.126.23", B: "192.168.126.22"}),
        # A node that may not hold the address.
        ("node4", {A: "192.168.126.21", B: "192.168.126.22"}),
    ],
)
def test_the_tunnel_ends_where_the_plan_says(holder, expected):
    before = state((A, "192.168.126.21"), (B, "192.168.126.22"))
    after = after_move(before, [A], holder)
    assert ends(after) == expected
    assert list(after.far_ends) == sorted(after.far_ends)
    # B always ends where it does.
    assert after_move(before, [B], holder) == before


def test_an_address_that_ended_at_itself():
    assert ends(after_move(state(), [A], "node3")) == {A: "192.168.126.23"}
    assert after_move(state(), [A], "node2") == state()


@pytest.mark.parametrize("failover", [None, {"after": 0.2}])
def test_without_ends_nothing_changes(failover):
    before = state((A, "192.168.126.21"), failover=failover)
    assert after_move(before, [A, B], "node3") == before
