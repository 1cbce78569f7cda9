# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The price of balance, and what a drain takes away.

golden/price/CASE holds egressips.yml, fleet.yml (nodes and current), run.yml (policy and max_moves) and price.txt.
"""

from __future__ import annotations

import copy
import itertools
import json
from collections import Counter

import pytest
from ansible_collections.netops.egress_ip.plugins.filter.price import FilterModule as Price
from ansible_collections.netops.egress_ip.plugins.module_utils._analysis.balance_cost import price_of
from ansible_collections.netops.egress_ip.plugins.module_utils._planner.assign import assign
from ansible_collections.netops.egress_ip.plugins.module_utils._planner.requests import read_requests
from ansible_collections.netops.egress_ip.plugins.module_utils._reconcile.run_plan import drain_losses
from ansible_collections.netops.egress_ip.plugins.module_utils._solver.deadline import never
from hypothesis import given
from hypothesis import strategies as st

LABEL = "k8s.ovn.org/egress-assignable"
PRICE = Price().filters()["price"]


def egressip(name, *addresses):
    spec = {"egressIPs": list(addresses), "namespaceSelector": {}}
    return {"apiVersion": "k8s.ovn.org/v1", "kind": "EgressIP", "metadata": {"name": name}, "spec": spec}


def node(number, **more):
    networks = [{"interface": "eth0", "addresses": [f"10.0.0.{200 + number}/24", f"2001:db8::{200 + number}/64"]}]
    return {"name": f"n{number}", "labels": {LABEL: ""}, "ready": True, "networks": networks, "capacity": None, **more}


def current(held):
    return [{"egressIP": address, "node": name} for address, name in held.items()]


def holdings(plan):
    return {each["egressIP"]: each["node"] for each in plan["assignments"]}


def plan_of(documents, nodes, held, **options):
    return assign(documents, nodes, current(held), **options).to_dict()


@pytest.mark.golden("price")
def test_price(golden):
    documents, fleet = golden["egressips"], golden["fleet"][0]
    plan = assign(documents, fleet["nodes"], fleet["current"], **golden["run"][0]).to_dict()
    before = copy.deepcopy((plan, documents, fleet))
    made = PRICE(plan, documents, fleet)
    assert json.loads(json.dumps(made)) == made
    assert (plan, documents, fleet) == before
    golden.check("price.txt", "\n".join([*made["lines"], ""]))


@pytest.mark.parametrize("capacity", ["x", 0, {"ip": 0}, {"ipv4": 0, "ipv6": 0}])
def test_a_node_that_cannot_hold_anything_does_not_count(capacity):
    documents = [egressip(f"e{n}", f"10.0.0.{n}") for n in (1, 2)]
    fleet = {"nodes": [node(1), node(2), node(3, capacity=capacity)]}
    fleet["current"] = current({"10.0.0.1": "n1", "10.0.0.2": "n2"})
    made = PRICE(assign(documents, **fleet).to_dict(), documents, fleet)
    assert (made["offers"], made["lines"]) == (
        [{"moves": 0, "squares": 2, "highest": 1, "lowest": 1}],
        ["The load is as even as it can be: no egress IP has to move for balance."],
    )


@st.composite
def worlds(draw):
    """Small fleets in which every address has a node: (documents, nodes, {address: node})."""
    nodes = [node(n, capacity=draw(st.none() | st.integers(2, 4))) for n in range(draw(st.integers(2, 3)))]
    tails, objects = iter(range(1, 9)), []
    for n in range(draw(st.integers(1, 3))):
        objects.append(egressip(f"e{n}", *(f"10.0.0.{next(tails)}" for _address in range(draw(st.integers(1, 2))))))
    addresses = [address for each in objects for address in each["spec"]["egressIPs"]]
    return objects, nodes, {address: draw(st.sampled_from([each["name"] for each in nodes])) for address in addresses}


def best_by_moves(objects, nodes, held, weights=None):
    """Return {moves: least squares} over all placements with every address; ``weights`` are those of the objects."""
    weigh = dict(zip(map(id, objects), weights or [1] * len(objects), strict=False))
    weight = {address: weigh[id(each)] for each in objects for address in each["spec"]["egressIPs"]}
    names, limits = [each["name"] for each in nodes], {each["name"]: each["capacity"] for each in nodes}
    groups = [list(itertools.permutations(names, len(each["spec"]["egressIPs"]))) for each in objects]
    addresses = [address for each in objects for address in each["spec"]["egressIPs"]]
    best = {}
    for choice in itertools.product(*groups):
        placement = dict(zip(addresses, itertools.chain(*choice), strict=True))
        loads = Counter(placement.values())
        if all(limits[name] is None or count <= limits[name] for name, count in loads.items()):
            moves = sum(placement[address] != held[address] for address in addresses)
            for address, name in placement.items():
                loads[name] += weight[address] - 1
            squares = sum(load * load for load in loads.values())
            best[moves] = min(squares, best.get(moves, squares))
    return best


@given(worlds())
def test_each_offer_is_the_flattest_for_its_moves_and_none_below_the_line_is_missing(world):
    objects, nodes, held = world
    best = best_by_moves(objects, nodes, held)
    if not best:
        return
    made = PRICE(plan_of(objects, nodes, held), objects, {"nodes": nodes, "current": current(held)})
    fewest = min(best)
    offers = {offer["moves"] + fewest: offer["squares"] for offer in made["offers"]}
    for moves, squares in offers.items():
        assert squares == min(best[number] for number in best if number <= moves)
    for moves, squares in best.items():
        for (low, much), (high, little) in itertools.pairwise(sorted(offers.items())):
            if low <= moves <= high:
                assert (squares - much) * (high - low) >= (little - much) * (moves - low)
    assert min(best.values()) == made["offers"][-1]["squares"]


@given(worlds(), st.tuples(*[st.integers(1, 9)] * 3))
def test_with_weights_each_offer_is_the_flattest_for_its_moves(world, weights):
    objects, nodes, held = world
    best = best_by_moves(objects, nodes, held, weights)
    if not best:
        return
    for each, weight in zip(objects, weights, strict=False):
        each["metadata"]["annotations"] = {"egress-ip.netops/weight": str(weight)}
    made = PRICE(plan_of(objects, nodes, held), objects, {"nodes": nodes, "current": current(held)})
    fewest, offers = min(best), made["offers"]
    for offer in offers:
        assert offer["squares"] == min(best[moves] for moves in best if moves <= offer["moves"] + fewest)
    assert [offer["squares"] for offer in offers] == sorted({offer["squares"] for offer in offers}, reverse=True)
    assert (offers[0]["moves"], offers[-1]["squares"]) == (0, min(best.values()))


def test_a_cap_between_two_offers_is_among_them():
    documents = [egressip(f"e{n}", f"10.0.0.{n}") for n in range(1, 9)]
    nodes, held = [node(1), node(2), node(3)], {f"10.0.0.{n}": "n1" if n < 5 else "n2" for n in range(1, 9)}
    fleet = {"nodes": nodes, "current": current(held)}
    offers = {cap: PRICE(plan_of(documents, nodes, held, max_moves=cap), documents, fleet)["run"] for cap in range(4)}
    assert {cap: (offer["moves"], offer["squares"]) for cap, offer in offers.items()} == {
        0: (0, 32),
        1: (1, 26),
        2: (2, 22),
        3: (2, 22),
    }


def test_where_a_limit_of_a_family_is_felt_only_what_can_be_had_is_offered():
    documents = [egressip(f"e{n}", f"10.0.0.{n}", f"2001:db8::{n}") for n in range(1, 4)]
    nodes = [node(1, capacity={"ipv4": 2}), node(2, capacity={"ipv6": 2}), node(3)]
    held = {address: "n1" for each in documents for address in each["spec"]["egressIPs"]}
    fleet = {"nodes": nodes, "current": current(held)}
    offers = PRICE(plan_of(documents, nodes, held), documents, fleet)["offers"]
    for offer in offers:
        plan = plan_of(documents, nodes, held, max_moves=offer["moves"])
        assert sum(count * count for count in plan["load"].values()) == offer["squares"]


DRAIN = [
    ("there is room", {}, []),
    ("no node but the object's other one", {"labels": {}}, ["10.0.0.2"]),
    ("no room", {"capacity": 0}, ["10.0.0.2"]),
    ("it holds nothing", {"held": {"10.0.0.1": "n1"}, "labels": {}}, []),
    ("it holds what nobody asks for", {"held": {"10.0.0.9": "n2"}, "labels": {}}, []),
    ("it is lost anyway", {"held": {"10.0.0.1": "n1", "10.0.0.2": "n3"}, "labels": {}, "other": {"labels": {}}}, []),
]


@pytest.mark.parametrize(("change", "lost"), [case[1:] for case in DRAIN], ids=[case[0] for case in DRAIN])
def test_drain_losses(change, lost):
    change = dict(change)
    held = change.pop("held", {"10.0.0.1": "n1", "10.0.0.2": "n2"})
    other = change.pop("other", {})
    documents = [egressip("a", "10.0.0.1", "10.0.0.2")]
    plan, without = (
        plan_of(documents, [node(1), node(2, ready=ready, **other), node(3, **change)], held) for ready in (False, True)
    )
    lines = drain_losses(plan, {"current": current(held)}, lambda: without)
    starts = [f"egress_ip_drain_nodes: {address} of a would become unassigned: every node that" for address in lost]
    assert [line[: len(start)] for line, start in zip(lines, starts, strict=True)] == starts


def test_an_address_that_another_object_has_is_not_lost():
    documents = [egressip("a", "10.0.0.1"), egressip("b", "10.0.0.1")]
    plan = plan_of(documents, [node(1)], {"10.0.0.1": "n1"})
    lines = drain_losses(plan, {"current": current({"10.0.0.1": "n1"})}, lambda: plan)
    assert (len(plan["unassigned"]), lines) == (1, [])


def test_a_drain_moves_only_what_has_to_and_the_return_restores_balance():
    documents = [egressip(f"e{n}", f"10.0.0.{2 * n}", f"10.0.0.{2 * n + 1}") for n in range(1, 7)]
    whole = plan_of(documents, [node(1), node(2), node(3)], {})
    drained = plan_of(documents, [node(1), node(2), node(3, ready=False)], holdings(whole), max_moves=0)
    gone = [address for address, name in holdings(whole).items() if name == "n3"]
    assert sorted(move["egressIP"] for move in drained["moves"]) == sorted(gone)
    assert drained["load"] == {"n1": 6, "n2": 6, "n3": 0}
    nodes = [node(1), node(2), node(3)]
    calm = plan_of(documents, nodes, holdings(drained), policy="sticky")
    assert (calm["moves"], calm["load"]) == ([], drained["load"])
    back = plan_of(documents, nodes, holdings(drained))
    assert (len(back["moves"]), back["load"]) == (len(gone), whole["load"])


@pytest.mark.parametrize("annotations", [{}, {"egress-ip.netops/weight": "7"}])
def test_when_the_time_is_over_the_offers_are_the_ends(annotations):
    documents = [egressip(f"e{n}", f"10.0.0.{n}") for n in range(1, 10)]
    documents[0]["metadata"]["annotations"] = annotations
    held = {f"10.0.0.{n}": "n1" for n in range(1, 10)}
    nodes = [node(1), node(2), node(3)]
    plan, requests = plan_of(documents, nodes, held), read_requests(documents, {})
    made, late = (
        price_of(plan, requests, {"nodes": nodes, "current": current(held)}, over) for over in (never, lambda: True)
    )
    assert (made.proven, late.proven) == (True, False)
    assert (late.offers[0], late.offers[-1]) == (made.offers[0], made.offers[-1])
    assert len(late.offers) <= len(made.offers)
    assert late.to_dict()["proven"] is False
    assert late.to_dict()["lines"][-1].startswith("egress_ip_plan_seconds ended the search: ")
    assert "proven" not in made.to_dict()
