# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The module vsphere_port_info against a simulated vCenter."""

from __future__ import annotations

import pytest
from ansible_collections.netops.egress_ip.plugins.module_utils._vsphere import inventory
from pyVim.task import WaitForTask
from pyVmomi import vim
from spoof_guard import spoof_guard

dvs = vim.dvs.VmwareDistributedVirtualSwitch
CLOSED = {"promiscuous": False, "mac_changes": False, "forged_transmits": False}
EGRESS_IP = "192.168.126.10"


def read_port(run, egress_ips=(), guest_mac="own", **vm):
    result = run("vsphere_port_info", vms=[vm], egress_ips=list(egress_ips), guest_mac=guest_mac)
    assert "ports" in result, result
    return result["ports"][0]


def need(run, guest_mac="own", **vm):
    return read_port(run, [EGRESS_IP], guest_mac, **vm)["egress_ips"][0]


def test_a_port_of_a_distributed_switch(run, vcenter):
    port = read_port(run, name="node1")
    vm = vcenter.all(vim.VirtualMachine)["node1"]
    assert port["vm"] == {
        "name": "node1",
        "moid": vm._GetMoId(),
        "uuid": vm.config.uuid,
        "power_state": "poweredOn",
        "template": False,
    }
    assert port["nic"] == {"label": "Network adapter 1", "mac": "00:50:56:00:01:01", "connected": True}
    assert port["host"] == "DC0_C0_H0"
    assert port["switch"] == {"name": "DVS0", "type": "distributed"}
    assert (port["port_group"]["name"], port["port_group"]["binding"]) == ("nodes", "earlyBinding")
    assert port["port_key"] == "10"
    assert port["vlan"] == {"type": "id", "ids": ["126"], "isolated": False}
    assert port["security"] == CLOSED
    assert port["mac_learning"] == {
        "enabled": False,
        "allow_unicast_flooding": True,
        "limit": 4096,
        "limit_policy": "drop",
    }
    assert (port["rules"], port["overridden"]) == ([], [])
    assert port["override_allowed"] == ["blocked", "mac_management", "rules", "security"]
    assert port["shared_with"] == ["node2", "node4", "twin", "twin"]


@pytest.mark.parametrize("vcenter", [("-fleet", "20")], indirect=True)
def test_a_value_that_pyvmomi_cannot_parse_harms_one_vm(run, vcenter):
    vcenter.control("lose", name="fleet7", what="sense")
    vms = [{"name": f"fleet{n}"} for n in range(1, 21)]
    ports = run("vsphere_port_info", vms=vms, partial=True)["ports"]
    assert [n for n, port in enumerate(ports, 1) if "error" in port] == [7]
    moid = vcenter.all(vim.VirtualMachine)["fleet7"]._GetMoId()
    assert ports[6]["error"].startswith(
        f"{moid}: runtime.connectionState: has a value that pyvmomi cannot parse (AttributeError: "
    )
    assert "fleet7" in ports[0]["shared_with"]
    assert run("vsphere_port_info", vms=vms)["msg"] == ports[6]["error"]


def test_a_list_with_a_value_that_pyvmomi_cannot_parse(run, vcenter, monkeypatch):
    monkeypatch.setattr(inventory, "_VM", (*inventory._VM, "runtime.connectionState"))
    vcenter.control("lose", name="node2", what="sense")
    port, other = run("vsphere_port_info", vms=[{"name": "node1"}, {"name": "node2"}], partial=True)["ports"]
    assert (port["vm"]["name"], port["shared_with"][0]) == ("node1", "node2")
    assert "cannot parse" in other["error"]


def test_a_standard_port_group(run):
    port = read_port(run, name="node3", network="VM Network")
    assert port["switch"] == {"name": "vSwitch0", "type": "standard"}
    assert port["nic"]["mac"] == "00:50:56:00:03:01"
    assert (port["security"], port["mac_learning"], port["port_key"]) == (CLOSED, None, None)
    assert port["shared_with"] == []


def test_a_partial_result_omits_egress_ips_that_need_no_change(run, vcenter):
    """A run with many nodes and egress IPs would have an entry for each pair of them."""
    vcenter.change_group("nodes", defaultPortConfig=spoof_guard("192.168.126.11", direction="outgoingPackets"))
    egress_ips, vms = [EGRESS_IP, "192.168.126.11"], [{"name": "node1"}, {"name": "nsx1"}]
    results = [run("vsphere_port_info", vms=vms, egress_ips=egress_ips, partial=partial) for partial in (False, True)]
    told = [[[each["egressIP"] for each in port["egress_ips"]] for port in result["ports"]] for result in results]
    assert told == [[egress_ips, egress_ips], [[EGRESS_IP], egress_ips]]


@pytest.mark.parametrize("name", ["nsx1", "nsx2"])
def test_nsx_is_told_and_cannot_be_changed(run, name):
    port = read_port(run, [EGRESS_IP], name=name)
    assert (port["switch"]["type"], port["security"]) == ("nsx", None)
    answer = port["egress_ips"][0]
    assert (answer["needed"], answer["change"]) == (None, {})
    assert "segment profiles must allow the address; vCenter cannot check" in answer["reason"]


@pytest.mark.parametrize(
    "choice",
    [{"mac": "00-50-56-00-03-02"}, {"label": "Network adapter 2"}, {"network": "strict"}],
    ids=lambda c: next(iter(c)),
)
def test_one_adapter_of_several(run, choice):
    assert read_port(run, name="node3", **choice)["port_group"]["name"] == "strict"


def test_a_vm_by_uuid_and_by_moid(run, vcenter):
    vm = vcenter.all(vim.VirtualMachine)["node2"]
    for choice in ({"uuid": vm.config.uuid.upper()}, {"uuid": vm.config.instanceUuid}, {"moid": vm._GetMoId()}):
        assert read_port(run, **choice)["vm"]["name"] == "node2"


@pytest.mark.parametrize(
    ("vm", "message"),
    [
        ({"name": "nowhere"}, "vms[0].name: must be a VM that this user can see, not 'nowhere'"),
        (
            {"name": "twin"},
            "vms[0].name: must identify one VM; 2 are named 'twin'; add folder, or use moid, one of vm-",
        ),
        (
            {"name": "node3"},
            "vms[0]: the VM has several network adapters; choose by mac, label or network; adapters of the VM: ",
        ),
        (
            {"name": "node1", "label": "eth0"},
            "vms[0].label: the VM has no network adapter with 'eth0'; adapters of the VM: Network",
        ),
    ],
)
def test_what_is_not_clear_is_an_error(run, vm, message):
    assert run("vsphere_port_info", vms=[vm])["msg"].startswith(message)


def test_a_vm_that_is_off_and_a_template(run, vcenter):
    assert read_port(run, name="node4")["vm"]["power_state"] == "poweredOff"
    vcenter.all(vim.VirtualMachine)["node4"].MarkAsTemplate()
    assert read_port(run, name="node4")["vm"]["template"] is True


def test_an_isolated_private_vlan(run, vcenter):
    vlan = dvs.PvlanSpec(inherited=False, pvlanId=201)
    vcenter.change_group("nodes", defaultPortConfig=dvs.VmwarePortConfigPolicy(vlan=vlan))
    assert read_port(run, name="node1")["vlan"] == {"type": "private", "ids": ["201"], "isolated": True}


@pytest.mark.parametrize(
    ("vlan", "told"),
    [
        (dvs.VlanIdSpec(inherited=False, vlanId=0), {"type": "none", "ids": []}),
        (
            dvs.TrunkVlanSpec(
                inherited=False, vlanId=[vim.NumericRange(start=10, end=20), vim.NumericRange(start=126, end=126)]
            ),
            {"type": "trunk", "ids": ["10-20", "126"]},
        ),
    ],
    ids=["none", "trunk"],
)
def test_other_vlans(run, vcenter, vlan, told):
    vcenter.change_group("nodes", defaultPortConfig=dvs.VmwarePortConfigPolicy(vlan=vlan))
    assert read_port(run, name="node1")["vlan"] == {**told, "isolated": False}


@pytest.mark.parametrize(("number", "told"), [(0, "none"), (7, "id"), (4095, "trunk")])
def test_the_vlan_of_a_standard_port_group(run, vcenter, number, told):
    for host in vcenter.all(vim.HostSystem).values():
        system = host.configManager.networkSystem
        spec = system.networkInfo.portgroup[0].spec
        spec.vlanId = number
        system.UpdatePortGroup("VM Network", spec)
    vlan = read_port(run, name="node3", network="VM Network")["vlan"]
    assert vlan == {"type": told, "ids": ["7"] if told == "id" else [], "isolated": False}


def test_what_a_port_says_itself(run, vcenter):
    mac = dvs.MacManagementPolicy(inherited=False, forgedTransmits=True)
    vcenter.change_port("10", dvs.VmwarePortConfigPolicy(macManagementPolicy=mac))
    port = read_port(run, name="node1")
    assert port["security"] == {**CLOSED, "forged_transmits": True}
    assert port["overridden"] == ["forged_transmits", "mac_changes", "promiscuous"]
    assert read_port(run, name="node2")["overridden"] == []


def test_the_own_mac_address_needs_nothing(run):
    answer = need(run, name="node1")
    assert (answer["egressIP"], answer["needed"], answer["change"]) == (EGRESS_IP, False, {})


def test_a_second_mac_address_needs_little(run):
    answer = need(run, "second", name="node1")
    assert answer["change"] == {"mac_learning": {"enabled": True}, "security": {"forged_transmits": True}}
    answer = need(run, "second", name="node3", network="VM Network")
    assert answer["change"] == {"security": {"forged_transmits": True, "promiscuous": True}}


def test_a_changed_mac_address(run, vcenter):
    assert need(run, "changed", name="node1")["change"] == {"security": {"forged_transmits": True, "mac_changes": True}}
    mac = dvs.MacManagementPolicy(inherited=False, forgedTransmits=True, macChanges=True)
    vcenter.change_group("nodes", defaultPortConfig=dvs.VmwarePortConfigPolicy(macManagementPolicy=mac))
    assert need(run, "changed", name="node1")["needed"] is False


def test_a_filter_that_drops_the_address(run, vcenter):
    vcenter.change_group("nodes", defaultPortConfig=spoof_guard("192.168.126.21"))
    port = read_port(run, [EGRESS_IP, "192.168.126.21"], name="node1")
    assert [(rule["sequence"], rule["action"], rule["source"]) for rule in port["rules"]] == [
        (10, "accept", "192.168.126.21"),
        (900, "drop", None),
    ]
    assert port["egress_ips"][0] == {
        "egressIP": EGRESS_IP,
        "needed": True,
        "reason": "rule 900 (guard) drops the address",
        "change": {"allowed_addresses": [EGRESS_IP]},
    }


def test_a_filter_that_looks_one_way(run, vcenter):
    guard = spoof_guard(EGRESS_IP, direction="outgoingPackets")
    vcenter.change_group("nodes", defaultPortConfig=guard)
    port = read_port(run, [EGRESS_IP, "192.168.126.11"], name="node1")
    assert [answer["needed"] for answer in port["egress_ips"]] == [False, True]


def test_a_rule_with_conditions_does_not_let_the_address_pass(run, vcenter):
    vcenter.change_group("nodes", defaultPortConfig=spoof_guard(EGRESS_IP, further=vim.IntExpression(value=6)))
    assert need(run, name="node1")["needed"] is True


def test_an_address_that_cannot_be_an_egress_ip(run):
    result = run("vsphere_port_info", vms=[{"name": "node1"}], egress_ips=["192.168.126.10/24"])
    assert result["msg"] == "egress_ips[0]: '192.168.126.10/24' has a prefix length; give the address alone"


def test_one_session_and_no_write(run, vcenter):
    run("vsphere_port_info", vms=[{"name": "node1"}, {"name": "node2"}])
    calls = [call["method"] for call in vcenter.journal()]
    assert (calls.count("Login"), calls.count("Logout")) == (1, 1)
    assert set(calls) <= {
        "Login",
        "Logout",
        "Fetch",
        "RetrieveServiceContent",
        "RetrievePropertiesEx",
        "CreateContainerView",
        "DestroyView",
        "FetchDVPorts",
    }


def test_what_our_modules_did_is_told(run):
    assert (read_port(run, name="node1")["noted"], read_port(run, name="node1")["fence"]) == ({}, [])
    run("vsphere_port_security", vms=[{"name": "node1"}], security={"forged_transmits": True})
    assert read_port(run, name="node1")["noted"] == {"forged_transmits": False, "security": "inherited"}
    for method in ("port_block", "vnic_disconnect", "power_off"):
        run("vsphere_fence", vms=[{"name": "node1"}], method=method)
    assert read_port(run, name="node1")["fence"] == ["port_block", "vnic_disconnect", "power_off"]
    assert read_port(run, name="node2")["fence"] == []
    run("vsphere_fence", vms=[{"name": "node1"}], state="unfenced")
    port = read_port(run, name="node1")
    assert (port["noted"], port["fence"]) == ({"forged_transmits": False, "security": "inherited"}, [])


def test_a_fence_of_one_adapter_is_none_of_the_other(run):
    run("vsphere_fence", vms=[{"name": "node3", "network": "VM Network"}], method="vnic_disconnect")
    port = read_port(run, name="node3", network="VM Network")
    assert (port["fence"], port["fenced"]) == (["vnic_disconnect"], True)
    port = read_port(run, name="node3", network="strict")
    assert (port["fence"], port["fenced"]) == ([], False)


def test_what_is_noted_of_a_port_group(run):
    flag = {"security": {"forged_transmits": True}, "scope": "portgroup"}
    run("vsphere_port_security", vms=[{"name": "node1"}], **flag)
    assert read_port(run, name="node2")["port_group"]["noted"] == {"forged_transmits": False, "security": "inherited"}
    run("vsphere_port_security", vms=[{"name": "node3", "network": "VM Network"}], **flag)
    assert read_port(run, name="node3", network="VM Network")["port_group"]["noted"] == {
        "forged_transmits": "inherited"
    }


def test_what_cannot_be_told_is_none_of_the_rest(run, vcenter):
    vcenter.control("lose", name="node2", what="config")
    vcenter.control("lose", name="node3", what="host")
    standard = {"name": "node3", "network": "VM Network"}
    vms = [{"name": "nowhere"}, {"name": "node1"}, {"name": "twin"}, {"name": "node2"}, standard]
    ports = run("vsphere_port_info", vms=vms, partial=True)["ports"]
    assert [port.get("error", "").partition(";")[0] for port in ports] == [
        "vms[0].name: must be a VM that this user can see, not 'nowhere'",
        "",
        "vms[2].name: must identify one VM",
        "vms[3]: node2 is inaccessible",
        "node3: the VM is on no host, so that its standard port group cannot be read",
    ]
    assert ports[1]["vm"]["name"] == "node1"
    for vm in ({"name": "node2"}, standard):
        assert "msg" in run("vsphere_port_info", vms=[vm])


def test_a_vm_on_no_host(run, vcenter):
    vcenter.control("lose", name="node1", what="host")
    assert (read_port(run, name="node1")["host"], read_port(run, name="node1")["fenced"]) == (None, False)
    message = run("vsphere_fence", vms=[{"name": "node1"}])["msg"]
    assert message == "node1, Network adapter 1: the VM is on no host, so that nothing can be proven"
    (guest,) = run("vsphere_guest_ip_info", vms=[{"name": "node1"}], egress_ips=[EGRESS_IP])["guests"]
    assert (guest["host"], guest["egress_ips"][0]["reason"]) == (None, "the VM is on no host")


def test_a_vm_with_a_slash_in_its_name(run, vcenter):
    vm = vcenter.all(vim.VirtualMachine)["node1"]
    WaitForTask(vm.ReconfigVM_Task(vim.vm.ConfigSpec(name="web%2f1 %25")))
    assert read_port(run, name="web/1 %")["vm"]["name"] == "web/1 %"
    assert "web/1 %" in read_port(run, name="node2")["shared_with"]


def test_a_segment_by_its_name(run):
    assert read_port(run, name="nsx1", network="segment")["port_group"]["name"] == "segment"


@pytest.mark.parametrize(
    ("what", "vm", "message"),
    [
        ("loose", {"name": "node1"}, "node1: is connected to no network that this user can read"),
        ("legacy", {"name": "node1"}, "node1: is connected to no network that this user can read"),
        ("alone", {"name": "node1"}, "port 10: belongs to no port group"),
    ],
)
def test_an_adapter_that_is_connected_to_little(run, vcenter, what, vm, message):
    vcenter.control("odd", name="node1", what=what)
    assert run("vsphere_port_info", vms=[vm])["msg"] == message
    vcenter.journal()
    options = {"vms": [vm], "security": {"forged_transmits": True}, "scope": "portgroup"}
    assert message.partition(": ")[2] in run("vsphere_port_security", **options)["msg"]
    assert vcenter.writes() == []


def test_an_adapter_that_shows_little_of_itself(run, vcenter):
    vcenter.control("odd", name="node1", what="bare")
    nic = read_port(run, name="node1")["nic"]
    assert (nic["label"], nic["mac"], nic["connected"]) == ("device 4000", "", False)


def test_what_the_user_may_not_read_is_in_nobodys_way(run, vcenter):
    moid = vcenter.all(vim.VirtualMachine)["node2"]._moId
    vcenter.control("user", name="guest", password="secret", unread=["node2"])
    vms = [{"name": "node1"}, {"name": "node2"}, {"moid": moid}]
    first, second, third = run("vsphere_port_info", username="guest", vms=vms, partial=True)["ports"]
    assert moid in first["shared_with"]
    assert second["error"] == "vms[1].name: must be a VM that this user can see, not 'node2'"
    assert third["error"] == f"{moid}: guest lacks the privilege System.Read"


def test_rules_about_networks_that_are_not_spelled_well(run, vcenter):
    rules = vim.dvs.TrafficRule

    def drop(sequence, prefix, length):
        address = vim.IpRange(addressPrefix=prefix, prefixLength=length)
        qualifier = [rules.IpQualifier(sourceAddress=address)]
        return rules(sequence=sequence, direction="both", action=rules.DropAction(), qualifier=qualifier)

    guard = spoof_guard()
    ruleset = guard.filterPolicy.filterConfig[0].trafficRuleset
    ruleset.rules = [drop(1, "10.0.0.1", 99), drop(2, "10.0.0.1", None), drop(3, "192.168.126.5", 24)]
    vcenter.change_group("nodes", defaultPortConfig=guard)
    port = read_port(run, [EGRESS_IP], name="node1")
    told = [(rule["source"], rule["conditions"]) for rule in port["rules"]]
    assert told == [(None, True), ("10.0.0.1", False), ("192.168.126.0/24", False)]
    assert port["egress_ips"][0]["reason"] == "rule 3 (without description) drops the address"
