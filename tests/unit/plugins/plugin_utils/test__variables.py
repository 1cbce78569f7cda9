# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import base64
import json
import zlib

import pytest
from ansible_collections.netops.egress_ip.plugins.module_utils._common.errors import InventoryError
from ansible_collections.netops.egress_ip.plugins.module_utils._common.text_fields import (
    MOST,
    TEXTS,
    is_readable,
    with_facts_as_text,
    with_plain_texts,
)
from ansible_collections.netops.egress_ip.plugins.module_utils._reconcile.answer_limits import refused_answers
from ansible_collections.netops.egress_ip.plugins.module_utils._reconcile.node_answer import (
    ANSWER,
    FACTS_OF_NODE,
    FAULTY,
    read_answer,
)
from ansible_collections.netops.egress_ip.plugins.plugin_utils._node_action import LONGEST_ANSWER
from ansible_collections.netops.egress_ip.plugins.plugin_utils._variables import hosts_of, node_results, result_of
from large_answers import large_answer
from setting_sources import task_variables


def host_of(variables, name):
    (host,) = hosts_of(variables, [name])
    return host


def test_a_host_has_its_settings_and_its_answer():
    own = {"egress_ip_drain": "yes", "egress_ip_capacity": "3", "egress_ip_failover": "no", "ansible_host": "192.0.2.1"}
    own = {**own, "egress_ip_node_info": {"nodes": "[]"}, "egress_ip_vsphere_hostname": "vc"}
    host = host_of(task_variables(node1=own), "node1")
    assert (host["drain"], host["capacity"], host["failover"], host["address"]) == (True, 3, {"": False}, "192.0.2.1")
    assert host["variables"]["egress_ip_vsphere_hostname"] == "vc"
    assert host["observed"] == {"nodes": []}


@pytest.mark.parametrize("own", [{}, {"egress_ip_node_info": None}])
def test_a_host_that_was_not_observed_is_not_unavailable(own):
    assert host_of(task_variables(node1=own), "node1")["observed"] is None


def test_facts_of_a_host_that_runs_no_tasks_are_those_of_an_earlier_play():
    variables = task_variables(node1={"egress_ip_node_info": {}}, node2={"egress_ip_node_info": {}})
    variables["egress_ip_settings"]["absent"] = ["node2"]
    assert [host["observed"] for host in hosts_of(variables, ["node1", "node2"])] == [{}, None]


def test_a_host_without_settings():
    variables = task_variables(node1={})
    variables["hostvars"]["node2"] = {}
    with pytest.raises(InventoryError, match="^node2: egress_ip_settings: has no such host; run "):
        host_of(variables, "node2")


TOO_LONG = f"[{' ' * MOST}]"
TOO_MANY = f"[{'[],' * (MOST // 32)}[]]"
COMPRESSED = "zlib " + base64.b64encode(zlib.compress(TOO_LONG.encode())).decode()


@pytest.mark.parametrize("name", TEXTS)
@pytest.mark.parametrize(
    "text",
    ["{", "[" * 100_000, TOO_LONG, COMPRESSED, TOO_MANY],
    ids=["no JSON", "deeply nested", "too long", "compressed", "too many values"],
)
def test_a_text_that_cannot_be_read_concerns_only_its_node(name, text):
    sent = with_plain_texts({name: text})
    observed = host_of(task_variables(node1={"egress_ip_node_info": sent}), "node1")["observed"]
    assert observed == {name: text}
    answer = read_answer(observed)
    assert answer.kind == FAULTY
    (reason,) = answer.reasons
    assert reason.startswith(f"gives invalid facts: {name}: must be a list, not the string ")
    assert len(reason) < 200


def test_long_answers_of_several_nodes_are_not_read_and_concern_only_these():
    good = json.dumps([{"name": f"node{number}", "endpoints": [], "addresses": []} for number in range(100)])
    bad = {f"bad{number}": f"[{' ' * (MOST - 100 - number)}]" for number in range(5)}
    texts = {"good1": good, **bad, "good2": good}
    answers = {node: {"egress_ip_node_info": {"nodes": text}} for node, text in texts.items()}
    observed = {host["name"]: host["observed"] for host in hosts_of(task_variables(**answers), answers)}
    read = [node for node in bad if observed[node] == {"nodes": []}]
    assert len(read) == 3
    for node in {*bad} - {*read}:
        answer = read_answer(observed[node])
        assert (answer.kind, len(answer.reasons)) == (FAULTY, 1)
        assert answer.reasons[0].startswith("gives too long an answer: must be at most ")
    assert observed["good1"]["nodes"] is observed["good2"]["nodes"]
    assert len(observed["good1"]["nodes"]) == 100


@pytest.mark.parametrize("name", TEXTS)
def test_long_texts_that_came_compressed_count_as_they_are_read(name):
    texts = {f"bad{number}": f"[{' ' * (MOST - 100 - number)}]" for number in range(5)}
    packed = {node: "zlib " + base64.b64encode(zlib.compress(text.encode())).decode() for node, text in texts.items()}
    answers = {node: {"egress_ip_node_info": {"facts": json.dumps({name: text})}} for node, text in packed.items()}
    observed = [host["observed"] for host in hosts_of(task_variables(**answers), answers)]
    assert observed.count({name: []}) == 3
    assert [read_answer(each).kind for each in observed if "failed" in each] == [FAULTY] * 2


def test_long_facts_of_several_nodes_are_not_read():
    texts = {f"bad{number}": json.dumps({"drift": ["x" * (MOST - 100 - number)]}) for number in range(5)}
    answers = {"good": {"egress_ip_node_info": {"facts": '{"drift": []}'}}}
    answers.update({node: {"egress_ip_node_info": {"facts": text}} for node, text in texts.items()})
    observed = {host["name"]: host["observed"] for host in hosts_of(task_variables(**answers), answers)}
    assert observed["good"] == {"drift": []}
    assert sorted("failed" in each for each in observed.values()) == [False] * 4 + [True] * 2


@pytest.mark.parametrize("variables", [{}, {"egress_ip_plan": "{{ other }}"}])
def test_a_missing_result_names_the_module(variables):
    with pytest.raises(InventoryError) as caught:
        result_of(variables, "plan")
    assert str(caught.value) == (
        "egress_ip_plan: must be the registered result of netops.egress_ip.plan; run that module first"
    )
    assert result_of({"egress_ip_plan": {"stop_reasons": []}}, "plan") == {"stop_reasons": []}


def test_results_are_those_of_nodes_that_answered():
    hostvars = {"node1": {"egress_ip_node": {"changed": True}}, "node2": {}, "node3": {"egress_ip_node": None}}
    assert node_results({"hostvars": hostvars}, ["node3", "node1", "node2"]) == {"node1": {"changed": True}}


@pytest.mark.parametrize(
    ("release", "applied", "result"),
    [
        ({"changed": True}, {"changed": False, "claimed": ["10.0.0.1"]}, {"changed": True, "claimed": ["10.0.0.1"]}),
        ({"changed": False}, {"changed": True}, {"changed": True}),
        ({"changed": True}, {"failed": True, "msg": "no"}, {"changed": True, "failed": True, "msg": "no"}),
        ({"skipped": True}, {"changed": False}, {"changed": False}),
        ({"failed": True, "msg": "no"}, {"skipped": True, "changed": False}, {"failed": True, "msg": "no"}),
        ({"unreachable": True, "msg": "no"}, None, {"unreachable": True, "msg": "no"}),
    ],
)
def test_the_result_of_a_node_that_released_addresses_first(release, applied, result):
    hostvars = {"node1": {"egress_ip_node_release": release, "egress_ip_node": applied}, "node2": {}}
    assert node_results({"hostvars": hostvars}, ["node1", "node2"]) == {"node1": result}


def test_equal_records_of_nodes_are_one_value():
    record = '[{"name": "node1"}]'
    variables = task_variables(**{f"node{n}": {"egress_ip_node_info": {"nodes": record}} for n in (1, 2)})
    one, two = (host["observed"]["nodes"] for host in hosts_of(variables, ["node1", "node2"]))
    assert one == [{"name": "node1"}]
    assert one is two


def test_results_of_hosts_are_not_templated():
    class HostVars(dict):
        def raw_get(self, name):
            return {"egress_ip_node_info": {"held": []}, "ansible_host": "{{ address }}"}

    variables = task_variables(node1={})
    variables["hostvars"] = HostVars(node1={"ansible_host": "192.0.2.1"})
    host = host_of(variables, "node1")
    assert (host["address"], host["observed"]) == ("192.0.2.1", {"held": []})


def test_the_variables_of_a_host_are_merged_once():
    merged = []

    class HostVars(dict):
        def raw_get(self, name):
            merged.append(name)
            return {"egress_ip_node_info": {"held": []}}

    variables = task_variables(node1={}, node2={})
    variables["hostvars"] = HostVars()
    assert [host["observed"] for host in hosts_of(variables, ["node1", "node2"])] == [{"held": []}] * 2
    assert merged == ["node1", "node2"]


# The nodes and the IP version of a fleet with 8,190 egress IPs, of which four nodes hold 2,000 each.
@pytest.mark.parametrize(("nodes", "version"), [(5, 6), (100, 6), (1000, 4), (1000, 6)])
def test_the_longest_answers_of_honest_nodes_are_read(nodes, version):
    sizes = [2000, -(-190 // (nodes - 4))]
    outputs = [large_answer(nodes, 8190, held, version) for held in sizes]
    assert all(is_readable(json.dumps(output), LONGEST_ANSWER) for output in outputs)
    most, few = ({"egress_ip_node_info": with_facts_as_text(output, FACTS_OF_NODE)} for output in outputs)
    texts = [len(each["egress_ip_node_info"]["facts"]) for each in (most, few)]
    counts = {f"node{number}": {f"text {number}": texts[number >= 4]} for number in range(nodes)}
    assert refused_answers(counts) == {}
    observed = {
        host["name"]: host["observed"] for host in hosts_of(task_variables(most=most, few=few), ("most", "few"))
    }
    assert [read_answer(observed[name]).kind for name in ("most", "few")] == [ANSWER, ANSWER]
