# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The lists of network plugins on a node, with what a stranger may have put there."""

from __future__ import annotations

import errno
import os

import pytest
from ansible_collections.netops.egress_ip.plugins.module_utils._common.errors import CommandError
from ansible_collections.netops.egress_ip.plugins.module_utils._host_io import cni_files
from ansible_collections.netops.egress_ip.plugins.module_utils._host_io.cni_files import (
    ListFile,
    list_files,
    program_folders,
    replace_list,
)


@pytest.fixture(autouse=True)
def folder(monkeypatch, tmp_path):
    """Folders in a temporary one."""
    monkeypatch.setattr(cni_files, "LISTS", tmp_path / "net.d")
    monkeypatch.setattr(cni_files, "PROGRAM_FOLDERS", (tmp_path / "opt", tmp_path / "usr"))
    return tmp_path / "net.d"


def test_no_folder():
    assert list_files() == []
    assert program_folders("bridge") == []


def test_lists_in_the_order_of_runtimes(folder):
    folder.mkdir()
    (folder / "20-b.conflist").write_text("b")
    (folder / "10-a.conf").write_text("a")
    (folder / "99-loopback.txt").write_text("x")
    (folder / "30-link.conflist").symlink_to("20-b.conflist")
    (folder / "40-binary.conflist").write_bytes(b"\xff")
    (folder / "50-folder.conflist").mkdir()
    os.mkfifo(folder / "60-fifo.conflist")
    assert [(item.path.name, item.text, item.problem) for item in list_files()] == [
        ("10-a.conf", "a", ""),
        ("20-b.conflist", "b", ""),
        ("30-link.conflist", "", "is a symbolic link"),
        ("40-binary.conflist", "", "is not UTF-8"),
        ("50-folder.conflist", "", "cannot be read: Is a directory"),
        ("60-fifo.conflist", "", ""),
    ]


def test_a_list_of_an_owner_that_the_process_cannot_give(folder, monkeypatch):
    """The unit of the watch lacks CAP_CHOWN."""
    folder.mkdir()
    (folder / "10.conflist").write_text("before")
    monkeypatch.setattr(os, "fchown", refused)
    with pytest.raises(CommandError, match="10.conflist: cannot be written: Operation not permitted"):
        replace_list(folder / "10.conflist", "before", "after")
    assert [(path.name, path.read_text()) for path in folder.iterdir()] == [("10.conflist", "before")]


def refused(*_words):
    raise PermissionError(errno.EPERM, os.strerror(errno.EPERM))


def test_a_list_keeps_its_owner_and_mode(folder):
    folder.mkdir()
    path = folder / "10.conflist"
    path.write_text("before")
    path.chmod(0o640)
    (folder / ".10.conflist.egress-ip").symlink_to("/etc/passwd")
    replace_list(path, "before", "after")
    assert (path.read_text(), path.stat().st_mode & 0o777) == ("after", 0o640)
    assert list_files() == [ListFile(path, "after")]
    assert [each.name for each in folder.iterdir()] == ["10.conflist"]


def test_what_another_program_wrote_meanwhile_stays(folder):
    folder.mkdir()
    path = folder / "10.conflist"
    replace_list(path, "before", "after")
    assert not path.exists()
    path.write_text("theirs")
    replace_list(path, "before", "after")
    assert path.read_text() == "theirs"
    assert [each.name for each in folder.iterdir()] == ["10.conflist"]


def test_the_folders_with_the_program_of_a_plugin(tmp_path):
    for name in ("opt", "usr"):
        (tmp_path / name).mkdir()
    (tmp_path / "usr/bridge").write_text("")
    (tmp_path / "opt/bridge").mkdir()
    assert program_folders("bridge") == [tmp_path / "usr"]
