# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The moves of a plan and their reasons."""

from __future__ import annotations

from collections import Counter

import pytest
from ansible_collections.netops.egress_ip.plugins.module_utils._planner.assign import assign, read_plan_input
from ansible_collections.netops.egress_ip.plugins.module_utils._planner.moves import moves_of
from ansible_collections.netops.egress_ip.plugins.module_utils._planner.requests import read_requests
from planner_documents import current, egressip, holdings, in_zone, node, spread

MOVES = [
    ("node gone", "n9", {}, "NodeGone"),
    ("node not ready", "n1", {"ready": False}, "NodeNotReady"),
    ("label taken away", "n1", {"labels": {}}, "NodeNotAssignable"),
    ("node broken", "n1", {"ready": "yes"}, "NodeInvalid"),
    ("network gone", "n1", {"networks": []}, "NetworkMissing"),
    ("capacity lowered", "n1", {"capacity": 0}, "CapacityExceeded"),
]


@pytest.mark.parametrize(("holder", "change", "reason"), [case[1:] for case in MOVES], ids=[case[0] for case in MOVES])
def test_moves_say_why(holder, change, reason):
    plan = assign([egressip("a", "10.0.0.1")], [node(1, **change), node(2)], current({"10.0.0.1": holder}))
    to_node = "n1" if holder == "n9" else "n2"
    assert [move.to_dict() for move in plan.moves] == [
        {"egressIP": "10.0.0.1", "from": holder, "to": to_node, "reason": reason}
    ]


def test_moves_for_spread_and_for_balance_are_told_apart():
    documents = [spread("a", "10.0.0.1", "10.0.0.2"), *(egressip(f"b{n}", f"10.0.0.{n}") for n in range(3, 9))]
    nodes = [in_zone(1, "a"), in_zone(2, "a"), in_zone(3, "b"), in_zone(4, "c")]
    held = current({"10.0.0.1": "n1", "10.0.0.2": "n2", **{f"10.0.0.{n}": "n1" for n in range(3, 9)}})
    plan = assign(documents, nodes, held, max_moves=2)
    assert Counter(move.reason for move in plan.moves) == {"SameDomain": 1, "Rebalance": 2}


def test_move_away_from_a_neighbour_of_the_same_object():
    plan = assign(
        [egressip("a", "10.0.0.1", "10.0.0.2")], [node(1), node(2)], current({"10.0.0.1": "n1", "10.0.0.2": "n1"})
    )
    assert [(move.egress_ip, move.reason) for move in plan.moves] == [("10.0.0.2", "SameObject")]


def test_move_to_make_room():
    other = {"interface": "eth1", "addresses": ["10.1.0.201/24"]}
    nodes = [node(1, networks=[*node(1)["networks"], other], capacity=1), node(2)]
    documents = [egressip("a", "10.0.0.1"), egressip("b", "10.1.0.1")]
    plan = assign(documents, nodes, current({"10.0.0.1": "n1"}), max_moves=0)
    assert holdings(plan) == {"10.0.0.1": "n2", "10.1.0.1": "n1"}
    assert [move.reason for move in plan.moves] == ["MakeRoom"]


def placed(held, targets, nodes):
    """Return (candidates, claims) with each address of an object of its own on its node of ``targets``."""
    documents = [egressip(f"e{address[7:]}", address) for address in targets]
    candidates, claims = read_plan_input(read_requests(documents), nodes, current(held))
    for address, name in targets.items():
        candidates.place(f"e{address[7:]}", address, candidates.node(name))
    return candidates, claims


def test_an_address_that_stays_or_is_new_does_not_move():
    plan_input = placed({"10.0.0.1": "n1"}, {"10.0.0.1": "n1", "10.0.0.2": "n2"}, [node(1), node(2)])
    assert moves_of(*plan_input, 0) == ()


def test_moves_are_in_the_order_of_addresses_and_those_for_balance_are_counted():
    held = {f"10.0.0.{n}": "n1" for n in (2, 10)}
    plan_input = placed(held, dict.fromkeys(held, "n2"), [node(1), node(2)])
    assert [(move.egress_ip, move.reason) for move in moves_of(*plan_input, 2)] == [
        ("10.0.0.2", "Rebalance"),
        ("10.0.0.10", "Rebalance"),
    ]
    assert Counter(move.reason for move in moves_of(*plan_input, 1)) == {"MakeRoom": 1, "Rebalance": 1}


def test_of_several_holders_one_that_could_keep_it_is_the_origin():
    nodes = [node(1, ready=False), node(2), node(3)]
    plan_input = placed({"10.0.0.1": ["n1", "n2"]}, {"10.0.0.1": "n3"}, nodes)
    assert [(move.from_node, move.reason) for move in moves_of(*plan_input, 1)] == [("n2", "Rebalance")]
