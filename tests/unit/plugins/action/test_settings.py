# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Settings of inventory, `-e` and surveys in runs of the playbooks, with hosts that do not exist."""

from __future__ import annotations

import json

import pytest
import yaml
from playbook_fleet import COLLECTION, MANIFESTS, PlaybookFleet

# What a survey of AWX gives for fields that are left empty.
SURVEY = {
    **dict.fromkeys(("max_moves", "plan_seconds", "policy", "strict", "excluded_cidrs", "pools", "drain_nodes"), ""),
    **dict.fromkeys(("what_if", "price", "claim_timeout", "answer_timeout", "unassigned", "labels", "capacity"), ""),
    **dict.fromkeys(("group", "connection_timeout", "pipelining", "tunnel_port", "drain", "failover_after"), ""),
}
ROLE = """
- hosts: egress_ip_nodes
  gather_facts: false
  roles:
    - netops.egress_ip.node
"""


@pytest.fixture
def fleet(tmp_path):
    return PlaybookFleet(tmp_path)


def lines_of(ended, start):
    return [line for line in ended.output.splitlines() if start in line]


def test_empty_answers_of_a_survey_are_the_defaults(fleet):
    labels = {"egress_ip_labels": {"k8s.ovn.org/egress-assignable": ""}}
    answers = {f"egress_ip_{name}": value for name, value in SURVEY.items() if name != "labels"}
    fleet.good("plan", "-e", json.dumps(answers), hosts=dict.fromkeys(("node1", "node2", "node3"), labels))
    with_answers = fleet.calls()
    fleet.good("plan")
    assert with_answers == fleet.calls()
    assert len(with_answers) == 3


def test_texts_have_the_effect_of_values(fleet):
    words = "egress_ip_excluded_cidrs=10.88.0.0/16,10.0.0.0/8 egress_ip_max_moves=3 egress_ip_strict=no"
    words += " egress_ip_drain_nodes=node1,node2 egress_ip_drain_force=yes egress_ip_claim_timeout=7.5"
    fleet.good("reconcile", "-e", words)
    applied = {path.stem: json.loads(path.read_text()) for path in fleet.folder.glob("node?.json")}
    assert {name: bool(state["held"]) for name, state in applied.items()} == {
        "node1": False,
        "node2": False,
        "node3": True,
    }
    assert {"10.0.0.0/8"} <= {*applied["node1"]["excluded"]}
    assert {each["claim_timeout"] for each in fleet.calls() if each["mode"] != "observed"} == {7.5}


@pytest.mark.parametrize(
    ("playbook", "variables", "message"),
    [
        (
            "plan",
            "egress_ip_excluded_cidrs=5",
            "egress_ip_excluded_cidrs[0]: '5' has no prefix length; write",
        ),
        ("plan", '{"egress_ip_excluded_cidrs": 5}', "egress_ip_excluded_cidrs: must be a list of strings, not the"),
        ("reconcile", "egress_ip_max_moves=few", "egress_ip_max_moves: must be an integer of 0 or more"),
        ("status", "egress_ip_strict=maybe", "egress_ip_strict: must be true or false"),
        ("reconcile", '{"egress_ip_manifests": null}', "egress_ip_manifests: is missing"),
        ("drain", "egress_ip_drain_nodes=", "egress_ip_drain_nodes: is empty; this playbook needs it"),
        ("drain", "a=b", "egress_ip_drain_nodes: is empty; this playbook needs it"),
        ("remove", "egress_ip_tunnel_port=x", "egress_ip_tunnel_port: must be an integer"),
        ("remove", '{"egress_ip_what_if": {"down": []}}', "egress_ip_what_if: is supported by the playbook plan only"),
        (
            "plan",
            '{"egress_ip_pools": "{{ nothing }}"}',
            "egress_ip_pools: cannot be evaluated: 'nothing' is undefined",
        ),
    ],
)
def test_a_mistake_is_a_short_text(fleet, playbook, variables, message):
    ended = fleet.bad(playbook, "-e", variables)
    assert lines_of(ended, message)
    assert "Traceback" not in ended.output
    assert len(ended.output) < 3000
    assert fleet.calls() == []


@pytest.mark.parametrize(
    ("variables", "words"),
    [
        ({"egress_ip_max_moves": "", "egress_ip_excluded_cidrs": "10.88.0.0/16"}, []),
        ({"egress_ip_max_moves": "few", "egress_ip_manifests": {}}, ["egress_ip_max_moves: must be an integer"]),
        ({"egress_ip_manifests": ""}, ["egress_ip_manifests: is missing"]),
    ],
)
def test_a_role_in_a_list_of_roles_accepts_the_same(fleet, variables, words):
    (fleet.folder / "role.yml").write_text(ROLE)
    play = fleet.bad if words else fleet.good
    ended = play(fleet.folder / "role.yml", "-e", json.dumps(variables))
    assert all(lines_of(ended, word) for word in words)
    assert len(ended.output) < 6000


@pytest.mark.parametrize(
    ("keyword", "message"),
    [
        ({"strategy": "free"}, "strategy: must be linear, not 'free'; the nodes of a fleet change together"),
        ({"strategy": "ansible.builtin.host_pinned"}, "strategy: must be linear, not 'ansible.builtin.host_pinned'; "),
        ({"serial": 2}, "serial: must be left out; each batch would be a fleet of its own"),
    ],
)
def test_a_play_must_run_each_task_for_all_hosts(fleet, keyword, message):
    role = {"import_role": {"name": "netops.egress_ip.node", "tasks_from": "main"}}
    play = {"hosts": "egress_ip_nodes", "gather_facts": False, "tasks": [role], **keyword}
    (fleet.folder / "play.yml").write_text(json.dumps([play]))
    assert lines_of(fleet.bad(fleet.folder / "play.yml"), message)
    assert fleet.calls() == []


def tasks_in(entries):
    """Yield the tasks of a file, those of blocks too."""
    for task in entries:
        yield task
        for part in ("block", "rescue"):
            yield from tasks_in(task.get(part, ()))


def registered():
    """Return the variables that tasks of the roles set."""
    files = [yaml.safe_load(path.read_text()) for path in (COLLECTION / "roles").glob("*/tasks/*.yml")]
    tasks = [task for entries in files for task in tasks_in(entries)]
    facts = {name for task in tasks for name in task.get("ansible.builtin.set_fact", ())}
    return facts | {task["register"] for task in tasks if "register" in task}


def test_results_of_an_earlier_play_have_no_effect(fleet):
    names = registered()
    assert {"egress_ip_steps", "egress_ip_audit", "egress_ip_node", "__egress_ip_fence_results"} <= names
    stale = {"hosts": "egress_ip_nodes", "gather_facts": False}
    stale["tasks"] = [{"ansible.builtin.set_fact": dict.fromkeys(names, "stale")}]
    (fleet.folder / "play.yml").write_text(json.dumps([stale, {"import_playbook": "netops.egress_ip.reconcile"}]))
    after = fleet.good(fleet.folder / "play.yml")
    assert lines_of(after, "claimed") == ["10.0.99.1  web     node1  claimed", "10.0.99.2  web     node2  claimed"]


NODE1 = {"when": "inventory_hostname == 'node1'"}
CLOSED = {"ansible_connection": "ssh", "ansible_host": "127.0.0.1", "ansible_port": 1}
FAIL, LOSE = [{"ansible.builtin.fail": {}, **NODE1}], [{"ansible.builtin.ping": {}, **NODE1, "vars": CLOSED}]


@pytest.mark.parametrize("tasks", [FAIL, LOSE], ids=["failed", "unreachable"])
def test_facts_of_an_earlier_play_are_not_those_of_a_host_that_drops_out(fleet, tasks):
    between = {"hosts": "egress_ip_nodes", "gather_facts": False, "tasks": tasks}
    plan = {"import_playbook": "netops.egress_ip.plan"}
    (fleet.folder / "play.yml").write_text(json.dumps([plan, between, plan]))
    ended = fleet.bad(fleet.folder / "play.yml")
    assert lines_of(ended, "node1: the host was left out of the run, which needs all nodes")
    assert len(fleet.calls()) == 3 + 2


def test_what_the_play_sets_is_used_for_all_hosts(fleet):
    play = [{"import_playbook": "netops.egress_ip.plan", "vars": {"egress_ip_platform": "baremetal"}}]
    (fleet.folder / "play.yml").write_text(json.dumps(play))
    fleet.good(fleet.folder / "play.yml")
    assert [each["observe"]["platform"] for each in fleet.calls()] == ["baremetal"] * 3


ROLE_NAME = "netops.egress_ip.node"
SET = {"egress_ip_platform": "auto"}


@pytest.mark.parametrize(
    "play",
    [
        {"vars": SET, "roles": [ROLE_NAME]},
        {"roles": [{"role": ROLE_NAME, "vars": SET}]},
        {"roles": [{"role": ROLE_NAME, **SET}]},
        {"tasks": [{"import_role": {"name": ROLE_NAME}, "vars": SET}]},
        {"tasks": [{"include_role": {"name": ROLE_NAME}, "vars": SET}]},
        {"tasks": [{"block": [{"include_role": {"name": ROLE_NAME}}], "vars": SET}]},
    ],
    ids=["play", "variables of a role", "parameters of a role", "import", "include", "block"],
)
def test_what_the_play_sets_may_equal_the_value_of_the_first_host(fleet, play):
    (fleet.folder / "play.yml").write_text(json.dumps([{"hosts": "all", "gather_facts": False, **play}]))
    fleet.good(fleet.folder / "play.yml", hosts={"node2": {"egress_ip_platform": "baremetal"}})
    observed = [each["observe"]["platform"] for each in fleet.calls() if each["mode"] == "observed"]
    assert observed == ["auto"] * 3


def test_secrets_are_in_no_output(fleet):
    secret = "geheim" * 6
    words = {"egress_ip_tunnel_encryption": "ipsec", "egress_ip_tunnel_secret": secret}
    assert secret not in fleet.good("plan", "-vvv", "-e", json.dumps(words)).output


def test_manifests_may_be_a_text_and_only_an_empty_list_deletes_all(fleet):
    ended = fleet.good("plan", "-e", json.dumps({"egress_ip_manifests": json.dumps(MANIFESTS)}))
    assert "10.0.99.1" in ended.output
    for empty in ("[]", []):
        ended = fleet.good("plan", "-e", json.dumps({"egress_ip_manifests": empty}))
        assert "10.0.99.1" not in ended.output


def test_a_group_of_the_inventory_that_lacks_hosts_of_the_play_stops_the_run(fleet):
    """Ansible chooses the hosts of a play without the variables of an inventory."""
    fleet.variables = {**fleet.variables, "egress_ip_group": "node1"}
    message = "egress_ip_group: must have all hosts of the play, not without node2, node3; set it by -e or the vars of"
    assert lines_of(fleet.bad("reconcile"), message)
    assert fleet.calls() == []


@pytest.mark.parametrize("by", ["option", "vars"])
def test_the_group_of_a_play_is_the_fleet(fleet, by):
    (fleet.folder / "play.yml").write_text(
        json.dumps([{"import_playbook": "netops.egress_ip.plan", "vars": {"egress_ip_group": "node1:node2"}}])
    )
    words = ("plan", "-e", "egress_ip_group=node1:node2") if by == "option" else (fleet.folder / "play.yml",)
    fleet.good(*words)
    assert len(fleet.calls()) == 2
