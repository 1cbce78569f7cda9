# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Messages over TCP between nodes that share a key, and the connections in them. PRIVATE to the collection.

Each side draws a number and sends it. Each message carries an HMAC of itself and the receiver's number, so it can
neither be changed nor sent a second time. Readers wait for data without ever reading more than they want.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import socket
import struct
import time
from collections.abc import Mapping
from typing import Dict, Generator, Generic, List, TypeVar

from .._common.addresses import version_of
from .._protocols.ctnetlink import Flow

# Bytes of a side's number and of an HMAC.
NUMBER, DIGEST = 16, 32
# Seconds until another attempt, and the shortest time to wait for data.
RETRY = 0.02

# {egress IP: its connections}
Flows = Dict[str, List[Flow]]
_Answer = TypeVar("_Answer")
# Yields the number of bytes to read next, is sent these bytes, and returns their content.
Reading = Generator[int, bytes, _Answer]


class RefusedError(Exception):
    """The other side has not proven that it knows the key, or sends what it must not send."""


def read_message(key: bytes, number: bytes, limit: int) -> Reading[Mapping[str, object]]:
    """Read a message of at most `limit` bytes to the side that drew `number`."""
    data = yield 4 + DIGEST
    (length,) = struct.unpack("!I", data[:4])
    if not 0 < length <= limit:
        raise RefusedError(f"hand-over message: must be 1 to {limit} bytes, not {length}")
    body = yield length
    check(data[4:], digest(key, number, body))
    try:
        content = json.loads(body)
    except (ValueError, RecursionError):
        raise RefusedError("hand-over message: must be JSON, not deeply nested") from None
    if not isinstance(content, dict):
        raise RefusedError("hand-over message: must be a mapping")
    return content


def message(key: bytes, number: bytes, content: Mapping[str, object]) -> bytes:
    """Return the bytes of a message to the side that drew `number`."""
    body = json.dumps(content).encode()
    return struct.pack("!I", len(body)) + digest(key, number, body) + body


def digest(key: bytes, number: bytes, body: bytes) -> bytes:
    """Return the HMAC of a number and a text."""
    return hmac.new(key, number + body, hashlib.sha256).digest()


def check(found: bytes, expected: bytes) -> None:
    """Raise RefusedError unless the HMAC is the expected one."""
    if not hmac.compare_digest(found, expected):
        raise RefusedError("hand-over key: must be the key of this run")


def read_flows(values: object, egress_ip: str) -> list[Flow]:
    """Return the connections of an egress IP from a message. Raises RefusedError."""
    if not isinstance(values, list):
        raise RefusedError(f"{egress_ip}: must be a list of connections")
    try:
        flows = [Flow.from_list(value) for value in values]
    except ValueError as error:
        raise RefusedError(f"{egress_ip}: {error}") from None
    version = version_of(egress_ip)
    for flow in flows:
        ends = (flow.source, flow.destination, flow.server, flow.translated)
        if flow.translated[0] != egress_ip or any(version_of(address) != version for address, _port in ends):
            raise RefusedError(f"{egress_ip}: must be the translated source of its connections")
    return flows


class Reader(Generic[_Answer]):
    """Feeds a reading with the bytes of a socket, without ever reading more than it wants."""

    def __init__(self, reading: Reading[_Answer]) -> None:
        self._reading = reading
        self._wanted = next(reading)
        self._data = bytearray()

    def read(self, connection: socket.socket) -> _Answer | None:
        """Read once; returns the answer when it is complete. Raises OSError or RefusedError."""
        part = connection.recv(min(self._wanted - len(self._data), 1 << 16))
        if not part:
            raise ConnectionError("closed")
        self._data += part
        if len(self._data) < self._wanted:
            return None
        data, self._data = bytes(self._data), bytearray()
        try:
            self._wanted = self._reading.send(data)
        except StopIteration as done:
            answer: _Answer = done.value
            return answer
        return None


def read(connection: socket.socket, reading: Reading[_Answer], deadline: float) -> _Answer:
    """Return what a reading returns, until `deadline` of the monotonic clock. Raises OSError or RefusedError."""
    reader = Reader(reading)
    while True:
        connection.settimeout(left(deadline))
        answer = reader.read(connection)
        if answer is not None:
            return answer
        if time.monotonic() > deadline:
            raise TimeoutError("the conversation has not ended in time")


def send(connection: socket.socket, data: bytes, seconds: float) -> None:
    """Send everything within these seconds: the timeout of `sendall` is for the whole."""
    connection.settimeout(seconds)
    connection.sendall(data)


def left(deadline: float) -> float:
    """Return the seconds until `deadline` of the monotonic clock, at least RETRY."""
    return max(RETRY, deadline - time.monotonic())
