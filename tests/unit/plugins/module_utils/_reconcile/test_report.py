# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a person reads.

golden/report/CASE holds plan.yml, manifests.yml and fleet.yml (what differs from an empty one), results.yml (what the
module `node` returned on each node; absent before a run), besides.yml (what happened elsewhere), report.txt, and
verdict.yml.
"""

from __future__ import annotations

import copy
import json

import pytest
from ansible_collections.netops.egress_ip.plugins.module_utils._reconcile.report import Events, preview, report, status

PLAN = {"assignments": [], "unassigned": [], "invalid": [], "moves": [], "load": {}, "warnings": []}
MANIFESTS = {"invalid": [], "ignored": []}
FLEET = {"current": [], "unavailable": [], "faulty": [], "observed": {}}


@pytest.mark.golden("report")
def test_report(golden):
    plan = {**PLAN, **golden["plan"][0]}
    manifests = {**MANIFESTS, **golden.get("manifests", [{}])[0]}
    fleet = {**FLEET, **golden.get("fleet", [{}])[0]}
    results = golden["results"][0] if "results" in golden else None
    events = golden.get("events", [{}])[0]
    before = copy.deepcopy((plan, manifests, fleet, results, events))
    made = report(plan, manifests, fleet, results, events=Events(**events)).to_dict()
    assert (plan, manifests, fleet, results, events) == before
    golden.check("report.txt", "\n".join([*made["lines"], ""]))
    golden.check("verdict.yml", {key: made[key] for key in ("failures", "errors", "stats")})
    assert json.loads(json.dumps(made)) == made


WEIGHTED = [
    (1000, 1000, "proven to be the least"),
    (1001, 1000, "at most 0.1 % above the least"),
    (10001, 10000, "at most 0.1 % above the least"),
    (1234, 1000, "at most 23.4 % above the least"),
    (0, 0, "proven to be the least"),
]


@pytest.mark.parametrize(("squares", "least", "how"), WEIGHTED)
def test_how_even_weighted_loads_are(squares, least, how):
    plan = {**PLAN, "weighted": {"load": {}, "squares": squares, "lower_bound": least, "proven": False}}
    lines = report(plan, MANIFESTS, FLEET, {}).lines
    assert lines[1:] == ("", f"Weighted loads: sum of squares {squares}, {how}")


def test_a_plan_that_is_not_proven_is_a_note():
    plan = {**PLAN, "proven": False, "gap": {"objective": "squares", "value": 40, "lower_bound": 36}}
    assert report(plan, MANIFESTS, FLEET, {}).lines[-1] == (
        "  plan: egress_ip_plan_seconds ended the search, sum of squares of the loads: 40, in the best plan at least"
        " 36; every rule is kept"
    )


def test_nothing_at_all():
    made = report(PLAN, MANIFESTS, FLEET, {})
    assert made.lines == ("EGRESS IP  OBJECT  NODE  STATE",)
    assert (made.failures, made.errors) == ((), ())


def test_what_is_claimed_in_check_mode_is_still_to_be_claimed():
    plan = {**PLAN, "assignments": [{"name": "web", "egressIP": "10.0.0.1", "node": "node1", "interface": "eth0"}]}
    results = {"node1": {"changed": True, "claimed": ["10.0.0.1"]}}
    states = [report(plan, MANIFESTS, FLEET, results, check).lines[1].split()[3:] for check in (False, True)]
    assert states == [["claimed"], ["to", "claim"]]


AUDIT = {
    "fenced": {"node3": ["vnic_disconnect"], "node4": ["port_block"]},
    "proven": ["node3"],
    "failures": ["a"],
}
STEPS = {
    "notes": ["b"],
    "fencing": [{"node": "node5", "platform": "vsphere"}],
    "withheld": {"10.0.0.1": "node6 may hold it"},
    "unfence": [],
    "domain_notes": {"planned": ["egressip/x: on one host"], "current": []},
}
FENCED = {"node5": "", "node6": "no answer"}
UNFENCE = [{"platform": "vsphere", "targets": [{"name": "node3"}, {"name": "node4"}]}]


def test_the_events_of_a_run():
    made = Events.of_run(AUDIT, STEPS, FENCED, ["c"])
    assert made == Events(STEPS["withheld"], ["node3", "node5"], ["node4"], ["a", "c"], notes=["b"])
    assert Events.of_run(AUDIT, {**STEPS, "unfence": UNFENCE}, FENCED, []).fenced == ["node5"]
    assert Events.of_run(AUDIT, {**STEPS, "unfence": UNFENCE}, FENCED, []).unproven == []


def test_in_check_mode_no_node_is_fenced():
    made = Events.of_run(AUDIT, STEPS, FENCED, [], check_mode=True)
    assert (made.fenced, made.notes) == (["node3"], ["b", "node node5 would be fenced first"])


def test_events_without_fences_and_platforms():
    assert Events.of_run(AUDIT, None, {}, ["c"]) == Events(failures=("c",))


@pytest.mark.parametrize(("rollout", "named"), [({}, "none"), ({"differing": ["node1", "node2"]}, "node1, node2")])
def test_a_preview_names_the_nodes_to_change(rollout, named):
    run = {
        "plan": PLAN,
        "manifests": MANIFESTS,
        "fleet": FLEET,
        "rollout": rollout,
        "digest": "0123456789abcdef",
        "notes": ["egress_ip_tunnel_secret: step 1 of 3"],
        "mistakes": ["egressip/x: selects no pod"],
    }
    made = preview(run, AUDIT)
    assert made.lines[-3:] == ("", f"Nodes to change: {named}", "Digest of the plan: 0123456789abcdef")
    assert made.stats["digest"] == "0123456789abcdef"
    assert "  egressip/x: selects no pod" in preview(run, AUDIT).lines
    assert {"  node node5 would be fenced first", "  egressip/x: on one host"} <= {*preview(run, AUDIT, STEPS).lines}


A, B = "192.168.126.101", "192.168.126.102"


def test_a_preview_is_a_difference():
    def assigned(number, node):
        return {"name": "web", "egressIP": f"10.0.0.{number}", "node": node, "interface": "eth0"}

    plan = {
        **PLAN,
        "assignments": [assigned(1, "n1"), assigned(2, "n2"), assigned(3, "n3")],
        "unassigned": [{"name": "web", "egressIP": "10.0.0.4", "reason": "NodesExhausted", "message": "m"}],
        "moves": [{"egressIP": "10.0.0.2", "from": "n1", "to": "n2", "reason": "Rebalance"}],
    }
    current = [{"egressIP": f"10.0.0.{number}", "node": "n1"} for number in (1, 2, 5)]
    run = {"plan": plan, "manifests": MANIFESTS, "fleet": {**FLEET, "current": current}, "rollout": {}, "notes": []}
    lines = preview({**run, "mistakes": [], "digest": "d"}, AUDIT).lines
    assert [line.rstrip() for line in lines[:7]] == [
        "  EGRESS IP  OBJECT  NODE  STATE",
        "  10.0.0.1   web     n1    held",
        "~ 10.0.0.2   web     n2    to move from n1 (Rebalance)",
        "+ 10.0.0.3   web     n3    to claim",
        "- 10.0.0.4   web     -     not assigned, NodesExhausted: m",
        "- 10.0.0.5   -       n1    to release",
        "",
    ]
    assert lines[7] == "Errors:"


def document(name, *egress_ips):
    return {"kind": "EgressIP", "metadata": {"name": name}, "spec": {"egressIPs": list(egress_ips)}}


def entries(documents):
    return {d["metadata"]["name"]: [(a["egressIP"], a["node"]) for a in d["status"]["assignments"]] for d in documents}


def test_status_says_what_the_nodes_show():
    current = [
        {"egressIP": "192.168.126.102", "node": "node2"},
        {"egressIP": "192.168.126.101", "node": "node1"},
        {"egressIP": "192.168.126.9", "node": "node1"},
        {"egressIP": "192.168.126.101", "node": "node3"},
    ]
    documents = [document("web", "192.168.126.101", "192.168.126.103"), document("db", "192.168.126.102")]
    before = copy.deepcopy(documents)
    shown = status(documents, {"current": current})
    assert entries(shown) == {
        "web": [("192.168.126.101", "node1"), ("192.168.126.101", "node3")],
        "db": [("192.168.126.102", "node2")],
        "in no manifest": [("192.168.126.9", "node1")],
    }
    assert documents == before


@pytest.mark.parametrize(
    "spec", [None, [], {}, {"egressIPs": None}, {"egressIPs": [5, None]}, {"egressIPs": "x"}, {"egressIPs": 5}]
)
def test_status_of_broken_documents(spec):
    broken = {**document("web"), "spec": spec}
    [shown] = status([broken], {"current": []})
    assert shown["status"] == {"assignments": []}


def test_status_names_an_address_in_any_spelling():
    shown = status([document("web", "2001:DB8::0:1")], {"current": [{"egressIP": "2001:db8::1", "node": "node1"}]})
    assert entries(shown) == {"web": [("2001:db8::1", "node1")]}


@pytest.mark.parametrize(
    ("holder", "owner"),
    [({"name": "web"}, "web"), ({"name": "db"}, "db"), ({}, "db"), ({"name": "removed"}, "db")],
)
def test_status_shows_an_address_under_its_owner_only(holder, owner):
    documents = [document("web", A, B), document("db", A)]
    shown = entries(status(documents, {"current": [{"egressIP": A, "node": "node1", **holder}]}))
    assert shown == {"web": [], "db": [], owner: [(A, "node1")]}
