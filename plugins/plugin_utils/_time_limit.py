# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A time limit for code that waits for a program without one. PRIVATE to the collection."""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Callable
from pathlib import Path
from threading import Thread
from typing import Any


def run_with_limit(function: Callable[[], Any], seconds: float) -> None:
    """Call a function in a thread; raise its exception, or TimeoutError, and then kill the programs that it started."""
    raised: list[BaseException] = []

    def run() -> None:
        try:
            function()
        except BaseException as error:  # pylint: disable=broad-exception-caught  # it is raised by the caller
            raised.append(error)

    thread = Thread(target=run, daemon=True)
    thread.start()
    thread.join(seconds)
    if thread.is_alive():
        _kill_children(thread)
        raise TimeoutError
    if raised:
        raise raised[0]


def _kill_children(thread: Thread) -> None:
    """Kill the programs that a thread of this process started, where the kernel lists them."""
    with contextlib.suppress(OSError):
        for number in Path(f"/proc/self/task/{thread.native_id}/children").read_text(encoding="ascii").split():
            os.kill(int(number), signal.SIGKILL)
