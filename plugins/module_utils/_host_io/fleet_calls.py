# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Calls from node to node between two runs, with the key of the fleet. PRIVATE to the collection.

TCP from tunnel endpoint to tunnel endpoint, on the port of the tunnel, to the program that follows the egress IPs:

    called node  ──►  its number
    caller       ──►  its number, its request
    then messages in turn

The program listens at all addresses. A run that hands addresses over listens at the endpoint itself, and the kernel
prefers the exact address: during a run nodes call without success.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import select
import socket
import threading
import time
from collections import deque
from collections.abc import Callable, Collection, Iterator, Sequence
from typing import Mapping, NamedTuple

from .._common.addresses import version_of
from .._common.errors import CommandError
from . import node_messages
from .node_messages import NUMBER, Reader, Reading, RefusedError

# Seconds in which a node must accept a call, and in which each message must arrive.
CONNECT, ANSWER = 0.5, 2.0
# Bytes of the largest request, for which a caller that has not proven anything yet can make a node wait, and of the
# largest message after that.
_REQUEST_LIMIT, _MESSAGE_LIMIT = 1 << 16, 1 << 24
# The most calls of one address, and of all, that have not proven the key yet; one more ends the oldest of these. So a
# node cannot end those of another one.
_UNPROVEN_OF_ONE, _UNPROVEN = 8, 512
# Seconds after the first attempts to deliver a notice, those after each further one, and the calls at the same time.
_PAUSES, _LAST_PAUSE, _AT_ONCE = (1.0, 3.0), 10.0, 8
_ANY = {4: (socket.AF_INET, "0.0.0.0"), 6: (socket.AF_INET6, "::")}

_Request = Mapping[str, object]


class Notice(NamedTuple):
    """A request to a node that only confirms it: from the endpoint `own` to `endpoint`."""

    own: str
    endpoint: str
    request: _Request


class Call:
    """A call with a node that has proven its key. `peer` is the address of a caller, `request` its first message."""

    def __init__(self, connection: socket.socket, key: bytes, numbers: tuple[bytes, bytes]) -> None:
        self._connection, self._key, (self._own, self._theirs) = connection, key, numbers
        self.peer = ""
        self.request: _Request = {}

    def send(self, content: Mapping[str, object]) -> None:
        """Send a message. Raises CommandError."""
        with _refusals("not sent"):
            node_messages.send(self._connection, node_messages.message(self._key, self._theirs, content), ANSWER)

    def receive(self) -> Mapping[str, object]:
        """Return the next message of the other node. Raises CommandError."""
        reading = node_messages.read_message(self._key, self._own, _MESSAGE_LIMIT)
        with _refusals("no answer"):
            return node_messages.read(self._connection, reading, time.monotonic() + ANSWER)

    def close(self) -> None:
        """End the call."""
        self._connection.close()


@contextlib.contextmanager
def _refusals(text: str) -> Iterator[None]:
    try:
        yield
    except (OSError, RefusedError) as error:
        raise CommandError(f"{text}: {error}") from None


@contextlib.contextmanager
def call(key: str, own: str, endpoint: str, port: int, request: _Request) -> Iterator[Call]:
    """Call the node with this endpoint from the endpoint `own`, and send a request. Raises CommandError."""
    with _refusals(f"{endpoint} is not reached by TCP on port {port}"):
        connection = socket.create_connection((endpoint, port), CONNECT, (own, 0))
    with contextlib.closing(connection):
        with _refusals("no answer"):
            theirs = node_messages.read(connection, _read_number(), time.monotonic() + ANSWER)
        number = os.urandom(NUMBER)
        with _refusals("not sent"):
            node_messages.send(connection, number, ANSWER)
        made = Call(connection, key.encode(), (number, theirs))
        made.send(request)
        yield made


def _read_number() -> Reading[bytes]:
    return (yield NUMBER)


class _Caller:
    """A connection that has not proven its key yet."""

    def __init__(self, connection: socket.socket, peer: str, key: bytes) -> None:
        connection.setblocking(False)
        self.connection, self.peer, self.number = connection, peer, os.urandom(NUMBER)
        self.key, self.reader = key, Reader(_read_request(key, self.number))
        connection.send(self.number)

    def read(self) -> Call | None:
        """Read what has arrived; returns the call once it is proven. Raises OSError or RefusedError."""
        with contextlib.suppress(BlockingIOError):
            while True:
                read = self.reader.read(self.connection)
                if read:
                    proven = Call(self.connection, self.key, (self.number, read[0]))
                    proven.peer, proven.request = self.peer, read[1]
                    return proven
        return None


def _read_request(key: bytes, number: bytes) -> Reading[tuple[bytes, _Request]]:
    theirs = yield NUMBER
    request = yield from node_messages.read_message(key, number, _REQUEST_LIMIT)
    return theirs, request


class CallListener:
    """The sockets that take the calls of other nodes, without waiting for them."""

    def __init__(self, key: str, port: int, versions: Collection[int]) -> None:
        """Listen for these IP versions. Raises CommandError if another program has the port."""
        self._key, self._poll = key.encode(), select.epoll()
        self._listeners: dict[int, socket.socket] = {}
        self._callers: dict[int, _Caller] = {}
        try:
            for version in versions:
                self._listen(version, port)
        except OSError as error:
            self.close()
            raise CommandError(f"TCP port {port}: {error.strerror}") from None

    def _listen(self, version: int, port: int) -> None:
        family, address = _ANY[version]
        listener = socket.socket(family)
        self._listeners[listener.fileno()] = listener
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        if version == 6:
            listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        listener.setblocking(False)
        listener.bind((address, port))
        listener.listen()
        self._poll.register(listener, select.EPOLLIN)

    def fileno(self) -> int:
        """Return a file descriptor that can be read when there is something to do."""
        return self._poll.fileno()

    def read(self) -> list[Call]:
        """Return the calls that have been proven since."""
        ready = self._poll.poll(0)
        found = (self._read(number) for number, _event in ready)
        return [proven for proven in found if proven] if ready else []

    def _read(self, number: int) -> Call | None:
        if number in self._listeners:
            self._accept(self._listeners[number])
            return None
        caller, proven = self._callers.get(number), None
        if caller is None:
            # It was ended for a newer one since the poll.
            return None
        try:
            proven = caller.read()
        except (OSError, RefusedError):
            self._end(number)
        if proven:
            self._poll.unregister(number)
            del self._callers[number]
        return proven

    def _accept(self, listener: socket.socket) -> None:
        with contextlib.suppress(OSError):
            connection, (peer, *_port) = listener.accept()
            self._callers[connection.fileno()] = _Caller(connection, peer, self._key)
            self._poll.register(connection, select.EPOLLIN)
            of_one = [number for number, caller in self._callers.items() if caller.peer == peer]
            if len(of_one) > _UNPROVEN_OF_ONE:
                self._end(of_one[0])
            elif len(self._callers) > _UNPROVEN:
                self._end(next(iter(self._callers)))

    def _end(self, number: int) -> None:
        self._callers.pop(number).connection.close()

    def close(self) -> None:
        """Accept no more calls."""
        for number in list(self._callers):
            self._end(number)
        for listener in self._listeners.values():
            listener.close()
        self._poll.close()


def notify(key: str, port: int, notices: Sequence[Notice], is_true: Callable[[], bool]) -> None:
    """Deliver notices in the background; repeat those without an answer after a pause, while `is_true` returns true."""
    threading.Thread(target=_deliver, args=(key, port, notices, is_true), daemon=True).start()


def _deliver(key: str, port: int, notices: Sequence[Notice], is_true: Callable[[], bool]) -> None:
    for pause in itertools.chain(_PAUSES, itertools.repeat(_LAST_PAUSE)):
        notices = _deliver_once(key, port, notices)
        time.sleep(pause if notices else 0.0)
        if not notices or not is_true():
            return


def _deliver_once(key: str, port: int, notices: Sequence[Notice]) -> list[Notice]:
    """Call several nodes at the same time; return the notices that were not delivered."""
    waiting, failed = deque(notices), []

    def work() -> None:
        with contextlib.suppress(IndexError):
            while True:
                notice = waiting.popleft()
                try:
                    with call(key, notice.own, notice.endpoint, port, notice.request) as made:
                        made.receive()
                except CommandError:
                    failed.append(notice)

    threads = [threading.Thread(target=work, daemon=True) for _notice in notices[:_AT_ONCE]]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return failed


def versions_of(endpoints: Collection[str]) -> tuple[int, ...]:
    """Return the IP versions of these addresses."""
    return tuple(sorted({version_of(each) for each in endpoints}))
