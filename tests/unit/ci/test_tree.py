# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The copy of the collection is equal to the source; what programs write there meanwhile stays."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "ci"))

import tree  # noqa: E402


@pytest.fixture
def source(tmp_path, monkeypatch):
    """A git repository with one file, copied once."""
    root = tmp_path / "source"
    (root / "plugins").mkdir(parents=True)
    (root / "plugins/one.py").write_text("one = 1\n")
    (root / ".gitignore").write_text("__pycache__/\n/tests/output/\n")
    subprocess.run(["git", "init", "--quiet", str(root)], check=True)
    monkeypatch.setattr(tree, "ROOT", root)
    monkeypatch.setattr(tree, "TREE", tmp_path / "copy")
    tree.copy_tree()
    return root


def copied(name):
    return tree.TREE / name


def test_files_come_change_and_go_with_the_source(source):
    assert copied("plugins/one.py").read_text() == "one = 1\n"
    (source / "plugins/one.py").write_text("one = 100\n")
    (source / "plugins/two.py").write_text("two = 2\n")
    tree.copy_tree()
    assert copied("plugins/one.py").read_text() == "one = 100\n"
    (source / "plugins/one.py").unlink()
    tree.copy_tree()
    assert [path.name for path in copied("plugins").iterdir()] == ["two.py"]


def test_a_file_that_did_not_change_keeps_its_inode(source):
    before = copied("plugins/one.py").stat().st_ino
    tree.copy_tree()
    assert copied("plugins/one.py").stat().st_ino == before


def test_what_other_checks_write_beside_stays(source):
    """As compiled files, which Python replaces at any time, and the output of ansible-test."""
    beside = [copied("plugins/__pycache__/one.pyc"), copied("tests/output/.tmp/sanity")]
    for path in beside:
        path.parent.mkdir(parents=True)
        path.write_text("")
    copied("plugins/stale.py").write_text("")
    tree.copy_tree()
    assert all(path.exists() for path in beside)
    assert not copied("plugins/stale.py").exists()
