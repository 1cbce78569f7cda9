# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Port groups by name, in a vCenter with equal names; the tests with the simulator check all else."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
from ansible_collections.netops.egress_ip.plugins.module_utils._vsphere.errors import VsphereError
from ansible_collections.netops.egress_ip.plugins.module_utils._vsphere.inventory import NETWORK_SYSTEM
from ansible_collections.netops.egress_ip.plugins.module_utils._vsphere.places import Place
from ansible_collections.netops.egress_ip.plugins.module_utils._vsphere.port_groups import choose_port_groups
from ansible_collections.netops.egress_ip.plugins.module_utils._vsphere.session import Properties
from pyVmomi import vim

FIRST, SECOND = (vim.dvs.DistributedVirtualPortgroup(f"dvportgroup-{n}") for n in (1, 2))
STANDARD, SEGMENT = vim.Network("network-1"), vim.OpaqueNetwork("network-o1")
NAMES = {FIRST: "nodes", SECOND: "nodes", STANDARD: "nodes", SEGMENT: "nodes"}
DATACENTERS = {FIRST: "DC0", SECOND: "DC1", STANDARD: "DC0", SEGMENT: "DC1"}
SWITCHES = {FIRST: "DVS0", SECOND: "DVS%2f1"}
HOSTS = {"host-1": "connected", "host-2": "notResponding"}


class FakeInventory:
    """Four networks of one name; `vSwitch0` has it on the host that responds."""

    def __init__(self):
        self.session = SimpleNamespace(all_properties=lambda _kind, _paths: self.networks())
        self.places = SimpleNamespace(of=Place)

    def networks(self):
        """Return the networks; the parent stands for the datacenter."""
        return {each: Properties({"name": name, "parent": DATACENTERS[each]}) for each, name in NAMES.items()}

    def group_attachment(self, group):
        """Return the switch of a distributed port group."""
        return SimpleNamespace(of_switch={"name": SWITCHES[group]})

    def read_hosts(self, hosts):
        """Return the hosts."""
        return hosts

    def remembered(self, thing, _paths):
        """Return the hosts of the standard port group, or a host."""
        if thing is STANDARD:
            return {"host": list(HOSTS)}
        return {"name": thing, "runtime.connectionState": HOSTS[thing], NETWORK_SYSTEM: thing}

    def standard_group(self, host, _system, _name):
        """Return the port group on the host that responds."""
        assert host == "host-1"
        return SimpleNamespace(spec=SimpleNamespace(vswitchName="vSwitch0")), None


def choose(**selector):
    (found,) = choose_port_groups(FakeInventory(), [{"name": "nodes", **selector}])
    return found


@pytest.mark.parametrize(
    ("selector", "network"),
    [
        ({"switch": "DVS0"}, FIRST),
        ({"switch": "DVS/1"}, SECOND),
        ({"switch": "vSwitch0"}, STANDARD),
        ({"switch": "NSX"}, SEGMENT),
    ],
)
def test_a_port_group_of_a_switch(selector, network):
    found = choose(**selector)
    assert (found.network, found.path) == (network, "portgroups[0]")
    kinds = (isinstance(network, vim.dvs.DistributedVirtualPortgroup), isinstance(network, vim.OpaqueNetwork))
    assert (found.is_distributed, found.is_opaque) == kinds


@pytest.mark.parametrize(
    ("selector", "message"),
    [
        ({}, "4 are named 'nodes': DVS/1 in DC1; DVS0 in DC0; NSX in DC1; vSwitch0 in DC0; add switch or datacenter"),
        ({"datacenter": "DC0"}, "2 are named 'nodes': DVS0 in DC0; vSwitch0 in DC0; add switch or datacenter"),
    ],
)
def test_a_name_of_several_port_groups(selector, message):
    with pytest.raises(VsphereError) as error:
        choose(**selector)
    assert str(error.value) == f"portgroups[0].name: must identify one port group; {message}"


def test_no_port_group():
    with pytest.raises(VsphereError, match="^portgroups.0..name: must be a port group in datacenter 'DC9' that this"):
        choose(datacenter="DC9")
    assert choose_port_groups(None, []) == []
