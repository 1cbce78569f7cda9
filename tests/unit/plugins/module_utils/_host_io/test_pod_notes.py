# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The notes of pods: their order, what a stranger may have put there, and commands."""

from __future__ import annotations

import os
import subprocess

import pytest
from ansible_collections.netops.egress_ip.plugins.module_utils._host_io import pod_notes
from ansible_collections.netops.egress_ip.plugins.module_utils._host_io.pod_notes import NoteError

NOTE = {"name": "shop/web", "addresses": ["10.88.0.7"], "labels": None, "verdicts": {}}


@pytest.fixture(autouse=True)
def folder(monkeypatch, tmp_path):
    """Files in a temporary folder."""
    names = {"NOTES_FOLDER": "pods", "LOCK_FILE": "lock", "RULES_FILE": "state/follow.json", "CLOSED_FILE": "closed"}
    for name, value in names.items():
        monkeypatch.setattr(pod_notes, name, str(tmp_path / value))
    return tmp_path


def test_the_oldest_comes_first_and_keeps_its_place(folder):
    assert pod_notes.read_notes() == {}
    for number, key in enumerate(["b:eth0", "a:eth0"]):
        pod_notes.write_note(key, {**NOTE, "name": key})
        os.utime(folder / "pods" / key, ns=(number, number))
    pod_notes.write_note("b:eth0", NOTE)
    assert list(pod_notes.read_notes()) == ["b:eth0", "a:eth0"]
    assert pod_notes.read_note("b:eth0") == NOTE
    assert pod_notes.remove_note("b:eth0")
    assert not pod_notes.remove_note("b:eth0")
    assert pod_notes.read_note("b:eth0") is None


def test_what_is_no_note_is_left_out(folder):
    pod_notes.write_note("a:eth0", NOTE)
    for name, text in (("b", "["), ("c", "[]"), ("d", "{}"), ("e", "\0")):
        (folder / "pods" / name).write_text(text)
    (folder / "pods/link").symlink_to("/etc/passwd")
    os.mkfifo(folder / "pods/fifo")
    (folder / "pods/.temporary").write_text("x")
    assert pod_notes.read_notes() == {"a:eth0": NOTE}


def test_a_container_that_has_ended(folder):
    """Its engine may end without a call; another process may have its number now."""
    with subprocess.Popen(["sleep", "600"]) as process:
        here = pod_notes.process_of(process.pid)
        assert here.startswith(f"{process.pid}:")
        notes = {"a": {**NOTE, "process": here}, "b": {**NOTE, "process": f"{process.pid}:1"}, "c:eth0": NOTE}
        for key, note in notes.items():
            pod_notes.write_note(key, note)
        assert {*pod_notes.read_notes()} == {"a", "c:eth0"}
        process.kill()
        # A zombie has no network any more.
        os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
        assert pod_notes.process_of(process.pid) == ""
    running, ended = pod_notes.running_and_ended()
    assert ({*running}, {*ended}) == ({"c:eth0"}, {"a", "b"})


def test_the_rules(folder):
    with pytest.raises(NoteError) as raised:
        pod_notes.read_rules()
    assert str(raised.value) == f"{folder}/state/follow.json: does not exist; run the playbook reconcile"
    pod_notes.write_rules({"unknown": "drop"})
    first = (folder / "state/follow.json").stat()
    pod_notes.write_rules({"unknown": "drop"})
    assert (folder / "state/follow.json").stat() == first
    assert first.st_mode & 0o777 == 0o600
    assert pod_notes.read_rules() == {"unknown": "drop"}
    (folder / "state/follow.json").write_text("x")
    with pytest.raises(NoteError, match="is not a JSON object; run the playbook reconcile"):
        pod_notes.read_rules()


def test_nothing_stays(folder):
    pod_notes.write_note("a:eth0", NOTE)
    pod_notes.write_rules({})
    pod_notes.note_closed(True)
    for _again in range(2):
        pod_notes.remove_all()
        pod_notes.note_closed(False)
        assert sorted(path.name for path in folder.iterdir()) == ["state"]


def test_the_lock_is_for_one():
    message = "another process has held the lock for 0 seconds"
    with pod_notes.lock(), pytest.raises(NoteError, match=message), pod_notes.lock(0):
        pass
    with pod_notes.lock():
        pass


def test_commands(monkeypatch, tmp_path):
    program = tmp_path / "program"
    program.write_text("#!/bin/sh\ncat\necho $1 $PATH >&2\nexit $2\n")
    program.chmod(0o755)
    monkeypatch.setattr(pod_notes, "_FOLDERS", [str(tmp_path), "/bin", "/usr/bin"])
    assert pod_notes.run("program", ("a", "0"), "text\n") == ""
    assert pod_notes.run("program", ("a", "3"), "text\n").startswith("text a /usr/local/sbin:")
    assert pod_notes.run("false", ()) == "false: exit status 1"
    assert pod_notes.run("no-such-program", ()) == "no-such-program: is not installed on this host"
