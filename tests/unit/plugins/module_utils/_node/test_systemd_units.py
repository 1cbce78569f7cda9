# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What stays on a node: the program and the units that run it."""

from __future__ import annotations

from ansible_collections.netops.egress_ip.plugins.module_utils._host_io.files import PROGRAM_FILE, UNIT_DIRECTORY
from ansible_collections.netops.egress_ip.plugins.module_utils._node import systemd_units


def test_the_files_of_a_node():
    files = systemd_units.node_files("/usr/bin/python3.9")
    assert set(files) == {
        PROGRAM_FILE,
        UNIT_DIRECTORY / "netops-egress-ip-restore.service",
        UNIT_DIRECTORY / "netops-egress-ip-refill.service",
        UNIT_DIRECTORY / "netops-egress-ip-claim.service",
        UNIT_DIRECTORY / "netops-egress-ip-watch.service",
        UNIT_DIRECTORY / "netops-egress-ip-watch.timer",
    }
    restore = files[UNIT_DIRECTORY / systemd_units.RESTORE_UNIT][0].decode()
    claim = files[UNIT_DIRECTORY / systemd_units.CLAIM_UNIT][0].decode()
    assert f"ExecStart=/usr/bin/python3.9 -I {PROGRAM_FILE} restore\n" in restore
    assert f"ExecStart=/usr/bin/python3.9 -I {PROGRAM_FILE} claim\n" in claim
    assert "Before=network-pre.target" in restore
    assert f"After=network-online.target {systemd_units.RESTORE_UNIT}" in claim


def test_what_writes_the_metrics_is_there_when_asked_for():
    more = set(systemd_units.node_files("python3", metrics=True)) - set(systemd_units.node_files("python3"))
    assert more == {UNIT_DIRECTORY / name for name in systemd_units.METRICS_UNITS}
    timer = systemd_units.node_files("python3", metrics=True)[UNIT_DIRECTORY / systemd_units.METRICS_TIMER][0].decode()
    assert f"OnUnitActiveSec={systemd_units.METRICS_INTERVAL}\n" in timer
    assert systemd_units.timers() == [systemd_units.WATCH_TIMER]
    assert systemd_units.timers(metrics=True) == [systemd_units.METRICS_TIMER, systemd_units.WATCH_TIMER]


def test_what_runs_every_few_seconds_keeps_the_journal_free():
    files = systemd_units.node_files("python3", metrics=True)
    for timer in systemd_units.timers(metrics=True):
        unit = files[UNIT_DIRECTORY / timer.replace(".timer", ".service")][0].decode()
        assert "LogLevelMax=notice\n" in unit
        # What the program says must be above that.
        assert "SyslogLevel=notice\n" in unit
