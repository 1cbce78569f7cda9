# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The datacenter and the folder of objects."""

from __future__ import annotations

import pytest
from ansible_collections.netops.egress_ip.plugins.module_utils._vsphere.places import Place, Places
from ansible_collections.netops.egress_ip.plugins.module_utils._vsphere.session import Properties
from pyVmomi import vim

ROOT, EU, VMS, BLUE, SMALL = (vim.Folder(f"group-{n}") for n in range(5))
DC = vim.Datacenter("datacenter-1")
TREE = {
    ROOT: ("Datacenters", None),
    EU: ("EU", ROOT),
    DC: ("DC%2f0", EU),
    VMS: ("vm", DC),
    BLUE: ("blue", VMS),
    SMALL: ("small", BLUE),
}


class FakeSession:
    """A vCenter with the datacenter `DC/0` in a folder, and folders of VMs in it."""

    reads = 0

    def all_properties(self, kind, _paths):
        """Return the objects of a kind with their names and parents."""
        self.reads += 1
        found = {thing: each for thing, each in TREE.items() if isinstance(thing, kind)}
        return {thing: Properties({"name": name, "parent": parent}) for thing, (name, parent) in found.items()}


@pytest.mark.parametrize(
    ("parent", "place"),
    [
        (VMS, Place("DC/0", "")),
        (BLUE, Place("DC/0", "blue")),
        (SMALL, Place("DC/0", "blue/small")),
        (EU, Place()),
        (None, Place()),
        (vim.Folder("group-hidden"), Place()),
    ],
)
def test_a_place(parent, place):
    assert Places(FakeSession()).of(parent) == place


def test_the_folders_are_read_once():
    session = FakeSession()
    places = Places(session)
    assert session.reads == 0
    places.of(BLUE)
    places.of(SMALL)
    assert session.reads == 2


@pytest.mark.parametrize(
    ("selector", "matches"),
    [
        ({}, True),
        ({"datacenter": "DC0"}, True),
        ({"datacenter": "DC1", "folder": "blue/small"}, False),
        ({"folder": "blue/small"}, True),
        ({"folder": "/DC0/vm/blue/small/"}, True),
        ({"folder": "blue"}, False),
        ({"folder": "small"}, False),
    ],
)
def test_a_selector(selector, matches):
    assert Place("DC0", "blue/small").matches(selector) is matches


def test_the_folder_of_the_datacenter_itself():
    assert Place("DC0", "").matches({"folder": "DC0/vm"})
    assert not Place("DC0", "blue").matches({"folder": "DC0/vm"})
