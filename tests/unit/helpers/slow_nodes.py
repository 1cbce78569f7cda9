# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Nodes on one wire with the real watch, each as slow as a test wants, in virtual time.

Each node runs in a thread, and one thread at a time: the one whose sleep ends first. So every run can be repeated.
"""

from __future__ import annotations

import contextlib
import heapq
import itertools
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, Future
from unittest import mock

from ansible_collections.netops.egress_ip.plugins.module_utils._host_io import files
from ansible_collections.netops.egress_ip.plugins.module_utils._host_io.watch import SETTLE
from ansible_collections.netops.egress_ip.plugins.module_utils._node import execute, service
from ansible_collections.netops.egress_ip.plugins.module_utils._node.systemd_units import WATCH_INTERVAL
from fake_node_io import FakeKernel, address


class _EndedError(BaseException):
    """The test has ended, and with it all threads."""


class VirtualTime:
    """The clock of all nodes."""

    def __init__(self) -> None:
        self.now = 0.0
        self._queue: list = []
        self._order, self._idle = itertools.count(), threading.Event()
        self._has_ended, self._errors = False, []
        self._threads: list[threading.Thread] = []

    def start(self, act: Callable[[], None]) -> None:
        """Let a thread act from now on."""

        def run() -> None:
            try:
                self.sleep(0.0)
                act()
            except _EndedError:
                pass
            except BaseException as error:  # noqa: BLE001 - the test raises it
                self._errors.append(error)
            self._idle.set()

        self._pass_on(lambda: self._threads.append(threading.Thread(target=run)) or self._threads[-1].start())

    def sleep(self, seconds: float) -> None:
        """Let the calling thread wait."""
        turn = threading.Event()
        heapq.heappush(self._queue, (self.now + seconds, next(self._order), turn))
        self._idle.set()
        turn.wait()
        if self._has_ended:
            raise _EndedError

    def run(self, until: float) -> None:
        """Let time pass."""
        while self._queue and self._queue[0][0] <= until:
            self.now, _order, turn = heapq.heappop(self._queue)
            self._pass_on(turn.set)
            if self._errors:
                raise self._errors[0]
        self.now = until

    def end(self) -> None:
        """End all threads."""
        self._has_ended = True
        while self._queue:
            self._pass_on(heapq.heappop(self._queue)[2].set)
        for thread in self._threads:
            thread.join()

    def _pass_on(self, go: Callable[[], object]) -> None:
        """Let another thread run until it sleeps or ends."""
        self._idle.clear()
        go()
        self._idle.wait()


class SlowNode(FakeKernel):
    """Node `number` of the fleet of `states`.

    `pauses` are seconds between two runs of its watch, in addition to the usual ones, `delays` those after each probe.
    """

    def __init__(self, wire: Wire, number: int, pauses: Iterator[float], delays: Iterator[float]) -> None:
        super().__init__()
        self._wire, self._pauses, self._delays = wire, pauses, delays
        self.mac = f"02:00:00:00:00:{number:02x}"
        own = address(f"192.168.126.2{number}", 18, "eth0"), address(f"2001:db8:126::2{number}", 64, "eth0")
        self.interfaces["eth0"].update(address=self.mac, addr_info=[*own])
        self.settled = 0.0

    def live(self, since: float) -> None:
        """Come back at this time after an absence, and let the watch run again and again."""

        def watch() -> None:
            self._wire.time.sleep(since)
            while True:
                # After that minute, the watch of a node that was here changes nothing.
                if self.is_settling() or str(files.YIELDED_FILE) in self.files:
                    assert service.main(self, ["watch"]) == 0
                self._wire.time.sleep(WATCH_INTERVAL + next(self._pauses))

        self._wire.time.start(watch)

    def monotonic_clock(self):
        return self._wire.time.now

    def sleep(self, seconds):
        super().sleep(seconds)
        self._wire.time.sleep(seconds)

    def note_presence(self, device, held, own):
        if self.away:
            self.away, self.settled = False, self._wire.time.now + SETTLE
        super().note_presence(device, held, own)

    def is_settling(self):
        return self.away or self.settled > 0

    def note_probed(self):
        if self._wire.time.now >= self.settled:
            self.settled = 0.0

    def is_probe_due(self):
        return True

    def run_probes(self, probes):
        """Ask the other nodes, as often as the probes want, and then be slow."""
        for probe in [probe for items in probes.values() for probe in items]:
            answer = ""
            for _question in range(probe.count):
                answer = answer or self._wire.answer(self, probe)
                self._wire.time.sleep(probe.interval)
            self._wire.claiming.discard((self, probe.address))
            self._wire.time.sleep(next(self._delays, 0.0))
            yield ((), {probe.address: answer}) if answer else ({probe.address}, {})


class Wire:
    """The network of all nodes."""

    def __init__(self, time: VirtualTime) -> None:
        self.time = time
        self.nodes: list[SlowNode] = []
        self.claiming: set[tuple[SlowNode, str]] = set()

    def add(self, number: int, pauses: Iterator[float], delays: Iterator[float]) -> SlowNode:
        """Add a node."""
        self.nodes.append(SlowNode(self, number, pauses, delays))
        return self.nodes[-1]

    def answer(self, asking: SlowNode, probe) -> str:
        """Return the MAC address of another node that has an address, or claims it too, empty without one."""
        if not probe.holding:
            self.claiming.add((asking, probe.address))
        for node in self.nodes:
            claims = not probe.holding and (node, probe.address) in self.claiming
            if node is not asking and (probe.address in node.addresses() or claims):
                return node.mac
        return ""

    def holders(self, egress_ip: str) -> list[SlowNode]:
        """Return the nodes that have an address."""
        return [node for node in self.nodes if egress_ip in node.addresses()]


@contextlib.contextmanager
def slow_nodes() -> Iterator[Wire]:
    """Yield a wire without nodes, and end the threads of its nodes after that."""
    time = VirtualTime()
    try:
        with mock.patch.object(execute, "ThreadPoolExecutor", _Inline):
            yield Wire(time)
    finally:
        time.end()


class _Inline(Executor):
    """Runs a call at once: a node has one thread."""

    def __init__(self, max_workers: int) -> None:
        pass

    def submit(self, fn, /, *arguments):
        future: Future = Future()
        future.set_result(fn(*arguments))
        return future
