# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Files, units and the lock of a node. PRIVATE to the collection."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path

from .._common.errors import CommandError
from .._dataplane.node_state import Held
from . import commands, watch

STATE_DIRECTORY = Path("/var/lib/netops-egress-ip")
STATE_FILE = STATE_DIRECTORY / "state.json"
PROGRAM_FILE = Path("/usr/local/lib/netops-egress-ip/node.pyz")
UNIT_DIRECTORY = Path("/etc/systemd/system")
LOCK_FILE = Path("/run/netops-egress-ip.lock")
WATCH_FILE = Path(watch.WATCH_FILE)
# The connections of the egress IPs that this node released last.
RELEASED_FILE = Path("/run/netops-egress-ip.given-up")
_LOCK_POLL_INTERVAL = 0.05


@contextlib.contextmanager
def lock() -> Iterator[None]:
    """Hold the lock of this node. Raises CommandError if another run holds it for more than a minute."""
    with LOCK_FILE.open("w", encoding="ascii") as handle:
        deadline = time.monotonic() + commands.TIMEOUT
        while True:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > deadline:
                    raise CommandError(f"{LOCK_FILE}: another run has held the lock for a minute") from None
                time.sleep(_LOCK_POLL_INTERVAL)
        yield


def load_record() -> object:
    """Return the parsed record of the last run, None without one. Raises CommandError if it cannot be read."""
    try:
        return json.loads(STATE_FILE.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        raise CommandError(f"{STATE_FILE}: cannot be read: {error}; remove it to start without a record") from None


def save_record(record: Mapping[str, object]) -> None:
    """Write the record, readable by root only, atomically."""
    write_file(STATE_FILE, json.dumps(record, sort_keys=True).encode(), 0o600)


def read_file(path: Path) -> bytes | None:
    """Return the content of a file, None if it does not exist."""
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return None


def write_file(path: Path, data: bytes, mode: int) -> None:
    """Write a file and its folder atomically and durably. Raises CommandError if that fails."""
    try:
        path.parent.mkdir(mode=0o700 if path.parent == STATE_DIRECTORY else 0o755, parents=True, exist_ok=True)
        _replace(path, data, mode, os.fsync)
    except OSError as error:
        raise CommandError(f"{path}: cannot be written: {error.strerror}") from None


def publish_file(path: Path, data: bytes) -> None:
    """Write a file that others read, atomically but not durably, in a folder that exists.

    Raises CommandError if that fails.
    """
    try:
        _replace(path, data, 0o644, lambda _descriptor: None)
    except OSError as error:
        raise CommandError(f"{path}: cannot be written: {error.strerror}") from None


def _replace(path: Path, data: bytes, mode: int, sync: Callable[[int], None]) -> None:
    temporary = path.with_name(f".{path.name}.new")
    # Others may be able to write to the folder: do not follow a link.
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, mode)
    with os.fdopen(descriptor, "wb") as handle:
        os.fchmod(descriptor, mode)
        handle.write(data)
        handle.flush()
        sync(descriptor)
    temporary.replace(path)


def remove_file(path: Path) -> None:
    """Remove a file, and its folder if that is the collection's and empty. Both may be missing."""
    with contextlib.suppress(FileNotFoundError):
        path.unlink()
    if path.parent in (STATE_DIRECTORY, PROGRAM_FILE.parent):
        with contextlib.suppress(OSError):
            path.parent.rmdir()


def remove_files(paths: Iterable[Path]) -> None:
    """Remove files; stop and disable the units among them first, even if their files are already missing."""
    paths = list(paths)
    units = [path.name for path in paths if path.parent == UNIT_DIRECTORY]
    # Timers first, or they would start services that are already stopped.
    units.sort(key=lambda unit: not unit.endswith(".timer"))
    if units:
        commands.run(["systemctl", "stop", "--quiet", *units])
        commands.run(["systemctl", "disable", "--quiet", *units])
    for path in paths:
        remove_file(path)
    if units:
        commands.check(["systemctl", "daemon-reload"])
        # A service that was stopped while it ran counts as failed, and systemd keeps failed units in its list.
        commands.run(["systemctl", "reset-failed", *units])


def note_presence(device: str, held: Iterable[Held], own: Iterable[str]) -> None:
    """Note for the watch that the node runs now, with this tunnel device, these egress IPs and own addresses."""
    addresses = [(item.egress_ip, item.interface) for item in held] + [(ip, "") for ip in own]
    watch.note(device, addresses, str(WATCH_FILE))


def was_away() -> bool:
    """Return whether the node was away since its presence was noted last."""
    return watch.was_away(str(WATCH_FILE))
