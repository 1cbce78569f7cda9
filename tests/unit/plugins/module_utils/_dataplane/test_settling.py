# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Late packets of unknown connections to an egress IP that was taken over just now, on a real kernel."""

from __future__ import annotations

import pytest
from ansible_collections.netops.egress_ip.plugins.module_utils._dataplane.failover import Failover
from ansible_collections.netops.egress_ip.plugins.module_utils._dataplane.nft_ruleset import settling_lines
from ansible_collections.netops.egress_ip.plugins.module_utils._dataplane.nft_table import INET
from ansible_collections.netops.egress_ip.plugins.module_utils._host_io.host_io import HostIO
from small_fleet import EGRESS2, answer_to_late_packet, connects, inside, nft, published, small_fleet

RST = 0x04


@pytest.fixture(scope="module", autouse=True)
def fleet():
    with small_fleet(failover=Failover(0.2)):
        yield


def settle(version):
    """Do what a takeover does, for ten minutes: a busy machine may send the packet much later."""
    lines = settling_lines([EGRESS2[version]])
    assert all("timeout 5s" in line for line in lines)
    nft("node2", *(line.replace("timeout 5s", "timeout 600s") for line in lines))


@pytest.mark.parametrize("version", [4, 6])
def test_a_late_packet_to_a_published_port_is_dropped_after_a_takeover(version):
    """Its destination is a pod when the tables see it, and the pod would answer with a reset."""
    with published("node2", version, EGRESS2[version], 40000, 40000, "tcp"):
        settle(version)
        assert answer_to_late_packet(version) == b""
        nft("node2", f"flush set {INET} egress_ip settling{version}")
        assert answer_to_late_packet(version)[13] & RST


@pytest.mark.parametrize("version", [4, 6])
def test_a_late_packet_is_dropped_after_a_takeover_and_answered_with_a_reset_later(version):
    assert answer_to_late_packet(version)[13] & RST
    with inside("node2"):
        before = HostIO.read_tables()
    settle(version)
    assert answer_to_late_packet(version) == b""
    assert connects("outsider", EGRESS2[version], 22)
    with inside("node2"):
        # What comes and goes by itself is no difference to the state.
        assert HostIO.read_tables() == before
    nft("node2", f"flush set {INET} egress_ip settling{version}")
    assert answer_to_late_packet(version)[13] & RST
