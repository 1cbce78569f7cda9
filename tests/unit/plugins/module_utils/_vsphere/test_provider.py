# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The audit of the ports of nodes on vSphere, and the changes that they need."""

from __future__ import annotations

import copy

import pytest
from ansible_collections.netops.egress_ip.plugins.module_utils._vsphere.provider import VSPHERE, audit, changes

A, B, ELSEWHERE = "192.168.126.10", "192.168.126.102", "10.9.9.9"
UUID = "42304b1e-9e7b-4f1d-8a52-0c1f6b0f6c11"
DROPPED = {"allowed_addresses": [A]}


def rule(egress_ip):
    return {"description": f"netops.egress_ip {egress_ip}", "sequence": 5}


def port(number, *answers, **values):
    """Return what vsphere_port_info says of node NUMBER; each answer is (egress IP, change).

    `audited` omits answers without a change, as the module does.
    """
    return {
        "vm": {"name": f"node{number}", "moid": f"vm-{number}", "uuid": UUID},
        "nic": {"mac": f"00:50:56:00:0{number}:01"},
        "host": None,
        "connection": "node1",
        "switch": {"name": "DVS0", "type": "distributed"},
        "port_group": {"name": "nodes", "moid": "dvportgroup-1", "noted": {}},
        "vlan": {"type": "id", "ids": ["126"], "isolated": False},
        "rules": [],
        "overridden": ["rules"],
        "security": {"promiscuous": False, "mac_changes": False, "forged_transmits": True},
        "mac_learning": {"enabled": True, "allow_unicast_flooding": True, "limit": 4096, "limit_policy": "drop"},
        "noted": {},
        "fence": [],
        "fenced": False,
        "egress_ips": [{"egressIP": ip, "needed": bool(change), "change": change} for ip, change in answers],
        **values,
    }


def vm(number):
    return {"moid": f"vm-{number}", "mac": f"00:50:56:00:0{number}:01"}


def fleet(*labelled, silent=(), recalled=()):
    members = (1, 2, 3)
    networks = [{"interface": "eth0", "addresses": ["192.168.126.21/18"]}]
    return {
        "nodes": [{"name": f"node{n}", "networks": networks} for n in members],
        "eligible": [f"node{n}" for n in labelled],
        "observed": {f"node{n}": {"macs": {"eth0": f"00:50:56:00:0{n}:01"}} for n in members if n not in silent},
        "recalled": {"old": {"egressIPs": list(recalled), "pods": {}}},
    }


def decide(fleet_, guest_mac="own", scope="port", **ports):
    return changes(audited(guest_mac, scope, **ports), fleet_)


def audited(guest_mac="own", scope="port", **ports):
    nodes = {name: each if isinstance(each, list) else [each] for name, each in ports.items()}
    found = [answer["egressIP"] for own in nodes.values() for each in own for answer in each["egress_ips"]]
    nodes = {name: [_partial(each) for each in own] for name, own in nodes.items()}
    about = {"guest_mac": guest_mac, "scope": scope, "failures": [], "egress_ips": list(dict.fromkeys(found))}
    return {"nodes": nodes, "fenced": {}, "proven": [], "labels": {}, "unchecked": [], **about}


def _partial(port_):
    return {**port_, "egress_ips": [answer for answer in port_["egress_ips"] if answer["change"]]}


def options(*vms, **values):
    given = {"security": {}, "mac_learning": {}, "allowed_addresses": [], "connection": "node1", **values}
    return {**given, "vms": list(vms)}


# The audit.


def test_an_audit():
    asked = {"nodes": [{"name": f"node{n}", "vms": [{}], "uuid": None} for n in (1, 2)], "egress_ips": []}
    told = audit(asked, [port(1), port(2, fence=["vnic_disconnect"])])
    assert (list(told["nodes"]), told["fenced"], told["failures"]) == (
        ["node1", "node2"],
        {"node2": ["vnic_disconnect"]},
        [],
    )
    assert {**audit(asked, [], "second", "portgroup"), "unchecked": [], "egress_ips": []} == audited(
        "second", "portgroup"
    )


def test_the_host_of_a_vm_is_a_label_of_its_node():
    other = "564d0000-0000-0000-0000-000000000000"
    asked = {
        "nodes": [{"name": f"node{n}", "vms": [{}], "uuid": uuid} for n, uuid in ((1, UUID), (2, None), (3, other))]
    }
    told = audit(asked, [port(1, host="esx1"), {"error": "vms[1]: no"}, port(3, host="esx3")])
    assert told["labels"] == {"node1": {"vsphere/host": "esx1"}}


def test_a_node_with_two_adapters_is_fenced_when_one_is():
    asked = {"nodes": [{"name": "node1", "vms": [{}, {}], "uuid": None}, {"name": "node2", "vms": [{}], "uuid": None}]}
    told = audit(asked, [port(1), port(1, fence=["port_block"]), port(2)])
    assert ([len(ports) for ports in told["nodes"].values()], told["fenced"]) == ([2, 1], {"node1": ["port_block"]})


@pytest.mark.parametrize(("cut_off", "proven"), [((True, True), ["node1"]), ((True, False), []), ((False, True), [])])
def test_a_fence_is_proven_for_all_adapters_or_not(cut_off, proven):
    asked = {"nodes": [{"name": "node1", "vms": [{}, {}], "uuid": None}, {"name": "node2", "vms": [{}], "uuid": None}]}
    first, second = (port(1, fence=["port_block"], fenced=each) for each in cut_off)
    told = audit(asked, [first, second, port(2, fenced=True)])
    assert (told["fenced"], told["proven"]) == ({"node1": ["port_block"]}, proven), "node2 is off, by whomever"


def test_a_vm_that_is_not_known_is_none_of_the_others():
    asked = {"nodes": [{"name": f"node{n}", "vms": [{}], "uuid": None} for n in (1, 2, 3)]}
    gone = {"error": "vms[0].name: must be a VM that this user can see, not 'node1'"}
    unclear = {"error": "vms[2]: the VM has several network adapters; choose by mac, label or network"}
    told = audit(asked, [gone, port(2), unclear])
    assert list(told["nodes"]) == ["node2"]
    assert told["failures"] == [
        "node1: egress_ip_vsphere_vm: name: must be a VM that this user can see, not 'node1'",
        "node3: egress_ip_vsphere_vm: the VM has several network adapters; choose by mac, label or network",
    ]


def test_a_node_with_an_adapter_that_is_not_known_stays_fenced():
    asked = {"nodes": [{"name": "node1", "vms": [{}, {}], "uuid": None}]}
    told = audit(asked, [port(1, fence=["port_block"], fenced=True), {"error": "vms[1].label: there is none"}])
    assert (told["nodes"], told["fenced"], told["proven"]) == ({}, {"node1": ["port_block"]}, [])


def test_a_vm_that_is_another_one_is_not_touched():
    other = "564d0000-0000-0000-0000-000000000000"
    asked = {"nodes": [{"name": "node1", "vms": [{}], "uuid": other}, {"name": "node2", "vms": [{}], "uuid": UUID}]}
    upper = {"name": "node2", "moid": "vm-2", "uuid": UUID.upper()}
    told = audit(asked, [port(1, fence=["port_block"]), port(2, vm=upper)])
    assert (list(told["nodes"]), told["fenced"]) == (["node2"], {})
    assert told["failures"] == [
        f"node1: egress_ip_vsphere_vm: the VM node1 has the UUID {UUID}, but this host has {other};"
        " name the VM of this host"
    ]


# The changes.


def test_nothing_is_needed_mostly():
    told = decide(fleet(1, 2), node1=port(1, (A, {})), node2=port(2, (A, {})))
    assert told == {"open": [], "close": [], "notes": []}


def test_nodes_that_need_the_same_go_together():
    ports = {f"node{n}": port(n, (A, DROPPED), (B, {})) for n in (1, 2, 3)}
    assert decide(fleet(1, 2), **ports)["open"] == [options(vm(1), vm(2), **DROPPED)]


def test_different_needs_are_different_calls():
    second = {"security": {"forged_transmits": True}, "mac_learning": {"enabled": True}}
    told = decide(fleet(1, 2), node1=port(1, (A, DROPPED)), node2=port(2, (A, second), (B, second)))
    assert told["open"] == [options(vm(1), **DROPPED), options(vm(2), **second)]


def test_an_address_outside_a_nodes_networks_needs_nothing_there():
    assert decide(fleet(1), node1=port(1, (ELSEWHERE, {"allowed_addresses": [ELSEWHERE]})))["open"] == []


def test_each_adapter_lets_pass_what_its_interface_may_hold():
    seen, inner = fleet(1), "10.9.0.10"
    seen["nodes"][0]["networks"] = [
        {"interface": "eth0", "addresses": ["192.168.126.21/18"]},
        {"interface": "eth1", "addresses": ["10.9.0.21/24"]},
    ]
    seen["observed"]["node1"]["macs"]["eth1"] = "00:50:56:00:01:02"
    both = ((A, DROPPED), (inner, {"allowed_addresses": [inner]}))
    second = port(1, *both, nic={"mac": "00:50:56:00:01:02"})
    assert decide(seen, node1=[port(1, *both), second])["open"] == [
        options(vm(1), **DROPPED),
        options({"moid": "vm-1", "mac": "00:50:56:00:01:02"}, allowed_addresses=[inner]),
    ]
    # A bridge with a MAC address of its own may be behind either adapter.
    seen["observed"]["node1"]["macs"]["eth1"] = "02:00:00:00:00:09"
    told = decide(seen, node1=[port(1, *both), second])["open"]
    assert [each["allowed_addresses"] for each in told] == [[A, inner], [inner]]


def test_what_is_ours_and_not_wanted_is_taken_back():
    foreign = {"description": "guard", "sequence": 900}
    there = port(1, (A, {}), rules=[rule(A), rule(A), rule(B), rule(B), foreign])
    assert decide(fleet(1), node1=there)["close"] == [options(vm(1), allowed_addresses=[B])]
    assert decide(fleet(), node1=there)["close"] == [options(vm(1), allowed_addresses=[A, B])]


def test_flags_are_taken_back_from_a_node_that_may_hold_nothing_any_more():
    noted = {"forged_transmits": False, "security": "inherited", "mac_learning.enabled": False, "blocked": "inherited"}
    there = port(1, (A, {}), noted=noted)
    assert decide(fleet(1), "second", node1=there)["close"] == []
    assert decide(fleet(), node1=there)["close"] == [], "a run with the adapter's own address has set none"
    assert decide(fleet(), "second", node1=there)["close"] == [
        options(vm(1), security={"forged_transmits": True}, mac_learning={"enabled": True})
    ]


def test_rules_of_the_port_group_are_none_of_the_port():
    there = port(1, (A, {}), rules=[rule(B)], overridden=[])
    assert decide(fleet(1), node1=there)["close"] == []


def in_group(number, *answers, **values):
    """A port that follows its port group, with its rules for A and B."""
    return port(number, *answers, rules=[rule(A), rule(B)], overridden=[], **values)


def test_what_another_node_of_the_port_group_needs_stays():
    ports = {"node1": in_group(1, (A, {})), "node2": in_group(2, (A, {}))}
    assert decide(fleet(1), scope="portgroup", **ports)["close"] == [options(vm(1), vm(2), allowed_addresses=[B])]
    assert decide(fleet(1, silent=[2]), scope="portgroup", **ports)["close"] == [], "nobody knows what node2 needs"
    elsewhere = {"name": "others", "moid": "dvportgroup-2", "noted": {}}
    ports["node2"] = in_group(2, (A, {}), port_group=elsewhere)
    assert decide(fleet(1), scope="portgroup", **ports)["close"] == [
        options(vm(1), allowed_addresses=[B]),
        options(vm(2), allowed_addresses=[A, B]),
    ]


def test_a_node_that_is_not_known_may_be_in_any_port_group():
    told = {**audited(scope="portgroup", node1=in_group(1, (A, {}))), "failures": ["node2: ..."]}
    assert changes(told, fleet(1))["close"] == []


def test_flags_of_a_port_group_are_taken_back_when_none_of_its_nodes_may_hold_anything():
    group = {"name": "nodes", "moid": "dvportgroup-1", "noted": {"forged_transmits": False, "security": "inherited"}}
    ports = {f"node{n}": port(n, (A, {}), port_group=group) for n in (1, 2)}
    assert decide(fleet(1), "second", "portgroup", **ports)["close"] == []
    assert decide(fleet(), "second", "portgroup", **ports)["close"] == [
        options(vm(1), vm(2), security={"forged_transmits": True})
    ]
    assert decide(fleet(), "second", **ports)["close"] == [], "nothing is noted at the ports"


@pytest.mark.parametrize("where", ["port", "group"])
def test_flags_that_a_run_does_not_need_are_told(where):
    noted = {"forged_transmits": False, "security": "inherited", "mac_learning.enabled": False, "blocked": "inherited"}
    group = {"name": "nodes", "moid": "dvportgroup-1", "noted": noted if where == "group" else {}}
    there = port(1, (A, {}), port_group=group, noted=noted if where == "port" else {})
    assert decide(fleet(1), node1=there)["notes"] == [
        "node node1: vsphere_port_security set forged_transmits, mac_learning.enabled there; egress IPs on the own MAC"
        " address do not need that"
    ]
    assert decide(fleet(1), "second", node1=there)["notes"] == []


def test_what_a_broken_object_has_stays():
    there = port(1, (A, {}), rules=[rule(A), rule(B)])
    assert decide(fleet(1, recalled=[B]), node1=there)["close"] == []


def test_the_port_of_a_silent_node_stays_as_it_is():
    there = port(1, (A, DROPPED), rules=[rule(B)])
    assert decide(fleet(1, silent=[1]), node1=there) == {"open": [], "close": [], "notes": []}


def test_what_the_vcenter_cannot_tell_is_noted():
    nsx = port(1, (A, {}), switch={"name": "n", "type": "nsx"}, rules=None, security=None, mac_learning=None, vlan=None)
    hidden = port(2, (A, {}), vlan={"type": "private", "ids": ["201"], "isolated": True})
    told = decide(fleet(1, 2), node1=nsx, node2=hidden)
    assert (told["open"], told["close"]) == ([], [])
    assert [note.partition(",")[0] for note in told["notes"]] == [
        "node node1: its port belongs to NSX",
        "node node2: its port is in an isolated private VLAN",
    ]
    assert decide(fleet(), node1=nsx, node2=hidden)["notes"] == []


def test_inputs_are_unchanged():
    arguments = audited(node1=port(1, (A, DROPPED), (B, DROPPED))), fleet(1)
    before = copy.deepcopy(arguments)
    changes(*arguments)
    assert arguments == before


# Several vCenters.


def test_the_answers_of_two_vcenters():
    nodes = [{"name": f"node{n}", "vms": [{}], "uuid": None} for n in (1, 2, 3)]
    vcenters = [{"connection": "node1", "nodes": ["node1", "node3"]}, {"connection": "node2", "nodes": ["node2"]}]
    own = [port(1, host="esx1"), port(3, fence=["power_off"], fenced=True)]
    answer = {"results": [{"ports": own}, {"ports": [port(2, fence=["port_block"])]}]}
    told = VSPHERE.audit(
        {"nodes": nodes, "vcenters": vcenters, "egress_ips": [A]}, answer, {"guest_mac": "own", "scope": "port"}
    )
    assert {name: ports[0]["connection"] for name, ports in told["nodes"].items()} == {
        "node1": "node1",
        "node3": "node1",
        "node2": "node2",
    }
    assert (told["fenced"], told["proven"]) == ({"node3": ["power_off"], "node2": ["port_block"]}, ["node3"])
    assert (told["labels"], told["unchecked"]) == ({"node1": {"vsphere/host": "esx1"}}, [])
    assert told["egress_ips"] == [A]


def test_equal_changes_at_two_vcenters_are_two_calls():
    ports = {f"node{n}": port(n, (A, DROPPED), connection=f"node{n}") for n in (1, 2)}
    opened = decide(fleet(1, 2), **ports)["open"]
    assert opened == [options(vm(n), connection=f"node{n}", **DROPPED) for n in (1, 2)]


def test_port_groups_with_one_id_at_two_vcenters():
    kept = port(1, rules=[rule(A)], overridden=[], connection="node1")
    left = port(2, rules=[rule(A)], overridden=[], connection="node2")
    silent = decide(fleet(1, 2, silent=(1,)), scope="portgroup", node1=kept, node2=left)
    assert silent["close"] == [options(vm(2), connection="node2", allowed_addresses=[A])]


@pytest.mark.parametrize(
    ("count", "named"), [(2, "node1, node2"), (7, "node1, node2, node3, node4, node5, 2 more nodes")]
)
def test_nodes_without_a_vcenter(count, named):
    unchecked = {**audited(), "unchecked": [f"node{n}" for n in range(1, count + 1)]}
    line = f"egress_ip_vsphere_hostname: names no vCenter, so that the ports of the VMs of {named} are not checked"
    assert changes(unchecked, fleet())["notes"] == [line]
