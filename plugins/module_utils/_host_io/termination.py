# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The end of a program that systemd stops, alone or with the whole host. PRIVATE to the collection."""

from __future__ import annotations

import select
import signal
import socket

from .commands import run


class Termination:
    """The request to end, which does not interrupt a step of the program; `requested` once it has come."""

    def __init__(self) -> None:
        self.requested = False
        self._read, self._write = socket.socketpair()
        self._write.setblocking(False)
        # A program that waits for this socket wakes up.
        signal.set_wakeup_fd(self._write.fileno(), warn_on_full_buffer=False)
        signal.signal(signal.SIGTERM, self._request)

    def _request(self, _number: int, _frame: object) -> None:
        self.requested = True

    def fileno(self) -> int:
        """Return a file descriptor that can be read after the request."""
        return self._read.fileno()

    def wait(self, seconds: float) -> None:
        """Wait for the request, at most for some seconds."""
        select.select([self._read], [], [], seconds)


def is_shutting_down() -> bool:
    """Return whether the host shuts down or reboots, and not only a unit stops."""
    return run(["systemctl", "is-system-running"]).stdout.strip() == "stopping"
