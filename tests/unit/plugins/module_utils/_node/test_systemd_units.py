# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What stays on a node: the program and the units that run it."""

from __future__ import annotations

import re
import shutil
import subprocess

import pytest
from ansible_collections.netops.egress_ip.plugins.module_utils._host_io.files import (
    NFTABLES_DROP_IN,
    PROGRAM_FILE,
    UNIT_DIRECTORY,
)
from ansible_collections.netops.egress_ip.plugins.module_utils._node import systemd_units
from ansible_collections.netops.egress_ip.plugins.module_utils._node.systemd_units import Parts
from states import node_state

METRICS = Parts("/srv/metrics")


def test_the_files_of_a_node():
    files = systemd_units.node_files("/usr/bin/python3.9")
    assert set(files) == {
        PROGRAM_FILE,
        NFTABLES_DROP_IN,
        UNIT_DIRECTORY / "netops-egress-ip-restore.service",
        UNIT_DIRECTORY / "netops-egress-ip-refill.service",
        UNIT_DIRECTORY / "netops-egress-ip-closed.service",
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
    more = set(systemd_units.node_files("python3", METRICS)) - set(systemd_units.node_files("python3"))
    assert more == {UNIT_DIRECTORY / name for name in systemd_units.METRICS_UNITS}
    timer = systemd_units.node_files("python3", METRICS)[UNIT_DIRECTORY / systemd_units.METRICS_TIMER][0].decode()
    assert f"OnUnitActiveSec={systemd_units.METRICS_INTERVAL}\n" in timer
    assert systemd_units.timers() == [systemd_units.WATCH_TIMER]
    assert systemd_units.timers(METRICS) == [systemd_units.METRICS_TIMER, systemd_units.WATCH_TIMER]


def test_the_watch_leaves_time_for_its_own_run_within_four_seconds():
    """The time within which a node must follow a network that was created again."""
    timer = systemd_units.node_files("python3")[UNIT_DIRECTORY / systemd_units.WATCH_TIMER][0].decode()
    interval, accuracy = (
        float(re.search(rf"^{key}=([\d.]+)$", timer, re.M)[1]) for key in ("OnUnitActiveSec", "AccuracySec")
    )
    assert interval + accuracy <= 3.6


def test_only_failover_has_a_unit_that_follows():
    files = systemd_units.node_files("python3", Parts(failover=True))
    follow = UNIT_DIRECTORY / systemd_units.FOLLOW_UNIT
    assert set(files) - set(systemd_units.node_files("python3")) == {follow}
    text = files[follow][0].decode()
    assert [line for line in ("Restart=always", "KillMode=mixed", "MemoryMax=512M") if f"\n{line}\n" not in text] == []
    assert set(systemd_units.links(Parts(failover=True))) - set(systemd_units.links()) == {
        UNIT_DIRECTORY / "multi-user.target.wants" / systemd_units.FOLLOW_UNIT
    }


def test_only_a_node_that_follows_pods_lets_its_watch_write_the_lists_of_network_plugins():
    follow = {"engines": ["kubernetes"], "namespaces": []}
    for state, expected in ((node_state(), False), (node_state(follow=follow), True)):
        files = systemd_units.node_files("python3", Parts.of(state))
        text = files[UNIT_DIRECTORY / systemd_units.WATCH_UNIT][0].decode()
        assert ("\nReadWritePaths=-/etc/cni/net.d\n" in text) is expected
        assert not [path for path, (data, _mode) in files.items() if path.suffix == ".service" and b"{" in data]


def test_what_runs_every_few_seconds_keeps_the_journal_free():
    files = systemd_units.node_files("python3", METRICS)
    for timer in systemd_units.timers(METRICS):
        unit = files[UNIT_DIRECTORY / timer.replace(".timer", ".service")][0].decode()
        assert "LogLevelMax=notice\n" in unit
        # What the program says must be above that.
        assert "SyslogLevel=notice\n" in unit


SERVICES = [name for name in systemd_units._units("python3", Parts("/srv/a b%")) if name.endswith(".service")]


@pytest.mark.parametrize("name", SERVICES)
def test_a_unit_may_do_little_and_ends(name, tmp_path):
    text = systemd_units._units("/usr/bin/python3", Parts("/srv/a b%"))[name]
    assert re.search(r"^(TimeoutStartSec|RuntimeMaxSec)=\d+$", text, re.MULTILINE)
    assert "\nCapabilityBoundingSet=CAP_NET_ADMIN CAP_NET_RAW\n" in text
    assert "\nProtectSystem=strict\n" in text
    if not shutil.which("systemd-analyze"):
        pytest.skip("needs systemd-analyze")
    (tmp_path / name).write_text(text)
    command = ["systemd-analyze", "security", "--offline=yes", "--no-pager", str(tmp_path / name)]
    shown = subprocess.run(command, capture_output=True, text=True, check=False).stdout
    level = float(re.search(r"exposure level for .*: ([0-9.]+) ", shown)[1])
    assert level < 3


def test_the_metrics_may_be_written_to_their_folder():
    text = systemd_units._units("python3", Parts('/srv/a "b" 100%'))[systemd_units.METRICS_UNIT]
    assert '\nReadWritePaths="-/srv/a \\"b\\" 100%%"\n' in text


def test_a_failed_restore_closes_the_node():
    units = systemd_units._units("/gone/python3", Parts())
    for name in (systemd_units.RESTORE_UNIT, systemd_units.REFILL_UNIT):
        assert f"\nOnFailure={systemd_units.CLOSED_UNIT}\n" in units[name]
    assert "python" not in units[systemd_units.CLOSED_UNIT]


def test_each_flush_of_the_tables_restarts_the_refill():
    """Also one that comes while the unit runs, and that of a start that fails; not the one of a shutdown."""
    files = systemd_units.node_files("python3")
    text = files[UNIT_DIRECTORY / systemd_units.REFILL_UNIT][0].decode()
    for line in ("Type=simple", "StartLimitIntervalSec=0", "Conflicts=shutdown.target"):
        assert f"\n{line}\n" in text
    drop_in = files[NFTABLES_DROP_IN][0].decode()
    for occasion in ("ExecStartPost", "ExecReload", "ExecStopPost"):
        assert f"\n{occasion}=-+/bin/systemctl restart --no-block {systemd_units.REFILL_UNIT}\n" in drop_in
