# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Notes of the pods that started since the host booted, one file for each, and their lock. PRIVATE to the collection.

The program that starts with each pod uses it, so it does its own I/O and imports almost nothing. A container engine
starts all pods again after a boot, so the notes are in /run.
"""

from __future__ import annotations

import fcntl
import json
import os
import time
from contextlib import contextmanager, suppress

from .._common.json_object import json_object
from .read_now import read_now

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from typing import Any

NOTES_FOLDER = "/run/netops-egress-ip.pods"
LOCK_FILE = "/run/netops-egress-ip.pods.lock"
RULES_FILE = "/var/lib/netops-egress-ip/follow.json"
# Exists while a pod is closed because its labels could not be read.
CLOSED_FILE = "/run/netops-egress-ip.closed"
_PATH = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_FOLDERS = _PATH.partition("=")[2].split(":")
_LOCK_SECONDS, _POLL_SECONDS = 30, 0.005
_LARGEST = 1 << 20
_MESSAGE_SIZE = 500


class NoteError(Exception):
    """A note, the rules or the tables cannot be used; the message is one line."""


@contextmanager
def lock(seconds: float = _LOCK_SECONDS) -> Iterator[None]:
    """Hold the lock of the notes and of their elements in nftables. Raises NoteError after so many seconds."""
    descriptor = os.open(LOCK_FILE, os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        deadline = time.monotonic() + seconds
        while True:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > deadline:
                    raise NoteError(f"{LOCK_FILE}: another process has held the lock for {seconds:g} seconds") from None
                time.sleep(_POLL_SECONDS)
        yield
    finally:
        os.close(descriptor)


def read_rules() -> Mapping[str, Any]:
    """Return the compiled rules of this node. Raises NoteError if there are none."""
    rules = _load(RULES_FILE)
    if rules is None:
        raise NoteError(f"{RULES_FILE}: does not exist; run the playbook reconcile")
    return rules


def read_notes() -> dict[str, Mapping[str, Any]]:
    """Return {key: note} of all pods that run, the oldest first. A file that is no note is left out."""
    return running_and_ended()[0]


def running_and_ended() -> tuple[dict[str, Mapping[str, Any]], dict[str, Mapping[str, Any]]]:
    """Return the {key: note} of pods that run, and of containers that ended without a call of their engine."""
    running: dict[str, Mapping[str, Any]] = {}
    ended: dict[str, Mapping[str, Any]] = {}
    for key, note in _read_all():
        (ended if _has_ended(note) else running)[key] = note
    return running, ended


def _has_ended(note: Mapping[str, Any]) -> bool:
    """Return whether the first process of a container has ended. Notes of pods of a CNI runtime name none."""
    process = str(note.get("process", ""))
    return bool(process) and process != process_of(process.partition(":")[0])


def process_of(pid: int | str) -> str:
    """Return what identifies a process until the next boot, "PID:START"; empty if it has ended."""
    try:
        fields = read_now(f"/proc/{pid}/stat").rpartition(b")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return ""
    # The state, and the time of the start: proc(5). A zombie has no network any more.
    return "" if fields[0] in (b"Z", b"X") else f"{pid}:{fields[19].decode()}"


def _read_all() -> list[tuple[str, Mapping[str, Any]]]:
    """Return (key, note) of all notes, the oldest first."""
    found = []
    for key in all_keys():
        path = f"{NOTES_FOLDER}/{key}"
        try:
            note = _load(path)
            written = os.stat(path).st_mtime_ns  # noqa: PTH116 - pathlib takes as long as all the rest
        except (NoteError, OSError):
            continue
        if note is not None and {*note} >= {"name", "addresses", "labels", "verdicts"}:
            found.append((written, key, note))
    return [(key, note) for _written, key, note in sorted(found, key=lambda item: item[:2])]


def all_keys() -> list[str]:
    """Return the keys of all notes."""
    try:
        return [name for name in os.listdir(NOTES_FOLDER) if name[0] != "."]  # noqa: PTH208
    except FileNotFoundError:
        return []


def read_note(key: str) -> Mapping[str, Any] | None:
    """Return the note of a pod, None without one. Raises NoteError if it cannot be read."""
    return _load(f"{NOTES_FOLDER}/{key}")


def write_note(key: str, note: Mapping[str, Any]) -> None:
    """Write the note of a pod, atomically. One that is written again keeps its place in the order."""
    os.makedirs(NOTES_FOLDER, mode=0o700, exist_ok=True)  # noqa: PTH103
    path = f"{NOTES_FOLDER}/{key}"
    written = os.stat(path) if os.path.exists(path) else None  # noqa: PTH110, PTH116
    _save(path, f"{NOTES_FOLDER}/.{key}", note)
    if written:
        os.utime(path, ns=(written.st_atime_ns, written.st_mtime_ns))


def write_rules(rules: Mapping[str, Any]) -> None:
    """Write the compiled rules of this node, unless they are there already."""
    with suppress(NoteError):
        if _load(RULES_FILE) == rules:
            return
    os.makedirs(os.path.dirname(RULES_FILE), mode=0o700, exist_ok=True)  # noqa: PTH103, PTH120
    _save(RULES_FILE, f"{RULES_FILE}.new", rules)


def remove_all() -> None:
    """Remove all notes, and the rules."""
    for key in all_keys():
        remove_note(key)
    for path in (RULES_FILE, CLOSED_FILE):
        with suppress(FileNotFoundError):
            os.unlink(path)  # noqa: PTH108
    with suppress(OSError):
        os.rmdir(NOTES_FOLDER)  # noqa: PTH106


def _save(path: str, temporary: str, value: Mapping[str, Any]) -> None:
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o600)
    with os.fdopen(descriptor, "w", encoding="ascii") as file:
        file.write(json.dumps(value))
    os.replace(temporary, path)  # noqa: PTH105


def remove_note(key: str) -> bool:
    """Remove the note of a pod; returns whether there was one."""
    try:
        os.unlink(f"{NOTES_FOLDER}/{key}")  # noqa: PTH108
    except FileNotFoundError:
        return False
    return True


def note_closed(closed: bool) -> None:
    """Note whether there are pods that are closed because their labels could not be read, for the watch."""
    if closed:
        os.close(os.open(CLOSED_FILE, os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW, 0o600))
    elif os.path.exists(CLOSED_FILE):  # noqa: PTH110
        os.unlink(CLOSED_FILE)  # noqa: PTH108


def run(program: str, arguments: Sequence[str], text: str = "") -> str:
    """Run `ip` or `nft` with `text` on its standard input; returns its error message, empty if it succeeds.

    `subprocess` would double the time of a start.
    """
    path = next((f"{folder}/{program}" for folder in _FOLDERS if os.access(f"{folder}/{program}", os.X_OK)), "")
    if not path:
        return f"{program}: is not installed on this host"
    given, output = _memory(text.encode()), _memory(b"")
    actions = [(os.POSIX_SPAWN_DUP2, given, 0), (os.POSIX_SPAWN_DUP2, output, 1), (os.POSIX_SPAWN_DUP2, output, 2)]
    try:
        name, _equals, value = _PATH.partition("=")
        environment = {name: value, "LC_ALL": "C"}
        # Network plugins and OCI hooks have no AnsibleModule.
        child = os.posix_spawn(  # pylint: disable=ansible-bad-function  # see above
            path, [program, *arguments], environment, file_actions=actions
        )
        _pid, status = os.waitpid(child, 0)
        if status == 0:
            return ""
        os.lseek(output, 0, os.SEEK_SET)
        message = " ".join(os.read(output, _LARGEST).decode(errors="replace").split())
        return message[:_MESSAGE_SIZE] or f"{program}: exit status {status >> 8}"
    finally:
        os.close(given)
        os.close(output)


def _memory(data: bytes) -> int:
    """Return the descriptor of a file in memory with this content, at its beginning."""
    descriptor = os.memfd_create("egress-ip")
    os.write(descriptor, data)
    os.lseek(descriptor, 0, os.SEEK_SET)
    return descriptor


def _load(path: str) -> Mapping[str, Any] | None:
    """Return the JSON object in a file, None without the file. Raises NoteError if it is something else."""
    try:
        data = read_now(path, flags=os.O_NOFOLLOW)
    except FileNotFoundError:
        return None
    value = json_object(data)
    if value is None:
        raise NoteError(f"{path}: is not a JSON object; run the playbook reconcile")
    return value
