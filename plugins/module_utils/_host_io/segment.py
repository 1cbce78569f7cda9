# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The raw sockets of a program that watches segments for as long as it runs. PRIVATE to the collection. Needs root."""

from __future__ import annotations

import contextlib
import itertools
import select
import socket
import time
from collections.abc import Collection, Iterable
from dataclasses import dataclass

from .._common.errors import CommandError
from .._protocols import arp, ndp
from .._protocols.address_probe import PARSERS
from .._protocols.ethernet import KEPT, NeighbourMessage
from .packets import Instruction, drops_since, of_received, packet_socket

# Bytes that are read of a frame, more than those that a parser reads.
_FRAME_SIZE = 128
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
# The same for neighbour discovery: next header (byte 20) is ICMPv6; advertisements (type at byte 54), solicitations to
# this host, and those without a source (address at byte 22).
_NDP_OF_INTEREST = (
    (0x30, 0, 0, 20),
    (0x15, 0, 14, 58),
    (0x30, 0, 0, 54),
    (0x15, 11, 0, ndp.ADVERTISEMENT),
    (0x15, 0, 11, ndp.SOLICITATION),
    (0x30, 0, 0, 0),
    (0x45, 0, 8, 1),
    (0x20, 0, 0, 22),
    (0x15, 0, 7, 0),
    (0x20, 0, 0, 26),
    (0x15, 0, 5, 0),
    (0x20, 0, 0, 30),
    (0x15, 0, 3, 0),
    (0x20, 0, 0, 34),
    (0x15, 0, 1, 0),
    (0x06, 0, 0, 0xFFFF),
    (0x06, 0, 0, 0),
)
_OF_INTEREST: dict[int, tuple[Instruction, ...]] = {arp.ETHERTYPE: _ARP_OF_INTEREST, ndp.ETHERTYPE: _NDP_OF_INTEREST}


@dataclass(frozen=True, eq=False)
class Received:
    """A message on an interface; `direct` if its frame was sent to this host, and what it `solicits` then.

    A frame that comes again is the same value.
    """

    interface: str
    message: NeighbourMessage
    direct: bool
    solicits: str


class _Reader:
    """What reads the frames of a socket. It keeps the results, since the same frames come again and again."""

    def __init__(self, sock: socket.socket, interface: str, ethertype: int) -> None:
        self.receive, self._own = sock.recv, sock.getsockname()[4]
        self._interface, self._ethertype = interface, ethertype
        self.known: dict[bytes, Received] = {}

    def read(self, frame: bytes) -> Received | None:
        """Return the message in a frame."""
        message, direct = PARSERS[self._ethertype](frame), frame[:6] == self._own
        if message is None:
            return None
        solicits = ndp.solicited(frame) if direct and self._ethertype == ndp.ETHERTYPE else ""
        if len(self.known) >= KEPT:
            self.known.clear()
        received = self.known[frame] = Received(self._interface, message, direct, solicits)
        return received


class Segment:
    """The sockets of some interfaces, for ARP and neighbour discovery."""

    def __init__(self) -> None:
        self._stack = contextlib.ExitStack()
        self._sockets: dict[tuple[str, int], socket.socket] = {}
        # {file descriptor of a socket: what reads it}
        self._readers: dict[int, _Reader] = {}
        self._indices: dict[str, int] = {}
        self._awaited: Collection[int] = ()
        self._poll, self._others = select.poll(), select.poll()
        # Whether frames were left unread because there were too many.
        self.is_behind = False

    def open(self, interfaces: Iterable[str], awaited: Collection[int] = ()) -> str:
        """Open the sockets of these interfaces, and again those of an interface that was replaced.

        `awaited` are other file descriptors that end a wait when they can be read. Returns why a socket could not be
        opened, empty if all are open: the next call tries that one again.
        """
        found = {name: _index(name) for name in interfaces}
        if (found, awaited) != (self._indices, self._awaited):
            self._begin(found, awaited)
        error = self._open_missing()
        self._readers = {sock.fileno(): _Reader(sock, *key) for key, sock in self._sockets.items()}
        return error

    def _begin(self, found: dict[str, int], awaited: Collection[int]) -> None:
        self.close()
        self._indices, self._awaited, self._poll, self._others = found, awaited, select.poll(), select.poll()
        for number in awaited:
            self._poll.register(number, select.POLLIN)
            self._others.register(number, select.POLLIN)

    def _open_missing(self) -> str:
        """Open the sockets that are not open; returns the last error."""
        error = ""
        present = [name for name, index in self._indices.items() if index]
        for name, ethertype in itertools.product(present, PARSERS):
            if (name, ethertype) not in self._sockets:
                try:
                    self._add(name, ethertype, of_received(self._indices[name], _OF_INTEREST[ethertype]))
                except (CommandError, OSError) as failure:
                    error = str(failure)
        return error

    def _add(self, interface: str, ethertype: int, program: tuple[Instruction, ...]) -> None:
        sock = self._stack.enter_context(packet_socket(interface, ethertype, program))
        self._sockets[interface, ethertype] = sock
        self._poll.register(sock, select.POLLIN)

    def close(self) -> None:
        """Close all sockets."""
        self._stack.close()
        self._sockets.clear()
        self._readers.clear()

    def wait(self, seconds: float, pause: float) -> bool:
        """Wait for at most some seconds, until a frame has arrived; during `pause` only for the other descriptors.

        Returns whether one of these can be read.
        """
        pause = min(pause, max(0.0, seconds))
        if self._others.poll(pause * 1000):
            return True
        ready = self._poll.poll((seconds - pause) * 1000) if seconds > pause else ()
        return any(number in self._awaited for number, _event in ready) if ready else False

    def read(self) -> list[Received]:
        """Return the messages in all frames that have arrived, or in the first of very many: then it `is_behind`."""
        found: list[Received] = []
        self.is_behind = False
        for number, _event in self._poll.poll(0):
            reader = self._readers.get(number)
            if reader is None:
                continue
            receive, known = reader.receive, reader.known
            try:
                for _frame in range(_BURST):
                    frame = receive(_FRAME_SIZE, socket.MSG_DONTWAIT)
                    received = known.get(frame) or reader.read(frame)
                    if received:
                        found.append(received)
            except OSError:
                # The end, or an interface that is down, which is reported once.
                continue
            self.is_behind = True
        return found

    def has_dropped(self) -> bool:
        """Return whether the kernel has dropped frames for lack of space since the last call."""
        # All are asked, which begins their counts again.
        return sum(map(drops_since, self._sockets.values())) > 0

    @staticmethod
    def clocks() -> tuple[float, float]:
        """Return the seconds of the monotonic clock, and of the one that goes on while the host is suspended."""
        return time.monotonic(), time.clock_gettime(time.CLOCK_BOOTTIME)

    def send(self, interface: str, ethertype: int, frame: bytes) -> None:
        """Send a frame. One that cannot be sent is lost, as on the wire."""
        sock = self._sockets.get((interface, ethertype))
        try:
            if sock is not None:
                sock.send(frame, socket.MSG_DONTWAIT)
        except OSError:
            return


def _index(interface: str) -> int:
    try:
        return socket.if_nametoindex(interface)
    except OSError:
        return 0
