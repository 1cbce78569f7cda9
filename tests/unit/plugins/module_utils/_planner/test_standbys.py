# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The standbys of a plan: rules, ranks, watched nodes, stability. That the first are the best: test_one_loss.py.

golden/standbys/CASE holds egressips.yml, nodes.yml, current.yml, rules.yml (of StandbyRules) and standbys.yml.
"""

from __future__ import annotations

import random
from collections import Counter

import pytest
from ansible_collections.netops.egress_ip.plugins.module_utils._planner.assign import assign
from ansible_collections.netops.egress_ip.plugins.module_utils._planner.plan import Plan
from ansible_collections.netops.egress_ip.plugins.module_utils._planner.standbys import MOST_WATCHED, StandbyRules

LABEL = "k8s.ovn.org/egress-assignable"
RULES = StandbyRules()


def egressip(name, *addresses, **annotations):
    """Return an EgressIP document; annotations without their prefix."""
    notes = {f"egress-ip.netops/{key.replace('_', '-')}": value for key, value in annotations.items()}
    metadata = {"name": name, "annotations": notes}
    spec = {"egressIPs": list(addresses), "namespaceSelector": {}}
    return {"apiVersion": "k8s.ovn.org/v1", "kind": "EgressIP", "metadata": metadata, "spec": spec}


def node(number, capacity=None, zone=None, second=False):
    """Return a node of a plan, with a second interface if wanted."""
    networks = [{"interface": "eth0", "addresses": [f"10.0.255.{number}/16", f"2001:db8::ff{number:02}/64"]}]
    networks += [{"interface": "eth1", "addresses": [f"10.9.255.{number}/16"]}] if second else []
    labels = {LABEL: "", **({"zone": zone} if zone else {})}
    return {"name": f"n{number:02}", "labels": labels, "networks": networks, "capacity": capacity}


def plan(documents, nodes, rules=RULES, held=()):
    """Return the Plan with standbys; `held` is {address: node}."""
    current = [{"egressIP": ip, "node": name} for ip, name in dict(held).items()]
    return assign(documents, nodes, current, "sticky", standby_rules=rules)


def orders(made):
    """Return {address: order}."""
    return {standby.egress_ip: standby.order for standby in made.standbys.found}


def reasons(made):
    """Return {address: why it has no standby}."""
    return dict(made.standbys.without)


def singles(count, start=1):
    """Return objects with one address each."""
    return [egressip(f"e{n:04}", f"10.0.{n // 250}.{n % 250 + 1}") for n in range(start, start + count)]


@pytest.mark.golden("standbys")
def test_golden(golden):
    rules = StandbyRules(**golden["rules"][0])
    made = assign(golden["egressips"], golden["nodes"][0], golden["current"][0], "sticky", standby_rules=rules)
    golden.check("standbys.yml", made.standbys.to_dict())


# The objects, the nodes, who holds what, and the orders.
STORIES = {
    "the next node of the ring, then the other, the holder last": (
        [egressip("a", "10.0.0.1")],
        [node(1), node(2), node(3)],
        {"10.0.0.1": "n02"},
        {"10.0.0.1": ("n03", "n01", "n02")},
    ),
    "the least loaded node": (
        [egressip("a", "10.0.0.1"), egressip("b", "10.0.0.2")],
        [node(1), node(2), node(3)],
        {"10.0.0.1": "n01", "10.0.0.2": "n02"},
        {"10.0.0.1": ("n03", "n02", "n01"), "10.0.0.2": ("n03", "n01", "n02")},
    ),
    "never where another address of the object is": (
        [egressip("a", "10.0.0.1", "10.0.0.2")],
        [node(1), node(2), node(3)],
        {"10.0.0.1": "n01", "10.0.0.2": "n02"},
        {"10.0.0.1": ("n03", "n01"), "10.0.0.2": ("n03", "n02")},
    ),
    "a capacity holds, in total and per IP version": (
        [egressip("a", "10.0.0.1"), egressip("b", "2001:db8::1"), egressip("c", "2001:db8::2")],
        [node(1), node(2, 1), node(3, {"ipv6": 0})],
        {"10.0.0.1": "n01", "2001:db8::1": "n01", "2001:db8::2": "n02"},
        {"10.0.0.1": ("n03", "n01"), "2001:db8::2": ("n01", "n02")},
    ),
    "a failure domain without a sibling": (
        [egressip("a", "10.0.0.1", "10.0.0.2", spread="zone")],
        [node(1, zone="x"), node(2, zone="y"), node(3, zone="y"), node(4, zone="x")],
        {"10.0.0.1": "n01", "10.0.0.2": "n02"},
        {"10.0.0.1": ("n04", "n03", "n01"), "10.0.0.2": ("n03", "n04", "n02")},
    ),
    "the selected nodes alone": (
        [egressip("a", "10.0.0.1", node_selector="zone in (x)")],
        [node(1, zone="x"), node(2, zone="y"), node(3, zone="x")],
        {"10.0.0.1": "n01"},
        {"10.0.0.1": ("n03", "n01")},
    ),
}


@pytest.mark.parametrize("story", STORIES)
def test_stories(story):
    documents, nodes, held, expected = STORIES[story]
    assert orders(plan(documents, nodes, held=held)) == expected


# The rules, and why 10.0.0.1 on node 1 has no standby.
ALONE = {
    "its holder is not watched": (
        [node(1), node(2)],
        StandbyRules(unwatched={"n01": "n01 has a fence"}),
        "n01 has a fence",
    ),
    "the others cannot": ([node(1), node(2)], StandbyRules(unable={"n02": "without a MAC"}), "without a MAC: n02"),
    "the others are full": ([node(1), node(2, 0), node(3, 0)], RULES, "at capacity: n02, n03"),
    "there is no other node": ([node(1)], RULES, "no other node can hold it"),
}


@pytest.mark.parametrize("case", ALONE)
def test_why_an_address_has_no_standby(case):
    nodes, rules, expected = ALONE[case]
    made = plan([egressip("a", "10.0.0.1")], nodes, rules, {"10.0.0.1": "n01"})
    assert orders(made) == {}
    assert reasons(made) == {"10.0.0.1": expected}


def test_an_object_with_errors_has_no_standby():
    broken = egressip("a", "10.0.0.1")
    broken["spec"]["namespaceSelector"] = "x"
    made = plan([broken], [node(1), node(2)], held={"10.0.0.1": "n01"})
    assert reasons(made) == {"10.0.0.1": "egressip/a has errors"}


def test_another_interface_needs_a_way_to_tell_the_nodes():
    documents, nodes = [egressip("a", "10.9.0.1")], [node(1, second=True), node(2, second=True)]
    made = plan(documents, nodes, held={"10.9.0.1": "n01"})
    assert reasons(made) == {"10.9.0.1": "it is on eth1 of n01, which is not the primary interface"}
    told = plan(documents, nodes, StandbyRules(secondary=True), held={"10.9.0.1": "n01"})
    assert orders(told) == {"10.9.0.1": ("n02", "n01")}


@pytest.mark.parametrize(
    ("blind", "reason"),
    [
        ({("n01", "eth1"): "without a witness"}, "it is on eth1 of n01, without a witness"),
        ({("n02", "eth1"): "without a witness"}, "without a witness: n02"),
        ({("n02", "eth0"): "without a witness"}, None),
    ],
)
def test_a_node_that_sees_too_little_on_an_interface_takes_no_part_there(blind, reason):
    documents, nodes = [egressip("a", "10.9.0.1")], [node(1, second=True), node(2, second=True)]
    made = plan(documents, nodes, StandbyRules(secondary=True, blind=blind), held={"10.9.0.1": "n01"})
    assert reasons(made) == ({"10.9.0.1": reason} if reason else {})


def test_a_node_that_would_have_it_on_another_interface_is_no_standby():
    other = {**node(3), "networks": [{"interface": "eth0", "addresses": ["10.7.0.3/16"]}, *node(3)["networks"]]}
    other["networks"][1]["interface"] = "eth1"
    made = plan([egressip("a", "10.0.0.1")], [node(1), other], held={"10.0.0.1": "n01"})
    assert reasons(made) == {"10.0.0.1": "with it on another interface than the primary one: n03"}


def test_without_rules_there_are_no_standbys():
    made = assign([egressip("a", "10.0.0.1")], [node(1), node(2)])
    assert made.standbys is None
    assert "standbys" not in made.to_dict()


def test_the_dict_form_comes_back():
    made = plan([*singles(3), egressip("z", "10.0.9.9")], [node(1), node(2, 9)], StandbyRules(unwatched={"n01": "no"}))
    assert made.standbys.without
    assert Plan.from_dict(made.to_dict()) == made


def test_every_order_keeps_all_rules():
    for seed in range(60):
        rng = random.Random(seed)
        nodes = [node(n, rng.choice([None, None, 3, 5]), rng.choice("xy")) for n in range(1, rng.randint(3, 9))]
        documents = []
        for number in range(rng.randint(1, 12)):
            addresses = [f"10.0.{number}.{n + 1}" for n in range(rng.randint(1, 3))]
            documents.append(
                egressip(f"e{number:02}", *addresses, **({"spread": "zone"} if rng.random() < 0.3 else {}))
            )
        made = plan(documents, nodes)
        on = {each.egress_ip: each for each in made.assignments}
        held = {(each.node, each.name) for each in made.assignments}
        capacity = {each["name"]: each["capacity"] for each in nodes}
        assert sorted([*orders(made), *reasons(made)]) == sorted(on)
        claims = Counter()
        for ip, order in orders(made).items():
            assert order[-1] == on[ip].node
            assert 2 <= len({*order}) == len(order) <= 4
            assert not {(name, on[ip].name) for name in order[:-1]} & held
            claims[order[-1], order[0]] += 1
            for name in order[:-1]:
                assert capacity[name] is None or made.load[name] < capacity[name]
        for (_lost, name), count in claims.items():
            assert capacity[name] is None or made.load[name] + count <= capacity[name]


def test_the_next_run_keeps_what_the_standbys_took_over():
    for seed in range(25):
        rng = random.Random(seed)
        nodes = [node(n, rng.choice([None, None, 4])) for n in range(1, rng.randint(4, 8))]
        documents = [
            egressip(f"e{number:02}", *(f"10.0.{number}.{n + 1}" for n in range(rng.randint(1, 2))))
            for number in range(rng.randint(2, 10))
        ]
        made = plan(documents, nodes)
        for lost in nodes:
            held = {each.egress_ip: each.node for each in made.assignments}
            after = {
                ip: orders(made)[ip][0] if name == lost["name"] and ip in orders(made) else name
                for ip, name in held.items()
            }
            left = [{**each, "ready": each is not lost} for each in nodes]
            following = plan(documents, left, StandbyRules(last=orders(made)), after)
            kept = {each.egress_ip: each.node for each in following.assignments}
            moved = {ip for ip, name in after.items() if name != lost["name"] and kept.get(ip) != name}
            # Without a standby, an address may need room that others must make.
            assert not moved or lost["name"] in after.values()
            assert all(order[-1] == kept[ip] for ip, order in orders(following).items())


def test_one_node_watches_a_limited_number_of_others():
    # All but one are full, so that this one would have to watch all.
    nodes = [node(number, None if number == 40 else 1) for number in range(1, 60)]
    documents = singles(58)
    held = {
        each["spec"]["egressIPs"][0]: f"n{number:02}"
        for number, each in zip((*range(1, 40), *range(41, 60)), documents, strict=True)
    }
    made = plan(documents, nodes, held=held)
    watched = {order[-1] for order in orders(made).values() if "n40" in order[:-1]}
    assert len(watched) == MOST_WATCHED
    assert len(made.standbys.without) == 58 - MOST_WATCHED
    assert all(f"watching {MOST_WATCHED} nodes already: n40" in text for text in reasons(made).values())


def test_a_plan_like_the_last_one_has_the_same_standbys():
    nodes, documents = [node(number) for number in range(1, 10)], singles(50)
    made = plan(documents, nodes)
    held = {each.egress_ip: each.node for each in made.assignments}
    assert plan(documents, nodes, StandbyRules(last=orders(made)), held).standbys == made.standbys


@pytest.mark.parametrize(("count", "size"), [(5, 60), (30, 150), (60, 300), (99, 990)])
def test_one_more_object_changes_few_standbys(count, size):
    nodes, documents = [node(number) for number in range(1, count + 1)], singles(size)
    made = plan(documents, nodes)
    held = {each.egress_ip: each.node for each in made.assignments}
    before = orders(made)
    after = orders(plan([*documents, egressip("z", "10.0.200.1")], nodes, StandbyRules(last=before), held))
    assert sum(before[ip][0] != after[ip][0] for ip in before) <= 0.05 * len(before)
    assert sum(before[ip] != after[ip] for ip in before) <= 0.1 * len(before)


@pytest.mark.parametrize("removed", [0, 40, 149])
def test_one_object_less_changes_one_first_standby_of_each_node(removed):
    # The node that had it is now the least loaded one, so it gets one address of each lost node.
    nodes, documents = [node(number) for number in range(1, 31)], singles(150)
    made = plan(documents, nodes)
    held = {each.egress_ip: each.node for each in made.assignments}
    before = orders(made)
    after = orders(plan(documents[:removed] + documents[removed + 1 :], nodes, StandbyRules(last=before), held))
    changed = Counter(held[ip] for ip in after if before[ip][0] != after[ip][0])
    assert max(changed.values()) == 1


def test_the_order_of_lists_does_not_matter():
    nodes, documents = [node(number) for number in range(1, 7)], singles(20)
    held = {each.egress_ip: each.node for each in plan(documents, nodes).assignments}
    shuffled = plan(documents[::-1], nodes[::-1], held=held)
    assert shuffled.standbys == plan(documents, nodes, held=held).standbys
