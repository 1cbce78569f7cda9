# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The filter, documents in and plan out, against all placements that the rules of the documents allow.

The rules are written here once more, from the words of the design and with no look at the planner's own types.
"""

from __future__ import annotations

import copy
import itertools
from collections import Counter
from ipaddress import ip_address, ip_interface

from ansible_collections.netops.egress_ip.plugins.filter.assign import FilterModule
from ansible_collections.netops.egress_ip.plugins.module_utils._planner.assign import assign
from ansible_collections.netops.egress_ip.plugins.module_utils._planner.plan import Gap, Plan
from ansible_collections.netops.egress_ip.plugins.module_utils._solver.deadline import never
from hypothesis import given, settings
from hypothesis import strategies as st

ASSIGN = FilterModule().filters()["assign"]
LABEL = "k8s.ovn.org/egress-assignable"
SELECTOR = "egress-ip.netops/node-selector"
SELECTS = {
    None: lambda labels: True,
    "zone=a": lambda labels: labels.get("zone") == "a",
    "zone notin (a)": lambda labels: labels.get("zone") != "a",
}
# spec.egressNodeSelector, which replaces the label: absent, the default, every node, a label of its own.
NODES_OF_SPEC = [
    (None, lambda labels: LABEL in labels),
    ({"matchExpressions": [{"key": LABEL, "operator": "Exists"}]}, lambda labels: LABEL in labels),
    ({}, lambda labels: True),
    ({"matchLabels": {"zone": "a"}}, lambda labels: labels.get("zone") == "a"),
]
# The ends of networks, nodes' own addresses, one that only the wider network contains, one that none does.
ADDRESSES = ["10.0.0.0", "10.0.0.1", "10.0.0.5", "10.0.0.7", "10.0.0.20", "10.9.0.1", "fd00::", "fd00::1", "fd00::9"]
FORMS = {"fd00::9": "FD00:0::0009"}


@st.composite
def fleets(draw):
    """Valid objects that request different addresses, up to three nodes, and the present assignments."""
    free = draw(st.permutations(ADDRESSES))[: draw(st.integers(0, 5))]
    documents = []
    while free:
        size = draw(st.integers(1, min(3, len(free))))
        mine, free = free[:size], free[size:]
        selector = draw(st.sampled_from(list(SELECTS)))
        metadata = {"name": f"e{len(documents)}", **({"annotations": {SELECTOR: selector}} if selector else {})}
        spec = {"egressIPs": [FORMS.get(each, each) for each in mine], "namespaceSelector": {}}
        of_spec = draw(st.sampled_from([each for each, _selects in NODES_OF_SPEC]))
        spec.update({} if of_spec is None else {"egressNodeSelector": of_spec})
        documents.append({"apiVersion": "k8s.ovn.org/v1", "kind": "EgressIP", "metadata": metadata, "spec": spec})
    nodes = []
    for n in range(1, draw(st.integers(1, 3)) + 1):
        networks = draw(st.sampled_from((f"10.0.0.{n}/29 fd00::{n}/64", f"10.0.0.{n}/24", f"fd00::{n}/125", "")))
        limit = st.none() | st.integers(0, 2)
        capacity = draw(limit | st.fixed_dictionaries({}, optional={"ip": limit, "ipv4": limit, "ipv6": limit}))
        nodes.append(
            {
                "name": f"n{n}",
                "labels": draw(
                    st.sampled_from(({LABEL: ""}, {LABEL: None, "zone": "a"}, {LABEL: "no"}, {"zone": "a"}))
                ),
                "ready": draw(st.sampled_from((True, True, True, False))),
                "networks": [{"interface": f"eth{i}", "addresses": [a]} for i, a in enumerate(networks.split())],
                "capacity": capacity,
            }
        )
    entry = st.fixed_dictionaries({"egressIP": st.sampled_from(ADDRESSES), "node": st.sampled_from(["n1", "n2", "n4"])})
    return documents, nodes, draw(st.lists(entry, max_size=5))


def may_hold(node, address, document):
    """Return whether a node may hold an address of an object as far as its own rules go."""
    annotation = document["metadata"].get("annotations", {}).get(SELECTOR)
    of_spec = document["spec"].get("egressNodeSelector")
    selects = [SELECTS[annotation], next(selects for each, selects in NODES_OF_SPEC if each == of_spec)]
    if not node["ready"] or not all(each(node["labels"]) for each in selects):
        return False
    own = [ip_interface(text) for network in node["networks"] for text in network["addresses"]]
    around = [each.network for each in own if each.version == address.version and address in each.network]
    if not around:
        return False
    network = max(around, key=lambda each: each.prefixlen)
    ends = [network.network_address, *([network.broadcast_address] if network.version == 4 else [])]
    return address not in ends


def limits_of(node):
    capacity = node["capacity"]
    return capacity if isinstance(capacity, dict) else {"ip": capacity}


def keeps_limits(wanted, nodes, placement):
    """Return whether a placement keeps the capacities, with no two addresses of one object on a node."""
    pairs = [(name, address, node) for (name, address), node in zip(wanted, placement, strict=True) if node]
    if any(count > 1 for count in Counter((name, node) for name, _address, node in pairs).values()):
        return False
    for node in nodes:
        versions = [address.version for _name, address, where in pairs if where == node["name"]]
        counts = {"ip": len(versions), "ipv4": versions.count(4), "ipv6": versions.count(6)}
        if any(limit is not None and counts[kind] > limit for kind, limit in limits_of(node).items()):
            return False
    return True


def best(documents, nodes, current, policy, max_moves):
    """Return {address: node} of the best of all placements."""
    own = {ip_interface(text).ip for node in nodes for net in node["networks"] for text in net["addresses"]}
    wanted = [
        (document["metadata"]["name"], ip_address(text), document)
        for document in documents
        for text in document["spec"]["egressIPs"]
    ]
    wanted.sort(key=lambda each: (each[0], each[1].version, each[1]))
    choices = [
        [node["name"] for node in nodes if address not in own and may_hold(node, address, document)]
        for _name, address, document in wanted
    ]
    wanted = [(name, address) for name, address, _document in wanted]
    held = [{entry["node"] for entry in current if ip_address(entry["egressIP"]) == each[1]} for each in wanted]

    def measured(placement):
        loads = Counter(filter(None, placement))
        pairs = list(zip(placement, held, choices, strict=True))
        # What can be nowhere moves in no placement or in all, so that it makes no difference.
        moves = sum(bool(holders) and node not in holders for node, holders, _possible in pairs)
        names = [(node is None, node not in holders, node or "") for node, holders, _possible in pairs]
        return placement.count(None), sum(load * load for load in loads.values()), moves, names

    every = [each for each in itertools.product(*([*c, None] for c in choices)) if keeps_limits(wanted, nodes, each)]
    fewest_left = min(each.count(None) for each in every)
    every = [(*measured(each), each) for each in every if each.count(None) == fewest_left]
    if policy == "sticky":
        found = min(every, key=lambda each: (each[2], each[1], each[3]))
    else:
        fewest = min(moves for _left, _squares, moves, _names, _each in every)
        cap = len(wanted) if max_moves is None else fewest + max_moves
        found = min((each for each in every if each[2] <= cap), key=lambda each: each[:4])
    return {str(address): node for (_name, address), node in zip(wanted, found[4], strict=True) if node}


@settings(max_examples=300)
@given(fleets(), st.sampled_from(("balanced", "sticky")), st.none() | st.integers(0, 2))
def test_the_plan_of_documents_is_the_best_of_all(fleet, policy, max_moves):
    plan = ASSIGN(*fleet, policy, max_moves)
    assert plan["invalid"] == []
    assert {each["egressIP"]: each["node"] for each in plan["assignments"]} == best(*fleet, policy, max_moves)


@given(fleets(), st.randoms(use_true_random=False))
def test_the_order_within_documents_does_not_matter(fleet, chance):
    plan = ASSIGN(*fleet)
    again = copy.deepcopy(fleet)
    for document in again[0]:
        chance.shuffle(document["spec"]["egressIPs"])
        document["metadata"] = dict(reversed(document["metadata"].items()))
    for node in again[1]:
        # The primary network comes first, but for these nodes it does not matter which one it is.
        chance.shuffle(node["networks"])
    made = ASSIGN(*again)
    assert {**made, "egressips": None} == {**plan, "egressips": None}


def spread_fleet(objects):
    """Dual-stack objects, spread over two zones; one of six nodes has no IPv6, and each takes few of a version."""
    documents = [
        {
            "apiVersion": "k8s.ovn.org/v1",
            "kind": "EgressIP",
            "metadata": {"name": f"e{number:02}", "annotations": {"egress-ip.netops/spread": "zone"}},
            "spec": {"egressIPs": [*addresses_of(number)], "namespaceSelector": {}},
        }
        for number in range(objects)
    ]
    nodes = [
        {
            "name": f"n{number}",
            "labels": {LABEL: "", "zone": "ab"[number % 2]},
            "networks": [
                {
                    "interface": "eth0",
                    "addresses": [f"10.0.0.{number + 1}/24", *([f"fd00::{number + 1}/64"] * (number > 0))],
                }
            ],
            "capacity": {"ipv4": objects // 2, "ipv6": objects // 2},
        }
        for number in range(6)
    ]
    return documents, nodes


def addresses_of(number):
    return (
        f"10.0.0.{100 + 2 * number}",
        f"10.0.0.{101 + 2 * number}",
        f"fd00::{100 + 2 * number}",
        f"fd00::{101 + 2 * number}",
    )


def test_a_plan_that_the_time_limit_ends_has_a_gap():
    documents, nodes = spread_fleet(10)
    plans = [assign(documents, nodes, deadline=deadline) for deadline in (never, lambda: True)]
    assert [len(plan.assignments) for plan in plans] == [40, 40]
    assert "proven" not in plans[0].to_dict()
    for plan in plans:
        assert Plan.from_dict(plan.to_dict()) == plan
        assert ("proven" in plan.to_dict()) == (plan.gap is not None)


def test_the_gap_is_the_first_objective_that_is_not_proven():
    plan = Plan(gap=Gap("squares", 96, 94)).to_dict()
    assert (plan["proven"], plan["gap"]) == (False, {"objective": "squares", "value": 96, "lower_bound": 94})
