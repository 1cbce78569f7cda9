# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""From one state of our nftables tables to any other, in memory and by the real `nft`."""

from __future__ import annotations

from dataclasses import replace

import pytest
from ansible_collections.netops.egress_ip.plugins.module_utils._dataplane.nft_table import INET, NETDEV, parse_table
from ansible_collections.netops.egress_ip.plugins.module_utils._dataplane.nft_transaction import rebuildable, script
from ansible_collections.netops.egress_ip.plugins.module_utils._host_io.host_io import HostIO
from fake_node_io import FakeKernel, ethernet
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from network_namespace import network_namespace
from nft_tables import change_tables, facts, tables_of
from states import egress_object, node_state, node_states


@pytest.fixture
def kernel():
    kernel = FakeKernel()
    kernel.interfaces["egress0"] = ethernet()
    return kernel


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", "null", '{"nftables": [{"table": '])
def test_a_table_that_cannot_be_read_is_built_anew(text):
    desired = tables_of(node_state())
    table = parse_table(text, INET)
    assert table.lines() == {"nft inet egress_ip unreadable"}
    lines = script({**desired, INET: table}, desired)
    assert lines[:2] == ["delete table inet egress_ip", "add table inet egress_ip"]
    assert rebuildable({INET: table}, desired) == {INET: desired[INET]}


@given(node_states(), node_states())
def test_the_script_leads_from_one_state_to_the_other(first, second):
    kernel = FakeKernel()
    kernel.interfaces["egress0"] = ethernet()
    current = change_tables(kernel, {}, tables_of(first))
    assert facts(current) == facts(tables_of(first))
    assert facts(change_tables(kernel, current, tables_of(second))) == facts(tables_of(second))
    assert change_tables(kernel, kernel.read_tables(), {}) == {}


@given(node_states(), node_states())
def test_what_was_read_can_be_built_again(first, second):
    kernel = FakeKernel()
    kernel.interfaces["egress0"] = ethernet()
    before = change_tables(kernel, {}, tables_of(first))
    now = change_tables(kernel, before, tables_of(second))
    again = change_tables(kernel, now, rebuildable(before, tables_of(first)), (NETDEV,))
    assert facts(again) == facts(before)
    assert kernel.tables[NETDEV, "egress_ip"]["chains"]["tunnel_in"]["device"] == "egress0"


def test_a_table_with_a_rule_that_nobody_knows_becomes_the_known_one(kernel):
    known = tables_of(node_state())
    change_tables(kernel, {}, known)
    kernel.tables[INET, "egress_ip"]["chains"]["forward"]["rules"].append(("accept", ""))
    assert rebuildable(kernel.read_tables(), known)[INET] == known[INET]


@given(node_states())
def test_nothing_leads_from_a_state_to_itself(state):
    assert script(tables_of(state), tables_of(state)) == []


@settings(max_examples=15, suppress_health_check=list(HealthCheck))
@given(node_states(), node_states())
def test_the_real_nft_shows_what_was_asked_for(first, second):
    with network_namespace("egress0"):
        current = change_tables(HostIO, {}, tables_of(first))
        assert facts(current) == facts(tables_of(first))
        assert script(current, tables_of(first)) == []
        now = change_tables(HostIO, current, tables_of(second))
        assert facts(now) == facts(tables_of(second))
        assert facts(change_tables(HostIO, now, rebuildable(current, tables_of(first)))) == facts(tables_of(first))
        assert change_tables(HostIO, now, {}) == {}


@settings(max_examples=10, suppress_health_check=list(HealthCheck))
@given(
    *[st.lists(st.sampled_from(["10.0.0.0/8", "10.0.0.0/9", "10.128.0.0/9", "10.1.0.0/16", "11.0.0.0/8"]), unique=True)]
    * 2
)
def test_the_real_nft_changes_overlapping_networks_in_one_step(first, second):
    before, after = (tables_of(node_state(excluded=sorted(networks))) for networks in (first, second))
    with network_namespace("egress0"):
        current = change_tables(HostIO, {}, before)
        assert facts(change_tables(HostIO, current, after)) == facts(after)


def test_the_real_nft_takes_thousands_of_elements():
    pods = [{"address": f"10.{i >> 8}.{i & 255}.2", "egressips": ["web"]} for i in range(5000)]
    state = node_state(pods=pods)
    with network_namespace("egress0"):
        assert facts(change_tables(HostIO, {}, tables_of(state))) == facts(tables_of(state))


def test_foreign_things_in_our_tables_go(kernel):
    desired = tables_of(node_state())
    change_tables(kernel, {}, desired)
    table = kernel.tables[INET, "egress_ip"]
    table["sets"]["theirs"] = {"kind": "set", "definition": "{ type ipv4_addr; }", "elements": {"10.0.0.1": None}}
    table["chains"]["theirs"] = {"header": "", "device": "", "rules": [("ip saddr @theirs drop", "")]}
    table["chains"]["forward"]["rules"].insert(0, ("accept", "theirs"))
    table["sets"]["pods4"]["elements"]["10.88.0.9"] = "drop"
    assert facts(change_tables(kernel, kernel.read_tables(), desired)) == facts(desired)


@pytest.mark.parametrize("change", ["kind of set", "policy", "flags"])
def test_what_cannot_be_changed_in_place_is_built_anew(change):
    desired = tables_of(node_state())
    table = desired[INET]
    if change == "kind of set":
        table = replace(
            table, sets={**table.sets, "nodes4": replace(table.sets["nodes4"], definition="{ type mark; }")}
        )
    elif change == "policy":
        input_ = replace(table.chains["input"], header=table.chains["input"].header.replace("accept", "drop"))
        table = replace(table, chains={**table.chains, "input": input_})
    else:
        table = replace(table, flags="dormant")
    lines = script({**desired, INET: table}, desired)
    assert lines[:2] == ["delete table inet egress_ip", "add table inet egress_ip"]
    assert not [line for line in lines if "netdev" in line]


def test_one_assigned_address_less_changes_one_chain():
    before, after = (
        tables_of(node_state(egressips=[egress_object("web", ["192.168.126.101", "192.168.126.102"], assigned)]))
        for assigned in ({"192.168.126.101", "192.168.126.102"}, {"192.168.126.102"})
    )
    assert [line.split(" ", 5)[:5] for line in script(before, after)] == [
        ["flush", "chain", "inet", "egress_ip", "object_web"],
        ["add", "rule", "inet", "egress_ip", "object_web"],
        ["add", "rule", "inet", "egress_ip", "object_web"],
    ]
