# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Files that are what their readers expect, and others."""

from __future__ import annotations

import os

import pytest
from ansible_collections.netops.egress_ip.plugins.module_utils._host_io.read_now import read_now


def test_all_or_one_byte_too_many(tmp_path):
    path = tmp_path / "file"
    path.write_bytes(b"12345")
    assert [read_now(path), read_now(str(path), 5), read_now(path, 3)] == [b"12345", b"12345", b"1234"]


@pytest.mark.parametrize("has_writer", [False, True])
def test_a_fifo_is_empty(tmp_path, has_writer):
    os.mkfifo(tmp_path / "fifo")
    reader = os.open(tmp_path / "fifo", os.O_RDONLY | os.O_NONBLOCK)
    writer = os.open(tmp_path / "fifo", os.O_WRONLY) if has_writer else None
    try:
        assert read_now(tmp_path / "fifo", 5) == b""
    finally:
        for descriptor in (reader, writer):
            if descriptor is not None:
                os.close(descriptor)


def test_a_link_is_followed_unless_the_caller_objects(tmp_path):
    (tmp_path / "file").write_bytes(b"x")
    (tmp_path / "link").symlink_to(tmp_path / "file")
    assert read_now(tmp_path / "link") == b"x"
    with pytest.raises(OSError, match="symbolic"):
        read_now(tmp_path / "link", flags=os.O_NOFOLLOW)


def test_no_file(tmp_path):
    with pytest.raises(FileNotFoundError):
        read_now(tmp_path / "none")
