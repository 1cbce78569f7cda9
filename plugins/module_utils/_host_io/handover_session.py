# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The conversation of two nodes that hand an egress IP over: the old holder sends its connections to the new one.

PRIVATE to the collection. TCP between the nodes' tunnel endpoints, on the port of the tunnel. Both sides prove that
they know the key of the run: each message carries an HMAC of itself and a number that the other side has just drawn.

    old holder  ──►  its number
    new holder  ──►  its number, the egress IPs that it is about to claim
    old holder       releases, once all takers have connected
    old holder  ──►  the connections of these egress IPs
"""

from __future__ import annotations

import contextlib
import hashlib
import hmac
import json
import os
import select
import socket
import struct
import time
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Dict, List, Tuple

from .._common.addresses import version_of
from .._dataplane.handover import Partners
from .._protocols.ctnetlink import Flow

# Seconds that the old holder waits for the new one, and the new one then waits for an answer.
PATIENCE = 4.0
_RETRY = 0.02
_NUMBER, _DIGEST = 16, 32
_LARGEST = 1 << 28
_FAMILY = {4: socket.AF_INET, 6: socket.AF_INET6}
_BROKEN = (OSError, ValueError, KeyError, TypeError)

# {egress IP: its connections}
Flows = Dict[str, List[Flow]]
# A connection, the number that its other side drew, the egress IPs that it takes.
_Taker = Tuple[socket.socket, bytes, List[str]]


def hand_over(key: str, port: int, own: Iterable[str], partners: Partners, release: Callable[[], Flows]) -> Flows:
    """Wait for the takers of this node's egress IPs, call `release()`, and receive the connections of those it takes.

    `own` are the tunnel endpoints of this node. `release` returns {egress IP: [Flow]} and is called exactly once, even
    if no taker connects. Returns {egress IP: [Flow]} of the egress IPs to claim, without those of a silent old holder.
    """
    secret = key.encode()
    deadline = time.monotonic() + PATIENCE
    with ThreadPoolExecutor(max_workers=len(partners.taking) or 1) as pool:
        asked = [pool.submit(_ask, secret, port, giver, ips, deadline) for giver, ips in partners.taking.items()]
        with contextlib.ExitStack() as stack:
            takers = _gather(stack, secret, port, own, partners.giving, deadline)
            flows = release()
            for connection, number, ips in takers:
                with contextlib.suppress(*_BROKEN):
                    _send(connection, secret, number, {ip: [flow.to_list() for flow in flows[ip]] for ip in ips})
        return {ip: found for answer in asked for ip, found in answer.result().items()}


def _gather(
    stack: contextlib.ExitStack,
    key: bytes,
    port: int,
    own: Iterable[str],
    giving: Mapping[str, list[str]],
    deadline: float,
) -> list[_Taker]:
    """Return the takers that connected in time."""
    opened = [_listen(stack, end, port) for end in own if any(version_of(p) == version_of(end) for p in giving)]
    listeners, waiting = [each for each in opened if each], dict(giving)
    takers: list[_Taker] = []
    while waiting and listeners and time.monotonic() < deadline:
        for listener in select.select(listeners, [], [], max(0.0, deadline - time.monotonic()))[0]:
            with contextlib.suppress(*_BROKEN):
                connection, (peer, *_port) = listener.accept()
                stack.enter_context(contextlib.closing(connection))
                number, ips = _greet(connection, key, deadline) if peer in waiting else (b"", [])
                if ips and set(ips) <= set(waiting[peer]):
                    takers.append((connection, number, ips))
                    del waiting[peer]
    return takers


def _listen(stack: contextlib.ExitStack, endpoint: str, port: int) -> socket.socket | None:
    """Return a listening socket, None if the port is in use."""
    listener = stack.enter_context(contextlib.closing(socket.socket(_FAMILY[version_of(endpoint)])))
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((endpoint, port))
        listener.listen()
    except OSError:
        return None
    return listener


def _greet(connection: socket.socket, key: bytes, deadline: float) -> tuple[bytes, list[str]]:
    connection.settimeout(_left(deadline))
    number = os.urandom(_NUMBER)
    connection.sendall(number)
    hello = _receive(connection, key, number)
    return bytes.fromhex(hello["number"]), hello["egressIPs"]


def _ask(key: bytes, port: int, giver: str, ips: list[str], deadline: float) -> Flows:
    """Announce the claim to the old holder; returns its connections, empty if it does not answer."""
    while time.monotonic() < deadline:
        try:
            with socket.create_connection((giver, port), timeout=_left(deadline)) as connection:
                return _converse(connection, key, ips, deadline)
        except ConnectionError:  # the old holder does not listen yet
            time.sleep(_RETRY)
        except _BROKEN:
            break
    return {}


def _converse(connection: socket.socket, key: bytes, ips: list[str], deadline: float) -> Flows:
    connection.settimeout(_left(deadline + PATIENCE))
    theirs, number = _read(connection, _NUMBER), os.urandom(_NUMBER)
    _send(connection, key, theirs, {"number": number.hex(), "egressIPs": ips})
    answer = _receive(connection, key, number)
    return {ip: [Flow.from_list(values) for values in answer[ip]] for ip in ips}


def _left(deadline: float) -> float:
    return max(_RETRY, deadline - time.monotonic())


def _send(connection: socket.socket, key: bytes, number: bytes, message: Mapping[str, object]) -> None:
    body = json.dumps(message).encode()
    connection.sendall(struct.pack("!I", len(body)) + _digest(key, number, body) + body)


def _receive(connection: socket.socket, key: bytes, number: bytes) -> Any:
    """Return the parsed message. Raises ValueError for one without proof of its origin."""
    (length,) = struct.unpack("!I", _read(connection, 4))
    if length > _LARGEST:
        raise ValueError("too long")
    digest, body = _read(connection, _DIGEST), _read(connection, length)
    if not hmac.compare_digest(digest, _digest(key, number, body)):
        raise ValueError("another key")
    return json.loads(body)


def _digest(key: bytes, number: bytes, body: bytes) -> bytes:
    return hmac.new(key, number + body, hashlib.sha256).digest()


def _read(connection: socket.socket, size: int) -> bytes:
    data = bytearray()
    while len(data) < size:
        part = connection.recv(min(size - len(data), 1 << 16))
        if not part:
            raise ConnectionError("closed")
        data += part
    return bytes(data)
