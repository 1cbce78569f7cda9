# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The program of a node: it runs by itself, on the oldest Python too, and is the same bytes every time."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest
from ansible_collections.netops.egress_ip.plugins.module_utils import _program

SOURCES = Path(_program.__file__).parent


@pytest.fixture
def program(tmp_path):
    path = tmp_path / "node.pyz"
    path.write_bytes(_program.make())
    return path


def run(*words):
    return subprocess.run([sys.executable, "-I", *words], capture_output=True, text=True, check=False)


def test_the_same_sources_give_the_same_bytes():
    assert _program.make() == _program.make()


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
        "sys.stdout.buffer.write(_program.make())"
    )
    done = subprocess.run([sys.executable, "-I", "-c", code], capture_output=True, check=True)
    assert done.stdout == program.read_bytes()
