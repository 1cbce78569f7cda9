# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The choice of a VM and of one of its adapters."""

from __future__ import annotations

import pytest
from ansible_collections.netops.egress_ip.plugins.module_utils._vsphere.errors import VsphereError
from ansible_collections.netops.egress_ip.plugins.module_utils._vsphere.port import Level, Port, choose_nic, choose_vm

VMS = [
    {"name": "node1", "uuid": "42304B1E", "instance_uuid": "5030", "moid": "vm-1"},
    {"name": "twin", "uuid": "42304b1f", "instance_uuid": "5031", "moid": "vm-2"},
    {"name": "twin", "uuid": "42304b20", "instance_uuid": "5032", "moid": "vm-3"},
]
NICS = [
    {"mac": "00:50:56:00:01:01", "label": "Network adapter 1", "network": "nodes"},
    {"mac": "00:50:56:00:01:02", "label": "Network adapter 2", "network": "nodes"},
]


def is_there(vm, selector):
    """Whether a VM is in the folder of a selector: only vm-3 is in `green`."""
    return selector["folder"] == "green" and vm["moid"] == "vm-3"


@pytest.mark.parametrize(
    ("selector", "moid"),
    [
        ({"name": "node1"}, "vm-1"),
        ({"uuid": "42304b1e"}, "vm-1"),
        ({"uuid": "5032"}, "vm-3"),
        ({"name": "twin", "folder": "green"}, "vm-3"),
        ({"name": "twin", "guest_uuid": "5032"}, "vm-3"),
        ({"name": "node1", "guest_uuid": "5032"}, "vm-1"),
        ({"moid": "vm-2"}, "vm-2"),
    ],
)
def test_a_vm(selector, moid):
    assert choose_vm(selector, "vms[0]", VMS, is_there)["moid"] == moid


@pytest.mark.parametrize(
    ("selector", "message"),
    [
        (
            {"name": "twin"},
            "vms[0].name: must identify one VM; 2 are named 'twin'; add folder, or use moid, one of vm-2, vm-3",
        ),
        (
            {"name": "twin", "datacenter": "DC1", "folder": "red"},
            "vms[0].name: must be a VM in datacenter 'DC1' and folder 'red' that this user can see, not 'twin'",
        ),
        ({"uuid": "1"}, "vms[0].uuid: must be a VM that this user can see, not '1'"),
    ],
)
def test_no_vm(selector, message):
    with pytest.raises(VsphereError) as error:
        choose_vm(selector, "vms[0]", VMS, is_there)
    assert str(error.value) == message


@pytest.mark.parametrize("selector", [{"mac": "00-50-56-00-01-02"}, {"label": "Network adapter 2"}])
def test_an_adapter(selector):
    assert choose_nic(selector, "vms[0]", NICS) is NICS[1]
    assert choose_nic({}, "vms[0]", NICS[1:]) is NICS[1]


def test_an_adapter_by_the_mac_addresses_of_the_guest():
    assert choose_nic({"macs": ["02:00:00:00:00:01", "00-50-56-00-01-02"]}, "vms[0]", NICS) is NICS[1]
    assert choose_nic({"label": "Network adapter 1", "macs": ["00:50:56:00:01:02"]}, "vms[0]", NICS) is NICS[0]
    assert choose_nic({"macs": ["02:00:00:00:00:01"]}, "vms[0]", NICS[:1]) is NICS[0]
    with pytest.raises(VsphereError, match="the VM has several network adapters; choose by mac, label or network"):
        choose_nic({"macs": [nic["mac"] for nic in NICS]}, "vms[0]", NICS)


@pytest.mark.parametrize(
    ("selector", "nics", "message"),
    [
        (
            {},
            NICS,
            "vms[0]: the VM has several network adapters; choose by mac, label or network; adapters of the VM: ",
        ),
        ({}, [], "vms[0]: no network adapter; adapters of the VM: none"),
        (
            {"network": "nodes"},
            NICS,
            "vms[0].network: the VM has several network adapters with 'nodes'; adapters of the VM: ",
        ),
        ({"label": "eth0"}, NICS, "vms[0].label: the VM has no network adapter with 'eth0'; adapters of the VM: "),
    ],
)
def test_no_adapter(selector, nics, message):
    with pytest.raises(VsphereError) as error:
        choose_nic(selector, "vms[0]", nics)
    assert str(error.value).startswith(message)


def test_a_port_without_settings():
    port = Port({}, {}, None, {"type": "nsx"}, {}, None, None, None, (), None, {}, (), False)
    assert {port.to_dict()[name] for name in ("security", "rules", "mac_learning", "shared_with")} == {None}


def test_a_level_in_the_form_of_the_modules():
    level = Level({"promiscuous": False}, None, ({"sequence": 1},), frozenset({"rules", "mac_changes"}))
    assert level.to_dict() == {
        "security": {"promiscuous": False},
        "mac_learning": None,
        "rules": [{"sequence": 1}],
        "overridden": ["mac_changes", "rules"],
    }
