# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What stays on a node: the program and the units that run it."""

from __future__ import annotations

from ansible_collections.netops.egress_ip.plugins.module_utils import _units
from ansible_collections.netops.egress_ip.plugins.module_utils._node_io import PROGRAM_FILE, UNIT_DIRECTORY


def test_the_files_of_a_node():
    files = _units.files("/usr/bin/python3.9")
    assert set(files) == {
        PROGRAM_FILE,
        UNIT_DIRECTORY / "netops-egress-ip-restore.service",
        UNIT_DIRECTORY / "netops-egress-ip-refill.service",
        UNIT_DIRECTORY / "netops-egress-ip-claim.service",
        UNIT_DIRECTORY / "netops-egress-ip-watch.service",
        UNIT_DIRECTORY / "netops-egress-ip-watch.timer",
    }
    restore = files[UNIT_DIRECTORY / _units.RESTORE_UNIT][0].decode()
    claim = files[UNIT_DIRECTORY / _units.CLAIM_UNIT][0].decode()
    assert f"ExecStart=/usr/bin/python3.9 -I {PROGRAM_FILE} restore\n" in restore
    assert f"ExecStart=/usr/bin/python3.9 -I {PROGRAM_FILE} claim\n" in claim
    assert "Before=network-pre.target" in restore
    assert f"After=network-online.target {_units.RESTORE_UNIT}" in claim


def test_what_writes_the_metrics_is_there_when_asked_for():
    more = set(_units.files("python3", metrics=True)) - set(_units.files("python3"))
    assert more == {UNIT_DIRECTORY / name for name in _units.METRICS_UNITS}
    timer = _units.files("python3", metrics=True)[UNIT_DIRECTORY / _units.METRICS_TIMER][0].decode()
    assert f"OnUnitActiveSec={_units.METRICS_INTERVAL}\n" in timer
    assert _units.timers() == [_units.WATCH_TIMER]
    assert _units.timers(metrics=True) == [_units.METRICS_TIMER, _units.WATCH_TIMER]


def test_what_runs_every_few_seconds_keeps_the_journal_free():
    files = _units.files("python3", metrics=True)
    for timer in _units.timers(metrics=True):
        unit = files[UNIT_DIRECTORY / timer.replace(".timer", ".service")][0].decode()
        assert "LogLevelMax=notice\n" in unit
        # What the program says must be above that.
        assert "SyslogLevel=notice\n" in unit
