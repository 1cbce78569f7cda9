# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import pytest
from ansible_collections.netops.egress_ip.plugins.module_utils._common.errors import EgressIPError, InventoryError
from ansible_collections.netops.egress_ip.plugins.module_utils._reconcile.node_answer import FAULTY, read_answer
from ansible_collections.netops.egress_ip.plugins.plugin_utils._variables import (
    host_of,
    node_results,
    result_of,
    texts_of,
)


@pytest.mark.parametrize(("value", "drain"), [("yes", True), ("false", False), (True, True), (0, False)])
def test_a_drain_may_be_written_as_in_an_inventory(value, drain):
    assert host_of({"inventory_hostname": "node1", "egress_ip_drain": value})["drain"] is drain


def test_a_drain_that_is_no_boolean_names_host_and_variable():
    with pytest.raises(InventoryError, match=r"^node1: egress_ip_drain: must be a boolean, not "):
        host_of({"inventory_hostname": "node1", "egress_ip_drain": "soon"})


def test_a_host_that_was_not_observed_is_not_unavailable():
    assert host_of({"inventory_hostname": "node1"})["observed"] is None


@pytest.mark.parametrize("platform", [None, "auto", "vsphere", "baremetal"])
def test_a_platform(platform):
    assert host_of({"inventory_hostname": "node1", "egress_ip_platform": platform})["platform"] == platform


@pytest.mark.parametrize("platform", ["vshpere", "", ["vsphere"], 5])
def test_a_platform_that_does_not_exist_stops_the_run(platform):
    with pytest.raises(InventoryError, match=r"^node1: egress_ip_platform: must be one of auto, .*, not "):
        host_of({"inventory_hostname": "node1", "egress_ip_platform": platform})


@pytest.mark.parametrize("text", ["{", "[" * 100_000], ids=["no JSON", "deeply nested"])
def test_a_record_that_cannot_be_read_stays_a_text(text):
    observed = host_of({"inventory_hostname": "node1", "egress_ip_node_info": {"nodes": text}})["observed"]
    assert read_answer({**observed}).kind == FAULTY


@pytest.mark.parametrize(("value", "names"), [("a, b", ["a", "b"]), (["a"], ["a"]), ([], []), ("", []), (" ", [])])
def test_names(value, names):
    assert texts_of(value, "drain_nodes") == names


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (3, "egress_ip_drain_nodes: must be a list of strings, not the integer 3"),
        (None, "egress_ip_drain_nodes: must be a list of strings, not null"),
        ("node1,", "egress_ip_drain_nodes[1]: is empty"),
        ([{"a": "b"}], "egress_ip_drain_nodes[0]: must be a string, not a mapping"),
        (["a", 5], "egress_ip_drain_nodes[1]: must be a string, not the integer 5; put it in quotes"),
    ],
)
def test_malformed_lists_of_strings(value, message):
    with pytest.raises(EgressIPError) as caught:
        texts_of(value, "drain_nodes")
    assert str(caught.value) == message


@pytest.mark.parametrize("variables", [{}, {"egress_ip_plan": "{{ other }}"}])
def test_a_missing_result_names_the_module(variables):
    with pytest.raises(InventoryError) as caught:
        result_of(variables, "plan")
    assert str(caught.value) == (
        "egress_ip_plan: must be the registered result of netops.egress_ip.plan; run that module first"
    )
    assert result_of({"egress_ip_plan": {"stop_reasons": []}}, "plan") == {"stop_reasons": []}


def test_results_are_those_of_nodes_that_answered():
    hostvars = {"node1": {"egress_ip_node": {"changed": True}}, "node2": {}, "node3": {"egress_ip_node": {}}}
    assert node_results({"hostvars": hostvars}, {"observed": {"node1": {}, "node2": {}}}) == {
        "node1": {"changed": True}
    }
