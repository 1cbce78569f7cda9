# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Files, units and the lock of a node. PRIVATE to the collection."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import stat
import time
from collections.abc import Iterable, Iterator
from pathlib import Path

from .._common.errors import CommandError
from .._dataplane.node_state import Held
from . import commands, watch
from .read_now import read_now

STATE_DIRECTORY = Path("/var/lib/netops-egress-ip")
STATE_FILE = STATE_DIRECTORY / "state.json"
STATE_COPY = STATE_DIRECTORY / "state.copy.json"
# What drops the traffic of selected pods when the program cannot run.
CLOSED_RULES = STATE_DIRECTORY / "closed.nft"
CLOSED_POLICIES = STATE_DIRECTORY / "closed.ip"
# The secrets of the tunnel, {fingerprint: secret}.
TUNNEL_SECRETS = STATE_DIRECTORY / "tunnel.secrets.json"
# The key with which the nodes of a fleet with failover call each other.
FAILOVER_KEY = STATE_DIRECTORY / "failover.key"
PROGRAM_FILE = Path("/usr/local/lib/netops-egress-ip/node.pyz")
UNIT_DIRECTORY = Path("/etc/systemd/system")
# After the drop-in that `systemctl edit` writes, which may empty a list of commands.
NFTABLES_DROP_IN = UNIT_DIRECTORY / "nftables.service.d/zz-netops-egress-ip.conf"
LOCK_FILE = Path("/run/netops-egress-ip.lock")
WATCH_FILE = Path(watch.WATCH_FILE)
NETWORKS_FILE = Path(watch.NETWORKS_FILE)
YIELDED_FILE = Path(watch.YIELDED_FILE)
# Connections whose clients wait to be challenged.
LOST_FILE = Path("/run/netops-egress-ip.lost")
# The egress IPs that this node took over since its last plan, and how many it ever did since it booted.
TAKEOVERS_FILE = Path("/run/netops-egress-ip.takeovers")
# The held addresses for which another host answers.
CONFLICTS_FILE = Path("/run/netops-egress-ip.conflicts")
# The version of a file that does not exist.
NO_FILE = (0, 0)
_LOCK_POLL_INTERVAL = 0.05


@contextlib.contextmanager
def lock(patience: float | None = None) -> Iterator[None]:
    """Hold the lock of this node. Raises CommandError if another run holds it for `patience` seconds, or a minute."""
    try:
        # Only root may open the file: a process that can open it can lock it.
        descriptor = os.open(LOCK_FILE, os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW, 0o600)
    except OSError as error:
        raise CommandError(f"{LOCK_FILE}: cannot be opened: {error.strerror}") from None
    with os.fdopen(descriptor, "w", encoding="ascii") as handle:
        os.fchmod(descriptor, 0o600)
        deadline = time.monotonic() + (commands.TIMEOUT if patience is None else patience)
        while True:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() >= deadline:
                    stuck = "another run has held the lock for a minute; end it if it hangs"
                    text = stuck if patience is None else "another run holds the lock"
                    raise CommandError(f"{LOCK_FILE}: {text}") from None
                time.sleep(_LOCK_POLL_INTERVAL)
        yield


def read_file(path: Path) -> bytes | None:
    """Return the content of a file, None if it does not exist. Raises CommandError if it cannot be read."""
    try:
        return read_now(path)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise CommandError(f"{path}: cannot be read: {error.strerror}") from None


def file_version(path: Path | str) -> tuple[int, int]:
    """Return what differs for each new content of a file that `write_file` writes; NO_FILE if it does not exist.

    A link is a file, wherever it leads to, and a folder is none. Raises OSError if its folder cannot be read.
    """
    try:
        found = os.stat(path, follow_symlinks=False)  # noqa: PTH116  # called many times a second, with a text
    except (FileNotFoundError, NotADirectoryError):
        return NO_FILE
    return NO_FILE if stat.S_ISDIR(found.st_mode) else (found.st_ino, found.st_mtime_ns)


def write_file(path: Path, data: bytes, mode: int) -> None:
    """Write a file and its folder atomically and durably. Raises CommandError if that fails."""
    with _writing(path):
        path.parent.mkdir(mode=0o700 if path.parent == STATE_DIRECTORY else 0o755, parents=True, exist_ok=True)
        _replace(path, data, mode, durable=True)


def publish_file(path: Path, data: bytes) -> None:
    """Write a file that others read, atomically but not durably, in a folder that exists.

    Raises CommandError if that fails.
    """
    with _writing(path):
        _replace(path, data, 0o644, durable=False)


@contextlib.contextmanager
def _writing(path: Path) -> Iterator[None]:
    """Raise CommandError if the file cannot be written."""
    try:
        yield
    except OSError as error:
        raise CommandError(f"{path}: cannot be written: {error.strerror}") from None


def _replace(path: Path, data: bytes, mode: int, durable: bool) -> None:
    temporary = _temporary(path)
    descriptor = _open_new(temporary, mode)
    try:
        with os.fdopen(descriptor, "wb") as handle:
            os.fchmod(descriptor, mode)
            os.ftruncate(descriptor, 0)
            handle.write(data)
            handle.flush()
            if durable:
                os.fsync(descriptor)
        temporary.replace(path)
    except OSError:
        # It may have a part of a secret, and takes space.
        with contextlib.suppress(OSError):
            temporary.unlink()
        raise
    if durable:
        _sync_folder(path.parent)


def _temporary(path: Path) -> Path:
    """Return the path of a file until it is whole."""
    return path.with_name(f".{path.name}.new")


def _open_new(path: Path, mode: int) -> int:
    """Return the descriptor of a file for writing. Raises OSError for a file that others may have put there."""
    # Others may be able to write to the folder: do not follow a link, and do not wait for the reader of a FIFO.
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK, mode)
    status = os.fstat(descriptor)
    if stat.S_ISREG(status.st_mode) and status.st_nlink == 1:
        return descriptor
    os.close(descriptor)
    raise OSError(errno.EINVAL, "is not a regular file with one name")


def _sync_folder(folder: Path) -> None:
    """Make a new name in a folder survive a crash."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def remove_file(path: Path) -> None:
    """Remove a file, and its folder if the collection makes it and it is empty. Both may be missing.

    Raises CommandError if it cannot be removed.
    """
    try:
        path.unlink()
    except (FileNotFoundError, NotADirectoryError):
        pass
    except OSError as error:
        raise CommandError(f"{path}: cannot be removed: {error.strerror}") from None
    with contextlib.suppress(OSError):
        # A host that lost power may have one.
        _temporary(path).unlink()
    if path.parent in (STATE_DIRECTORY, PROGRAM_FILE.parent, NFTABLES_DROP_IN.parent):
        with contextlib.suppress(OSError):
            path.parent.rmdir()


def stop_units(units: Iterable[str]) -> None:
    """Stop systemd units and wait until they have stopped; timers first, or they would start stopped services again."""
    commands.run(["systemctl", "stop", "--quiet", *sorted(units, key=lambda unit: not unit.endswith(".timer"))])


def remove_files(paths: Iterable[Path]) -> None:
    """Remove files; stop and disable the units among them first, even if their files are already missing.

    Raises CommandError if systemd refuses, or at the end if a file cannot be removed.
    """
    paths = list(paths)
    units = [path.name for path in paths if path.parent == UNIT_DIRECTORY]
    units.sort(key=lambda unit: not unit.endswith(".timer"))
    if units:
        stop_units(units)
        commands.run(["systemctl", "disable", "--quiet", *units])
    failures = []
    for path in paths:
        try:
            remove_file(path)
        except CommandError as error:
            failures.append(error)
    if units:
        commands.check(["systemctl", "daemon-reload"])
        # A service that was stopped while it ran counts as failed, and systemd keeps failed units in its list.
        commands.run(["systemctl", "reset-failed", *units])
    if failures:
        raise failures[0]


def note_presence(device: str, held: Iterable[Held], own: Iterable[str]) -> None:
    """Note for the watch that the node runs now, with this tunnel device, these egress IPs and own addresses.

    Raises CommandError if that fails.
    """
    addresses = [(item.egress_ip, item.interface) for item in held] + [(ip, "") for ip in own]
    with _writing(WATCH_FILE):
        watch.note(device, addresses, str(WATCH_FILE))


def note_absence() -> None:
    """Note for the watch that the node is away. Raises CommandError if that fails."""
    with _writing(WATCH_FILE):
        watch.note_absence(str(WATCH_FILE))


def was_away() -> bool:
    """Return whether the node was away since its presence was noted last."""
    return watch.was_away(str(WATCH_FILE))


def is_settling() -> bool:
    """Return whether the node was away less than a minute ago."""
    return watch.is_settling(str(WATCH_FILE))


def is_probe_due() -> bool:
    """Return whether it is time to probe the held addresses."""
    return watch.is_probe_due(str(WATCH_FILE))


def note_probed() -> None:
    """Note for the watch that the held addresses were probed now. Raises CommandError if that fails."""
    with _writing(WATCH_FILE):
        watch.note_probed(str(WATCH_FILE))


def note_networks(version: str | None) -> None:
    """Note for the watch the version of the networks of containers and VMs, see `watch.note_networks`.

    Raises CommandError if that fails.
    """
    with _writing(NETWORKS_FILE):
        watch.note_networks(version, str(NETWORKS_FILE))
