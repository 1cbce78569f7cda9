# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Nodes as the planner reads them."""

from __future__ import annotations

import pytest
from ansible_collections.netops.egress_ip.plugins.module_utils._common.addresses import parse_address
from ansible_collections.netops.egress_ip.plugins.module_utils._common.errors import InvalidError
from ansible_collections.netops.egress_ip.plugins.module_utils._kubernetes.objects import ASSIGNABLE
from ansible_collections.netops.egress_ip.plugins.module_utils._planner.nodes import Capacity, Node, read_nodes

WHOLE = {
    "name": "n1",
    "labels": {"k8s.ovn.org/egress-assignable": ""},
    "ready": False,
    "networks": [{"interface": "eth0", "addresses": ["10.0.0.1/24", "2001:db8::1/64"]}],
    "capacity": {"ip": 3, "ipv4": 2, "ipv6": None},
}


def network(interface, *addresses):
    return {"interface": interface, "addresses": list(addresses)}


def test_round_trip():
    node = Node.from_dict(WHOLE)
    assert node.to_dict() == WHOLE
    assert Node.from_dict(node.to_dict()) == node


def test_defaults():
    node = Node.from_dict({"name": "n1"})
    assert (node.ready, node.labels, node.networks, node.capacity) == (True, {}, (), Capacity())


@pytest.mark.parametrize("value", ["", None, "false", True])
def test_the_label_makes_a_node_assignable_with_any_value(value):
    node = Node.from_dict({"name": "n1", "labels": {"k8s.ovn.org/egress-assignable": value}})
    assert ASSIGNABLE.matches(node.label_texts)


BROKEN = [
    ({"ready": "yes"}, ["node/n1: ready: must be true or false, not the string 'yes'"]),
    ({"labels": []}, ["node/n1: labels: must be a mapping, not a list"]),
    ({"lables": {}}, ["node/n1: lables: unknown field; did you mean labels?"]),
    (
        {"capacity": -1},
        ["node/n1: capacity: must be an integer of 0 or more, or left out for no limit, not the integer -1"],
    ),
    (
        {"capacity": {"ipv4": "2", "ip4": 1}},
        [
            "node/n1: capacity.ip4: unknown field; did you mean ipv4?",
            "node/n1: capacity.ipv4: must be an integer of 0 or more, or left out for no limit, not the string '2'",
        ],
    ),
    ({"networks": {}}, ["node/n1: networks: must be a list, not a mapping"]),
    ({"networks": [5]}, ["node/n1: networks[0]: must be a mapping, not the integer 5"]),
    ({"networks": [{"interface": "eth0"}]}, ["node/n1: networks[0].addresses: is missing"]),
    (
        {"networks": [network("eth0", "10.0.0.1/24", "10.0.0.2"), network("eth1", "10.0.0.300/24")]},
        [
            "node/n1: networks[0].addresses[1]: '10.0.0.2' has no prefix length; write an address with a prefix length",
            "node/n1: networks[1].addresses[0]: '10.0.0.300/24' is not an IPv4 or IPv6 address",
        ],
    ),
    (
        {"networks": [network("eth0"), network("eth0")]},
        ["node/n1: networks[1].interface: eth0 is also the interface of networks[0]"],
    ),
]


@pytest.mark.parametrize(("change", "errors"), BROKEN)
def test_every_error_with_its_path(change, errors):
    with pytest.raises(InvalidError) as caught:
        Node.from_dict({"name": "n1", **change})
    assert list(caught.value.errors) == errors


@pytest.mark.parametrize(
    ("document", "error"),
    [
        (5, "node[3]: must be a mapping, not the integer 5"),
        ({}, "node[3]: name: is missing"),
        ({"name": ""}, "node[3]: name: is empty"),
    ],
)
def test_without_a_name_the_path_is_the_index(document, error):
    with pytest.raises(InvalidError) as caught:
        Node.from_dict(document, "node[3]")
    assert caught.value.errors[0] == error


def test_longest_prefix_then_first_interface():
    networks = [network("eth0", "10.0.0.1/8"), network("eth1", "10.1.0.1/16"), network("eth2", "10.1.0.2/16")]
    node = Node.from_dict({"name": "n1", "networks": networks})
    found = {
        text: node.network_for(parse_address(text, "")) for text in ("10.9.0.1", "10.1.0.9", "11.0.0.1", "2001:db8::1")
    }
    assert {text: each and (each[0], str(each[1])) for text, each in found.items()} == {
        "10.9.0.1": ("eth0", "10.0.0.0/8"),
        "10.1.0.9": ("eth1", "10.1.0.0/16"),
        "11.0.0.1": None,
        "2001:db8::1": None,
    }
    assert node.reserves(parse_address("10.1.0.0", ""))
    assert node.reserves(parse_address("10.255.255.255", ""))
    assert not node.reserves(parse_address("10.9.0.0", ""))


def test_broken_entries_stop_no_other_and_keep_their_addresses():
    broken = {**WHOLE, "name": "n2", "ready": 1, "networks": [network("eth0", "10.0.0.2/24", "x")]}
    nodes = read_nodes([broken, WHOLE, None])
    assert [node.name for node in nodes.valid] == ["n1"]
    assert nodes.broken == ("n2",)
    assert [entry["name"] for entry in nodes.invalid] == ["node/n2", "node[2]"]
    assert nodes.own_addresses["10.0.0.2"] == (("n2", "eth0"),)


def test_two_entries_of_one_name_are_both_broken():
    nodes = read_nodes([WHOLE, {**WHOLE, "ready": True}])
    assert (nodes.valid, nodes.broken) == ((), ("n1",))
    assert [entry["errors"] for entry in nodes.invalid] == [["node/n1: name: 2 nodes have this name"]] * 2


def test_an_address_of_two_nodes_is_a_warning():
    networks = [network("eth0", "10.0.0.1/24", "fe80::1/64")]
    nodes = read_nodes([{"name": name, "networks": networks} for name in ("n2", "n1")])
    assert nodes.warnings() == ["10.0.0.1 is the own address of n1 and of n2"]
