# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Our nftables tables as values: read, compared, and brought from one to the other, the last also by the real `nft`.

golden/nftables/CASE holds nft.json, recorded from `nft -j list table`, and table.txt, the facts read from it.
"""

from __future__ import annotations

from dataclasses import replace

import pytest
from ansible_collections.netops.egress_ip.plugins.module_utils._dataplane.nft_ruleset import (
    desired_tables,
    object_chain,
)
from ansible_collections.netops.egress_ip.plugins.module_utils._dataplane.nft_table import (
    INET,
    NETDEV,
    fingerprint,
    parse_table,
)
from ansible_collections.netops.egress_ip.plugins.module_utils._dataplane.nft_transaction import rebuildable, script
from ansible_collections.netops.egress_ip.plugins.module_utils._dataplane.node_state import allocate_marks
from ansible_collections.netops.egress_ip.plugins.module_utils._dataplane.state import Transaction
from ansible_collections.netops.egress_ip.plugins.module_utils._host_io import node_io
from fake_node_io import FakeKernel, ethernet
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from network_namespace import network_namespace
from states import egress_object, node_state, node_states


def tables_of(state, mtu=1450, current=None):
    return desired_tables(state, allocate_marks(state.egress_ips, current or {}, state.options.max_index), mtu)


def facts(tables):
    return {family: table.lines() for family, table in tables.items()}


def bring(kernel, current, desired, anew=()):
    kernel.execute(Transaction(nft=tuple(script(current, desired, anew))))
    return kernel.read_tables()


def chain(state, name):
    return list(tables_of(state)[INET].chains[name].rules)


@pytest.fixture
def kernel():
    kernel = FakeKernel()
    kernel.interfaces["egress0"] = ethernet()
    return kernel


@pytest.mark.golden("nftables")
def test_parse_table(golden):
    table = parse_table(golden["nft.json"], INET)
    golden.check("table.txt", "" if table is None else "\n".join([*sorted(table.lines()), ""]))


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
    current = bring(kernel, {}, tables_of(first))
    assert facts(current) == facts(tables_of(first))
    assert facts(bring(kernel, current, tables_of(second))) == facts(tables_of(second))
    assert bring(kernel, kernel.read_tables(), {}) == {}


@given(node_states(), node_states())
def test_what_was_read_can_be_built_again(first, second):
    kernel = FakeKernel()
    kernel.interfaces["egress0"] = ethernet()
    before = bring(kernel, {}, tables_of(first))
    now = bring(kernel, before, tables_of(second))
    again = bring(kernel, now, rebuildable(before, tables_of(first)), (NETDEV,))
    assert facts(again) == facts(before)
    assert kernel.tables[NETDEV, "egress_ip"]["chains"]["tunnel_in"]["device"] == "egress0"


def test_a_table_with_a_rule_that_nobody_knows_becomes_the_known_one(kernel):
    known = tables_of(node_state())
    bring(kernel, {}, known)
    kernel.tables[INET, "egress_ip"]["chains"]["forward"]["rules"].append(("accept", ""))
    assert rebuildable(kernel.read_tables(), known)[INET] == known[INET]


@given(node_states())
def test_nothing_leads_from_a_state_to_itself(state):
    assert script(tables_of(state), tables_of(state)) == []


@settings(max_examples=15, suppress_health_check=list(HealthCheck))
@given(node_states(), node_states())
def test_the_real_nft_shows_what_was_asked_for(first, second):
    with network_namespace("egress0"):
        current = bring(node_io, {}, tables_of(first))
        assert facts(current) == facts(tables_of(first))
        assert script(current, tables_of(first)) == []
        now = bring(node_io, current, tables_of(second))
        assert facts(now) == facts(tables_of(second))
        assert facts(bring(node_io, now, rebuildable(current, tables_of(first)))) == facts(tables_of(first))
        assert bring(node_io, now, {}) == {}


def test_what_a_pod_follows_by_destination_is_one_lookup():
    """Pods with the same objects share it; a pod with one object for everywhere goes straight to the object."""
    objects = [
        egress_object("a", ["192.168.126.101"]),
        {**egress_object("b", ["192.168.126.102"]), "destinations": ["203.0.113.0/24"]},
    ]
    follow = {"10.88.0.2": ["a", "b"], "10.88.0.3": ["a"], "10.88.0.4": ["b"], "10.88.0.5": ["a", "b"]}
    state = node_state(egressips=objects, pods=[{"address": ip, "egressips": names} for ip, names in follow.items()])
    table = tables_of(state)[INET]
    pods = table.sets["pods4"].elements
    assert pods["10.88.0.2"] == pods["10.88.0.5"]
    assert pods["10.88.0.3"] == "goto object_a"
    both, alone = (pods[ip].replace("goto choice_", "") for ip in ("10.88.0.2", "10.88.0.4"))
    assert table.sets[f"choice4_{alone}"].elements == {"203.0.113.0/24": "goto object_b"}
    assert table.sets[f"choice6_{alone}"].elements == {}
    assert table.sets[f"choice6_{both}"].elements == {"::/0": "goto object_a"}
    assert table.chains[f"choice_{both}"].rules[0] == f"ip daddr vmap @choice4_{both}"
    assert set(table.sets[f"choice4_{both}"].elements.values()) == {"goto object_a", "goto object_b"}


@settings(max_examples=10, suppress_health_check=list(HealthCheck))
@given(
    *[st.lists(st.sampled_from(["10.0.0.0/8", "10.0.0.0/9", "10.128.0.0/9", "10.1.0.0/16", "11.0.0.0/8"]), unique=True)]
    * 2
)
def test_the_real_nft_changes_overlapping_networks_in_one_step(first, second):
    before, after = (tables_of(node_state(excluded=sorted(networks))) for networks in (first, second))
    with network_namespace("egress0"):
        current = bring(node_io, {}, before)
        assert facts(bring(node_io, current, after)) == facts(after)


def test_the_real_nft_takes_thousands_of_elements():
    pods = [{"address": f"10.{i >> 8}.{i & 255}.2", "egressips": ["web"]} for i in range(5000)]
    state = node_state(pods=pods)
    with network_namespace("egress0"):
        assert facts(bring(node_io, {}, tables_of(state))) == facts(tables_of(state))


@pytest.mark.parametrize("name", ["a.b-c.d", "9", "x" * 253, "x" * 252 + "y", "list", "chain-"])
def test_the_real_nft_takes_the_name_of_every_object(name):
    state = node_state(egressips=[egress_object(name, ["192.168.126.101"])], pods=[], held=[])
    with network_namespace("egress0"):
        assert facts(bring(node_io, {}, tables_of(state))) == facts(tables_of(state))


def test_long_names_do_not_collide():
    assert object_chain("x" * 253) != object_chain("x" * 252 + "y")
    assert len(object_chain("x" * 253)) <= 100


def test_foreign_things_in_our_tables_go(kernel):
    desired = tables_of(node_state())
    bring(kernel, {}, desired)
    table = kernel.tables[INET, "egress_ip"]
    table["sets"]["theirs"] = {"kind": "set", "definition": "{ type ipv4_addr; }", "elements": {"10.0.0.1": None}}
    table["chains"]["theirs"] = {"header": "", "device": "", "rules": [("ip saddr @theirs drop", "")]}
    table["chains"]["forward"]["rules"].insert(0, ("accept", "theirs"))
    table["sets"]["pods4"]["elements"]["10.88.0.9"] = "drop"
    assert facts(bring(kernel, kernel.read_tables(), desired)) == facts(desired)


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


@pytest.mark.parametrize(("unassigned", "verdict"), [("node", "return"), ("drop", "drop")])
def test_an_object_without_an_assigned_address(unassigned, verdict):
    state = node_state(
        egressips=[egress_object("web", ["192.168.126.101"], set())], options={"unassigned": unassigned}, held=[]
    )
    assert chain(state, "object_web") == [verdict]


def test_unmarked_packets_are_the_first_to_pass():
    assert chain(node_state(), "postrouting")[0] == "ct mark and 0x1fff == 0 return"


def test_a_marked_packet_without_a_translation_goes_nowhere():
    assert chain(node_state(), "postrouting")[-1] == "drop"


def test_east_west_traffic_is_never_translated():
    excluded = tables_of(node_state(excluded=["172.16.0.0/12"]))[INET].sets["excluded4"].elements
    own = {"192.168.126.101", "192.168.126.102", "192.168.126.21", "192.168.126.23", "10.88.0.1"}
    never = {"127.0.0.0/8", "169.254.0.0/16", "224.0.0.0/4", "255.255.255.255"}
    networks = set(excluded)
    assert {"172.16.0.0/12"} | never <= networks
    assert own <= networks


def test_the_tunnel_takes_packets_of_the_nodes_alone():
    tables = tables_of(node_state())
    assert set(tables[INET].sets["nodes4"].elements) == {"192.168.126.21", "192.168.126.22", "192.168.126.23"}
    assert tables[NETDEV].chains["tunnel_in"].header.endswith("policy drop; }")


def test_fingerprints_stand_for_texts():
    table = tables_of(node_state())[INET]
    assert all(mark == fingerprint(text) for mark, text in table.texts().items())
