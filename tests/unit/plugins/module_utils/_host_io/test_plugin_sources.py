# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The folder with the sources of the CNI plugin."""

from __future__ import annotations

import fcntl
import os
import subprocess
import sys
from pathlib import Path

import pytest
from ansible_collections.netops.egress_ip.plugins.module_utils._host_io import plugin_sources
from ansible_collections.netops.egress_ip.plugins.module_utils._host_io.plugin_sources import (
    MODULES,
    keep_sources,
    remove_programs,
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


@pytest.fixture
def programs(monkeypatch, tmp_path):
    """The folder with three whole programs, of which another process uses the last, and one of the plugin."""
    monkeypatch.setattr(plugin_sources, "WHOLE_PREFIX", str(tmp_path / "program."))
    for name in ("program.a", "program.b", "program.used", "cni.1"):
        (tmp_path / name / "folder").mkdir(parents=True)
        (tmp_path / name / "lock").touch()
    code = "import fcntl, sys; file = open(sys.argv[1]); fcntl.lockf(file, fcntl.LOCK_SH); print(flush=True); input()"
    words = [sys.executable, "-I", "-c", code, str(tmp_path / "program.used/lock")]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as other:
        other.stdout.readline()
        yield tmp_path
        other.communicate(b"\n")


def test_all_programs_but_one_and_those_in_use_are_removed(programs):
    remove_programs(kept=(str(programs / "program.a"),))
    assert sorted(path.name for path in programs.iterdir()) == ["cni.1", "program.a", "program.used"]
    with (programs / "program.a/lock").open("rb+") as own:
        fcntl.lockf(own, fcntl.LOCK_SH)
        remove_programs()
    assert sorted(path.name for path in programs.iterdir()) == ["cni.1", "program.used"]


def test_the_sources_are_in_the_documented_place():
    text = (Path(__file__).parents[5] / "docs/concepts.md").read_text(encoding="utf-8")
    for prefix in (plugin_sources.PREFIX, plugin_sources.WHOLE_PREFIX):
        assert f"`{prefix.partition('.')[0]}*`" in text
