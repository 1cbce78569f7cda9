# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The module vsphere_guest_ip_info against a simulated vCenter."""

from __future__ import annotations

import pytest
from pyVim.task import WaitForTask
from pyVmomi import vim

NAME = "vsphere_guest_ip_info"
NODE1 = {"vms": [{"name": "node1"}]}
MAC = "00:50:56:00:01:01"
OWN, EGRESS_IP = "192.168.126.21", "192.168.126.10"


def report_addresses(vcenter, *addresses, tools="guestToolsRunning", adapters=(), **words):
    """Make VMware Tools in node1 report these addresses, and further adapters."""
    adapters = [{"mac": MAC, "addresses": addresses}, *adapters]
    vcenter.control("guest", name="node1", tools=tools, adapters=adapters, **words)


def answer(run, egress_ip=EGRESS_IP):
    """What the module says of the egress IP on node1."""
    (guest,) = run(NAME, **NODE1, egress_ips=[egress_ip])["guests"]
    (found,) = guest["egress_ips"]
    return found


@pytest.mark.parametrize("old", [False, True], ids=["new field", "old field"])
def test_held_and_absent(run, vcenter, old):
    report_addresses(vcenter, OWN, EGRESS_IP, "fd00::10", "fe80::1%eth0", old=old)
    result = run(NAME, **NODE1, egress_ips=[EGRESS_IP, "FD00::0010", "192.168.126.11"])
    (guest,) = result["guests"]
    assert result["changed"] is False
    assert guest["addresses"] == [EGRESS_IP, OWN, "fd00::10", "fe80::1"]
    assert (guest["vm"]["name"], guest["host"], guest["power_state"]) == ("node1", "DC0_C0_H0", "poweredOn")
    assert [(each["egressIP"], each["state"], each["mac"]) for each in guest["egress_ips"]] == [
        (EGRESS_IP, "held", MAC),
        ("fd00::10", "held", MAC),
        ("192.168.126.11", "absent", None),
    ]
    assert vcenter.writes() == []


def test_an_address_on_a_bridge_in_the_guest_is_held(run, vcenter):
    report_addresses(vcenter, adapters=[{"mac": "02:00:00:00:00:01", "addresses": [EGRESS_IP]}])
    assert (answer(run)["state"], answer(run)["mac"]) == ("held", "02:00:00:00:00:01")


def test_an_address_on_an_interface_without_a_mac_address_is_held(run, vcenter):
    report_addresses(vcenter, OWN, adapters=[{"mac": "", "addresses": [EGRESS_IP]}])
    assert (answer(run)["state"], answer(run)["mac"]) == ("held", None)


@pytest.mark.parametrize(("what", "state"), [("sight", "orphaned"), ("config", "inaccessible")])
def test_nothing_is_known_of_a_vm_that_the_vcenter_has_lost(run, vcenter, what, state):
    report_addresses(vcenter, EGRESS_IP)
    vcenter.control("lose", name="node1", what=what)
    assert (answer(run)["state"], answer(run)["reason"]) == ("unknown", f"the VM is {state}")


def test_nothing_is_known_of_a_host_that_does_not_respond(run, vcenter):
    report_addresses(vcenter, EGRESS_IP)
    vcenter.control("host", name="DC0_C0_H0", state="notResponding")
    assert (answer(run)["state"], answer(run)["reason"]) == ("unknown", "its host DC0_C0_H0 does not respond")


@pytest.mark.parametrize("tools", ["", "guestToolsNotRunning"])
def test_nothing_is_known_without_the_tools(run, vcenter, tools):
    report_addresses(vcenter, EGRESS_IP, tools=tools)
    found = answer(run)
    assert found["state"] == "unknown"
    assert found["reason"] == "VMware Tools do not run in the guest (guestToolsNotRunning)"


def test_tools_that_have_not_looked_yet(run, vcenter):
    report_addresses(vcenter)
    assert answer(run)["state"] == "unknown"


@pytest.mark.parametrize("count", [64, 2048])
def test_a_list_that_may_be_cut_off_says_only_what_is_held(run, vcenter, count):
    addresses = [f"10.0.{n // 256}.{n % 256}" for n in range(1, count + 1)]
    report_addresses(vcenter, *addresses)
    assert answer(run)["state"] == "unknown"
    assert answer(run, "10.0.0.64")["state"] == "held"
    report_addresses(vcenter, *addresses[:-1])
    assert answer(run)["state"] == "absent"


def test_a_vm_that_is_off_or_suspended(run, vcenter):
    report_addresses(vcenter, EGRESS_IP)
    vm = vcenter.all(vim.VirtualMachine)["node1"]
    WaitForTask(vm.Suspend())
    assert answer(run)["reason"] == "the VM is suspended"
    WaitForTask(vm.PowerOn())
    WaitForTask(vm.PowerOff())
    assert (answer(run)["state"], answer(run)["reason"]) == ("absent", "the VM is powered off")


def test_a_template(run, vcenter):
    vcenter.all(vim.VirtualMachine)["node4"].MarkAsTemplate()
    (guest,) = run(NAME, vms=[{"name": "node4"}], egress_ips=[EGRESS_IP])["guests"]
    assert guest["egress_ips"][0]["state"] == "absent"


def test_several_vms_in_one_session(run, vcenter):
    report_addresses(vcenter, EGRESS_IP)
    result = run(NAME, vms=[{"name": "node2"}, {"name": "node1"}], egress_ips=[EGRESS_IP])
    assert [each["egress_ips"][0]["state"] for each in result["guests"]] == ["unknown", "held"]
    assert [call["method"] for call in vcenter.journal()].count("Login") == 1


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"vms": [{"name": "twin"}]},
            "vms[0].name: must identify one VM; 2 are named 'twin'; add folder, or use moid",
        ),
        ({**NODE1, "egress_ips": ["127.0.0.1"]}, "egress_ips[0]: "),
    ],
)
def test_what_is_wrong_is_named(run, options, message):
    assert run(NAME, **options)["msg"].startswith(message)
