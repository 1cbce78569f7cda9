# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a fence changes of an adapter, and when it is proven."""

from __future__ import annotations

from dataclasses import replace

import pytest
from ansible_collections.netops.egress_ip.plugins.module_utils._vsphere.errors import VsphereError
from ansible_collections.netops.egress_ip.plugins.module_utils._vsphere.fence import (
    AUTO,
    OFF,
    ON,
    PORT_BLOCK,
    POWER_OFF,
    SUSPENDED,
    VNIC_DISCONNECT,
    Adapter,
    FenceRun,
    check_links,
    fence,
    is_proven,
    noted_methods,
    plan,
    unfence,
)

PORT = {"blocked": False, "own": False, "runtime": False, "allowed": True, "lasting": True}
NIC = Adapter(
    id="vm-1/4000",
    vm="node1",
    label="Network adapter 1",
    mac="00:50:56:00:01:01",
    host="esx1",
    responds=True,
    state="connected",
    power=ON,
    restarts=False,
    connection={"connected": True, "start_connected": True},
    direct=False,
    port=PORT,
    port_note={},
    vm_note={},
    key=4000,
    handle={},
)
SECOND = replace(NIC, id="vm-1/4001", label="Network adapter 2", key=4001)
CUT = {"connected": False, "start_connected": False}


@pytest.mark.parametrize(
    ("change", "method", "proven"),
    [
        ({}, PORT_BLOCK, False),
        ({"port": {**PORT, "blocked": True}}, PORT_BLOCK, False),
        ({"port": {**PORT, "blocked": True, "runtime": True}}, PORT_BLOCK, True),
        ({"port": {**PORT, "blocked": True}, "power": OFF}, PORT_BLOCK, True),
        ({"port": {**PORT, "blocked": True, "runtime": True, "lasting": False}}, PORT_BLOCK, False),
        ({"port": {**PORT, "blocked": True, "runtime": True}, "direct": True}, PORT_BLOCK, False),
        ({"connection": CUT}, VNIC_DISCONNECT, True),
        ({"connection": {"connected": False, "start_connected": True}}, VNIC_DISCONNECT, False),
        ({"connection": CUT, "power": SUSPENDED}, VNIC_DISCONNECT, False),
        ({"power": OFF}, POWER_OFF, True),
        ({"power": OFF, "restarts": True}, POWER_OFF, False),
        ({"power": OFF, "responds": False}, POWER_OFF, False),
        ({"power": OFF, "state": "disconnected"}, POWER_OFF, False),
    ],
)
def test_a_proof(change, method, proven):
    assert is_proven(replace(NIC, **change), method) is proven


def test_the_former_values_are_noted_once_and_restored():
    cut = fence(NIC, VNIC_DISCONNECT)
    assert cut.vm_note == {"nic.4000.connected": True, "nic.4000.start_connected": True}
    assert fence(cut, VNIC_DISCONNECT) is cut
    assert unfence(cut, AUTO) == NIC
    blocked = fence(NIC, PORT_BLOCK)
    assert (blocked.port["blocked"], blocked.port_note) == (True, {"blocked": "inherited"})
    assert unfence(blocked, AUTO).port["blocked"] == "inherited"


def test_a_vm_that_was_powered_off_keeps_its_note_until_it_runs():
    off = fence(NIC, POWER_OFF)
    assert (off.power, off.vm_note) == (OFF, {"power": "on"})
    starting = unfence(off, AUTO)
    assert (starting.power, starting.vm_note) == (ON, {"power": "on"})
    assert unfence(starting, AUTO).vm_note == {}


@pytest.mark.parametrize(
    ("change", "method", "message"),
    [
        ({"direct": True}, PORT_BLOCK, "its frames bypass the hypervisor (SR-IOV); use method: power_off"),
        ({"port": None}, PORT_BLOCK, "has no port that vCenter can block; use method: vnic_disconnect"),
        ({"responds": False}, AUTO, "its host esx1 does not respond, so that nothing can be proven"),
        ({"host": None}, AUTO, "the VM is on no host, so that nothing can be proven"),
        ({"power": SUSPENDED}, POWER_OFF, "the VM is suspended, and its memory would be lost; use another method"),
    ],
)
def test_a_fence_that_is_not_possible(change, method, message):
    with pytest.raises(VsphereError) as error:
        fence(replace(NIC, **change), method)
    assert str(error.value) == f"node1, Network adapter 1: {message}"


def test_adapters_of_one_vm_share_its_note():
    steps, after = plan([NIC, SECOND], VNIC_DISCONNECT, fenced=True)
    assert len(steps) == 2
    assert [each.connection for each in after] == [CUT, CUT]
    names = {f"nic.{key}.{name}" for key in (4000, 4001) for name in CUT}
    assert [set(each.vm_note) for each in after] == [names, names]
    assert plan(after, VNIC_DISCONNECT, fenced=True)[0] == []


def test_the_methods_in_notes():
    assert noted_methods({"blocked": False}, {"nic.4000.connected": True, "power": "on"}, 4000) == (
        PORT_BLOCK,
        VNIC_DISCONNECT,
        POWER_OFF,
    )
    assert noted_methods({}, {"nic.4000.connected": True}, 4001) == ()


def test_an_adapter_with_an_address_of_the_guest_must_be_cut_off_too():
    first = replace(NIC, others=((SECOND.label, "00:50:56:00:01:02"),))
    with pytest.raises(VsphereError) as error:
        check_links([first], ["00:50:56:00:01:02"], VNIC_DISCONNECT)
    assert str(error.value) == (
        "node1, Network adapter 1: is not the only adapter that may have egress IPs: Network adapter 2"
        " (00:50:56:00:01:02) is one too; add it to vms, or use method: power_off"
    )
    check_links([first], ["00:50:56:00:01:02"], POWER_OFF)
    check_links([first], ["00:50:56:00:01:01"], VNIC_DISCONNECT)
    check_links([first, replace(SECOND, mac="00:50:56:00:01:02")], ["00:50:56:00:01:02"], VNIC_DISCONNECT)


@pytest.mark.parametrize(
    ("macs", "guest"),
    [
        ([], "no interface is on record"),
        (["00:50:56:00:01:01", "02:00:00:00:00:01"], "02:00:00:00:00:01 of the guest belongs to no adapter"),
    ],
)
def test_any_adapter_may_be_the_one_of_a_guest_that_is_not_known(macs, guest):
    first = replace(NIC, others=((SECOND.label, "00:50:56:00:01:02"),))
    with pytest.raises(VsphereError) as error:
        check_links([first], macs, VNIC_DISCONNECT)
    assert str(error.value) == (
        f"node1, Network adapter 1: may not be the only adapter that has egress IPs: {guest}, and Network adapter 2"
        " (00:50:56:00:01:02) stays connected; add it to vms, or use method: power_off"
    )
    check_links([first], macs, POWER_OFF)
    check_links([first, replace(SECOND, mac="00:50:56:00:01:02")], macs, VNIC_DISCONNECT)
    check_links([NIC], macs, VNIC_DISCONNECT)


class FakeClient:
    """A client whose reads return these adapters, one list each."""

    def __init__(self, *reads):
        self.reads = list(reads)

    def read_adapters(self, _selectors):
        """Return the adapters of the next read."""
        return self.reads.pop(0)

    def write_steps(self, _steps):
        """Write nothing."""

    def wait_for(self, observe):
        """Observe once."""
        return observe()[1]


def test_an_adapter_that_was_replaced_meanwhile():
    options = {"vms": [{}], "method": VNIC_DISCONNECT, "state": "fenced", "macs": None}
    made = FenceRun(options, check_mode=False)(FakeClient([NIC], [fence(SECOND, VNIC_DISCONNECT)]))
    assert [(vm["label"], vm["changed"]) for vm in made["vms"]] == [("Network adapter 2", False)]
