# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Labels of nodes from platforms, and egress IPs that one failure domain holds."""

from __future__ import annotations

import pytest
from ansible_collections.netops.egress_ip.plugins.module_utils._reconcile import failure_domains
from ansible_collections.netops.egress_ip.plugins.module_utils._reconcile.failure_domains import (
    domain_notes,
    labelled,
    requests_of_run,
)

A, B = "192.168.126.10", "192.168.126.102"
LABEL, TITLES = "vsphere/host", {"vsphere/host": "ESXi host"}
ASSIGNABLE = "k8s.ovn.org/egress-assignable"


def needs_labels(run, labels):
    return failure_domains.needs_labels(run, requests_of_run(run), labels)


def usable_labels(run, labels, members):
    return failure_domains.usable_labels(run, requests_of_run(run), labels, members)


def on(**hosts):
    """Return labels for {node: ESXi host}."""
    return {node: {LABEL: host} for node, host in hosts.items()}


def egressip(name, *egress_ips, spec=None, **annotations):
    metadata = {"name": name, "annotations": {f"egress-ip.netops/{key}": value for key, value in annotations.items()}}
    wanted = {"egressIPs": list(egress_ips), "namespaceSelector": {}, **(spec or {})}
    return {"apiVersion": "k8s.ovn.org/v1", "kind": "EgressIP", "metadata": metadata, "spec": wanted}


def run(*egressips, planned=(), current=(), answers=(), ready=(1, 2, 3)):
    """Return the plan of a run; `planned` are (object, egress IP, node), `current` (egress IP, node)."""
    nodes = [
        {
            "name": f"node{n}",
            "labels": {ASSIGNABLE: ""},
            "ready": n in ready,
            "networks": [{"interface": "eth0", "addresses": [f"192.168.126.2{n}/18"]}],
        }
        for n in (1, 2, 3)
    ]
    return {
        "fleet": {
            "nodes": nodes,
            "current": [{"egressIP": ip, "node": node} for ip, node in current],
            "observed": {f"node{n}": {} for n in ready},
        },
        "manifests": {"egressips": list(egressips)},
        "plan": {"assignments": [{"name": name, "egressIP": ip, "node": node} for name, ip, node in planned]},
        "answers": dict.fromkeys(answers),
    }


WEB = egressip("web", A, B)


def test_labels_of_the_user_take_precedence():
    host = {"name": "node1", "labels": {LABEL: "mine"}}
    assert labelled(host, on(node1="esx1"))["labels"] == {LABEL: "mine"}
    assert labelled({"name": "node1", "labels": None}, on(node1="esx1"))["labels"] == {LABEL: "esx1"}


@pytest.mark.parametrize("labels", [{}, {"node2": {LABEL: "esx1"}}, {"node1": "esx1"}])
def test_a_host_without_labels_of_a_platform_stays_as_it_is(labels):
    host = {"name": "node1", "labels": ["wrong"]}
    assert labelled(host, labels) is host
    assert labelled(host, on(node1="esx1")) is host


@pytest.mark.parametrize(
    ("made", "needed"),
    [
        (run(WEB), False),
        (run(egressip("web", A, spread=LABEL)), True),
        (run(egressip("web", A, spread="rack")), False),
        (run(egressip("web", A, **{"node-selector": "vsphere/host in (esx1)"})), True),
        (run(egressip("web", A, spec={"egressNodeSelector": {"matchLabels": {LABEL: "esx1"}}})), True),
        (run(WEB, answers=["headroom"]), True),
    ],
)
def test_a_plan_that_depends_on_labels(made, needed):
    assert needs_labels(made, on(node1="esx1")) is needed
    for node in made["fleet"]["nodes"]:
        node["labels"][LABEL] = "esx1"
    assert needs_labels(made, on(node1="esx1")) is False, "the plan was made with them"
    assert needs_labels(run(), {}) is False


SPREAD = egressip("web", A, spread=LABEL)
SELECTING = [
    egressip("web", A, **{"node-selector": "vsphere/host in (esx1)"}),
    egressip("web", A, spec={"egressNodeSelector": {"matchExpressions": [{"key": LABEL, "operator": "Exists"}]}}),
]
NODES = {LABEL: ["node1", "node2", "node3"]}
KNOWN = on(node1="esx1", node2="esx1", node3="esx2")
PARTLY = on(node1="esx1", node2="esx1")


@pytest.mark.parametrize("document", SELECTING)
@pytest.mark.parametrize(("labels", "unknown"), [({}, "node1, node2, node3"), (PARTLY, "node3")])
def test_a_selector_with_an_unknown_label_stops_the_run(document, labels, unknown):
    """A node that is silent counts too: it may hold the address, and must be fenced."""
    for ready in ((1, 2, 3), (1, 2)):
        usable = usable_labels(run(document, ready=ready), labels, NODES)
        (reason,) = usable.stop_reasons
        assert reason.startswith(
            f"egressip/web: uses the label {LABEL}, which the platform of {unknown} did not return"
        )
    assert usable_labels(run(document), KNOWN, NODES) == (KNOWN, False, ())
    assert usable_labels(run(document), labels, {}) == (labels, False, ())


@pytest.mark.parametrize("labels", [{}, PARTLY])
def test_spread_by_an_unknown_label_keeps_the_holders(labels):
    usable = usable_labels(run(SPREAD), labels, NODES)
    assert (usable.keep_holders, usable.stop_reasons) == (True, ())
    assert not any(usable.labels.values()), "domains of a part of the nodes would move egress IPs"
    assert usable_labels(run(WEB), labels, NODES) == (labels, False, ())
    assert usable_labels(run(SPREAD, ready=(1, 2)), PARTLY, NODES) == (PARTLY, False, ()), "node3 holds nothing"


def test_labels_by_hand_replace_those_of_the_platform():
    made = run(SPREAD)
    made["fleet"]["nodes"][2]["labels"][LABEL] = "esx2"
    assert usable_labels(made, PARTLY, NODES) == (PARTLY, False, ())
    assert len(usable_labels(made, {}, NODES).stop_reasons) == 1, "the labels by hand would move egress IPs"


def test_two_addresses_of_an_object_on_one_host():
    made = run(
        WEB,
        planned=[("web", A, "node1"), ("web", B, "node2")],
        current=[(A, "node1"), (B, "node3"), ("192.168.126.99", "node2")],
    )
    notes = domain_notes(made, on(node1="esx1", node2="esx1", node3="esx2"), TITLES, {})
    assert notes == {"planned": [f"egressip/web: {A}, {B} are on one ESXi host, esx1"], "current": []}


def test_all_nodes_that_may_hold_an_address_on_one_host():
    made = run(egressip("web", A), planned=[("web", A, "node1")], ready=(1, 2))
    hosts = on(node1="esx1", node2="esx1", node3="esx2")
    line = f"egressip/web: all nodes that may hold {A} are on one ESXi host, esx1"
    assert domain_notes(made, hosts, TITLES, {})["planned"] == [line]
    alone = run(egressip("web", A), planned=[("web", A, "node1")], ready=(1,))
    assert domain_notes(alone, hosts, TITLES, {})["planned"] == [], "headroom shows that no node may take it"


@pytest.mark.parametrize(("standby", "note"), [("node2", True), ("node3", False)])
def test_standbys_on_the_host_of_the_holder(standby, note):
    made = run(egressip("web", A), planned=[("web", A, "node1")], current=[(A, "node1")])
    made["plan"]["standbys"] = [{"egressIP": A, "order": [standby, "node1"]}]
    line = f"egressip/web: the holder and the standbys of {A} are on one ESXi host, esx1"
    notes = domain_notes(made, on(node1="esx1", node2="esx1", node3="esx2"), TITLES, {A: [standby, "node1"]})
    assert notes == {moment: [line] if note else [] for moment in ("planned", "current")}


def test_many_addresses_are_counted():
    addresses = [f"192.168.126.{n}" for n in range(100, 110)]
    planned = [("web", ip, "node1") for ip in addresses]
    (line,) = domain_notes(
        run(egressip("web", *addresses), planned=planned), on(node1="esx1", node2="esx1"), TITLES, {}
    )["planned"]
    assert line.startswith("egressip/web: 192.168.126.100, ")
    assert len(line) < 150


def test_a_node_whose_host_is_unknown_may_be_anywhere():
    made = run(WEB, planned=[("web", A, "node1"), ("web", B, "node3")])
    assert domain_notes(made, on(node1="esx1", node2="esx1"), TITLES, {})["planned"] == []


def test_a_host_for_each_node_needs_no_note():
    made = run(WEB, planned=[("web", A, "node1"), ("web", B, "node2")])
    assert domain_notes(made, on(node1="esx1", node2="esx2"), TITLES, {}) == {"planned": [], "current": []}
    assert domain_notes({"plan": {"assignments": []}, "fleet": {"current": []}}, {}, TITLES, {})["planned"] == []
