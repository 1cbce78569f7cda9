# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Notices that files of a folder are replaced, by inotify. PRIVATE to the collection."""

from __future__ import annotations

import contextlib
import ctypes
import os
from pathlib import Path

# From linux/inotify.h: a file was renamed to one of the folder, or deleted.
_REPLACED = 0x80 | 0x200
_EVENTS_SIZE = 4096


class FileChanges:
    """The changes of a folder. `works` is unset if the kernel refuses, for example when root has too many watches."""

    def __init__(self, folder: Path) -> None:
        self._folder, self._number, self.works = os.fsencode(folder), -1, False
        with contextlib.suppress(AttributeError, OSError):
            self._libc = ctypes.CDLL(None)
            self._number = self._libc.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC)

    def fileno(self) -> int:
        """Return a file descriptor that can be read after a change, a negative number if there is none."""
        return self._number

    def watch(self) -> None:
        """Begin to watch the folder, or the one that replaced it; changes before are not noticed."""
        if self._number >= 0:
            self.works = self._libc.inotify_add_watch(self._number, self._folder, _REPLACED) >= 0

    def forget(self) -> None:
        """Forget the changes that were noticed."""
        with contextlib.suppress(OSError):
            while self._number >= 0:
                os.read(self._number, _EVENTS_SIZE)
