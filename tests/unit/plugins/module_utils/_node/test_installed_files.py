# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The files that a node keeps."""

from __future__ import annotations

from ansible_collections.netops.egress_ip.plugins.module_utils._dataplane.options import DataPlaneOptions
from ansible_collections.netops.egress_ip.plugins.module_utils._node import systemd_units
from ansible_collections.netops.egress_ip.plugins.module_utils._node.installed_files import (
    install,
    missing_files,
    present_files,
    remove_all_files,
)
from ansible_collections.netops.egress_ip.plugins.module_utils._node.record import Record

OPTIONS = DataPlaneOptions()


def test_only_what_is_missing_or_differs_is_written(kernel):
    files, links = systemd_units.node_files("/usr/bin/python3"), systemd_units.links()
    assert {*files, *links, *Record.paths()} == set(missing_files(kernel, OPTIONS))
    install(kernel, missing_files(kernel, OPTIONS), OPTIONS)
    assert missing_files(kernel, OPTIONS) == [*Record.paths()]
    kernel.files[str(kernel.PROGRAM_FILE)] = (b"x", 0o644)
    kernel.log.clear()
    install(kernel, missing_files(kernel, OPTIONS), OPTIONS)
    assert kernel.logged("file") == [str(kernel.PROGRAM_FILE)]


def test_nothing_is_done_when_nothing_is_missing(kernel):
    install(kernel, [], OPTIONS)
    assert kernel.log == []


def test_all_files_are_removed(kernel):
    before = dict(kernel.files)
    install(kernel, missing_files(kernel, OPTIONS), OPTIONS)
    assert set(present_files(kernel, OPTIONS)) == set(systemd_units.node_files("/usr/bin/python3"))
    remove_all_files(kernel, OPTIONS)
    assert kernel.files == before
    assert kernel.units == set()
