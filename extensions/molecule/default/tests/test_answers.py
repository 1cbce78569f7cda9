# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Queries that change nothing, drains that are refused, the cost of a rebalance, addresses from pools."""

from __future__ import annotations

from fleet import ALL_ASSIGNABLE, FIRST, LABEL, SECOND, assert_same, egressip, manifests

THREE = ["192.168.126.31", "192.168.126.32", "192.168.126.33"]
APPS = manifests(*(egressip(f"app{n}", address) for n, address in enumerate(THREE)))


def printed_lines(run, task):
    """Return the lines that a task printed."""
    messages = [result["msg"] for _host, result in run.of_task(task)]
    return messages[0] if messages else []


def counts(fleet):
    """Return how many egress IPs each node holds."""
    held = [node for nodes in fleet.holders().values() for node in nodes]
    return sorted(held.count(node) for node in ("node1", "node2", "node3"))


def test_questions_change_nothing(fleet):
    before, at = fleet.snapshot(), fleet.holders()
    lines = printed_lines(fleet.good("status", egress_ip_explain=FIRST), "Explain the placement of an egress IP")
    assert lines[0] == f"{FIRST} of egressip/egressips-prod is held by {at[FIRST][0]}; the next run leaves it there."
    assert any(line.startswith("node2") and f"without the label {LABEL}" in line for line in lines)
    run = fleet.good("plan", egress_ip_what_if={"down": at[SECOND]}, egress_ip_headroom=True)
    lost = next(line for line in printed_lines(run, "Show the simulation") if line.startswith(SECOND))
    assert "NodesExhausted" in lost
    assert "1 of 1 losses leave" in printed_lines(run, "Show the headroom")[0]
    run = fleet.bad(egress_ip_what_if={"down": ["node1"]})
    assert run.failed()[0].startswith("egress_ip_what_if: ")
    assert_same(before, fleet.snapshot())


def test_what_if_nodes_and_objects_change(fleet):
    before, at = fleet.snapshot(), fleet.holders()
    (moved,) = (ip for ip, nodes in at.items() if nodes == ["node1"])
    scenario = {
        "drain": ["node1"],
        "nodes": {"node2": {"labels": {LABEL: ""}}},
        "egressips": {"web": {"egressIPs": [THREE[0]]}},
    }
    lines = printed_lines(fleet.good("plan", egress_ip_what_if=scenario), "Show the simulation")
    assert lines[0] == "If node1 is drained and node2 is changed and egressip/web is added:"
    rows = {line.split()[0]: line.split()[1:] for line in lines if line.startswith((moved, THREE[0]))}
    assert rows[moved] == ["egressips-prod", "node1", "node2", "NodeNotReady"]
    assert rows[THREE[0]][:2] == ["web", "-"]
    assert_same(before, fleet.snapshot())


def test_what_a_fleet_can_bear_by_zones(fleet):
    zones = {"node1": "a", "node2": "b", "node3": "b"}
    hosts = {name: {"egress_ip_labels": {LABEL: "", "zone": zone}} for name, zone in zones.items()}
    questions = {"egress_ip_headroom": True, "egress_ip_headroom_label": "zone", "egress_ip_price": True}
    run = fleet.good("plan", hosts=hosts, egress_ip_min_available=1, **questions)
    lost = {line.split()[0]: line for line in printed_lines(run, "Show the headroom") if line.startswith("zone=")}
    assert "zone=b" in lost
    assert "NodesExhausted" in lost["zone=b"]
    assert printed_lines(run, "Show the number of moves that balancing needs") == [
        "The load is as even as it can be: no egress IP has to move for balance."
    ]


def test_a_drain_refuses_to_take_the_place_of_an_egress_ip(fleet):
    before, holder = fleet.snapshot(), fleet.holders()[SECOND][0]
    run = fleet.bad("drain", egress_ip_drain_nodes=[holder])
    assert f"egress_ip_drain_nodes: {SECOND} of egressips-prod would become unassigned" in run.failed()[0]
    assert_same(before, fleet.snapshot())
    fleet.good("drain", egress_ip_drain_nodes=[holder], egress_ip_drain_force=True)
    assert SECOND not in fleet.holders()
    fleet.good()
    assert fleet.holders()[SECOND] == [holder]


def moves_for_balance(run):
    """Return the words of each row about the moves that balancing needs."""
    return [line.split() for line in printed_lines(run, "Show the number of moves that balancing needs")[1:]]


def test_rebalance_after_a_drain(fleet):
    """It stays as it is until a rebalance, which heeds the cap of moves."""
    calm = {"egress_ip_manifests": APPS, "hosts": ALL_ASSIGNABLE, "egress_ip_drain_nodes": []}
    fleet.arrange(egress_ip_manifests=APPS, hosts=ALL_ASSIGNABLE)
    fleet.good("drain", **{**calm, "egress_ip_drain_nodes": ["node3"]})
    drained = fleet.holders()
    assert counts(fleet) == [0, 1, 2]
    fleet.good(**calm, egress_ip_policy="sticky")
    assert fleet.holders() == drained
    run = fleet.good("rebalance", **calm, egress_ip_max_moves=0)
    assert moves_for_balance(run) == [["0", "5", "2", "0", "this", "run"], ["1", "3", "1", "1"]]
    assert fleet.holders() == drained
    run = fleet.good("rebalance", **calm)
    assert moves_for_balance(run) == [["0", "5", "2", "0"], ["1", "3", "1", "1", "this", "run"]]
    assert counts(fleet) == [1, 1, 1]


def test_plan_shows_what_a_drain_does(fleet):
    """Node3 is back and holds nothing, but a drain of node2 moves nothing there for balance alone."""
    calm = {"egress_ip_manifests": APPS, "hosts": ALL_ASSIGNABLE}
    fleet.arrange(**calm)
    fleet.good("drain", **calm, egress_ip_drain_nodes=["node3"])
    at = fleet.holders()
    drain = {**calm, "egress_ip_drain_nodes": ["node2"], "egress_ip_max_moves": 5}
    plan = printed_lines(fleet.good("plan", **drain), "Show the plan")
    assert not any("Rebalance" in line for line in plan)
    run = fleet.good("drain", **drain)
    moved = {ip for ip, nodes in fleet.holders().items() if nodes != at[ip]}
    assert moved == {ip for ip, nodes in at.items() if nodes == ["node2"]}, run.report()
    assert all(any(line.startswith(f"~ {ip} ") and "node2" in line for line in plan) for ip in moved)


def test_an_object_with_errors_keeps_what_a_pool_gave_it(fleet):
    """The pool has one address only, which no other object gets while the annotation is misspelt."""
    options = {"egress_ip_pools": {"prod": ["192.168.126.24"]}, "hosts": ALL_ASSIGNABLE}
    sound, broken, other = egressip("web"), egressip("web"), egressip("app", namespaces={"env": "nowhere"})
    for document in (sound, other):
        document["metadata"]["annotations"] = {"egress-ip.netops/pool": "prod"}
    broken["metadata"]["annotations"] = {"egress-ip.netops/pol": "prod"}
    fleet.good(egress_ip_manifests=manifests(sound), **options)
    at = fleet.holders()
    assert list(at) == ["192.168.126.24"]
    run = fleet.good(egress_ip_manifests=manifests(other, broken), **options)
    assert "the pool prod has 0 of the 1 addresses that are wanted" in run.report()
    assert fleet.holders() == at
    assert fleet.sources("namespace1/pod1") == {"192.168.126.24"}
    fleet.good(egress_ip_manifests=manifests(other, sound), **options)
    assert fleet.holders() == at


def test_a_pool_that_no_longer_has_an_address_takes_it_back(fleet):
    document = egressip("web")
    document["metadata"]["annotations"] = {"egress-ip.netops/pool": "prod"}
    for address in ("192.168.126.24", "192.168.126.25"):
        fleet.good(egress_ip_manifests=manifests(document), egress_ip_pools={"prod": [address]})
        assert list(fleet.holders()) == [address]


def test_an_object_keeps_what_a_pool_gave_it(fleet):
    pools = {"egress_ip_pools": {"prod": ["192.168.126.20-192.168.126.40"]}, "hosts": ALL_ASSIGNABLE}
    second, first = egressip("web"), egressip("app")
    for document in (second, first):
        document["metadata"]["annotations"] = {"egress-ip.netops/pool": "prod"}
    fleet.good(egress_ip_manifests=manifests(second), **pools)
    (address,) = fleet.holders()
    # The nodes have the addresses .21 to .23.
    assert address == "192.168.126.20"
    holder = fleet.holders()[address]
    fleet.good(egress_ip_manifests=manifests(first, second), **pools)
    assert fleet.holders()[address] == holder
    assert sorted(fleet.holders()) == [address, "192.168.126.24"]
    assert fleet.sources("namespace1/pod1") == {"192.168.126.24"}
    assert fleet.good(egress_ip_manifests=manifests(first, second), **pools).changed() == []
