# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which interfaces may bear egress IPs, and how one leaves by each of them."""

from __future__ import annotations

import re

import pytest
from ansible_collections.netops.egress_ip.plugins.module_utils._dataplane.interfaces import (
    Exit,
    exits,
    outward_bridges,
    usable_interfaces,
)
from ansible_collections.netops.egress_ip.plugins.module_utils._dataplane.iproute import desired_ip
from ansible_collections.netops.egress_ip.plugins.module_utils._dataplane.nft_ruleset import desired_tables
from ansible_collections.netops.egress_ip.plugins.module_utils._dataplane.nft_table import INET
from ansible_collections.netops.egress_ip.plugins.module_utils._dataplane.options import DataPlaneOptions
from ansible_collections.netops.egress_ip.plugins.module_utils._dataplane.state import problems_of
from fake_node_io import FakeKernel, address, ethernet
from states import egress_object, held, node_state

OPTIONS = DataPlaneOptions()
FIRST_TABLE = 7000 + 0xFFF
PRIMARY = {"interface": "eth0", "addresses": ["192.168.126.21/18", "2001:db8:126::21/64"]}
SECOND = {"interface": "eth1", "addresses": ["10.9.0.21/24"]}
STATE = node_state(
    egressips=[egress_object("web", ["10.9.0.101", "2001:db8:9::101"])], held=held("10.9.0.101", interface="eth1")
)


@pytest.fixture
def kernel():
    kernel = FakeKernel()
    kernel.interfaces["eth1"] = ethernet(address("10.9.0.21", 24, "eth1"))
    return kernel


def default(gateway, device="eth1", table="254", **parts):
    return {"dst": "default", "gateway": gateway, "dev": device, "table": table, **parts}


def change(kernel, name, **parts):
    kernel.interfaces[name].update(parts)


def test_the_primary_interface_comes_first_and_bridges_of_the_host_itself_do_not_count(kernel):
    assert usable_interfaces(kernel.read_host(), "eth0", set()) == [PRIMARY, SECOND]
    assert usable_interfaces(kernel.read_host(), "eth1", set()) == [SECOND, PRIMARY]


def test_egress_ips_are_not_the_hosts_own(kernel):
    kernel.interfaces["eth1"]["addr_info"] += [
        address("10.9.0.101", 32, "eth1"),
        address("10.9.0.102", 32, "eth1:egress"),
    ]
    assert usable_interfaces(kernel.read_host(), "eth0", {"10.9.0.101"}) == [PRIMARY, SECOND]


def test_a_bridge_with_a_port_to_the_outside_counts(kernel):
    change(kernel, "pods0", flags=["BROADCAST", "UP", "LOWER_UP"])
    kernel.interfaces["eth2"] = {**ethernet(), "master": "pods0", "linkinfo": {}}
    found = [item["interface"] for item in usable_interfaces(kernel.read_host(), "eth0", set())]
    assert found == ["eth0", "eth1", "pods0"]


@pytest.mark.parametrize(
    ("flags", "kind"),
    [
        pytest.param(["BROADCAST", "UP"], "", id="without a link"),
        pytest.param(["BROADCAST", "NOARP", "UP", "LOWER_UP"], "dummy", id="without ARP"),
        pytest.param(["POINTOPOINT", "NOARP", "UP", "LOWER_UP"], "wireguard", id="point to point"),
    ],
)
def test_an_interface_that_cannot_bear_egress_ips(kernel, flags, kind):
    change(kernel, "eth1", flags=flags, linkinfo={"info_kind": kind})
    assert usable_interfaces(kernel.read_host(), "eth0", set()) == [PRIMARY]


def test_without_a_link_on_the_primary_interface_the_others_bear_none_either(kernel):
    change(kernel, "eth0", flags=["BROADCAST", "UP"])
    assert usable_interfaces(kernel.read_host(), "eth0", set()) == []


@pytest.mark.parametrize(
    ("routes", "gateway"),
    [
        pytest.param([], "", id="none"),
        pytest.param([default("10.9.0.1", metric=9)], "10.9.0.1", id="in the main table"),
        pytest.param([default("10.9.0.1", metric=9), default("10.9.0.2", metric=8)], "10.9.0.2", id="the better one"),
        pytest.param([default("10.9.0.1", table="100")], "10.9.0.1", id="in a table for that interface"),
        pytest.param(
            [default("10.9.0.1", table="100"), default("10.9.0.2", metric=9)], "10.9.0.2", id="the main table first"
        ),
        pytest.param([default("192.168.126.1", "eth0"), default("fe80::1")], "", id="another interface or IP version"),
    ],
)
def test_the_way_out_of_a_second_interface(kernel, routes, gateway):
    kernel.default_routes = routes
    routes4 = {"10.9.0.0/24": "", **({"default": gateway} if gateway else {})}
    way = exits(kernel.read_host(), STATE)["eth1"]
    assert (way.routes[4], way.vrf) == (routes4, "")
    # The fourth interface of the host.
    assert way.table == FIRST_TABLE + 4


def test_the_primary_interface_needs_no_table(kernel):
    assert exits(kernel.read_host(), node_state()) == {}


@pytest.mark.parametrize(
    ("table", "protocol", "problems"),
    [
        pytest.param(FIRST_TABLE + 4, "3", 1, id="a table that somebody uses"),
        pytest.param(FIRST_TABLE + 4, "225", 0, id="our own rule"),
        pytest.param(FIRST_TABLE + 2, "3", 0, id="the primary interface has none"),
        pytest.param(FIRST_TABLE + 3, "3", 0, id="a bridge of the host itself has none"),
    ],
)
def test_a_table_that_others_use(kernel, table, protocol, problems):
    kernel.rules[4].append({"priority": 50, "src": "10.9.0.21", "table": str(table), "protocol": protocol})
    found = problems_of(kernel.read_host(), OPTIONS, "eth0")
    assert len(found) == problems
    assert all(re.fullmatch("egress_ip_table_base: .* ours for egress IPs on eth1", line) for line in found)


def test_an_interface_in_a_vrf_uses_the_vrfs_table(kernel):
    kernel.interfaces["blue"] = {**ethernet(), "linkinfo": {"info_kind": "vrf", "info_data": {"table": 100}}}
    change(kernel, "eth1", master="blue")
    kernel.rules[4].append({"priority": 50, "src": "all", "table": str(FIRST_TABLE + 4), "protocol": "3"})
    assert problems_of(kernel.read_host(), OPTIONS, "eth0") == []


def test_the_rules_of_an_interface_in_a_vrf(kernel):
    kernel.interfaces["blue"] = {**ethernet(), "linkinfo": {"info_kind": "vrf", "info_data": {"table": 100}}}
    change(kernel, "eth1", master="blue")
    ways = exits(kernel.read_host(), STATE)
    assert ways == {"eth1": Exit(100, {4: {}, 6: {}}, "blue")}
    marks = {"10.9.0.101": 1, "2001:db8:9::101": 2}
    rules = desired_ip(STATE, marks, 1500, ways, "0a:00:00:00:00:01")[4].rules
    assert "priority 7004 fwmark 0x1/0xfff lookup 100" in rules
    assert "priority 990 not fwmark 0x0/0xfff iif blue lookup 254" in rules
    rules = desired_tables(STATE, marks, 1430, ["eth1"])[INET].chains["prerouting"].rules
    out_of_the_vrf = 'iifname "eth1" ct direction reply meta mark set ct mark and 0xfff'
    assert rules.index(out_of_the_vrf) < rules.index("ct direction reply return")


def test_bridges_of_egress_ips_and_those_with_a_port_to_the_outside_lead_out(kernel):
    assert outward_bridges(kernel.read_host(), STATE) == []
    change(kernel, "eth1", linkinfo={"info_kind": "bridge"})
    kernel.interfaces["br1"] = {**ethernet(), "linkinfo": {"info_kind": "bridge"}}
    assert outward_bridges(kernel.read_host(), STATE) == ["eth1"]
    kernel.interfaces["eth2"] = {**ethernet(), "master": "br1", "linkinfo": {}}
    assert outward_bridges(kernel.read_host(), STATE) == ["br1", "eth1"]
