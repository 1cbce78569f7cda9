# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The files that a node keeps."""

from __future__ import annotations

from ansible_collections.netops.egress_ip.plugins.module_utils._dataplane.options import DataPlaneOptions
from ansible_collections.netops.egress_ip.plugins.module_utils._node import systemd_units
from ansible_collections.netops.egress_ip.plugins.module_utils._node.installed_files import (
    install,
    left_over,
    missing_files,
    present_files,
    remove_all_files,
)
from ansible_collections.netops.egress_ip.plugins.module_utils._node.record import Record
from states import node_state

OPTIONS = DataPlaneOptions()


def test_only_what_is_missing_or_differs_is_written(kernel):
    files, links = systemd_units.node_files("/usr/bin/python3"), systemd_units.links()
    assert {*files, *links, *Record.paths()} == set(missing_files(kernel, OPTIONS, False))
    install(kernel, missing_files(kernel, OPTIONS, False), OPTIONS, False)
    assert missing_files(kernel, OPTIONS, False) == [*Record.paths()]
    kernel.files[str(kernel.PROGRAM_FILE)] = (b"x", 0o644)
    kernel.log.clear()
    install(kernel, missing_files(kernel, OPTIONS, False), OPTIONS, False)
    assert kernel.logged("file") == [str(kernel.PROGRAM_FILE)]


def test_nothing_is_done_when_nothing_is_missing(kernel):
    install(kernel, [], OPTIONS, False)
    assert kernel.log == []


def test_only_a_plan_with_failover_has_its_unit(kernel):
    install(kernel, missing_files(kernel, OPTIONS, True), OPTIONS, True)
    unit = kernel.UNIT_DIRECTORY / systemd_units.FOLLOW_UNIT
    assert str(unit) in kernel.files
    assert systemd_units.FOLLOW_UNIT in kernel.units
    assert f"systemctl restart {systemd_units.FOLLOW_UNIT}" in kernel.logged("later")
    assert missing_files(kernel, OPTIONS, True) == [*Record.paths()]
    assert left_over(kernel, node_state(failover={"after": 0.2}), None) == []
    assert left_over(kernel, node_state(), None) == [unit]
    remove_all_files(kernel, OPTIONS)
    assert str(unit) not in kernel.files


def test_all_files_are_removed(kernel):
    before = dict(kernel.files)
    install(kernel, missing_files(kernel, OPTIONS, False), OPTIONS, False)
    assert set(present_files(kernel, OPTIONS)) == set(systemd_units.node_files("/usr/bin/python3"))
    remove_all_files(kernel, OPTIONS)
    assert kernel.files == before
    assert kernel.units == set()
