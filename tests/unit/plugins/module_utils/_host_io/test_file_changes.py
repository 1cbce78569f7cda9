# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Changes of a folder on the real kernel."""

from __future__ import annotations

import os
import select

import pytest
from ansible_collections.netops.egress_ip.plugins.module_utils._host_io.file_changes import FileChanges
from ansible_collections.netops.egress_ip.plugins.module_utils._host_io.files import write_file


@pytest.fixture
def changes(tmp_path):
    """The changes of a folder, which is watched."""
    found = FileChanges(tmp_path / "folder")
    write_file(tmp_path / "folder" / "record", b"1", 0o600)
    found.watch()
    yield found
    os.close(found.fileno())


def noticed(changes):
    """Whether there are changes since the last time."""
    found = bool(select.select([changes.fileno()], [], [], 0)[0])
    changes.forget()
    return found


def test_a_file_that_is_replaced_or_deleted_is_noticed(changes, tmp_path):
    assert changes.works
    assert not noticed(changes)
    for _time in range(100):
        write_file(tmp_path / "folder" / "record", b"2", 0o600)
    assert noticed(changes)
    assert not noticed(changes)
    (tmp_path / "folder" / "record").unlink()
    assert noticed(changes)


def test_a_folder_that_is_replaced_is_watched_again(changes, tmp_path):
    (tmp_path / "folder").rename(tmp_path / "old")
    write_file(tmp_path / "folder" / "record", b"2", 0o600)
    changes.watch()
    changes.forget()
    write_file(tmp_path / "folder" / "record", b"3", 0o600)
    assert noticed(changes)


def test_without_a_folder_nothing_is_noticed(tmp_path):
    changes = FileChanges(tmp_path / "gone")
    changes.watch()
    assert not changes.works
    changes.forget()
    os.close(changes.fileno())


def test_a_kernel_without_inotify(tmp_path, monkeypatch):
    monkeypatch.setattr("ctypes.CDLL", lambda _name: object())
    changes = FileChanges(tmp_path)
    changes.watch()
    changes.forget()
    assert (changes.fileno(), changes.works) == (-1, False)
