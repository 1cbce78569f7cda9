# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Files, units and the lock."""

from __future__ import annotations

import contextlib
import os
import threading
from pathlib import Path

import pytest
from ansible_collections.netops.egress_ip.plugins.module_utils._common.errors import (
    CommandError,
)
from ansible_collections.netops.egress_ip.plugins.module_utils._host_io import (
    commands,
    files,
)


def test_a_second_run_waits_for_the_first(monkeypatch, tmp_path):
    monkeypatch.setattr(files, "LOCK_FILE", tmp_path / "lock")
    order = []

    def second():
        with files.lock():
            order.append("second")

    with files.lock():
        thread = threading.Thread(target=second)
        thread.start()
        thread.join(0.2)
        order.append("first")
    thread.join(60)
    assert order == ["first", "second"]


def test_a_run_that_never_ends_is_told(monkeypatch, tmp_path):
    monkeypatch.setattr(files, "LOCK_FILE", tmp_path / "lock")
    monkeypatch.setattr(commands, "TIMEOUT", 0.1)
    with files.lock(), pytest.raises(CommandError, match="another run has held the lock"), files.lock():
        pass


def test_files_are_whole_or_not_there(monkeypatch, tmp_path):
    path = tmp_path / "folder" / "file"
    files.write_file(path, b"one", 0o600)
    assert (path.read_bytes(), path.stat().st_mode & 0o777) == (b"one", 0o600)

    def no_space(_descriptor):
        raise OSError(28, "No space left")

    monkeypatch.setattr(files.os, "fsync", no_space)
    with pytest.raises(CommandError, match=r"file: cannot be written: No space left$"):
        files.write_file(path, b"two", 0o600)
    assert path.read_bytes() == b"one"
    assert [*path.parent.iterdir()] == [path], "a part of a secret must not stay"
    files.remove_file(path)
    files.remove_file(path)
    assert files.read_file(path) is None


def test_a_file_that_cannot_be_read_is_an_error(tmp_path):
    with pytest.raises(CommandError, match=f"^{tmp_path}: cannot be read: Is a directory$"):
        files.read_file(tmp_path)


def test_a_removal_takes_what_a_host_that_lost_power_left_of_a_file(monkeypatch, tmp_path):
    folder = tmp_path / "state"
    monkeypatch.setattr(files, "STATE_DIRECTORY", folder)
    folder.mkdir()
    (folder / ".failover.key.new").write_bytes(b"secr")
    files.remove_file(folder / "failover.key")
    assert not folder.exists()
    # Also in a folder of others, as that of systemd's units.
    (tmp_path / ".watch.timer.new").write_bytes(b"[Tim")
    (tmp_path / ".watch.timer.new.foreign").write_bytes(b"")
    files.remove_file(tmp_path / "watch.timer")
    assert [path.name for path in tmp_path.iterdir()] == [".watch.timer.new.foreign"]


NOTES = {
    "presence": lambda: files.note_presence("egress0", (), ()),
    "absence": files.note_absence,
    "probes": files.note_probed,
    "networks": lambda: files.note_networks("x"),
}


@pytest.mark.parametrize("kind", NOTES)
def test_a_note_that_cannot_be_written_is_an_error(monkeypatch, tmp_path, kind):
    monkeypatch.setattr(files, "WATCH_FILE", tmp_path / "watch")
    monkeypatch.setattr(files, "NETWORKS_FILE", tmp_path / "none" / "networks")
    files.note_presence("egress0", (), ())

    def no_space(*_arguments):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(files.watch, "_write", no_space)
    with pytest.raises(CommandError, match=f"^{tmp_path}/.*: cannot be written: No s"):
        NOTES[kind]()


def test_units_are_stopped_before_their_files_go_and_timers_before_what_they_start(monkeypatch, tmp_path):
    service, timer, missing = (tmp_path / "units" / name for name in ("a.service", "a.timer", "b.service"))
    service.parent.mkdir()
    other = tmp_path / "file"
    for path in (service, timer, other):
        path.touch()
    said = []
    monkeypatch.setattr(files, "UNIT_DIRECTORY", service.parent)
    monkeypatch.setattr(
        commands, "run", lambda argv, text="": (said.append((*argv[1:], service.exists())), (0, "", ""))[1]
    )
    files.remove_files([service, timer, missing, other])
    assert said == [
        ("stop", "--quiet", "a.timer", "a.service", "b.service", True),
        ("disable", "--quiet", "a.timer", "a.service", "b.service", True),
        ("daemon-reload", False),
        ("reset-failed", "a.timer", "a.service", "b.service", False),
    ]
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []
    said.clear()
    files.remove_files([other])
    assert said == []


def test_only_root_can_open_the_lock(monkeypatch, tmp_path):
    """An older version left it open for reading, and whoever can read a file can lock it."""
    path = tmp_path / "lock"
    path.touch(0o644)
    monkeypatch.setattr(files, "LOCK_FILE", path)
    with files.lock():
        assert path.stat().st_mode & 0o777 == 0o600
    path.unlink()
    path.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(CommandError, match=r"lock: cannot be opened: Too many levels of symbolic links$"), files.lock():
        pass


@pytest.mark.parametrize("reader", [False, True])
def test_a_fifo_in_the_way_is_an_error_and_nobody_waits(tmp_path, reader):
    path = tmp_path / "egress_ip.prom"
    fifo = tmp_path / ".egress_ip.prom.new"
    os.mkfifo(fifo)
    with contextlib.ExitStack() as stack:
        if reader:
            stack.callback(os.close, os.open(fifo, os.O_RDONLY | os.O_NONBLOCK))
        with pytest.raises(CommandError, match="egress_ip.prom: cannot be written: "):
            files.publish_file(path, b"x")
    os.mkfifo(path)
    assert files.read_file(path) == b""
    fifo.unlink()
    files.publish_file(path, b"x")
    assert files.read_file(path) == b"x"


def test_a_file_of_others_that_has_a_name_in_the_folder_stays_as_it_is(tmp_path):
    """Where the kernel does not protect hard links, who may write to a folder can give any file a name there."""
    (tmp_path / "shadow").write_bytes(b"secret")
    (tmp_path / "shadow").chmod(0o600)
    os.link(tmp_path / "shadow", tmp_path / ".egress_ip.prom.new")
    with pytest.raises(CommandError, match="egress_ip.prom: cannot be written: is not a regular file with one name"):
        files.publish_file(tmp_path / "egress_ip.prom", b"x")
    assert (tmp_path / "shadow").read_bytes() == b"secret"
    assert (tmp_path / "shadow").stat().st_mode & 0o777 == 0o600


def test_the_version_of_a_file_does_not_read_it(tmp_path):
    path = tmp_path / "egress_ip.prom"
    assert files.file_version(path) == files.NO_FILE
    path.symlink_to("/dev/zero")
    assert files.file_version(path) != files.NO_FILE


@pytest.mark.parametrize("target", ["egress_ip.prom", "missing", "/dev/zero"])
def test_a_link_is_a_file_wherever_it_leads_to(tmp_path, target):
    """Who may write to the folder of the metrics chooses: nowhere, back to itself, or into a device."""
    path = tmp_path / "egress_ip.prom"
    path.symlink_to(target)
    assert files.file_version(path) != files.NO_FILE
    files.remove_files([path])
    assert not path.is_symlink()


def test_a_folder_is_no_file_and_contains_none_either_as_a_file(tmp_path):
    path = tmp_path / "egress_ip.prom"
    path.mkdir()
    assert files.file_version(path) == files.NO_FILE
    (tmp_path / "file").touch()
    assert files.file_version(tmp_path / "file/egress_ip.prom") == files.NO_FILE
    files.remove_file(tmp_path / "file/egress_ip.prom")


@pytest.mark.parametrize("others", [True, False])
def test_the_drop_in_folder_goes_with_the_drop_in_unless_others_use_it(monkeypatch, tmp_path, others):
    drop_in = tmp_path / "nftables.service.d/zz-netops-egress-ip.conf"
    monkeypatch.setattr(files, "NFTABLES_DROP_IN", drop_in)
    files.write_file(drop_in, b"[Service]\n", 0o644)
    edited = drop_in.with_name("override.conf")
    if others:
        edited.write_text("[Service]\n")
    for _time in range(2):
        files.remove_file(drop_in)
    assert not drop_in.exists()
    assert (drop_in.parent.exists(), edited.exists()) == (others, others)


def test_one_file_that_cannot_be_removed_stops_no_other(monkeypatch, tmp_path):
    monkeypatch.setattr(files, "UNIT_DIRECTORY", tmp_path / "units")
    said = []
    monkeypatch.setattr(commands, "run", lambda argv, text="": (said.append(argv[1]), (0, "", ""))[1])
    bad, unit, other = tmp_path / "egress_ip.prom", tmp_path / "units/a.service", tmp_path / "other"
    for folder in (bad, unit.parent):
        folder.mkdir()
    for path in (unit, other):
        path.touch()
    with pytest.raises(CommandError, match="egress_ip.prom: cannot be removed: Is a directory$"):
        files.remove_files([bad, unit, other])
    assert not unit.exists()
    assert not other.exists()
    assert said[-2:] == ["daemon-reload", "reset-failed"]


def test_a_file_and_its_name_survive_a_crash(monkeypatch, tmp_path):
    synced = []
    monkeypatch.setattr(
        files.os, "fsync", lambda descriptor: synced.append(str(Path(f"/proc/self/fd/{descriptor}").readlink()))
    )
    files.write_file(tmp_path / "file", b"x", 0o600)
    assert synced == [str(tmp_path / ".file.new"), str(tmp_path)]
