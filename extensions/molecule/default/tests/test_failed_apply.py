# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A node that fails to apply a plan, for both IP versions: pods use an address only once its holder has it."""

from __future__ import annotations

import pytest
from fleet import BOTH_VERSIONS, FIRST, FIRST6, SECOND, SECOND6, dual_stack, egressip
from lab_topology import PODS

pytestmark = pytest.mark.faults

THIRD, THIRD6 = "192.168.126.103", "fd00:126::103"
SELECTED = tuple(pod.key for pod in PODS if pod.namespace != "namespace3")
RECORD = "/var/lib/netops-egress-ip"
READ_ONLY = f"mount --bind {RECORD} {RECORD} && mount -o remount,bind,ro {RECORD}"


def held_by(fleet, name):
    """The egress IPs on a node, of both IP versions."""
    return fleet.addresses_of_both(name) & {FIRST, SECOND, THIRD, FIRST6, SECOND6, THIRD6}


@pytest.fixture
def fleet(machines):
    """Node1 and node3 hold an address of each IP version."""
    machines.arrange(**BOTH_VERSIONS)
    return machines


def test_a_node_that_fails_to_apply_keeps_its_addresses_and_no_pod_chooses_the_new_ones(fleet):
    before = held_by(fleet, "node3")
    four, six = (ip for ip in (FIRST, SECOND, FIRST6, SECOND6) if ip not in before)
    documents = dual_stack(egressip("four", four, THIRD), egressip("six", six, THIRD6))
    after = {**BOTH_VERSIONS, "egress_ip_manifests": documents}
    fleet.lab.exec("node3", "sh", "-c", READ_ONLY)
    try:
        run = fleet.bad(**after)
        assert any("node3" in message for message in run.failed()), run.failed()
        assert held_by(fleet, "node3") <= before
        for pod in SELECTED:
            assert fleet.sources_of_both(pod) <= {FIRST, SECOND, FIRST6, SECOND6}, pod
    finally:
        fleet.lab.exec("node3", "umount", RECORD)
    fleet.good(**after)
    assert held_by(fleet, "node3") & before == set()
    for pod in SELECTED:
        assert fleet.sources_of_both(pod) <= {four, six, THIRD, THIRD6}, pod
