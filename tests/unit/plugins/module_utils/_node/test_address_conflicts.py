# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Probes and announcements of addresses on a host in memory."""

from __future__ import annotations

import pytest
from ansible_collections.netops.egress_ip.plugins.module_utils._common.errors import CommandError
from ansible_collections.netops.egress_ip.plugins.module_utils._dataplane.node_state import Held
from ansible_collections.netops.egress_ip.plugins.module_utils._host_io import files
from ansible_collections.netops.egress_ip.plugins.module_utils._node.address_conflicts import (
    Pace,
    announce,
    mac_address,
    other_holders,
    probes,
    read_conflicts,
)
from fake_node_io import MAC, ethernet
from node_runs import FOREVER, OTHER_MAC, A, B

ON_ETH0 = [Held(A, "eth0"), Held(B, "eth0")]


def test_an_address_that_another_node_releases_is_probed_twice_as_fast(kernel):
    found = probes(ON_ETH0, kernel.read_host(), Pace(3, 0.1, 20), waiting=[B])["eth0"]
    assert [(p.address, p.mac, p.count, p.interval, p.waiting) for p in found] == [
        (A, MAC, 3, 0.1, False),
        (B, MAC, 3, 0.05, True),
    ]


def test_an_unknown_interface_is_an_error(kernel):
    with pytest.raises(CommandError, match="^egress_ip_interface: must be an interface of this host, not 'eth7'$"):
        mac_address(kernel.read_host(), "eth7")


def test_addresses_are_announced_on_their_interfaces(kernel):
    kernel.interfaces["eth1"] = ethernet()
    announce(kernel, [Held(B, "eth1"), Held(A, "eth0")], kernel.read_host())
    assert kernel.logged("announce") == [("eth0", A), ("eth0", A), ("eth1", B), ("eth1", B)]


def test_other_holders_are_known_by_their_mac(kernel):
    kernel.wire = {B: FOREVER}
    assert other_holders(kernel, ON_ETH0, kernel.read_host()) == {Held(B, "eth0"): OTHER_MAC}
    assert other_holders(kernel, [], kernel.read_host()) == {}


@pytest.mark.parametrize("data", [b"{", b"\xff", b"[]", b"1", b'"x"'])
def test_a_damaged_note_of_conflicts_is_an_empty_one(kernel, data):
    kernel.write_file(files.CONFLICTS_FILE, data, 0o600)
    assert read_conflicts(kernel) == {}
