# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Parsing the output of iproute2, and what others use on a host."""

from __future__ import annotations

from dataclasses import replace

import pytest
from ansible_collections.netops.egress_ip.plugins.module_utils._common.errors import CommandError
from ansible_collections.netops.egress_ip.plugins.module_utils._dataplane.host import (
    READ_BATCH,
    Host,
    foreign_uses,
    is_egress_address,
    is_our_device,
    parse_host,
)
from ansible_collections.netops.egress_ip.plugins.module_utils._dataplane.options import DataPlaneOptions
from hypothesis import given
from hypothesis import strategies as st

OPTIONS = DataPlaneOptions()
NOTHING = Host((), (), (), (), {4: (), 6: ()})


def host(rules=(), defaults=()):
    """Return a host with these IPv4 rules and default routes."""
    return replace(NOTHING, rules={4: tuple(rules), 6: ()}, default_routes=tuple(defaults))


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


@pytest.mark.parametrize("mark", ["0x1000", "0x2000", "0x4000", "0x8000", "0xff0000", "0xffff0000"])
def test_the_marks_of_others_do_not_overlap_with_ours(mark):
    rule = {"priority": 50, "fwmark": mark, "fwmask": mark, "table": "100"}
    assert foreign_uses(host(rules=[rule]), OPTIONS, True) == []


@pytest.mark.parametrize(("priority", "count"), [(6999, 0), (7000, 1), (7389, 1), (7390, 0)])
def test_the_priorities_of_others(priority, count):
    found = host(rules=[{"priority": priority, "table": "100"}])
    assert len(foreign_uses(found, OPTIONS, True)) == count


@pytest.mark.parametrize(("table", "count"), [("6999", 0), ("7000", 1), ("11094", 1), ("11095", 0), ("254", 0)])
def test_the_tables_of_others(table, count):
    found = host(rules=[{"priority": 50, "table": table}])
    assert len(foreign_uses(found, OPTIONS, True)) == count


@pytest.mark.parametrize(("table", "count"), [("6999", 0), ("7000", 1), ("11094", 1), ("11095", 0), ("254", 0)])
def test_the_default_routes_of_others(table, count):
    route = {"dst": "default", "gateway": "192.168.126.1", "dev": "eth0", "table": table, "protocol": "17"}
    assert len(foreign_uses(replace(host(), default_routes=(route,)), OPTIONS, True)) == count


@pytest.mark.parametrize(("table", "count"), [(6999, 0), (7000, 1), (100, 0)])
def test_the_tables_of_vrfs(table, count):
    vrf = {"ifname": "blue", "linkinfo": {"info_kind": "vrf", "info_data": {"table": table}}}
    assert len(foreign_uses(replace(host(), interfaces=(vrf,)), OPTIONS, True)) == count


def test_our_own_rules_are_no_foreign_use():
    rule = {"priority": 7003, "fwmark": "0x1", "fwmask": "0xfff", "table": "7001", "protocol": "225"}
    assert foreign_uses(host(rules=[rule]), OPTIONS, True) == []


@pytest.mark.parametrize(
    ("address", "ours"),
    [
        pytest.param(
            {"family": "inet", "local": "10.0.0.1", "prefixlen": 32, "label": "eth0:egress"}, True, id="label"
        ),
        pytest.param(
            {"family": "inet", "local": "10.0.0.1", "prefixlen": 32, "label": "eth1:egress"}, False, id="other"
        ),
        pytest.param({"family": "inet", "local": "10.0.0.9", "prefixlen": 32}, True, id="claimed"),
        pytest.param({"family": "inet", "local": "10.0.0.9", "prefixlen": 24}, False, id="with a network"),
        pytest.param({"family": "inet6", "local": "2001:db8::9", "prefixlen": 128}, True, id="claimed IPv6"),
        pytest.param({"family": "inet6", "local": "2001:db8::8", "prefixlen": 128}, False, id="foreign"),
    ],
)
def test_an_egress_ip_has_our_label_or_is_a_single_address_of_the_record(address, ours):
    assert is_egress_address("eth0", address, {"10.0.0.9", "2001:db8::9"}) is ours


def test_our_device_has_our_alias():
    def named(alias):
        return replace(NOTHING, interfaces=({"ifname": "egress0", "ifalias": alias}, {"ifname": "eth0"}))

    assert is_our_device(named("netops.egress_ip:4790"), "egress0")
    assert not is_our_device(named("netops.egress_ip_2"), "egress0")
    assert not is_our_device(named("netops.egress_ip:4790"), "eth0")
    assert not is_our_device(NOTHING, "egress0")


def test_foreign_devices_with_our_name_or_port():
    vxlan = {"info_kind": "vxlan", "info_data": {"port": 4790}}
    interfaces = ({"ifname": "egress0"}, {"ifname": "vxlan1", "linkinfo": vxlan})
    found = foreign_uses(replace(NOTHING, interfaces=interfaces), OPTIONS, False)
    assert [line.split(":")[0] for line in found] == ["egress_ip_tunnel_device", "egress_ip_tunnel_port"]
    assert foreign_uses(replace(NOTHING, interfaces=interfaces), OPTIONS, True) == []
