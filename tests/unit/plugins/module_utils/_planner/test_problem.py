# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The solver's problem of a plan."""

from __future__ import annotations

from ansible_collections.netops.egress_ip.plugins.module_utils._planner.assign import read_plan_input, read_problem
from ansible_collections.netops.egress_ip.plugins.module_utils._planner.problem import problem_of
from ansible_collections.netops.egress_ip.plugins.module_utils._planner.requests import read_requests
from ansible_collections.netops.egress_ip.plugins.module_utils._solver.model import Address, NodeLoad
from planner_documents import LABEL, current, egressip, in_zone, node, spread

FIRST, SECOND, THIRD = "10.0.0.1", "10.0.0.2", "10.0.0.3"


def problem(documents, nodes, held=()):
    return read_problem(read_requests(documents), nodes, current(dict(held)))[1]


def test_addresses_are_numbered_by_object_and_nodes_by_name():
    nodes = [node(2), node(1, ready=False), node(3, labels={})]
    made = problem([egressip("b", THIRD), egressip("a", SECOND, FIRST)], nodes, {FIRST: "n2", SECOND: "n1"})
    assert made.wanted == [("a", FIRST), ("a", SECOND), ("b", THIRD)]
    assert made.addresses == [
        Address(0, 4, (1,), frozenset([1]), held=True),
        Address(0, 4, (1,), held=True),
        Address(1, 4, (1,)),
    ]
    assert made.nodes == [NodeLoad(), NodeLoad(), NodeLoad()]


def test_addresses_with_the_same_possible_nodes_share_the_tuple():
    found = problem([egressip("a", FIRST), egressip("b", SECOND)], [node(1), node(2)]).addresses
    assert found[0].nodes is found[1].nodes


def test_a_broken_object_leaves_its_load_and_capacity():
    """The broken object keeps its address, and is not part of the problem."""
    broken = egressip("a", FIRST)
    broken["spec"]["podSelector"] = "x"
    nodes = [node(1, capacity={"ip": 3, "ipv4": 2}), node(2)]
    made = problem([broken, egressip("b", SECOND)], nodes, {FIRST: "n1"})
    assert made.wanted == [("b", SECOND)]
    assert made.nodes == [NodeLoad(1, 2, (1, None)), NodeLoad()]


def test_limits_are_what_is_left():
    candidates = read_plan_input(read_requests([egressip("a", FIRST)]), [node(1, capacity=1)], []).candidates
    for number in range(3):
        candidates.place(f"b{number}", f"10.0.0.{10 + number}", candidates.node("n1"))
    assert problem_of(candidates, [("a", FIRST)]).nodes == [NodeLoad(3, 0)]


def test_weights_and_failure_domains_are_those_of_the_object():
    nodes = [in_zone(1, "x"), in_zone(2, "y"), in_zone(3, "x"), node(4, labels={LABEL: ""})]
    document = spread("a", FIRST, SECOND)
    document["metadata"]["annotations"]["egress-ip.netops/weight"] = "5"
    found = problem([document, spread("b", THIRD)], nodes).addresses
    assert [address.weight for address in found] == [5, 5, 1]
    first = found[0].domains
    assert first[0] == first[2]
    assert len({*first}) == 3
    # One address alone is in no other one's domain.
    assert found[2].domains == ()
