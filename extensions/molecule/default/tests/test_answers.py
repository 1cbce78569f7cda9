# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Answers that change nothing, a drain that refuses, a rebalance that tells its price, addresses of a pool."""

from __future__ import annotations

from fleet import ALL_ASSIGNABLE, FIRST, LABEL, SECOND, assert_same, egressip, manifests

THREE = ["192.168.126.31", "192.168.126.32", "192.168.126.33"]
APPS = manifests(*(egressip(f"app{n}", address) for n, address in enumerate(THREE)))


def said(run, task):
    """Return the lines that a task printed."""
    messages = [each["result"]["msg"] for each in run.records if each["task"].endswith(task)]
    return messages[0] if messages else []


def counts(fleet):
    """Return how many egress IPs each node holds."""
    held = [node for nodes in fleet.holders().values() for node in nodes]
    return sorted(held.count(node) for node in ("node1", "node2", "node3"))


def test_questions_change_nothing(fleet):
    before, at = fleet.snapshot(), fleet.holders()
    lines = said(fleet.good("status", egress_ip_explain=FIRST), "Explain where an egress IP is and could be")
    assert lines[0] == f"{FIRST} of egressip/egressips-prod is held by {at[FIRST][0]}; the next run leaves it there."
    assert any(line.startswith("node2") and f"without the label {LABEL}" in line for line in lines)
    run = fleet.good("plan", egress_ip_what_if={"down": at[SECOND]}, egress_ip_headroom=True)
    lost = next(line for line in said(run, "Show what would be") if line.startswith(SECOND))
    assert "NodesExhausted" in lost
    assert "1 of 1 losses leave" in said(run, "Show the headroom")[0]
    run = fleet.bad(egress_ip_what_if={"down": ["node1"]})
    assert run.failed()[0].startswith("egress_ip_what_if: ")
    assert_same(before, fleet.snapshot())


def test_a_drain_refuses_to_take_the_place_of_an_egress_ip(fleet):
    before, holder = fleet.snapshot(), fleet.holders()[SECOND][0]
    run = fleet.bad("drain", egress_ip_drain_nodes=[holder])
    assert f"egress_ip_drain_nodes: {SECOND} of egressips-prod would lose its place" in run.failed()[0]
    assert_same(before, fleet.snapshot())
    fleet.good("drain", egress_ip_drain_nodes=[holder], egress_ip_drain_force=True)
    assert SECOND not in fleet.holders()
    fleet.good()
    assert fleet.holders()[SECOND] == [holder]


def test_rebalance_after_a_drain(fleet):
    calm = {"egress_ip_manifests": APPS, "hosts": ALL_ASSIGNABLE, "egress_ip_drain_nodes": []}
    fleet.good(**calm)
    fleet.good("drain", **{**calm, "egress_ip_drain_nodes": ["node3"]})
    drained = fleet.holders()
    assert counts(fleet) == [0, 1, 2]
    fleet.good(**calm, egress_ip_policy="sticky")
    assert fleet.holders() == drained
    run = fleet.good("rebalance", **calm)
    table = [line.split() for line in said(run, "Show how many moves how much balance costs")[1:]]
    assert table == [["0", "5", "2", "0"], ["1", "3", "1", "1", "this", "run"]]
    assert counts(fleet) == [1, 1, 1]


def test_an_object_keeps_what_a_pool_gave_it(fleet):
    pools = {"egress_ip_pools": {"prod": ["192.168.126.20-192.168.126.40"]}, "hosts": ALL_ASSIGNABLE}
    second, first = egressip("web"), egressip("app")
    for document in (second, first):
        document["metadata"]["annotations"] = {"egress-ip.netops/pool": "prod"}
    fleet.good(egress_ip_manifests=manifests(second), **pools)
    (address,) = fleet.holders()
    # The nodes have 21 to 23.
    assert address == "192.168.126.20"
    holder = fleet.holders()[address]
    fleet.good(egress_ip_manifests=manifests(first, second), **pools)
    assert fleet.holders()[address] == holder
    assert sorted(fleet.holders()) == [address, "192.168.126.24"]
    assert fleet.sources("namespace1/pod1") == {"192.168.126.24"}
    assert fleet.good(egress_ip_manifests=manifests(first, second), **pools).changed() == []
