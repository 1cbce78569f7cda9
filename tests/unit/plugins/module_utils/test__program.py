# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The program that stays on a node: it runs by itself, on the oldest Python too, and is the same bytes every time."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest
from ansible_collections.netops.egress_ip.plugins.module_utils import _program
from ansible_collections.netops.egress_ip.plugins.module_utils._node_io import PROGRAM_FILE, UNIT_DIRECTORY

SOURCES = Path(_program.__file__).parent


@pytest.fixture
def program(tmp_path):
    path = tmp_path / "node.pyz"
    path.write_bytes(_program.files(sys.executable)[PROGRAM_FILE][0])
    return path


def run(*words):
    return subprocess.run([sys.executable, "-I", *words], capture_output=True, text=True, check=False)


def test_the_files_of_a_node():
    files = _program.files("/usr/bin/python3.9")
    assert set(files) == {
        PROGRAM_FILE,
        UNIT_DIRECTORY / "netops-egress-ip-restore.service",
        UNIT_DIRECTORY / "netops-egress-ip-refill.service",
        UNIT_DIRECTORY / "netops-egress-ip-claim.service",
        UNIT_DIRECTORY / "netops-egress-ip-watch.service",
        UNIT_DIRECTORY / "netops-egress-ip-watch.timer",
    }
    restore = files[UNIT_DIRECTORY / _program.RESTORE_UNIT][0].decode()
    claim = files[UNIT_DIRECTORY / _program.CLAIM_UNIT][0].decode()
    assert f"ExecStart=/usr/bin/python3.9 -I {PROGRAM_FILE} restore\n" in restore
    assert f"ExecStart=/usr/bin/python3.9 -I {PROGRAM_FILE} claim\n" in claim
    assert "Before=network-pre.target" in restore
    assert f"After=network-online.target {_program.RESTORE_UNIT}" in claim


def test_what_writes_the_metrics_is_there_when_asked_for():
    more = set(_program.files("python3", metrics=True)) - set(_program.files("python3"))
    assert more == {UNIT_DIRECTORY / name for name in _program.METRICS_UNITS}
    timer = _program.files("python3", metrics=True)[UNIT_DIRECTORY / _program.METRICS_TIMER][0].decode()
    assert f"OnUnitActiveSec={_program.METRICS_INTERVAL}\n" in timer
    assert _program.timers() == [_program.WATCH_TIMER]
    assert _program.timers(metrics=True) == [_program.METRICS_TIMER, _program.WATCH_TIMER]


def test_the_same_sources_give_the_same_bytes():
    assert _program.files("python3") == _program.files("python3")


def test_every_sibling_that_a_module_imports_is_in_the_program():
    for name in _program._MODULES:
        tree = ast.parse((SOURCES / f"{name}.py").read_text(encoding="utf-8"), feature_version=(3, 8))
        relative = [node for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) and node.level == 1]
        names = {node.module for node in relative if node.module}
        names |= {alias.name for node in relative if not node.module for alias in node.names}
        assert names <= set(_program._MODULES), name


def test_the_program_runs_by_itself(program):
    code = (
        f"import sys; sys.path.insert(0, {str(program)!r}); from netops_egress_ip import _apply;"
        "print(_apply.ANNOUNCE_AGAIN)"
    )
    done = run("-c", code)
    assert (done.returncode, done.stdout.strip()) == (0, "2")


def test_the_program_makes_itself_again(program):
    code = (
        f"import sys; sys.path.insert(0, {str(program)!r}); from netops_egress_ip import _program;"
        "sys.stdout.buffer.write(_program.files('')[_program.PROGRAM_FILE][0])"
    )
    done = subprocess.run([sys.executable, "-I", "-c", code], capture_output=True, check=True)
    assert done.stdout == program.read_bytes()
