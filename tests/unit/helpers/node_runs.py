# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs of a node on a host in memory."""

from __future__ import annotations

import copy

from ansible_collections.netops.egress_ip.plugins.module_utils._dataplane.handover import PlannedRelease
from ansible_collections.netops.egress_ip.plugins.module_utils._dataplane.options import DataPlaneOptions
from ansible_collections.netops.egress_ip.plugins.module_utils._node import apply as apply_module
from ansible_collections.netops.egress_ip.plugins.module_utils._node import observe as observe_module
from ansible_collections.netops.egress_ip.plugins.module_utils._node import remove as remove_module
from ansible_collections.netops.egress_ip.plugins.module_utils._node import service
from ansible_collections.netops.egress_ip.plugins.module_utils._node.address_conflicts import Pace
from ansible_collections.netops.egress_ip.plugins.module_utils._node.decide import Request
from ansible_collections.netops.egress_ip.plugins.module_utils._protocols.ctnetlink import Flow
from fake_node_io import FOREIGN_TABLE, FakeKernel

A, B, C = "192.168.126.101", "192.168.126.102", "192.168.126.103"
OWN = "192.168.126.21"
SERVER = "203.0.113.9", 443
OTHER_MAC = "02:00:c0:a8:7e:16"
FOREVER = (OTHER_MAC, float("inf"))
# Time passes only in probes, but the timeout begins before them, by the real clock.
FAST = Pace(count=3, interval=0.1, timeout=60.0)
RELEASED_A = [PlannedRelease(A, "node2")]
INET, NETDEV = ("inet", "egress_ip"), ("netdev", "egress_ip")
FLOW = Flow(6, ("192.168.126.23", 40000), SERVER, SERVER, (A, 40000), 300, True, (3, (7, 7), (11, 11)))


def apply(io, state, check=False, pace=FAST, **options):
    """Run the mode `present`."""
    return apply_module.apply(io, Request(state, pace=pace, **options), check)


def observe(io, options=DataPlaneOptions(), **question):  # noqa: B008
    """Run the mode `observed`."""
    return observe_module.observe(io, options, observe_module.ObserveRequest(**question)).to_dict()


def remove(io, check=False, options=DataPlaneOptions()):  # noqa: B008
    """Run the mode `absent`."""
    return remove_module.remove(io, options, check)


def watch(io):
    """Let the watch look after the node was away."""
    io.log.clear()
    assert service.main(io, ["watch"]) == 0


def reboot(kernel):
    """Take away what a reboot takes away."""
    kernel.interfaces["eth0"] = FakeKernel().interfaces["eth0"]
    if "egress0" in kernel.interfaces:
        kernel._link_delete(["egress0"])
    kernel.rules = FakeKernel().rules
    kernel.tables = {("ip", "nat"): copy.deepcopy(FOREIGN_TABLE)}
    kernel.sysctls["net.ipv4.ip_forward"] = "0"
    kernel.log.clear()


def kernel_only(kernel):
    """Return what the host shows, without files."""
    return {key: value for key, value in kernel.snapshot().items() if key not in ("files", "units")}


def noted(kernel):
    """What the watch will look for."""
    return kernel.files[str(kernel.WATCH_FILE)][0].decode()


def lines_of(text):
    """Return the lines of a text."""
    return text.splitlines()


def without_key(mapping, key):
    """Remove a key of a mapping."""
    mapping.pop(key)
