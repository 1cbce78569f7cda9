# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The candidate nodes of egress IPs, and the reasons against the others."""

from __future__ import annotations

import pytest
from ansible_collections.netops.egress_ip.plugins.module_utils._planner.assign import assign, read_plan_input
from ansible_collections.netops.egress_ip.plugins.module_utils._planner.requests import read_requests
from ansible_collections.netops.egress_ip.plugins.module_utils._solver.solve import Placement, UnprovenTerm
from hypothesis import given
from hypothesis import strategies as st
from planner_documents import LABEL, ZONE, current, egressip, in_zone, node, spread

REFUSED = [
    ("own address", "10.0.0.201", "AddressConflict", "10.0.0.201 is the own address of n1 (eth0)"),
    (
        "own address of an unlabelled node",
        "10.0.0.203",
        "AddressConflict",
        "10.0.0.203 is the own address of n3 (eth0)",
    ),
    ("network address", "10.0.0.0", "AddressConflict", "network or broadcast address of 10.0.0.0/24 on n1, n2, n3"),
    ("broadcast address", "10.0.0.255", "AddressConflict", "network or broadcast address of 10.0.0.0/24 on n1, n2, n3"),
    ("outside all networks", "10.9.0.1", "NoMatchingNode", "without a network that contains it: n1, n2, n3"),
    ("not ready", "10.0.0.1", "NoMatchingNode", "not ready: n1, n2"),
    ("not labelled", "10.0.0.1", "NoMatchingNode", f"without the label {LABEL}: n3"),
]


@pytest.mark.parametrize(
    ("address", "reason", "text"), [case[1:] for case in REFUSED], ids=[case[0] for case in REFUSED]
)
def test_refused_addresses_say_what_is_in_the_way(address, reason, text):
    nodes = [node(1, ready=False), node(2, ready=False), node(3, labels={})]
    plan = assign([egressip("a", address)], nodes)
    assert [(each.reason, text in each.message) for each in plan.unassigned] == [(reason, True)]


def test_no_nodes_at_all():
    message = assign([egressip("a", "10.0.0.1")], []).unassigned[0].message
    assert message == "no node can hold 10.0.0.1; the fleet has no nodes"


def test_many_nodes_are_counted_not_listed():
    message = assign([egressip("a", "10.0.0.1")], [node(n, ready=False) for n in range(1, 21)]).unassigned[0].message
    assert message.endswith("n15, n16 and 12 more")


def test_capacity_message_names_nodes_and_limits():
    nodes = [node(1, capacity=1), node(2, capacity={"ipv4": 0})]
    plan = assign([egressip("a", "10.0.0.1", "10.0.0.2")], nodes)
    assert plan.unassigned[0].reason == "CapacityExhausted"
    assert plan.unassigned[0].message == (
        "every node that could hold 10.0.0.2 is taken; at capacity: n2 (0 of 0 IPv4); "
        "with another address of egressip/a: n1 (10.0.0.1)"
    )


def test_an_address_without_a_node_beside_free_nodes_has_a_message(monkeypatch):
    """As a search leaves it that the time limit ends."""
    nothing = Placement((None,), 0, proven=False, gap=UnprovenTerm("unassigned", 1, 0))
    monkeypatch.setattr(f"{assign.__module__}.solve", lambda *_problem: nothing)
    plan = assign([egressip("a", "10.0.0.1")], [node(1), node(2, capacity=0)])
    assert plan.unassigned[0].reason == "CapacityExhausted"
    assert plan.unassigned[0].message == (
        "the time limit ended the search for a node for 10.0.0.1; free: n1; at capacity: n2 (0 of 0)"
    )


def candidates_of(documents, nodes, held=()):
    return read_plan_input(read_requests(documents), nodes, current(dict(held))).candidates


def names(nodes):
    return [each.name for each in nodes]


def selecting(name, *addresses, labels):
    document = egressip(name, *addresses)
    document["spec"]["egressNodeSelector"] = {"matchLabels": labels}
    return document


def test_addresses_with_the_same_possible_nodes_share_a_set():
    fast = {"rack": "fast"}
    documents = [
        egressip("a", "10.0.0.1", "10.0.0.2"),
        selecting("b", "10.0.0.3", labels=fast),
        selecting("c", "10.0.0.4", labels=fast),
        egressip("d", "10.9.0.1"),
    ]
    found = candidates_of(documents, [node(1), node(2, labels={LABEL: "", **fast}), node(3, ready=False)])
    sets = {address: found.node_set(address) for address in [f"10.0.0.{n}" for n in range(1, 5)]}
    assert sets["10.0.0.1"] == sets["10.0.0.2"] != sets["10.0.0.3"] == sets["10.0.0.4"]
    assert names(found.possible_nodes("10.0.0.1")) == ["n1", "n2"]
    assert names(found.nodes_of(sets["10.0.0.3"])) == ["n2"]
    assert found.possible_nodes("10.9.0.1") == found.possible_nodes("10.0.0.201") == ()


def test_an_end_of_a_network_is_possible_on_nodes_of_a_wider_one():
    wide = node(2, networks=[{"interface": "eth0", "addresses": ["10.0.0.202/16"]}])
    found = candidates_of([egressip("a", "10.0.0.255", "10.0.0.1")], [node(1), wide])
    assert names(found.possible_nodes("10.0.0.255")) == ["n2"]
    assert names(found.possible_nodes("10.0.0.1")) == ["n1", "n2"]


def test_the_object_that_claims_an_address_decides_about_its_nodes():
    documents = [selecting("a", "10.0.0.1", labels={"rack": "1"}), egressip("b", "10.0.0.2")]
    found = candidates_of(documents, [node(1), node(2, labels={"rack": "1"})])
    assert names(found.possible_nodes("10.0.0.1")) == ["n2"]
    found.claim("10.0.0.1", read_requests(documents).egressips[1])
    assert names(found.possible_nodes("10.0.0.1")) == ["n1"]


@given(st.lists(st.tuples(st.integers(1, 4), st.integers(1, 30)), max_size=20, unique_by=lambda pair: pair[1]))
def test_loads_limits_and_siblings_are_those_of_what_is_placed(pairs):
    nodes = [node(n, capacity={"ip": 3}) for n in range(1, 5)]
    documents = [egressip(f"e{number}", f"10.0.0.{tail}") for number, (_node, tail) in enumerate(pairs)]
    found = candidates_of(documents, nodes)
    for number, (where, tail) in enumerate(pairs):
        target = found.node(f"n{where}")
        before = sum(other == where for other, _tail in pairs[:number])
        assert found.load(target.name) == found.load(target.name, 4) == before
        assert found.can_take(target, f"e{number}", f"10.0.0.{tail}") == (before < 3)
        found.place(f"e{number}", f"10.0.0.{tail}", target)
        assert found.sibling(target, f"e{number}") == f"10.0.0.{tail}"
        assert not found.can_take(target, f"e{number}", "10.0.0.99")


def test_a_node_without_the_spread_label_is_a_domain_of_its_own():
    found = candidates_of([spread("a", "10.0.0.1", "10.0.0.2")], [in_zone(1, 7), in_zone(2, "7"), node(3), node(4)])
    domains = found.domains("a")
    assert domains["n1"] == domains["n2"]
    assert len({*domains.values()}) == 3
    found.place("a", "10.0.0.1", found.node("n1"))
    assert found.sibling_in_domain(found.node("n2"), "a") == ("10.0.0.1", "n1")
    assert found.sibling_in_domain(found.node("n3"), "a") is None
    assert found.domain_text(found.node("n2"), "a") == f"{ZONE}=7"
