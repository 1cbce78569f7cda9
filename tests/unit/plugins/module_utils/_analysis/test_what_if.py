# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What would be, and what a fleet can bear.

golden/what_if/CASE holds egressips.yml, fleet.yml (its nodes, current and observed), changes.yml, answer.yml and
answer.txt; in headroom.txt is what the fleet of the answer can bear, with the label zone.
"""

from __future__ import annotations

import copy
import json

import pytest
from ansible.errors import AnsibleFilterError
from ansible_collections.netops.egress_ip.plugins.filter.headroom import FilterModule as Headroom
from ansible_collections.netops.egress_ip.plugins.filter.what_if import FilterModule as WhatIf
from ansible_collections.netops.egress_ip.plugins.module_utils._planner.assign import assign
from hypothesis import given
from hypothesis import strategies as st

LABEL = "k8s.ovn.org/egress-assignable"
WHAT_IF = WhatIf().filters()["what_if"]
HEADROOM = Headroom().filters()["headroom"]


def egressip(name, *addresses):
    spec = {"egressIPs": list(addresses), "namespaceSelector": {}}
    return {"apiVersion": "k8s.ovn.org/v1", "kind": "EgressIP", "metadata": {"name": name}, "spec": spec}


def node(number, **more):
    networks = [{"interface": "eth0", "addresses": [f"10.0.0.{200 + number}/24"]}]
    return {"name": f"n{number}", "labels": {LABEL: ""}, "ready": True, "networks": networks, "capacity": None, **more}


def fleet(nodes, current=()):
    return {"nodes": nodes, "current": list(current), "observed": {each["name"]: {} for each in nodes}}


def ask(changes, documents, seen, **options):
    """Ask about the fleet as its next run makes it."""
    plan = assign(documents, seen["nodes"], seen["current"]).to_dict()
    return WHAT_IF(plan, documents, seen, changes, **options)


@pytest.mark.golden("what_if")
def test_what_if(golden):
    documents, seen, changes = golden["egressips"], golden["fleet"][0], golden["changes"][0]
    before = copy.deepcopy((documents, seen, changes))
    answer = ask(changes, documents, seen)
    assert json.loads(json.dumps(answer)) == answer
    golden.check("headroom.txt", "\n".join([*HEADROOM(answer.pop("world"), "zone")["lines"], ""]))
    golden.check("answer.txt", "\n".join([*answer.pop("lines"), ""]))
    golden.check("answer.yml", answer)
    assert (documents, seen, changes) == before


REFUSED = [
    (None, "egress_ip_what_if: must be a mapping, not null"),
    (["n1"], "egress_ip_what_if: must be a mapping, not a list"),
    ({"dwon": ["n1"]}, "egress_ip_what_if.dwon: unknown field; did you mean down?"),
    ({"down": "n1"}, "egress_ip_what_if.down: must be a list, not the string 'n1'"),
    ({"down": ["n1", "N2"]}, "egress_ip_what_if.down[1]: there is no node 'N2'; did you mean n2?"),
    ({"drain": [7]}, "egress_ip_what_if.drain[0]: must be a string, not the integer 7; put it in quotes"),
    ({"nodes": ["n1"]}, "egress_ip_what_if.nodes: must be a mapping, not a list"),
    ({"nodes": {"n1": {"label": {}}}}, "egress_ip_what_if.nodes.n1.label: unknown field; did you mean labels?"),
    (
        {"nodes": {"n1": {"labels": "zone"}}},
        "egress_ip_what_if.nodes.n1.labels: must be a mapping, not the string 'zone'",
    ),
    (
        {"nodes": {"n1": {"remove_labels": "zone"}}},
        "egress_ip_what_if.nodes.n1.remove_labels: must be a list, not the string 'zone'",
    ),
    (
        {"nodes": {"n1": {"remove_labels": [LABEL, "k8s.ovn.org/egress-asignable"]}}},
        "egress_ip_what_if.nodes.n1.remove_labels[1]: there is no label of n1 'k8s.ovn.org/egress-asignable'; did you"
        " mean k8s.ovn.org/egress-assignable?",
    ),
    (
        {"nodes": {"n1": {"capacity": -1}}},
        "egress_ip_what_if.nodes.n1.capacity: must be an integer of 0 or more, or left out for no limit, not the"
        " integer -1",
    ),
    (
        {"nodes": {"n9": {"labels": {}}}},
        "egress_ip_what_if.nodes.n9.networks: is missing; there is no node of this name, and a new one needs them",
    ),
    (
        {"nodes": {"n9": {"networks": [{"interface": "eth0", "addresses": ["10.0.0.9"]}]}}},
        "egress_ip_what_if.nodes.n9.networks[0].addresses[0]: '10.0.0.9' has no prefix length; write an address with a"
        " prefix length",
    ),
    (
        {"egressips": {"a": {"egressIPs": ["10.0.0.300"]}}},
        "egress_ip_what_if.egressips.a.egressIPs[0]: '10.0.0.300' is not an IPv4 or IPv6 address",
    ),
    (
        {"egressips": {"a": {"egressIP": []}}},
        "egress_ip_what_if.egressips.a.egressIP: unknown field; did you mean egressIPs?",
    ),
    ({"egressips": {"b": {}}}, "egress_ip_what_if.egressips.b.egressIPs: is missing"),
    (
        {"egressips": {"a": {"annotations": []}}},
        "egress_ip_what_if.egressips.a.annotations: must be a mapping, not a list",
    ),
    (
        {"egressips": {"a": {"annotations": {"egress-ip.netops/pool": "prod"}}}},
        "egress_ip_what_if.egressips.a.annotations['egress-ip.netops/pool']: cannot be supposed; write the addresses"
        " under egressIPs",
    ),
    (
        {"egressips": {"a": {"annotations": {"egress-ip.netops/node-selector": "a b"}}}},
        "egress_ip_what_if.egressips.a.annotations['egress-ip.netops/node-selector'][0]: 'a b' is not a valid"
        " requirement; write key, !key, key=value, key!=value, key in (a,b) or key notin (a,b)",
    ),
    ({"removed_egressips": ["b"]}, "egress_ip_what_if.removed_egressips[0]: there is no EgressIP 'b'"),
    (
        {"removed_egressips": ["a"], "egressips": {"a": {}}},
        "egress_ip_what_if.egressips.a: is among removed_egressips too",
    ),
]


@pytest.mark.parametrize(("changes", "message"), REFUSED)
def test_what_cannot_be_supposed_is_refused_with_its_path(changes, message):
    with pytest.raises(AnsibleFilterError) as caught:
        ask(changes, [egressip("a", "10.0.0.1")], fleet([node(1), node(2)]))
    assert str(caught.value) == message


def test_every_error_is_named():
    with pytest.raises(AnsibleFilterError) as caught:
        ask({"down": ["x"], "drain": ["y"]}, [], fleet([node(1)]))
    assert [text.split(":")[0] for text in str(caught.value).split("; ")] == [
        "egress_ip_what_if.down[0]",
        "egress_ip_what_if.drain[0]",
    ]


def test_what_is_supposed_twice_is_said_once():
    answer = ask({"down": ["n1", "n1"], "drain": ["n2", "n2"]}, [], fleet([node(1), node(2)]))
    assert answer["supposed"] == ["n1 is down", "n2 is drained"]


def test_what_the_next_run_changes_anyway_is_not_blamed_on_the_question():
    documents = [egressip(name, f"10.0.0.{n}") for n, name in enumerate("abcd", 1)]
    held = [{"egressIP": f"10.0.0.{n}", "node": "n1"} for n in range(1, 5)]
    answer = ask({"nodes": {"n1": {"labels": {"zone": "a"}}}}, documents, fleet([node(1), node(2)], held))
    assert answer["changes"] == []
    assert answer["load"] == {"n1": {"before": 2, "after": 2}, "n2": {"before": 2, "after": 2}}


def test_a_run_without_enough_nodes_would_stop():
    documents, seen = [egressip("a", "10.0.0.1")], fleet([node(1), node(2)])
    stops = "A run would stop and move nothing: egress_ip_min_available requires more nodes that answer."
    told = {count: stops in ask({"down": ["n2"]}, documents, seen, min_available=count)["lines"] for count in (1, 2)}
    assert told == {1: False, 2: True}
    drained = ask({"drain": ["n2"]}, documents, seen, min_available=2)
    assert stops not in drained["lines"]


def test_a_question_may_be_about_an_object_with_errors():
    documents = [egressip("a", "10.0.0.x")]
    answer = ask({"egressips": {"a": {"egressIPs": ["10.0.0.1"]}}}, documents, fleet([node(1)]))
    assert [(change["egressIP"], change["to"]) for change in answer["changes"]] == [("10.0.0.1", "n1")]


def test_an_egress_ip_that_goes_to_another_object_is_a_change():
    documents = [egressip("a", "10.0.0.1"), egressip("b", "10.0.0.1")]
    answer = ask({"removed_egressips": ["a"]}, documents, fleet([node(1)], [{"egressIP": "10.0.0.1", "node": "n1"}]))
    assert answer["changes"] == [
        {
            "name": "b",
            "egressIP": "10.0.0.1",
            "from": "n1",
            "to": "n1",
            "reason": "OtherObject",
            "message": "egressip/a has it now",
        }
    ]


def test_a_drain_that_is_supposed_moves_nothing_for_balance():
    """Only what is on n3 moves, though n1 has far more than n2."""
    documents = [egressip(f"e{n}", f"10.0.0.{n}") for n in range(1, 8)]
    held = [{"egressIP": f"10.0.0.{n}", "node": "n1" if n < 7 else "n3"} for n in range(1, 8)]
    seen = fleet([node(1), node(2), node(3)], held)
    plan = assign(documents, seen["nodes"], seen["current"], max_moves=0).to_dict()
    changes = WHAT_IF(plan, documents, seen, {"drain": ["n3"]})["changes"]
    assert [(change["egressIP"], change["to"]) for change in changes] == [("10.0.0.7", "n2")]


@st.composite
def fleets(draw):
    """Nodes in zones, some of them full or unfit, and objects of several addresses."""
    nodes = [
        node(
            n,
            ready=draw(st.sampled_from((True, True, False))),
            labels=draw(
                st.sampled_from(({LABEL: "", "zone": "a"}, {LABEL: "", "zone": "b"}, {LABEL: ""}, {"zone": "a"}))
            ),
            capacity=draw(st.none() | st.integers(0, 2)),
        )
        for n in range(draw(st.integers(1, 4)))
    ]
    tails = iter(range(1, 20))
    objects = [
        egressip(f"e{n}", *(f"10.0.0.{next(tails)}" for _address in range(draw(st.integers(1, 3)))))
        for n in range(draw(st.integers(0, 3)))
    ]
    return objects, nodes


@given(fleets())
def test_to_suppose_nothing_changes_nothing(world):
    objects, nodes = world
    answer = ask({}, objects, fleet(nodes))
    assert answer["changes"] == []
    assert {load["before"] == load["after"] for load in answer["load"].values()} <= {True}


@given(fleets())
def test_headroom_is_what_the_planner_says_of_each_loss(world):
    objects, nodes = world
    answer = ask({}, objects, fleet(nodes))
    now = len(answer["unassigned"])
    losses = HEADROOM(answer["world"], "zone")["losses"]
    holders = {each["node"] for each in answer["world"]["current"]}
    assert [loss["nodes"][0] for loss in losses if loss["domain"] is None] == sorted(holders)
    for loss in losses:
        left = [{**each, "ready": each["ready"] and each["name"] not in loss["nodes"]} for each in nodes]
        assert len(loss["unassigned"]) == len(assign(objects, left).unassigned) - now
        assert loss["holding"] == sum(each["node"] in loss["nodes"] for each in answer["world"]["current"])


def test_a_loss_that_leaves_too_few_nodes_stops_a_run():
    nodes = [node(1, labels={LABEL: "", "zone": "a"}), node(2, labels={LABEL: "", "zone": "a"}), node(3)]
    world = ask({}, [egressip("a", "10.0.0.1")], fleet(nodes), min_available="50%")["world"]
    assert [(loss["domain"], loss["stops"]) for loss in HEADROOM(world, "zone")["losses"]] == [
        (None, False),
        ("a", True),
    ]
    assert HEADROOM(world, "rack")["outside"] == []


def test_headroom_does_not_hide_what_has_no_place_already():
    nodes = [node(1, capacity=1), node(2, capacity=1), node(3)]
    documents = [egressip("a", "10.0.0.1"), egressip("b", "192.168.0.1")]
    made = HEADROOM(ask({}, documents, fleet(nodes))["world"], "zone")
    assert made["lines"][0] == "Every egress IP that has a node now still finds a place, whichever of these is lost."
    assert made["lines"][-2:] == ["Without a node already:", "  192.168.0.1 of b (NoMatchingNode)"]
    assert [each["egressIP"] for each in made["unassigned"]] == ["192.168.0.1"]


def test_headroom_of_a_fleet_that_holds_nothing():
    made = HEADROOM(ask({}, [egressip("b", "192.168.0.1")], fleet([node(1)]))["world"], "zone")
    assert made["lines"] == [
        "No node holds an egress IP, so none can be lost.",
        "",
        "Without a node already:",
        "  192.168.0.1 of b (NoMatchingNode)",
    ]


def test_failure_domains_are_the_values_as_kubernetes_has_them():
    values = [True, "true", None, ""]
    nodes = [node(n, labels={LABEL: "", "zone": value}) for n, value in enumerate(values, 1)]
    losses = HEADROOM(ask({}, [egressip("a", "10.0.0.1")], fleet(nodes))["world"], "zone")["losses"]
    domains = {loss["domain"]: loss["nodes"] for loss in losses if loss["domain"] is not None}
    assert domains == {"": ["n3", "n4"], "true": ["n1", "n2"]}


@pytest.mark.parametrize("label", [["zone"], None, 5, " "])
def test_a_label_that_is_none_is_refused(label):
    with pytest.raises(AnsibleFilterError, match="^egress_ip_headroom_label: "):
        HEADROOM(ask({}, [], fleet([node(1)]))["world"], label)
