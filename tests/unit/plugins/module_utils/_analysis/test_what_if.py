# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Simulated changes of nodes and objects.

golden/what_if/CASE holds egressips.yml, fleet.yml (its nodes, current and observed), changes.yml, answer.yml and
answer.txt; headroom.txt is the headroom of the resulting fleet, with the label zone.
"""

from __future__ import annotations

import copy
import json
from dataclasses import replace

import pytest
from ansible_collections.netops.egress_ip.plugins.filter.headroom import FilterModule as Headroom
from ansible_collections.netops.egress_ip.plugins.module_utils._analysis import what_if as what_if_module
from ansible_collections.netops.egress_ip.plugins.module_utils._analysis.what_if import what_if
from ansible_collections.netops.egress_ip.plugins.module_utils._planner.assign import assign, make_plan
from ansible_collections.netops.egress_ip.plugins.module_utils._planner.plan import Gap
from ansible_collections.netops.egress_ip.plugins.module_utils._planner.requests import read_requests
from hypothesis import given
from simulated_fleet import WHAT_IF, egressip, fleet, fleets, node, simulate

HEADROOM = Headroom().filters()["headroom"]


@pytest.mark.golden("what_if")
def test_what_if(golden):
    documents, seen, changes = golden["egressips"], golden["fleet"][0], golden["changes"][0]
    before = copy.deepcopy((documents, seen, changes))
    answer = simulate(changes, documents, seen)
    assert json.loads(json.dumps(answer)) == answer
    golden.check("headroom.txt", "\n".join([*HEADROOM(answer.pop("fleet_after"), "zone")["lines"], ""]))
    golden.check("answer.txt", "\n".join([*answer.pop("lines"), ""]))
    golden.check("answer.yml", answer)
    assert (documents, seen, changes) == before


def test_what_the_next_run_changes_anyway_is_not_blamed_on_the_question():
    documents = [egressip(name, f"10.0.0.{n}") for n, name in enumerate("abcd", 1)]
    held = [{"egressIP": f"10.0.0.{n}", "node": "n1"} for n in range(1, 5)]
    answer = simulate({"nodes": {"n1": {"labels": {"zone": "a"}}}}, documents, fleet([node(1), node(2)], held))
    assert answer["changes"] == []
    assert answer["load"] == {"n1": {"before": 2, "after": 2}, "n2": {"before": 2, "after": 2}}


def test_a_run_without_enough_nodes_would_stop():
    documents, seen = [egressip("a", "10.0.0.1")], fleet([node(1), node(2)])
    stops = "A run would stop and move nothing: egress_ip_min_available requires more nodes that answer."
    tells_stop = {
        count: stops in simulate({"down": ["n2"]}, documents, seen, min_available=count)["lines"] for count in (1, 2)
    }
    assert tells_stop == {1: False, 2: True}
    drained = simulate({"drain": ["n2"]}, documents, seen, min_available=2)
    assert stops not in drained["lines"]


def test_a_question_may_be_about_an_object_with_errors():
    documents = [egressip("a", "10.0.0.x")]
    answer = simulate({"egressips": {"a": {"egressIPs": ["10.0.0.1"]}}}, documents, fleet([node(1)]))
    assert [(change["egressIP"], change["to"]) for change in answer["changes"]] == [("10.0.0.1", "n1")]


def test_an_egress_ip_that_goes_to_another_object_is_a_change():
    documents = [egressip("a", "10.0.0.1"), egressip("b", "10.0.0.1")]
    answer = simulate(
        {"removed_egressips": ["a"]}, documents, fleet([node(1)], [{"egressIP": "10.0.0.1", "node": "n1"}])
    )
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


def test_a_simulated_drain_moves_nothing_for_balance():
    """Only what is on n3 moves, though n1 has far more than n2."""
    documents = [egressip(f"e{n}", f"10.0.0.{n}") for n in range(1, 8)]
    held = [{"egressIP": f"10.0.0.{n}", "node": "n1" if n < 7 else "n3"} for n in range(1, 8)]
    seen = fleet([node(1), node(2), node(3)], held)
    plan = assign(documents, seen["nodes"], seen["current"], max_moves=0).to_dict()
    changes = WHAT_IF(plan, documents, seen, {"drain": ["n3"]})["changes"]
    assert [(change["egressIP"], change["to"]) for change in changes] == [("10.0.0.7", "n2")]


@given(fleets())
def test_an_empty_scenario_changes_nothing(fleet_after):
    objects, nodes = fleet_after
    answer = simulate({}, objects, fleet(nodes))
    assert answer["changes"] == []
    assert {load["before"] == load["after"] for load in answer["load"].values()} <= {True}


def test_a_plan_that_the_time_limit_ends_is_marked(monkeypatch):
    def ended(*arguments):
        return replace(make_plan(*arguments[:-1]), gap=Gap("moves", 3, 2))

    documents, seen = [egressip("a", "10.0.0.1")], fleet([node(1), node(2)])
    plan = assign(documents, seen["nodes"]).to_dict()
    requests = read_requests(documents, {})
    assert "proven" not in what_if(plan, requests, seen, {}).to_dict()
    monkeypatch.setattr(what_if_module, "make_plan", ended)
    made = what_if(plan, requests, seen, {}, deadline=lambda: True).to_dict()
    assert (made["proven"], made["gap"]) == (False, {"objective": "moves", "value": 3, "lower_bound": 2})
    note = "  plan: egress_ip_plan_seconds ended the search, moves: 3, in the best plan at least 2; every rule is kept"
    assert note in made["lines"]
