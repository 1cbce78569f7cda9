# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Our nftables tables for a node state, also in the real `nft`."""

from __future__ import annotations

import ipaddress
from dataclasses import replace

import pytest
from ansible_collections.netops.egress_ip.plugins.module_utils._common.addresses import VERSIONS
from ansible_collections.netops.egress_ip.plugins.module_utils._dataplane.nft_addresses import object_chain
from ansible_collections.netops.egress_ip.plugins.module_utils._dataplane.nft_ruleset import held_by
from ansible_collections.netops.egress_ip.plugins.module_utils._dataplane.nft_table import INET, NETDEV
from ansible_collections.netops.egress_ip.plugins.module_utils._dataplane.node_state import LocalNetwork
from ansible_collections.netops.egress_ip.plugins.module_utils._host_io.host_io import HostIO
from hypothesis import given
from network_namespace import network_namespace
from nft_tables import change_tables, facts, tables_of
from states import egress_object, held, node_state, node_states


def chain(state, name):
    return list(tables_of(state)[INET].chains[name].rules)


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


@pytest.mark.parametrize("name", ["a.b-c.d", "9", "x" * 253, "x" * 252 + "y", "list", "chain-"])
def test_the_real_nft_takes_the_name_of_every_object(name):
    state = node_state(egressips=[egress_object(name, ["192.168.126.101"])], pods=[], held=[])
    with network_namespace("egress0"):
        assert facts(change_tables(HostIO, {}, tables_of(state))) == facts(tables_of(state))


# No rule below concerns the packet: it ends in a drop.
FINAL = {"from_tunnel"}


@pytest.mark.parametrize("options", [{}, {"inbound": "drop", "unassigned": "drop"}], ids=str)
def test_a_goto_in_a_chain_at_a_hook_skips_no_rule(options):
    """After a goto from there, the end of the other chain is the end of the hook; a jump returns."""
    for name, each in tables_of(node_state(options=options))[INET].chains.items():
        targets = [rule.partition(" goto ")[2].rstrip("46") for rule in each.rules if "hook" in each.header]
        for number, target in enumerate(targets):
            if target and target not in FINAL:
                assert {*targets[number:]} == {target}, name


KNOWN = "ct state established,related ct mark and 0xfff == 0"
UNMARKED = "meta mark and 0xfff == 0 return"


@given(node_states())
def test_every_pod_with_a_verdict_is_marked_before_ordinary_packets_leave(state):
    table, rules = tables_of(state)[INET], chain(state, "prerouting")
    known, new = (number for number, rule in enumerate(rules) if rule.endswith(" == 0 return"))
    for version in VERSIONS:
        verdicts = table.sets[f"pods{version}"].elements
        selected = set(table.sets[f"selected{version}"].elements)
        assert {pod for pod, verdict in verdicts.items() if verdict != "return"} == selected
    assert [rule.partition(" saddr ")[2] for rule in rules[:known]] == [f"@selected{v} jump selected" for v in VERSIONS]
    assert rules[known].startswith("ct state established,related ct mark ")
    # What concerns packets of every source: to an egress IP, and to a selected pod.
    assert not any(" @pods" in rule for rule in rules[:new])
    assert not any(
        words in rule for rule in rules[new:] for words in (" jump inbound", " jump to_selected", "vmap @marks")
    )


@pytest.mark.parametrize("unknown_pods", ["node", "drop"])
def test_every_packet_from_a_network_with_a_verdict_is_marked_or_stays(unknown_pods):
    """By its source in a guarded network, else by the interface on which it arrives."""
    networks = (
        LocalNetwork("web", "podman:web", ("web",), ("10.89.0.0/24", "fd00:89::/64")),
        LocalNetwork("db", "podman:db", (), ("10.89.0.128/25",)),
        LocalNetwork("vms", "interface:vnet7", ("web",), ()),
    )
    state = replace(node_state(options={"unknown_pods": unknown_pods}), networks=networks)
    table, rules = tables_of(state)[INET], chain(state, "prerouting")
    stay = 'iifname != { "vnet7" } ' + ('meta iifkind != "bridge" ' if unknown_pods == "drop" else "")
    known, new = rules.index(f"{KNOWN} {stay}{UNMARKED}"), rules.index(f"{stay}{UNMARKED}")
    assert known < new
    assert [rule for rule in rules[:known] if " saddr @guarded" in rule] == [
        "ip saddr @guarded4 jump selected",
        "ip6 saddr @guarded6 jump selected",
    ]
    for version in VERSIONS:
        guarded = [ipaddress.ip_network(text) for text in table.sets[f"guarded{version}"].elements]
        for text, verdict in table.sets[f"networks{version}"].elements.items():
            network = ipaddress.ip_network(text)
            assert verdict == "return" or any(network.subnet_of(each) for each in guarded)


def test_long_names_do_not_collide():
    assert object_chain("x" * 253) != object_chain("x" * 252 + "y")
    assert len(object_chain("x" * 253)) <= 100


@pytest.mark.parametrize(("unassigned", "verdict"), [("node", "return"), ("drop", "drop")])
def test_an_object_without_an_assigned_address(unassigned, verdict):
    state = node_state(
        egressips=[egress_object("web", ["192.168.126.101"], set())], options={"unassigned": unassigned}, held=[]
    )
    assert chain(state, "object_web") == [verdict]


def test_unmarked_packets_are_the_first_to_pass():
    assert chain(node_state(), "postrouting")[0] == "ct mark and 0xfff == 0 return"


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


def test_the_egress_ips_to_which_the_tables_translate():
    both = ["192.168.126.101", "2001:db8:126::101"]
    state = node_state(egressips=[egress_object("web", both)], held=held(*both))
    assert held_by(tables_of(state)) == set(both)
    assert held_by({}) == set()
