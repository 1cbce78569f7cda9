# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Nodes that hand an egress IP over meet: the old holder waits for the new one, then tells it the connections.

PRIVATE to the collection. TCP between the nodes' tunnel endpoints, on the port of the tunnel. Both sides prove that
they know the key of the run: each message bears an HMAC over itself and a number that the other side has just drawn.

    old holder  ──►  its number
    new holder  ──►  its number, the egress IPs that it is about to claim
    old holder       releases, once everybody is here
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
from concurrent.futures import ThreadPoolExecutor

from .._common.addresses import version_of
from .._protocols.ctnetlink import Flow

# Seconds that the old holder waits for the new one, and then the new one for an answer.
PATIENCE = 4.0
_RETRY = 0.02
_NUMBER, _DIGEST = 16, 32
_LARGEST = 1 << 28
_FAMILY = {4: socket.AF_INET, 6: socket.AF_INET6}
_BROKEN = (OSError, ValueError, KeyError, TypeError)


def meet(key, port, own, partners, release):
    """Wait for those who take our egress IPs, then `release()`, and learn the connections of those that come.

    `own` are our tunnel endpoints, `partners` a `handover.Partners`. `release` returns {egress IP: [Flow]} and is
    called exactly once, whoever comes. Returns {egress IP: [Flow]} of what comes to us; what nobody tells is missing.
    """
    key = key.encode()
    deadline = time.monotonic() + PATIENCE
    with ThreadPoolExecutor(max_workers=len(partners.taking) or 1) as pool:
        asked = [pool.submit(_ask, key, port, giver, ips, deadline) for giver, ips in partners.taking.items()]
        with contextlib.ExitStack() as stack:
            takers = _gather(stack, key, port, own, partners.giving, deadline)
            flows = release()
            for connection, number, ips in takers:
                with contextlib.suppress(*_BROKEN):
                    _send(connection, key, number, {ip: [flow.to_list() for flow in flows[ip]] for ip in ips})
        return {ip: found for answer in asked for ip, found in answer.result().items()}


def _gather(stack, key, port, own, giving, deadline):
    """Return (connection, its number, egress IPs) of the takers that came in time."""
    listeners = [_listen(stack, end, port) for end in own if any(version_of(p) == version_of(end) for p in giving)]
    listeners, waiting, takers = [each for each in listeners if each], dict(giving), []
    while waiting and listeners and time.monotonic() < deadline:
        for listener in select.select(listeners, [], [], max(0.0, deadline - time.monotonic()))[0]:
            with contextlib.suppress(*_BROKEN):
                connection, (peer, *_port) = listener.accept()
                stack.enter_context(contextlib.closing(connection))
                number, ips = _greet(connection, key, deadline) if peer in waiting else ("", ())
                if ips and set(ips) <= set(waiting[peer]):
                    takers.append((connection, number, ips))
                    del waiting[peer]
    return takers


def _listen(stack, endpoint, port):
    """Return a listening socket; None when somebody else has the port."""
    listener = stack.enter_context(contextlib.closing(socket.socket(_FAMILY[version_of(endpoint)])))
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((endpoint, port))
        listener.listen()
    except OSError:
        return None
    return listener


def _greet(connection, key, deadline):
    connection.settimeout(_left(deadline))
    number = os.urandom(_NUMBER)
    connection.sendall(number)
    hello = _receive(connection, key, number)
    return bytes.fromhex(hello["number"]), hello["egressIPs"]


def _ask(key, port, giver, ips, deadline):
    """Tell the old holder that we are about to claim; returns {egress IP: [Flow]}, empty when it does not tell."""
    while time.monotonic() < deadline:
        try:
            with socket.create_connection((giver, port), timeout=_left(deadline)) as connection:
                return _converse(connection, key, ips, deadline)
        except ConnectionError:  # it is not there yet
            time.sleep(_RETRY)
        except _BROKEN:
            break
    return {}


def _converse(connection, key, ips, deadline):
    connection.settimeout(_left(deadline + PATIENCE))
    theirs, number = _read(connection, _NUMBER), os.urandom(_NUMBER)
    _send(connection, key, theirs, {"number": number.hex(), "egressIPs": ips})
    answer = _receive(connection, key, number)
    return {ip: [Flow.from_list(values) for values in answer[ip]] for ip in ips}


def _left(deadline):
    return max(_RETRY, deadline - time.monotonic())


def _send(connection, key, number, message):
    body = json.dumps(message).encode()
    connection.sendall(struct.pack("!I", len(body)) + _digest(key, number, body) + body)


def _receive(connection, key, number):
    """Return the message; raises ValueError for one that does not prove its origin."""
    (length,) = struct.unpack("!I", _read(connection, 4))
    if length > _LARGEST:
        raise ValueError("too long")
    digest, body = _read(connection, _DIGEST), _read(connection, length)
    if not hmac.compare_digest(digest, _digest(key, number, body)):
        raise ValueError("another key")
    return json.loads(body)


def _digest(key, number, body):
    return hmac.new(key, number + body, hashlib.sha256).digest()


def _read(connection, size):
    data = bytearray()
    while len(data) < size:
        part = connection.recv(min(size - len(data), 1 << 16))
        if not part:
            raise ConnectionError("closed")
        data += part
    return bytes(data)
