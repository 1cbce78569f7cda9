# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What VMware Tools' report means for an egress IP."""

from __future__ import annotations

from dataclasses import replace

import pytest
from ansible_collections.netops.egress_ip.plugins.module_utils._common.addresses import parse_address
from ansible_collections.netops.egress_ip.plugins.module_utils._vsphere.guest_ips import Guest, find_address

A, B = (parse_address(text, "") for text in ("192.168.126.10", "2001:db8::1"))
MAC = "00:50:56:00:01:01"
GUEST = Guest(
    vm={"name": "node1", "moid": "vm-1"},
    host="esx1",
    responds=True,
    state="connected",
    power="poweredOn",
    tools="guestToolsRunning",
    adapters=((MAC, (A,)), (None, (B,))),
)


@pytest.mark.parametrize(
    ("change", "address", "state", "mac"),
    [
        ({}, A, "held", MAC),
        ({}, B, "held", None),
        ({"adapters": ((MAC, (B,)),)}, A, "absent", None),
        ({"power": "poweredOff"}, A, "absent", None),
        ({"power": "suspended"}, A, "unknown", None),
        ({"tools": "guestToolsNotRunning"}, A, "unknown", None),
        ({"adapters": ((MAC, ()),)}, A, "unknown", None),
        ({"adapters": ((MAC, (B,)),) * 16}, A, "unknown", None),
        ({"adapters": ((MAC, (B,) * 64),)}, A, "unknown", None),
        ({"responds": False}, A, "unknown", None),
        ({"host": None}, A, "unknown", None),
        ({"state": "disconnected"}, A, "unknown", None),
    ],
)
def test_an_address(change, address, state, mac):
    found = find_address(replace(GUEST, **change), address)
    assert (found["state"], found["mac"]) == (state, mac)


def test_the_addresses_of_a_guest_are_in_order():
    assert GUEST.to_dict()["addresses"] == ["192.168.126.10", "2001:db8::1"]
