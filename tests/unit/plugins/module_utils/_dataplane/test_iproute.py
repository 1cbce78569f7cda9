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
from ansible_collections.netops.egress_ip.plugins.module_utils._dataplane import iproute
from ansible_collections.netops.egress_ip.plugins.module_utils._dataplane.host import (
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
from states import egress_object, held, node_state, node_states

OPTIONS = DataPlaneOptions()
MAC = "0a:00:00:00:00:01"
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
    have, want = desired_ip(first, marks, 1500, {}, MAC), desired_ip(second, marks_of(second, marks), 1500, {}, MAC)
    assert any(batches(have, want).values()) == (have != want)
    assert batches(have, have) == {4: [], 6: []}


@given(node_states(), node_states())
def test_additions_come_before_removals(first, second):
    marks = marks_of(first)
    removals = ("rule delete", "route flush", "neighbour delete")
    for lines in batches(
        desired_ip(first, marks, 1500, {}, MAC), desired_ip(second, marks_of(second, marks), 1500, {}, MAC)
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
    old = desired_ip(state, marks_of(state), 1500, {}, MAC)
    lines = batches(old, desired_ip(state, marks_of(state), 9000, {}, MAC))[4]
    assert lines[:3] == [
        "link delete egress0",
        "link add egress0 address 0a:00:00:00:00:01 mtu 8930 type vxlan external dstport 4790",
        "link set egress0 alias netops.egress_ip:4790 up",
    ]
    assert len(words(lines, "route replace", "neighbour replace")) == 4
    assert words(lines, "rule", "route flush", "neighbour delete") == []
    assert words(lines, "address") == ["address add 192.0.0.8/32 dev egress0"]


def test_the_claim_is_an_address_and_a_rule():
    state = node_state(held=[])
    have = desired_ip(state, marks_of(state), 1500, {}, MAC)
    want = desired_ip(node_state(held=held("192.168.126.102")), marks_of(state), 1500, {}, MAC)
    assert batches(have, want) == {
        4: [
            "rule add priority 7004 fwmark 0x2/0xfff lookup 254 protocol 225",
            "address add 192.168.126.102/32 dev eth0 label eth0:egress",
        ],
        6: [],
    }


def test_each_ip_version_has_its_own_way():
    egress_ips = ["192.168.126.101", "2001:db8:126::101"]
    state = node_state(egressips=[egress_object("web", egress_ips)], held=held(*egress_ips))
    ipv6 = desired_ip(state, marks_of(state), 1500, {}, MAC)[6]
    assert ipv6.to_dict() == {
        "links": [],
        "rules": [
            "priority 7000 fwmark 0x0/0xfff goto 7388",
            "priority 7000 fwmark 0xfff/0xfff goto 7388",
            "priority 7001 iif lo goto 7388",
            "priority 7002 fwmark 0x0/0xfc0 goto 7003",
            "priority 7003 nop",
            "priority 7004 fwmark 0x2/0xfff lookup 254",
            "priority 7005 fwmark 0x2/0xfff lookup 7002",
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
    assert desired_ip(state, marks_of(state), 1500, {}, MAC)[6] == IpState()


def test_states_are_plain_values():
    state = node_state()
    assert json.loads(json.dumps(desired_ip(state, marks_of(state), 1500, {}, MAC)[4].to_dict()))["links"] == [
        "egress0 address 0a:00:00:00:00:01 mtu 1430 type vxlan external dstport 4790"
    ]
