# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The plan of a run from variables of a play. What it decides is tested with _reconcile.run_plan."""

from __future__ import annotations

import json

import pytest
from ansible.errors import AnsibleActionFail, AnsibleError
from controller_actions import A, B, egressip, node, run_action, run_variables

FLEET = run_variables(egressip("web", A, B), node1=node(1, A), node2=node(2, B))


def plan(variables=None, **options):
    return run_action("plan", variables or FLEET, hosts=["node1", "node2"], **options)


def test_a_plan_is_plain_and_keeps_what_is_held():
    made = plan()
    assert json.loads(json.dumps(made)) == made
    assert {each["egressIP"]: each["node"] for each in made["plan"]["assignments"]} == {A: "node1", B: "node2"}
    assert (made["changed"], made["stop_reasons"], made["answers"], made["platforms"]) == (False, [], {}, [])
    assert (made["in_steps"], made["needs_fences_or_platforms"]) == (False, False)
    assert "nodes" not in made["fleet"]["observed"]["node1"]


def test_states_have_what_all_share_once():
    rollout = plan()["rollout"]
    assert {*rollout["states"]} == {"node1", "node2"}
    assert rollout["shared"]["generation"] == 1
    assert not any("generation" in state for state in rollout["states"].values())


def test_nodes_that_lack_packages_are_named():
    lacking = {"egress_ip_node_info": {"problems": ["nftables: is not installed"], "packages": ["nftables"]}}
    made = plan(run_variables(egressip("web", A, B), node1=node(1, A), node2=lacking))
    assert (made["without_packages"], plan()["without_packages"]) == (["node2"], [])


def test_a_drained_node_releases_in_steps():
    made = plan(settings={"drain_nodes": ["node1"]})
    assert len(made["plan"]["unassigned"]) == len(made["stop_reasons"]) == 1
    assert "egress_ip_drain_force" in made["stop_reasons"][0]
    assert plan(settings={"drain_nodes": ["node1"], "drain_force": True})["in_steps"]


def test_only_what_is_asked_is_answered():
    answers = plan(questions={"what_if": {"down": ["node1"]}, "price": True})["answers"]
    assert {*answers} == {"what_if", "price"}
    assert answers["what_if"][0] == "If node1 is down:"


@pytest.mark.parametrize("missing", ["egress_ip_manifests_info", "egress_ip_settings"])
def test_a_missing_result_of_another_module_is_one_line(missing):
    with pytest.raises(AnsibleActionFail) as caught:
        plan({name: value for name, value in FLEET.items() if name != missing})
    module = missing[len("egress_ip_") :]
    assert caught.value.message == (
        f"{missing}: must be the registered result of netops.egress_ip.{module}; run that module first"
    )


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"settings": {"policy": "fair"}}, "policy"),
        ({"settings": {"other": 1}}, "other"),
        ({"questions": {"headroom": "maybe"}}, "headroom"),
    ],
)
def test_wrong_options(options, words):
    with pytest.raises(AnsibleError, match=words):
        plan(**options)
