# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is read from iproute2, and the words for it.

golden/iproute/CASE holds ip.json and maybe ip6.json, recorded from `ip -N -details -json -batch` and `ip -6 ...`, and
current.yml, what of it is ours.
"""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from ansible_collections.netops.egress_ip.plugins.module_utils._common.errors import CommandError
from ansible_collections.netops.egress_ip.plugins.module_utils._dataplane import iproute
from ansible_collections.netops.egress_ip.plugins.module_utils._dataplane.host import (
    READ_BATCH,
    Host,
    foreign_uses,
    held_addresses,
    is_our_device,
    parse_host,
)
from ansible_collections.netops.egress_ip.plugins.module_utils._dataplane.iproute import (
    IpState,
    address_words,
    batches,
    current_ip,
    desired_ip,
    macs_of,
)
from ansible_collections.netops.egress_ip.plugins.module_utils._dataplane.node_state import allocate_marks
from ansible_collections.netops.egress_ip.plugins.module_utils._dataplane.options import DataPlaneOptions
from hypothesis import given
from hypothesis import strategies as st
from states import egress_object, held, node_state, node_states

OPTIONS = DataPlaneOptions()
NOTHING = Host((), (), (), (), {4: (), 6: ()})


def host(rules=(), defaults=()):
    """Return a host with these IPv4 rules and default routes."""
    return replace(NOTHING, rules={4: tuple(rules), 6: ()}, default_routes=tuple(defaults))


def marks_of(state, current=None):
    return allocate_marks(state.egress_ips, current or {}, state.options.max_index)


def words(lines, *start):
    return [line for line in lines if line.startswith(start)]


@pytest.mark.golden("iproute")
def test_current_ip(golden):
    texts = {4: golden["ip.json"], 6: golden["ip6.json"]} if "ip6.json" in golden else {4: golden["ip.json"]}
    host = parse_host(texts)
    golden.check(
        "current.yml",
        {
            "current": {f"IPv{v}": state.to_dict() for v, state in current_ip(host, OPTIONS, set()).items()},
            "held": held_addresses(host, set()),
            "our device": is_our_device(host, OPTIONS.tunnel_device),
            "default interface": host.default_interface(),
            "mtu": host.mtu("eth0"),
            "foreign uses": foreign_uses(host, OPTIONS, is_our_device(host, OPTIONS.tunnel_device)),
        },
    )


def test_the_documents_of_a_batch_may_stand_on_one_line_or_on_many():
    text = "".join(["[]", "[{}]", "\n\n[{}]", " [] ", "[]\n"])
    assert parse_host({4: text}) == NOTHING
    assert parse_host({4: text, 6: "[{}]\n"}) == NOTHING


@pytest.mark.parametrize("text", ["", "[]", "[]" * 4, "[]" * 6])
def test_too_few_or_too_many_documents_are_an_error(text):
    with pytest.raises(CommandError, match=f"for {len(READ_BATCH[4])} commands"):
        parse_host({4: text})


@given(st.text(max_size=30))
def test_what_is_no_json_is_an_error(text):
    with pytest.raises(CommandError, match=r"^ip -json: "):
        parse_host({4: "[]" * 4 + "x" + text})


def test_the_keys_that_ip_repeats_after_encap():
    route = (
        '[{"type":"1","dst":"default","encap":"ip","id":225,"src":"0.0.0.0","dst":"192.168.126.101","ttl":0,"tos":0,'
        '"gateway":"169.254.0.1","dev":"egress0","table":"7001","protocol":"225","flags":["onlink"]}]'
    )
    nested = (
        '[{"type":"1","dst":"default","encap":{"encap_type":"ip","id":225,"src":"0.0.0.0","dst":"192.168.126.101",'
        '"ttl":0,"tos":0},"gateway":"169.254.0.1","dev":"egress0","table":"7001","flags":["onlink"]}]'
    )
    for text in (route, nested):
        [document] = parse_host({4: f"[]{text}[][][]"}).routes
        assert [document["encap"][key] for key in ("kind", "id", "src", "dst")] == [
            "ip",
            225,
            "0.0.0.0",
            "192.168.126.101",
        ]
        assert (document["dst"], document["gateway"]) == ("default", "169.254.0.1")


def test_the_default_route_with_the_lowest_metric_counts():
    routes = [{"dev": "eth1", "metric": 100}, {"dev": "eth0", "metric": 50}, {"gateway": "::1"}]
    assert host(defaults=routes).default_interface() == "eth0"
    assert host(defaults=[{"dev": "eth2"}, *routes]).default_interface() == "eth2"
    assert NOTHING.default_interface() is None


def test_a_host_without_an_ipv4_default_route_has_the_interface_of_ipv6s():
    routes = [{"dev": "eth1", "gateway": "fe80::1", "metric": 1024}]
    assert host(defaults=routes).default_interface() == "eth1"


def test_the_gateways_of_all_default_routes():
    ways = ({"gateway": "10.0.0.2", "dev": "eth0"}, {"gateway": "10.0.0.3", "dev": "eth1"})
    routes = (
        {"gateway": "10.0.0.1", "dev": "eth0"},
        {"nexthops": ways},
        {"via": {"family": "inet6", "host": "fe80::2"}},
        {"gateway": "fe80::1", "dev": "eth0"},
        {"dev": "tun0"},
    )
    found = ["10.0.0.1", "10.0.0.2", "10.0.0.3", "fe80::1", "fe80::2"]
    assert replace(NOTHING, default_routes=routes).gateways() == found


def test_interfaces_that_may_have_learned_from_router_advertisements():
    interfaces = tuple(
        {"ifname": name, "addr_info": [{"family": "inet6", "local": "2001:db8::1", "dynamic": dynamic}]}
        for name, dynamic in (("eth1", True), ("eth2", False))
    )
    routes = ({"dev": "eth0", "protocol": "9"}, {"dev": "eth3", "protocol": "3"})
    assert replace(NOTHING, interfaces=interfaces, default_routes=routes).advertised() == ["eth0", "eth1"]


def test_an_interface_that_is_not_there_has_the_mtu_of_ethernet():
    assert NOTHING.mtu("eth0") == 1500


@pytest.mark.parametrize(
    ("egress_ip", "mac"), [("192.168.126.101", "02:e1:c0:a8:7e:65"), ("1.2.3.4", "02:e1:01:02:03:04")]
)
def test_the_mac_of_an_egress_ip(egress_ip, mac):
    assert macs_of([egress_ip]) == {egress_ip: mac}


def test_macs_of_ipv6_addresses_are_local_unicast_and_differ():
    addresses = [f"2001:db8::{number:x}" for number in range(1, 3000)]
    macs = macs_of(addresses)
    assert len(set(macs.values())) == len(addresses)
    assert {mac[:2] for mac in macs.values()} == {"06"}
    assert macs_of(addresses[::-1]) == macs


def test_macs_that_collide_are_told_apart_in_the_same_way_whatever_the_order(monkeypatch):
    monkeypatch.setattr(iproute, "_mac_of", lambda _ip, attempt: f"06:00:00:00:00:{attempt:02x}")
    expected = {"2001:db8::1": "06:00:00:00:00:00", "2001:db8::2": "06:00:00:00:00:01"}
    assert macs_of(["2001:db8::2", "2001:db8::1"]) == macs_of(["2001:db8::1", "2001:db8::2"]) == expected


@pytest.mark.parametrize(
    ("interface", "label"),
    [("eth0", " label eth0:egress"), ("enp0s31f", " label enp0s31f:egress"), ("enp0s31f6", "")],
)
def test_a_label_stands_where_it_fits(interface, label):
    assert address_words("192.168.126.101", interface) == f"192.168.126.101/32 dev {interface}{label}"
    assert address_words("2001:db8::1", interface) == f"2001:db8::1/128 dev {interface} nodad preferred_lft 0"


@given(node_states(), node_states())
def test_the_batch_leads_from_one_state_to_the_other_in_words(first, second):
    marks = marks_of(first)
    have, want = desired_ip(first, marks, 1500, {}), desired_ip(second, marks_of(second, marks), 1500, {})
    assert any(batches(have, want).values()) == (have != want)
    assert batches(have, have) == {4: [], 6: []}


@given(node_states(), node_states())
def test_additions_come_before_removals(first, second):
    marks = marks_of(first)
    removals = ("rule delete", "route flush", "neighbour delete")
    for lines in batches(
        desired_ip(first, marks, 1500, {}), desired_ip(second, marks_of(second, marks), 1500, {})
    ).values():
        added = [i for i, line in enumerate(lines) if line.startswith(("rule add", "route replace"))]
        removed = [i for i, line in enumerate(lines) if line.startswith(removals)]
        assert not added or not removed or max(added) < min(removed)


def test_a_relabelled_address_goes_before_it_comes():
    plain = IpState(addresses=frozenset(["192.168.126.101/32 dev eth0"]))
    ours = IpState(addresses=frozenset(["192.168.126.101/32 dev eth0 label eth0:egress"]))
    assert batches({4: plain, 6: IpState()}, {4: ours, 6: IpState()})[4] == [
        "address delete 192.168.126.101/32 dev eth0",
        "address add 192.168.126.101/32 dev eth0 label eth0:egress",
    ]


def test_a_new_device_is_made_after_the_old_one_went_and_everything_on_it_is_made_anew():
    state = node_state()
    old = desired_ip(state, marks_of(state), 1500, {})
    lines = batches(old, desired_ip(state, marks_of(state), 9000, {}))[4]
    assert lines[:3] == [
        "link delete egress0",
        "link add egress0 address 02:e1:c0:a8:7e:15 mtu 8930 type vxlan external dstport 4790",
        "link set egress0 alias netops.egress_ip:4790 up",
    ]
    assert len(words(lines, "route replace", "neighbour replace")) == 4
    assert words(lines, "rule", "route flush", "neighbour delete") == []
    assert words(lines, "address") == ["address add 192.0.0.8/32 dev egress0"]


def test_the_claim_is_an_address_and_a_rule():
    state = node_state(held=[])
    have = desired_ip(state, marks_of(state), 1500, {})
    want = desired_ip(node_state(held=held("192.168.126.102")), marks_of(state), 1500, {})
    assert batches(have, want) == {
        4: [
            "rule add priority 7004 fwmark 0x2/0x1fff lookup 254 protocol 225",
            "address add 192.168.126.102/32 dev eth0 label eth0:egress",
        ],
        6: [],
    }


def test_each_ip_version_has_its_own_way():
    egress_ips = ["192.168.126.101", "2001:db8:126::101"]
    state = node_state(egressips=[egress_object("web", egress_ips)], held=held(*egress_ips))
    ipv6 = desired_ip(state, marks_of(state), 1500, {})[6]
    assert ipv6.to_dict() == {
        "links": [],
        "rules": [
            "priority 7000 fwmark 0x0/0x1fff goto 7388",
            "priority 7000 fwmark 0x1fff/0x1fff goto 7388",
            "priority 7001 iif lo goto 7388",
            "priority 7002 fwmark 0x0/0x1fc0 goto 7003",
            "priority 7003 nop",
            "priority 7004 fwmark 0x2/0x1fff lookup 254",
            "priority 7005 fwmark 0x2/0x1fff lookup 7002",
            "priority 7387 unreachable",
            "priority 7388 nop",
        ],
        "routes": [
            "default encap ip6 id 225 src 2001:db8:126::21 dst 2001:db8:126::101 csum via fe80::2 dev egress0"
            " onlink table 7002"
        ],
        "neighbours": ["fe80::2 lladdr 06:49:49:db:9d:73 dev egress0"],
        "addresses": ["2001:db8:126::101/128 dev eth0 nodad preferred_lft 0"],
    }


def test_a_node_without_an_address_of_an_ip_version_has_nothing_of_it():
    state = node_state(endpoints=["192.168.126.21"], egressips=[egress_object("web", ["2001:db8:126::101"])], held=[])
    assert desired_ip(state, marks_of(state), 1500, {})[6] == IpState()


@pytest.mark.parametrize("mark", ["0x4000", "0x2000", "0xffff0000", "0x8000"])
def test_the_marks_of_others_do_not_overlap_with_ours(mark):
    rule = {"priority": 50, "fwmark": mark, "fwmask": mark, "table": "100"}
    assert foreign_uses(host(rules=[rule]), OPTIONS, True) == []


@pytest.mark.parametrize(("priority", "count"), [(6999, 0), (7000, 1), (7388, 1), (7389, 0)])
def test_the_priorities_of_others(priority, count):
    found = host(rules=[{"priority": priority, "table": "100"}])
    assert len(foreign_uses(found, OPTIONS, True)) == count


@pytest.mark.parametrize(("table", "count"), [("7000", 0), ("7001", 1), ("15190", 1), ("15191", 0), ("254", 0)])
def test_the_tables_of_others(table, count):
    found = host(rules=[{"priority": 50, "table": table}])
    assert len(foreign_uses(found, OPTIONS, True)) == count


@pytest.mark.parametrize(("table", "count"), [("7000", 0), ("7001", 1), ("15190", 1), ("15191", 0), ("254", 0)])
def test_the_default_routes_of_others(table, count):
    route = {"dst": "default", "gateway": "192.168.126.1", "dev": "eth0", "table": table, "protocol": "17"}
    assert len(foreign_uses(replace(host(), default_routes=(route,)), OPTIONS, True)) == count


@pytest.mark.parametrize(("table", "count"), [(7000, 0), (7001, 1), (100, 0)])
def test_the_tables_of_vrfs(table, count):
    vrf = {"ifname": "blue", "linkinfo": {"info_kind": "vrf", "info_data": {"table": table}}}
    assert len(foreign_uses(replace(host(), interfaces=(vrf,)), OPTIONS, True)) == count


def test_our_own_rules_are_no_foreign_use():
    rule = {"priority": 7003, "fwmark": "0x1", "fwmask": "0x1fff", "table": "7001", "protocol": "225"}
    assert foreign_uses(host(rules=[rule]), OPTIONS, True) == []


def test_states_are_plain_values():
    state = node_state()
    assert json.loads(json.dumps(desired_ip(state, marks_of(state), 1500, {})[4].to_dict()))["links"] == [
        "egress0 address 02:e1:c0:a8:7e:15 mtu 1430 type vxlan external dstport 4790"
    ]
