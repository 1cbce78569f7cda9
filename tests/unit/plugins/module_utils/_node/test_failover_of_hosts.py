# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Failover between hosts in network namespaces, each with the node's program: some faults of tests/bench/failover.py.

How long they take depends on the machine; the measurement is that of the benchmark.
"""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[4] / "bench"))
import failover as bench  # noqa: E402
from failover_fleet import PRIMARY, PRIMARY6, SECONDARY, Fleet, opened  # noqa: E402


@pytest.mark.parametrize(
    ("act", "net"),
    [(bench.shut_down, PRIMARY), (bench.shut_down, PRIMARY6), (bench.shut_down, SECONDARY), (bench.cut, SECONDARY)],
    ids=["reboot", "reboot, IPv6", "reboot, eth1", "no cable, eth1"],
)
def test_another_node_takes_over_with_all_connections(act, net, tmp_path):
    log = tmp_path / "log"
    with opened(Fleet(3, net, 1, log)) as fleet:
        seen = bench.trial(fleet, bench.Fault("", act))
    assert f"{net.egress_ip} is taken over: n1 {'shuts down' if act is bench.shut_down else 'does not answer'}" in (
        log.read_text()
    )
    assert (seen.together, seen.wrong, seen.moves) == (0, 0, 1)
    assert seen.alive == seen.connections > 0
