# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The choice among the addresses of an object, as tables and in the real kernel.

golden/data_plane/an_address_in_a_second_network_is_added has the nft commands.
"""

from __future__ import annotations

import ipaddress
import re

import pytest
from ansible_collections.netops.egress_ip.plugins.module_utils._dataplane.nft_addresses import object_chain
from ansible_collections.netops.egress_ip.plugins.module_utils._dataplane.nft_table import INET
from ansible_collections.netops.egress_ip.plugins.module_utils._host_io.host_io import HostIO
from hypothesis import given
from hypothesis import strategies as st
from network_namespace import network_namespace
from nft_tables import change_tables, facts, tables_of
from states import EGRESS_IPS, egress_object, node_state, node_states, reach

LAN, BACK, ELSEWHERE = "192.168.64.0/18", "172.30.0.0/24", "203.0.113.9"
FIRST, SECOND, THIRD = "192.168.126.101", "172.30.0.10", "172.30.0.11"
IN_LAN, IN_BACK = "192.168.100.7", "172.30.0.200"


def two_networks(*reaches, assigned=(FIRST, SECOND, THIRD), **changes):
    """Return a state with one object, whose pod is 10.88.0.2."""
    objects = [{**egress_object("web", [FIRST, SECOND, THIRD], assigned), "reaches": list(reaches)}]
    return node_state(egressips=objects, held=[], **changes)


def chosen(state, destination, name="web"):
    """Return the addresses, with repetitions, among which a new connection of the object to `destination` chooses."""
    table = tables_of(state)[INET]
    rules = list(table.chains[object_chain(name)].rules)
    address = ipaddress.ip_address(destination)
    word = "ip6" if address.version == 6 else "ip"
    for rule in rules:
        if rule.startswith(f"{word} daddr vmap @"):
            networks = table.sets[rule.partition("@")[2]].elements
            [*targets] = [chain for network, chain in networks.items() if address in ipaddress.ip_network(network)]
            assert len(targets) <= 1
            if targets:
                return _addresses(table.chains[targets[0].replace("goto ", "")].rules, address.version)
    return _addresses(rules, address.version) or rules[-1]


def _addresses(rules, version):
    """Return the addresses of the slots among which rules choose, none if they have no choice for this IP version."""
    word, slots = "ip6" if version == 6 else "ip", {}
    for rule in rules:
        *_condition, target = [name.replace("-", ":") for name in re.findall(r"goto mark_([0-9a-f.-]+)", rule)] or [""]
        draw = re.match(rf"jhash {word} saddr \. {word} daddr mod (\d+) seed 0x1 (?:== (\d+) goto|vmap)", rule)
        if draw and draw[2]:
            slots = slots or dict.fromkeys(range(int(draw[1])))
            slots[int(draw[2])] = target
        elif draw:
            found = [name.replace("-", ":") for name in re.findall(r"goto mark_([0-9a-f.-]+)", rule)]
            assert len(found) == int(draw[1])
            return found
        elif rule.startswith(f"meta nfproto ipv{version} goto mark_"):
            return [chosen or target for chosen in (slots or {0: None}).values()]
    return []


SEPARATE = (reach(FIRST, [LAN], True), reach(SECOND, [BACK], False), reach(THIRD, [BACK], False))


def test_the_destination_selects_the_addresses_that_reach_it():
    state = two_networks(*SEPARATE)
    assert chosen(state, IN_BACK) == [SECOND, THIRD]
    assert chosen(state, IN_LAN) == chosen(state, ELSEWHERE) == [FIRST]


def test_all_with_a_router_share_the_other_destinations():
    state = two_networks(reach(FIRST, [LAN], True), reach(SECOND, [BACK], True), reach(THIRD, [BACK], False))
    assert chosen(state, IN_BACK) == [SECOND, THIRD]
    assert chosen(state, IN_LAN) == [FIRST]
    assert chosen(state, ELSEWHERE) == [FIRST, SECOND]


def test_a_lost_address_is_replaced_by_one_that_reaches_the_same():
    assert chosen(two_networks(*SEPARATE, assigned=[FIRST, THIRD]), IN_BACK) == [THIRD]


def test_a_network_of_lost_addresses_is_reached_by_a_router():
    assert chosen(two_networks(*SEPARATE, assigned=[FIRST]), IN_BACK) == [FIRST]


def test_without_any_router_no_packet_leaves_with_the_address_of_the_node():
    state = two_networks(reach(FIRST, [LAN], False), reach(SECOND, [BACK], False), assigned=[FIRST, SECOND])
    assert set(chosen(state, ELSEWHERE)) == {FIRST, SECOND}


def test_the_longest_prefix_wins():
    state = two_networks(reach(FIRST, ["172.16.0.0/12"], True), reach(SECOND, [BACK], False), assigned=[FIRST, SECOND])
    assert chosen(state, IN_BACK) == [SECOND]
    assert chosen(state, "172.30.1.1") == [FIRST]


def test_objects_with_the_same_networks_do_not_share_their_choice():
    objects = [
        {**egress_object("a", [FIRST, SECOND]), "reaches": [*SEPARATE[:2]]},
        {
            **egress_object("b", ["192.168.126.102", THIRD]),
            "reaches": [reach("192.168.126.102", [LAN], True), SEPARATE[2]],
        },
    ]
    state = node_state(egressips=objects, pods=[{"address": "10.88.0.2", "egressips": ["a"]}], held=[])
    assert (chosen(state, IN_BACK, "a"), chosen(state, IN_BACK, "b")) == ([SECOND], [THIRD])


def test_objects_whose_addresses_reach_the_same_pay_nothing():
    assert not [name for name in tables_of(node_state())[INET].sets if name.startswith("near")]
    assert len(tables_of(node_state())[INET].chains["object_web"].rules) == 3


@given(st.lists(st.sampled_from(EGRESS_IPS[:6]), min_size=1, max_size=6, unique=True), st.data())
def test_each_slot_of_an_object_is_chosen_equally_often(egress_ips, data):
    assigned = data.draw(st.sets(st.sampled_from(egress_ips), min_size=1))
    item = egress_object("web", egress_ips, assigned)
    found = chosen(node_state(egressips=[item], pods=[], held=[]), ELSEWHERE)
    assert found == item["slots"] or {*found} == {*item["slots"]} == {found[0]}


def test_a_table_with_many_objects_has_no_anonymous_maps():
    objects = [egress_object(f"o{i}", EGRESS_IPS[i : i + 4]) for i in range(3)]
    chains = tables_of(node_state(egressips=objects, pods=[], held=[]))[INET].chains
    assert not [rule for name, chain in chains.items() if "object" in name for rule in chain.rules if "{" in rule]


@given(st.lists(st.sampled_from(EGRESS_IPS), min_size=1, max_size=len(EGRESS_IPS), unique=True), st.data())
def test_a_chain_is_short_however_many_slots_few_addresses_have(egress_ips, data):
    """Also if most addresses of an object are lost: each packet compares rule after rule."""
    assigned = data.draw(st.sets(st.sampled_from(egress_ips), min_size=1, max_size=3))
    item = egress_object("web", egress_ips, assigned)
    chains = tables_of(node_state(egressips=[item], pods=[], held=[]))[INET].chains
    for ip in ("ip", "ip6"):
        assert len([rule for rule in chains["object_web"].rules if rule.startswith(f"jhash {ip} saddr")]) <= 3


@given(node_states(), st.sampled_from([IN_BACK, IN_LAN, ELSEWHERE, "2001:db8:30::9", "2001:db8:126::9", "2001:db9::1"]))
def test_a_connection_uses_an_assigned_address_of_its_version_if_there_is_one(state, destination):
    version = ipaddress.ip_address(destination).version
    for item in state.egressips:
        assigned = {ip for ip in item.slots if ipaddress.ip_address(ip).version == version}
        found = chosen(state, destination, item.name)
        assert (set(found) <= assigned and found) if assigned else found in ("return", "drop")


@given(node_states(), st.sampled_from([IN_BACK, IN_LAN, "2001:db8:30::9", "2001:db8:126::9"]))
def test_an_address_without_a_way_is_chosen_only_where_no_other_has_one(state, destination):
    address = ipaddress.ip_address(destination)
    for item in state.egressips:
        reaching = {
            each.egress_ip
            for each in item.reaches
            if each.egress_ip in item.slots
            and (each.routed or any(address in ipaddress.ip_network(network) for network in each.networks))
            and ipaddress.ip_address(each.egress_ip).version == address.version
        }
        if reaching:
            assert set(chosen(state, destination, item.name)) <= reaching


@pytest.mark.parametrize("name", ["web", "x" * 253])
def test_the_real_nft_takes_the_choice(name):
    objects = [{**egress_object(name, [FIRST, SECOND, THIRD]), "reaches": [*SEPARATE]}]
    objects.append(egress_object("many", EGRESS_IPS[:6]))
    state = node_state(egressips=objects, pods=[], held=[])
    with network_namespace("egress0"):
        assert facts(change_tables(HostIO, {}, tables_of(state))) == facts(tables_of(state))
