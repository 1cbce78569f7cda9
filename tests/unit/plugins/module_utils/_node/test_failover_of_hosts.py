# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Failover between hosts in network namespaces, each with the node's program: the fleet of tests/bench/failover.py.

How long it takes depends on the machine; the measurement is that of the benchmark.
"""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[4] / "bench"))
import failover as bench  # noqa: E402


@pytest.fixture(autouse=True)
def _names_of_their_own(monkeypatch, tmp_path):
    """A benchmark may run beside the tests."""
    monkeypatch.setattr(bench, "LAB", "ut")
    monkeypatch.setattr(bench, "PREFIX", "egress-ip-fout")
    monkeypatch.setattr(bench, "PROGRAM", tmp_path / "node.pyz")


@pytest.mark.parametrize("wire", bench.WIRES, ids=[wire.interface for wire in bench.WIRES])
@pytest.mark.parametrize("fault", [bench.shut_down, bench.kill])
def test_another_node_takes_over_with_all_connections(fault, wire, tmp_path):
    log = tmp_path / "log"
    with bench.fleet_of(3, [wire.egress_ip], log, wire) as fleet:
        fleet.apply(fleet.holders[0])
        fleet.start()
        seen = bench.trial(fleet, fault)
    why = "shuts down" if fault is bench.shut_down else "does not answer"
    assert f"{wire.egress_ip} is taken over: n1 {why}" in log.read_text()
    assert (seen.overlap, seen.wrong) == (0, 0)
    assert (seen.asking, seen.pushed) == (bench.CONNECTIONS, bench.CONNECTIONS)
