# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The time that a node takes to answer, apart from the time that the controller takes. PRIVATE to the collection.

The keyword `timeout` of a task counts every second of the process that runs it. On a busy controller such a process
waits for a processor, and a node that answers at once would seem to be silent.
"""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FrameType

# A limit has this many ticks.
_TICKS = 40
# Seconds without a processor after which a lost connection is no failure of the node.
_STARVED = 1.0


class AnswerTimeoutError(BaseException):
    """The node did not answer in time. No Exception, so that no connection plugin takes it for an error of its own."""


class NodeClock:
    """Counts the seconds in which this process could run and waited for a node.

    A timer ticks while the process waits. Ticks that come while it has no processor are one tick, and the time in which
    its own processes, such as ssh, wait for a processor is not counted either. `limit` is in seconds, 0 for none.
    """

    def __init__(self, limit: float, waited: Callable[[], float] | None = None) -> None:
        """`waited` returns the seconds in which the processes of this one have waited for a processor so far."""
        self.limit, self._waited = limit, waited or _waited_for_processor
        self._tick = limit / _TICKS
        self._ticks = 0
        self._spent = 0.0

    @property
    def node_seconds(self) -> float:
        """The seconds that count."""
        return self._ticks * self._tick

    @property
    def is_starved(self) -> bool:
        """Whether the process had no processor for a while during its waits for the node."""
        return self.limit > 0 and self._spent - self.node_seconds > _STARVED + self._tick

    @contextlib.contextmanager
    def waiting(self) -> Iterator[None]:
        """Count while the body waits for the node. Raises AnswerTimeoutError at the limit."""
        if not self.limit:
            yield
            return
        began = time.monotonic()
        before = signal.signal(signal.SIGALRM, self._on_tick)
        signal.setitimer(signal.ITIMER_REAL, self._tick, self._tick)
        try:
            yield
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
            signal.signal(signal.SIGALRM, before)
            self._spent += time.monotonic() - began

    def _on_tick(self, _number: int, _frame: FrameType | None) -> None:
        self._ticks += 1
        if self._ticks >= _TICKS and self.node_seconds - self._waited() >= self.limit:
            # Once: a second tick would interrupt those who handle the first.
            signal.setitimer(signal.ITIMER_REAL, 0)
            raise AnswerTimeoutError


def _waited_for_processor() -> float:
    """Return the seconds in which the processes below this one have waited for a processor.

    It is 0 where the kernel does not count them.
    """
    nanoseconds, waiting = 0, [os.getpid()]
    with contextlib.suppress(OSError, ValueError, IndexError):
        while waiting:
            number = waiting.pop()
            # Bytes: the import of a codec must not be interrupted by the next tick, which would import it again.
            children = Path(f"/proc/{number}/task/{number}/children").read_bytes().split()
            waiting += map(int, children)
            for child in children:
                nanoseconds += int(Path(f"/proc/{int(child)}/schedstat").read_bytes().split()[1])
    return nanoseconds / 1e9
