# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import pytest
from ansible_collections.netops.egress_ip.plugins.module_utils._common.errors import EgressIPError, InventoryError
from ansible_collections.netops.egress_ip.plugins.plugin_utils._variables import host_of, names_of, registered


@pytest.mark.parametrize(("value", "drain"), [("yes", True), ("false", False), (True, True), (0, False)])
def test_a_drain_may_be_written_as_in_an_inventory(value, drain):
    assert host_of({"inventory_hostname": "node1", "egress_ip_drain": value})["drain"] is drain


def test_a_drain_that_is_no_boolean_names_host_and_variable():
    with pytest.raises(InventoryError, match=r"^node1: egress_ip_drain: must be a boolean, not "):
        host_of({"inventory_hostname": "node1", "egress_ip_drain": "soon"})


def test_a_host_that_was_not_looked_at_is_no_host_that_is_gone():
    observed = host_of({"inventory_hostname": "node1"})["observed"]
    assert (observed["failed"], "run without --limit" in observed["msg"]) == (True, True)


@pytest.mark.parametrize(("value", "names"), [("a, b", ["a", "b"]), (["a"], ["a"]), ([], []), ("", []), (" ", [])])
def test_names(value, names):
    assert names_of(value) == names


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (3, "egress_ip_drain_nodes: must be a list of names, not the integer 3"),
        (None, "egress_ip_drain_nodes: must be a list of names, not null"),
        ("node1,", "egress_ip_drain_nodes[1]: is empty"),
        ([{"a": "b"}], "egress_ip_drain_nodes[0]: must be a string, not a mapping"),
        (["a", 5], "egress_ip_drain_nodes[1]: must be a string, not the integer 5; put it in quotes"),
    ],
)
def test_what_is_no_list_of_names(value, message):
    with pytest.raises(EgressIPError) as caught:
        names_of(value)
    assert str(caught.value) == message


@pytest.mark.parametrize("variables", [{}, {"run": "{{ other }}"}])
def test_only_the_name_of_a_result_will_do(variables):
    with pytest.raises(InventoryError, match="^run: must be the name of a variable with the result of a task"):
        registered(variables, "run", "run")
    assert registered({"run": {"stop": []}}, "run", "run") == {"stop": []}
