# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The files that a node keeps."""

from __future__ import annotations

import hashlib

import pytest
from ansible_collections.netops.egress_ip.plugins.module_utils._dataplane.options import DataPlaneOptions
from ansible_collections.netops.egress_ip.plugins.module_utils._host_io.plugin_sources import WHOLE_PREFIX
from ansible_collections.netops.egress_ip.plugins.module_utils._node import systemd_units, zipapp
from ansible_collections.netops.egress_ip.plugins.module_utils._node.installed_files import (
    install,
    left_over,
    missing_files,
    present_files,
    remove_all_files,
    run_program_later,
)
from ansible_collections.netops.egress_ip.plugins.module_utils._node.record import Record
from ansible_collections.netops.egress_ip.plugins.module_utils._node.systemd_units import Parts
from states import node_state

OPTIONS = DataPlaneOptions()
NOTHING, FAILOVER = Parts(), Parts(failover=True)


def test_only_what_is_missing_or_differs_is_written(kernel):
    files, links = systemd_units.node_files("/usr/bin/python3"), systemd_units.links()
    assert {*files, *links, *Record.paths()} == set(missing_files(kernel, NOTHING))
    install(kernel, missing_files(kernel, NOTHING), NOTHING)
    assert missing_files(kernel, NOTHING) == [*Record.paths()]
    kernel.files[str(kernel.PROGRAM_FILE)] = (b"x", 0o644)
    kernel.log.clear()
    install(kernel, missing_files(kernel, NOTHING), NOTHING)
    assert kernel.logged("file") == [str(kernel.PROGRAM_FILE)]
    kept = f"{WHOLE_PREFIX}{hashlib.sha256(zipapp.make()).hexdigest()}"
    # And the program that imports from its folder now.
    assert kernel.logged("programs") == [(kept, zipapp.FOLDER)]


def test_nothing_is_done_when_nothing_is_missing(kernel):
    install(kernel, [], NOTHING)
    assert kernel.log == []


def restarts(kernel):
    """Return how often the unit of a failover is to be started again."""
    return kernel.logged("later").count(f"systemctl restart {systemd_units.FOLLOW_UNIT}")


@pytest.mark.parametrize(
    ("changed", "stopped", "expected"),
    [
        ("program", False, 1),
        ("program", True, 0),
        ("unit", False, 1),
        # systemd may have read the former definition.
        ("unit", True, 1),
        ("watch", False, 0),
        ("", True, 0),
    ],
)
def test_the_program_that_follows_starts_again_only_if_an_older_one_runs(kernel, changed, stopped, expected):
    install(kernel, missing_files(kernel, FAILOVER), FAILOVER)
    kernel.log.clear()
    unit = kernel.UNIT_DIRECTORY / systemd_units.FOLLOW_UNIT
    places = {"program": kernel.PROGRAM_FILE, "unit": unit, "watch": kernel.UNIT_DIRECTORY / systemd_units.WATCH_UNIT}
    if changed:
        kernel.files[str(places[changed])] = (b"x", 0o644)
    missing = missing_files(kernel, FAILOVER)
    if stopped:
        kernel.stopped.add(systemd_units.FOLLOW_UNIT)
        missing.append(unit)
    install(kernel, missing, FAILOVER)
    assert restarts(kernel) == expected
    assert [line for line in kernel.logged("run") if line.startswith("systemctl start") and unit.name in line]


def test_only_a_plan_with_failover_has_its_unit(kernel):
    install(kernel, missing_files(kernel, FAILOVER), FAILOVER)
    unit = kernel.UNIT_DIRECTORY / systemd_units.FOLLOW_UNIT
    assert str(unit) in kernel.files
    assert systemd_units.FOLLOW_UNIT in kernel.units
    # It was started with this program just now.
    assert restarts(kernel) == 0
    assert missing_files(kernel, FAILOVER) == [*Record.paths()]
    assert left_over(kernel, node_state(failover={"after": 0.2}), None) == []
    assert left_over(kernel, node_state(), None) == [unit]
    remove_all_files(kernel, OPTIONS)
    assert str(unit) not in kernel.files


def test_all_files_are_removed(kernel):
    before = dict(kernel.files)
    install(kernel, missing_files(kernel, NOTHING), NOTHING)
    assert set(present_files(kernel, OPTIONS)) == set(systemd_units.node_files("/usr/bin/python3"))
    remove_all_files(kernel, OPTIONS)
    assert kernel.files == before
    assert kernel.units == set()


@pytest.mark.parametrize("kept", [True, False])
def test_what_follows_a_run_is_compiled_if_the_run_was(kernel, monkeypatch, kept):
    """A zip file that the module unpacked nowhere is gone by then."""
    folder = f"{WHOLE_PREFIX}0123" if kept else "/tmp/netops-egress-ip-1/node.pyz"
    monkeypatch.setattr(zipapp, "FOLDER", folder)
    run_program_later(kernel, 2, "announce")
    assert kernel.logged("later") == [f"{kernel.interpreter()} -I {folder if kept else kernel.PROGRAM_FILE} announce"]
