# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The folder with the sources of the CNI plugin."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest
from ansible_collections.netops.egress_ip.plugins.module_utils._host_io import plugin_sources
from ansible_collections.netops.egress_ip.plugins.module_utils._host_io.plugin_sources import (
    MODULES,
    keep_sources,
    remove_sources,
)
from ansible_collections.netops.egress_ip.plugins.module_utils._node import zipapp


@pytest.fixture
def program(monkeypatch, tmp_path):
    """A program, and the folder of another one."""
    monkeypatch.setattr(plugin_sources, "PREFIX", str(tmp_path / "cni."))
    (tmp_path / "cni.1").mkdir()
    (tmp_path / "node.pyz").write_bytes(zipapp.make())
    return tmp_path / "node.pyz"


def test_the_plugin_needs_nothing_else(program, tmp_path):
    keep_sources(str(program), str(tmp_path / "cni.2"))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["cni.2", "node.pyz"]
    names = [f"netops_egress_ip.{name.replace('/', '.')}" for name in MODULES]
    code = f"import sys; sys.path.insert(0, {str(tmp_path / 'cni.2')!r}); import {', '.join(names)}"
    subprocess.run([sys.executable, "-I", "-S", "-c", code], check=True)
    keep_sources(str(program), str(tmp_path / "cni.2"))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["cni.2", "node.pyz"]
    remove_sources()
    assert [path.name for path in tmp_path.iterdir()] == ["node.pyz"]


def test_only_root_can_change_the_sources(program, tmp_path):
    """The next start of a pod runs them; a runtime may have any umask."""
    before = os.umask(0)
    try:
        keep_sources(str(program), str(tmp_path / "cni.2"))
    finally:
        os.umask(before)
    assert (tmp_path / "cni.2").stat().st_mode & 0o777 == 0o700


def test_a_damaged_program(program, tmp_path):
    program.write_bytes(b"x")
    keep_sources(str(program), str(tmp_path / "cni.2"))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["cni.1", "node.pyz"]
