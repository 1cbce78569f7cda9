# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Questions about the plan of a run; the answers have tests of their own."""

from __future__ import annotations

import pytest
from ansible_collections.netops.egress_ip.plugins.module_utils._analysis.answers import Questions, answer
from ansible_collections.netops.egress_ip.plugins.module_utils._common.errors import EgressIPError
from ansible_collections.netops.egress_ip.plugins.module_utils._reconcile.run_plan import RunSettings, plan_run
from ansible_collections.netops.egress_ip.plugins.module_utils._solver.deadline import never

A, B = "192.168.126.101", "192.168.126.102"
LABELS = {"k8s.ovn.org/egress-assignable": "", "zone": "a"}
NOTHING = {"broken": [], "pooled": [], "namespaces": [], "pods": [], "nodes": [], "invalid": [], "ignored": []}


def egressip(name, *egress_ips):
    spec = {"egressIPs": list(egress_ips), "namespaceSelector": {}}
    return {"apiVersion": "k8s.ovn.org/v1", "kind": "EgressIP", "metadata": {"name": name}, "spec": spec}


def host(number, *held, **changes):
    own = f"192.168.126.2{number}"
    answer_of_node = {
        "interface": "eth0",
        "networks": [{"interface": "eth0", "addresses": [f"{own}/18"]}],
        "addresses": [own],
        "endpoints": [own],
        "held": [{"egressIP": ip, "interface": "eth0"} for ip in held],
        "generation": 0,
        "nodes": [],
        **changes,
    }
    return {"name": f"node{number}", "labels": LABELS, "observed": answer_of_node}


def answers_of(hosts, settings=None, start=lambda: never, namespaces=(), **questions):
    settings = RunSettings(**(settings or {}))
    documents = {**NOTHING, "egressips": [egressip("web", A), egressip("db", B)], "namespaces": list(namespaces)}
    run = plan_run(hosts, documents, settings, states=False)
    return answer(Questions(**questions), run, settings, start)


TWO = [host(1, A, B), host(2)]


def test_an_explanation_shows_the_networks_of_the_object():
    metadata = {"name": "shop", "annotations": {"egress-ip.netops/networks": "podman:web"}}
    found = {"network": "podman:web", "namespace": "", "cidrs": ["10.89.0.0/24"], "problem": ""}
    namespace = {"apiVersion": "v1", "kind": "Namespace", "metadata": metadata}
    lines = answers_of([host(1, A, B, named_networks=[found]), host(2)], namespaces=[namespace], explain=B)["explain"]
    assert lines[-3:] == [
        "NAMESPACE  NETWORK     NODE   ADDRESSES     OBJECTS",
        "shop       podman:web  node1  10.89.0.0/24  db, web",
        "shop       podman:web  node2  -             db, web",
    ]


def test_nothing_is_answered_that_is_not_asked():
    assert answers_of(TWO) == {}
    assert answers_of(TWO, explain=None) == {}


def test_each_question_has_its_answer():
    made = answers_of(TWO, what_if={"down": ["node2"]}, headroom=True, headroom_label="zone", price=True, explain=A)
    assert made["what_if"][0] == "If node2 is down:"
    # It is about the simulated fleet.
    assert made["headroom"][0] == "2 of 2 losses leave egress IPs without a node."
    assert made["price"][-1].split() == ["1", "2", "1", "1", "this", "run"]
    assert made["explain"][0].startswith(f"{A} of egressip/web is held by node1; ")


def test_traffic_is_known_without_a_plan():
    assert answers_of(TWO, traffic=True) == {"traffic": []}
    assert list(answers_of([host(1, problems=["nftables: is not installed"])], traffic=True)) == ["traffic"]


def test_headroom_alone_is_that_of_the_fleet_as_it_is():
    made = answers_of(TWO, headroom=True, headroom_label="rack")
    assert list(made) == ["headroom"]
    assert made["headroom"][0] == "Every egress IP still finds a place, whichever of these is lost."


def test_a_drain_in_force_keeps_moves_for_balance_out_of_the_question():
    """With node3 drained, node1 keeps both; a simulated label changes nothing of that."""
    settings = {"drain_nodes": ["node3"]}
    made = answers_of([*TWO, host(3)], settings, what_if={"nodes": {"node2": {"labels": {"rack": "r1"}}}}, price=True)
    assert "No egress IP changes its node or object." in made["what_if"]
    assert made["price"][1].split()[-2:] == ["this", "run"]


def test_a_run_that_stops_can_only_be_asked_where_an_egress_ip_could_be():
    hosts = [host(1, problems=["egress_ip_interface: no interface has a default route"]), host(2, A)]
    made = answers_of(hosts, {"min_available": 2}, what_if={"down": ["node2"]}, headroom=True, price=True, explain=A)
    assert list(made) == ["explain"]


@pytest.mark.parametrize(
    ("questions", "message"),
    [
        ({"what_if": None}, "egress_ip_what_if: must be a mapping, not null"),
        ({"what_if": {"down": ["node9"]}}, "egress_ip_what_if.down[0]: there is no node 'node9'; did you mean node2?"),
        ({"headroom": True, "headroom_label": ["a"]}, "egress_ip_headroom_label: must be a string, not a list"),
        ({"explain": 5}, "egress_ip_explain: must be a string, not the integer 5; put it in quotes"),
        ({"explain": "node1"}, "egress_ip_explain: 'node1' is not an IPv4 or IPv6 address"),
    ],
)
def test_a_malformed_question_is_an_error_that_names_the_variable(questions, message):
    with pytest.raises(EgressIPError) as caught:
        answers_of(TWO, **questions)
    assert str(caught.value) == message


def test_each_question_has_a_time_limit_of_its_own():
    started = []

    def start():
        started.append(None)
        return lambda: True

    questions = {"what_if": {"down": ["node2"]}, "headroom": True, "headroom_label": "zone", "price": True}
    made = answers_of(TWO, start=start, **questions, explain=A)
    assert len(started) == 4
    assert made["explain"][-1].startswith("egress_ip_plan_seconds ended the search: ")
