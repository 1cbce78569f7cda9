# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The port of an adapter, and standard port groups; the tests with the simulator check all else."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
from ansible_collections.netops.egress_ip.plugins.module_utils._vsphere.errors import (
    VsphereError,
    VsphereInterruptedError,
)
from ansible_collections.netops.egress_ip.plugins.module_utils._vsphere.inventory import (
    Attachment,
    Chosen,
    Inventory,
    find_standard_group,
)

DEVICE = SimpleNamespace(key=4000, backing=SimpleNamespace(port=None))
NIC = {"device": DEVICE, "label": "Network adapter 1"}
CHOSEN = Chosen({"object": "vm-1", "name": "node1"}, None, "connected", "poweredOn", False, None, None, NIC, (NIC,))


@pytest.fixture
def inventory(monkeypatch):
    """Return a function that makes an inventory with one port, connected to an adapter."""

    def made(entity, key):
        port = SimpleNamespace(key="10", connectee=SimpleNamespace(connectedEntity=entity, nicKey=key))
        monkeypatch.setattr(Inventory, "_attachment", lambda _self, _port: Attachment(None, {}, None, {}, port))
        return object.__new__(Inventory)

    return made


@pytest.mark.parametrize(("entity", "key"), [("vm-1", "4000"), (None, None)])
def test_the_port_of_an_adapter(inventory, entity, key):
    assert inventory(entity, key).attachment(CHOSEN).port.key == "10"


@pytest.mark.parametrize(("entity", "key"), [("vm-2", "4000"), ("vm-1", "4001")])
def test_a_port_that_belongs_to_another_adapter_by_now(inventory, entity, key):
    message = "^node1, Network adapter 1: port 10 belongs to another adapter now$"
    with pytest.raises(VsphereInterruptedError, match=message):
        inventory(entity, key).attachment(CHOSEN)


def test_a_standard_port_group_and_the_policy_of_its_switch():
    spec = SimpleNamespace(name="a%2fb", vswitchName="vSwitch0")
    policy = SimpleNamespace(security="closed")
    info = SimpleNamespace(
        portgroup=[SimpleNamespace(spec=spec)],
        vswitch=[SimpleNamespace(name="vSwitch0", spec=SimpleNamespace(policy=policy))],
    )
    group, security = find_standard_group(info, "esx1", "a/b")
    assert (group.spec, security) == (spec, "closed")
    with pytest.raises(VsphereError, match="^esx1: has no standard port group 'b'$"):
        find_standard_group(info, "esx1", "b")
    with pytest.raises(VsphereError, match="^esx1: does not show its network configuration now$"):
        find_standard_group(None, "esx1", "b")
