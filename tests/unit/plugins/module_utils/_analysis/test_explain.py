# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which nodes could hold an egress IP.

golden/explain/CASE holds question.yml (the address, and the options of the next run), egressips.yml, fleet.yml (what
the question needs of it), explanation.yml and explanation.txt.
"""

from __future__ import annotations

import copy
import itertools
import json
from collections import Counter

import pytest
from ansible.errors import AnsibleFilterError
from ansible_collections.netops.egress_ip.plugins.filter.explain import FilterModule
from ansible_collections.netops.egress_ip.plugins.module_utils._analysis import explain as explain_module
from ansible_collections.netops.egress_ip.plugins.module_utils._analysis.explain import explain
from ansible_collections.netops.egress_ip.plugins.module_utils._planner.requests import read_requests
from hypothesis import given
from hypothesis import strategies as st

LABEL = "k8s.ovn.org/egress-assignable"
EXPLAIN = FilterModule().filters()["explain"]


def egressip(name, *addresses):
    spec = {"egressIPs": list(addresses), "namespaceSelector": {}}
    return {"apiVersion": "k8s.ovn.org/v1", "kind": "EgressIP", "metadata": {"name": name}, "spec": spec}


def node(number, **more):
    networks = [{"interface": "eth0", "addresses": [f"10.0.0.{200 + number}/24"]}]
    return {"name": f"n{number}", "labels": {LABEL: ""}, "networks": networks, **more}


def fleet(nodes, held):
    current = [{"egressIP": address, "node": name} for address, name in held.items()]
    return {"nodes": nodes, "current": current, "unavailable": [], "observed": {each["name"]: {} for each in nodes}}


def wanted(documents):
    """The Requests of documents without pools."""
    return read_requests(documents, {})


def answers(explanation):
    return {answer.node: answer for answer in explanation.answers}


@pytest.mark.golden("explain")
def test_explain(golden):
    question, seen = golden["question"][0], {"unavailable": [], "observed": {}, **golden["fleet"][0]}
    before = copy.deepcopy((golden["egressips"], seen))
    made = explain(question.pop("egress_ip"), wanted(golden["egressips"]), seen, **question).to_dict()
    assert (golden["egressips"], seen) == before
    assert json.loads(json.dumps(made)) == made
    golden.check("explanation.txt", "\n".join([*made.pop("lines"), ""]))
    golden.check("explanation.yml", made)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("10.0.0.300", "egress_ip_explain: '10.0.0.300' is not an IPv4 or IPv6 address"),
        ("127.0.0.1", "egress_ip_explain: '127.0.0.1' is a loopback address, which cannot be an egress IP"),
        (5, "egress_ip_explain: must be a string, not the integer 5; put it in quotes"),
    ],
)
def test_what_is_no_egress_ip_is_refused(text, message):
    with pytest.raises(AnsibleFilterError) as caught:
        EXPLAIN([], fleet([node(1)], {}), text)
    assert str(caught.value) == message


def test_any_spelling_will_do():
    nodes = [node(1, networks=[{"interface": "eth0", "addresses": ["2001:db8::201/64"]}])]
    made = EXPLAIN([egressip("a", "2001:db8::1")], fleet(nodes, {"2001:db8::1": "n1"}), "2001:DB8:0::1")
    assert (made["names"], made["held_by"]) == (["a"], ["n1"])


def test_in_a_large_fleet_the_nodes_with_most_room_are_tried(monkeypatch):
    monkeypatch.setattr(explain_module, "_ADDRESSES_PLANNED", 6)
    monkeypatch.setattr(explain_module, "_FEWEST_PLANS", 1)
    held = {"10.0.0.1": "n1", "10.0.0.2": "n2"}
    documents = [egressip("a", "10.0.0.1"), egressip("b", "10.0.0.2")]
    found = answers(explain("10.0.0.1", wanted(documents), fleet([node(n) for n in range(1, 6)], held)))
    assert {name: answer.can for name, answer in found.items()} == {
        "n1": "holds",
        "n2": "not tried",
        "n3": "yes",
        "n4": "yes",
        "n5": "yes",
    }


def can(found):
    return {name: answer.can for name, answer in found.items()}


@pytest.mark.parametrize("third", ["n0", "n1"])
def test_a_node_can_have_it_only_if_all_others_keep_a_place(third):
    """The second object needs the only place on n1."""
    documents = [egressip("e0", "10.0.0.1"), egressip("e1", "10.0.0.2", "10.0.0.3")]
    held = {"10.0.0.1": "n0", "10.0.0.2": "n0", "10.0.0.3": third}
    found = answers(explain("10.0.0.1", wanted(documents), fleet([node(0), node(1, capacity=1)], held)))
    assert can(found) == {"n0": "holds", "n1": "no"}
    assert found["n1"].why == ("at capacity: 1 of 1",)


def test_an_address_without_a_place_takes_nobody_elses():
    documents = [egressip(name, f"10.0.0.{n}") for n, name in enumerate("abc", 1)]
    nodes = [node(1, capacity=1), node(2, capacity=1)]
    found = answers(explain("10.0.0.3", wanted(documents), fleet(nodes, {"10.0.0.1": "n1", "10.0.0.2": "n2"})))
    assert can(found) == {"n1": "no", "n2": "no"}


def test_an_address_that_only_a_broken_object_names():
    documents = [egressip("a", "10.0.0.7", "x"), egressip("b", "10.0.0.8")]
    made = explain("10.0.0.7", wanted(documents), fleet([node(1)], {})).to_dict()
    assert (made["names"], made["nodes"][0]["can"]) == (["a"], "no")
    assert made["lines"][:2] == [
        "10.0.0.7 of egressip/a is held by no node; the next run leaves it alone.",
        "egressip/a: spec.egressIPs[1]: 'x' is not an IPv4 or IPv6 address",
    ]


def test_a_broken_object_that_names_an_address_of_another_one():
    documents = [egressip("a", "10.0.0.7", "x"), egressip("b", "10.0.0.7")]
    made = explain("10.0.0.7", wanted(documents), fleet([node(1), node(2)], {}))
    assert made.names == ("b", "a")
    assert made.errors == ("egressip/a: spec.egressIPs[1]: 'x' is not an IPv4 or IPv6 address",)
    assert can(answers(made)) == {"n1": "yes", "n2": "yes"}


def test_no_object_is_taken_for_the_one_that_is_only_simulated():
    documents = [egressip("not-in-any-manifest", "10.0.0.7")]
    assert can(answers(explain("10.0.0.8", wanted(documents), fleet([node(1)], {"10.0.0.7": "n1"})))) == {"n1": "yes"}


def test_of_two_holders_one_gives_it_up():
    seen = fleet([node(1), node(2)], {})
    seen["current"] = [{"egressIP": "10.0.0.1", "node": name} for name in ("n1", "n2")]
    made = explain("10.0.0.1", wanted([egressip("a", "10.0.0.1")]), seen)
    assert made.next_run == "the next run leaves it on n1 and takes it off n2"


@st.composite
def worlds(draw):
    """Small fleets in which every address has a node: ({object: addresses}, capacities, {address: node})."""
    count, tails = draw(st.integers(2, 3)), iter(range(1, 9))
    objects = {f"e{n}": [f"10.0.0.{next(tails)}" for _i in range(draw(st.integers(1, 2)))] for n in range(2)}
    held = {a: draw(st.sampled_from([f"n{n}" for n in range(count)])) for group in objects.values() for a in group}
    return objects, [draw(st.none() | st.integers(1, 3)) for _n in range(count)], held


def placements(objects, limits):
    """Yield each {address: node} that keeps the rules."""
    groups = [
        [dict(zip(group, nodes, strict=True)) for nodes in itertools.permutations(limits, len(group))]
        for group in objects.values()
    ]
    for parts in itertools.product(*groups):
        placement = {address: name for part in parts for address, name in part.items()}
        counts = Counter(placement.values())
        if all(limits[name] is None or counts[name] <= limits[name] for name in counts):
            yield placement


@given(worlds(), st.data())
def test_costs_are_those_of_the_best_of_all_placements(world, data):
    objects, capacities, held = world
    address = data.draw(st.sampled_from(sorted(held)))
    limits = {f"n{n}": capacity for n, capacity in enumerate(capacities)}
    price = {}
    for placement in placements(objects, limits):
        loads = Counter(placement.values())
        cost = (sum(placement[a] != held[a] for a in held), sum(count * count for count in loads.values()))
        for key in (placement[address], None):
            price[key] = min(price.get(key, cost), cost)
    nodes = [node(n, capacity=capacity) for n, capacity in enumerate(capacities)]
    documents = [egressip(name, *group) for name, group in objects.items()]
    if not price:
        return
    for name, answer in answers(explain(address, wanted(documents), fleet(nodes, held))).items():
        if answer.can == "yes":
            least, best = price[None], price[name]
            assert (answer.moves, answer.before.squares, answer.after.squares) == (
                best[0] - least[0],
                least[1],
                best[1],
            )
        elif answer.can != "holds":
            assert (answer.can, name in price) == ("no", False)


def test_when_the_time_is_over_the_other_nodes_are_not_tried():
    documents, seen = [egressip("a", "10.0.0.1")], fleet([node(1), node(2), node(3)], {"10.0.0.1": "n1"})
    late = explain("10.0.0.1", wanted(documents), seen, deadline=lambda: True).to_dict()
    assert [(each["can"], each.get("proven", True)) for each in late["nodes"]] == [
        ("holds", True),
        ("not tried", False),
        ("not tried", False),
    ]
    assert late["lines"][-1].startswith("egress_ip_plan_seconds ended the search: ")
    ticks = itertools.count()
    some = explain("10.0.0.1", wanted(documents), seen, deadline=lambda: next(ticks) > 1).to_dict()
    assert [each["can"] for each in some["nodes"]].count("not tried") < 2
    assert "egress_ip_plan_seconds" not in str(EXPLAIN(documents, seen, "10.0.0.1"))
