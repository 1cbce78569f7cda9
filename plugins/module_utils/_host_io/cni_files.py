# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The files of network plugins (CNI) on a node: lists, and the folders of the programs. PRIVATE to the collection."""

from __future__ import annotations

import contextlib
import errno
import os
import stat
from pathlib import Path
from typing import NamedTuple

from .._common.errors import CommandError
from .read_now import read_now

LISTS = Path("/etc/cni/net.d")
# Where runtimes and distributions keep the programs.
PROGRAM_FOLDERS = (Path("/opt/cni/bin"), Path("/usr/lib/cni"), Path("/usr/libexec/cni"))
_SUFFIXES = (".conf", ".conflist", ".json")
_LARGEST = 1 << 20


class ListFile(NamedTuple):
    """A list of plugins: its path, its text, and why it cannot be changed, empty if it can."""

    path: Path
    text: str = ""
    problem: str = ""


def list_files() -> list[ListFile]:
    """Return the lists in the order in which runtimes read them: they use the first one."""
    try:
        names = sorted(entry.name for entry in os.scandir(LISTS))
    except OSError:
        return []
    return [_read(LISTS / name) for name in names if name.endswith(_SUFFIXES)]


def program_folders(main: str) -> list[Path]:
    """Return the folders that have the program of a plugin."""
    return [folder for folder in PROGRAM_FOLDERS if (folder / main).is_file()]


def _read(path: Path) -> ListFile:
    if path.is_symlink():
        return ListFile(path, problem="is a symbolic link")
    try:
        data = read_now(path, _LARGEST, os.O_NOFOLLOW)
        text = data.decode()
    except OSError as error:
        return ListFile(path, problem=f"cannot be read: {error.strerror}")
    except UnicodeDecodeError:
        return ListFile(path, problem="is not UTF-8")
    return ListFile(path, text, f"is larger than {_LARGEST} bytes" if len(data) > _LARGEST else "")


def replace_list(path: Path, before: str, after: str) -> None:
    """Write a list, unless it is no longer as it was `before`: the next look finds what another program wrote.

    Raises CommandError.
    """
    temporary = path.with_name(f".{path.name}.egress-ip")
    try:
        owner = path.lstat()
        with contextlib.suppress(FileNotFoundError):
            temporary.unlink()
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
        with os.fdopen(descriptor, "wb") as handle:
            handle.write(after.encode())
            os.fchown(descriptor, owner.st_uid, owner.st_gid)
            os.fchmod(descriptor, stat.S_IMODE(owner.st_mode))
            handle.flush()
            os.fsync(descriptor)
        if _read(path) == ListFile(path, before):
            temporary.replace(path)
        else:
            temporary.unlink()
    except OSError as error:
        # What stays in the folder would look like a change of it to the next watch.
        with contextlib.suppress(OSError):
            temporary.unlink()
        if error.errno != errno.ENOENT:
            raise CommandError(f"{path}: cannot be written: {error.strerror}") from None
