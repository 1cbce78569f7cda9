# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The raw sockets of a program that watches segments for as long as it runs. PRIVATE to the collection. Needs root."""

from __future__ import annotations

import contextlib
import select
import socket
import time
from collections.abc import Collection, Iterable, Iterator
from typing import NamedTuple

from .._common.errors import CommandError
from .._protocols import arp, ndp
from .._protocols.address_probe import PARSERS
from .._protocols.ethernet import NeighbourMessage
from .packets import attach_filter, is_received, packet_socket

_FRAME_SIZE = 2048
# Frames that are read at once at most: a flood must not stop the program.
_BURST = 4096
# Classic BPF for ARP: frames to this host (bit 0 of byte 0), replies (operation at byte 20), probes without a sender
# (address at byte 28), and announcements (the target at byte 38 is the sender); accept or drop.
_ARP_OF_INTEREST = (
    (0x30, 0, 0, 0),
    (0x45, 0, 7, 1),
    (0x28, 0, 0, 20),
    (0x15, 5, 0, 2),
    (0x20, 0, 0, 28),
    (0x15, 3, 0, 0),
    (0x07, 0, 0, 0),
    (0x20, 0, 0, 38),
    (0x1D, 0, 1, 0),
    (0x06, 0, 0, 0xFFFF),
    (0x06, 0, 0, 0),
)


class Received(NamedTuple):
    """A message on an interface; `direct` if its frame was sent to this host, and what it `solicits` then."""

    interface: str
    message: NeighbourMessage
    direct: bool
    solicits: str


class Segment:
    """The sockets of some interfaces, for ARP and neighbour discovery."""

    def __init__(self) -> None:
        self._stack = contextlib.ExitStack()
        self._sockets: dict[tuple[str, int], socket.socket] = {}
        self._indices: dict[str, int] = {}
        self._awaited: Collection[int] = ()
        self._poll, self._others = select.poll(), select.poll()

    def open(self, interfaces: Iterable[str], awaited: Collection[int] = ()) -> None:
        """Open the sockets of these interfaces, and again those of an interface that was replaced.

        `awaited` are other file descriptors that end a wait when they can be read.
        """
        found = {name: _index(name) for name in interfaces}
        if (found, awaited) == (self._indices, self._awaited):
            return
        self.close()
        self._indices, self._awaited, self._poll, self._others = found, awaited, select.poll(), select.poll()
        for number in awaited:
            self._poll.register(number, select.POLLIN)
            self._others.register(number, select.POLLIN)
        for name, index in found.items():
            for ethertype in PARSERS if index else ():
                with contextlib.suppress(CommandError, OSError):
                    self._add(name, ethertype)

    def _add(self, interface: str, ethertype: int) -> None:
        sock = self._stack.enter_context(packet_socket(interface, ethertype))
        if ethertype == arp.ETHERTYPE:
            attach_filter(sock, _ARP_OF_INTEREST)
        self._sockets[interface, ethertype] = sock
        self._poll.register(sock, select.POLLIN)

    def close(self) -> None:
        """Close all sockets."""
        self._stack.close()
        self._sockets.clear()

    def wait(self, seconds: float, pause: float) -> None:
        """Wait for at most some seconds, until a frame has arrived; during `pause` only for the other descriptors."""
        pause = min(pause, max(0.0, seconds))
        if not self._others.poll(pause * 1000) and seconds > pause:
            self._poll.poll((seconds - pause) * 1000)

    def read(self) -> list[Received]:
        """Return the messages in all frames that have arrived."""
        return [heard for key, sock in self._sockets.items() for heard in _read(sock, *key)]

    @staticmethod
    def clocks() -> tuple[float, float]:
        """Return the seconds of the monotonic clock, and of the one that goes on while the host is suspended."""
        return time.monotonic(), time.clock_gettime(time.CLOCK_BOOTTIME)

    def send(self, interface: str, ethertype: int, frame: bytes) -> None:
        """Send a frame. One that cannot be sent is lost, as on the wire."""
        sock = self._sockets.get((interface, ethertype))
        if sock is not None:
            with contextlib.suppress(OSError):
                sock.send(frame, socket.MSG_DONTWAIT)


def _read(sock: socket.socket, interface: str, ethertype: int) -> Iterator[Received]:
    # An interface that is down is reported once as an error.
    with contextlib.suppress(OSError):
        own = sock.getsockname()[4]
        for _frame in range(_BURST):
            frame, origin = sock.recvfrom(_FRAME_SIZE, socket.MSG_DONTWAIT)
            message = PARSERS[ethertype](frame) if is_received(origin, interface) else None
            if message:
                direct = frame[:6] == own
                solicits = ndp.solicited(frame) if direct and ethertype == ndp.ETHERTYPE else ""
                yield Received(interface, message, direct, solicits)


def _index(interface: str) -> int:
    try:
        return socket.if_nametoindex(interface)
    except OSError:
        return 0
