# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The conversation of two nodes that hand an egress IP over: the old holder sends its connections to the new one.

PRIVATE to the collection. TCP between the nodes' tunnel endpoints, on the port of the tunnel. Each side draws a number
and proves that it knows the key of the run by an HMAC of both numbers; each message carries an HMAC of itself and the
other side's number. Until its proof arrives, the other side can occupy memory for the proof only.

    old holder  ──►  its number
    new holder  ──►  its number, its proof, the egress IPs that it is about to claim
    old holder  ──►  its proof
    old holder       releases what the new holders are about to claim, once all of them have connected
    old holder  ──►  the connections of these egress IPs

Anyone on a node can connect to another and send nothing, so conversations run side by side, and all of them end at one
deadline, which is set before the first.
"""

from __future__ import annotations

import contextlib
import os
import selectors
import socket
import time
from collections.abc import Callable, Collection, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

from .._common.addresses import version_of
from .._dataplane.handover import Partners
from . import node_messages
from .node_messages import DIGEST, NUMBER, RETRY, Flows, Reader, Reading, RefusedError
from .read_now import read_now

# Seconds that an old and a new holder wait for each other: their runs may begin this far apart.
PATIENCE = 10.0
# Bytes of the largest message of a new holder, and of a connection in that of an old one.
_GREETING_LIMIT, _FLOW_SIZE = 1 << 20, 320
# How many connections this host can track, and a usual number of the kernel.
_TABLE_SIZE, _USUAL_SIZE = "/proc/sys/net/netfilter/nf_conntrack_max", 1 << 18
# The most conversations with one node that have not proven the key yet; one more ends the oldest.
_UNPROVEN = 64
_FAMILY = {4: socket.AF_INET, 6: socket.AF_INET6}
_OLD, _NEW = b"old holder", b"new holder"


class _Deadlines(NamedTuple):
    """Until when a node waits for proofs, and when all its conversations end; times of the monotonic clock.

    The end is later, since an old holder that has heard one new holder waits for the others before it sends.
    """

    meeting: float
    end: float


class _NewHolder(NamedTuple):
    """A new holder that has proven its origin."""

    connection: socket.socket
    number: bytes
    egress_ips: list[str]


def hand_over(
    key: str, port: int, own: Iterable[str], partners: Partners, release: Callable[[Collection[str]], Flows]
) -> Flows:
    """Wait for the new holders of this node's egress IPs, release these, and receive the connections of those it takes.

    `own` are the tunnel endpoints of this node. `release` gets the egress IPs to release, returns {egress IP: [Flow]}
    of them, and is called exactly once. Released are those whose new holders connected in time, and those for which it
    cannot listen, because another program has the port. Returns {egress IP: [Flow]} of the egress IPs to claim whose
    old holder answered.
    """
    secret = key.encode()
    now = time.monotonic()
    deadlines = _Deadlines(now + PATIENCE, now + 2 * PATIENCE)
    with ThreadPoolExecutor(max_workers=len(partners.taking) + len(partners.giving) or 1) as pool:
        requests = [
            pool.submit(_request, secret, port, giver, ips, deadlines) for giver, ips in partners.taking.items()
        ]
        with contextlib.ExitStack() as stack:
            listeners = {version_of(end): _listen(stack, end, port) for end in own if _has_version(partners, end)}
            heard = {peer: ips for peer, ips in partners.giving.items() if listeners.get(version_of(peer))}
            new_holders = _wait_for_new_holders(stack, secret, listeners.values(), heard, deadlines.meeting)
            unheard = _ips(heard.values()).difference(*(new_holder.egress_ips for new_holder in new_holders))
            flows = release(_ips(partners.giving.values()) - unheard)
            answers = [pool.submit(_answer, secret, new_holder, flows, deadlines.end) for new_holder in new_holders]
            for answer in answers:
                answer.result()
        return {ip: found for answer in requests for ip, found in answer.result().items()}


def _wait_for_new_holders(
    stack: contextlib.ExitStack,
    key: bytes,
    listeners: Iterable[socket.socket | None],
    giving: Mapping[str, list[str]],
    deadline: float,
) -> list[_NewHolder]:
    """Return the new holders that proved their origin before the deadline; their connections close with the stack."""
    sessions = _Sessions(stack, key, giving)
    for listener in filter(None, listeners):
        sessions.selector.register(listener, selectors.EVENT_READ, sessions.accept)
    while sessions.waiting and time.monotonic() < deadline:
        for event, _mask in sessions.selector.select(deadline - time.monotonic()):
            event.data(event.fileobj)
    sessions.close()
    return sessions.new_holders


class _Sessions:
    """The conversations of an old holder, side by side: `waiting` {endpoint: its egress IPs} have not proven yet."""

    def __init__(self, stack: contextlib.ExitStack, key: bytes, giving: Mapping[str, list[str]]) -> None:
        self.selector = stack.enter_context(selectors.DefaultSelector())
        self.waiting = dict(giving)
        self.new_holders: list[_NewHolder] = []
        self._stack, self._key = stack, key
        self._unproven: dict[str, list[socket.socket]] = {peer: [] for peer in giving}

    def accept(self, listener: socket.socket) -> None:
        """Begin a conversation, if the connection comes from a node that is waited for."""
        with contextlib.suppress(OSError):
            connection, (peer, *_port) = listener.accept()
            if peer not in self.waiting:
                connection.close()
                return
            self._stack.enter_context(contextlib.closing(connection))
            connection.setblocking(False)
            number = os.urandom(NUMBER)
            connection.send(number)
            reader = Reader(_read_greeting(self._key, number, self.waiting[peer]))
            self.selector.register(connection, selectors.EVENT_READ, lambda sock: self._continue(peer, sock, reader))
            self._unproven[peer].append(connection)
            if len(self._unproven[peer]) > _UNPROVEN:
                self._end(peer, self._unproven[peer][0])

    def close(self) -> None:
        """End the conversations that are not proven."""
        for peer, connections in self._unproven.items():
            for connection in list(connections):
                self._end(peer, connection)

    def _continue(self, peer: str, connection: socket.socket, reader: Reader[tuple[bytes, list[str]]]) -> None:
        try:
            greeting = reader.read(connection)
            if greeting:
                connection.send(_proof(self._key, _OLD, greeting[0]))
        except (OSError, RefusedError):
            self._end(peer, connection)
            return
        if greeting:
            self.selector.unregister(connection)
            self._unproven[peer].remove(connection)
            if self.waiting.pop(peer, None):
                self.new_holders.append(_NewHolder(connection, *greeting))

    def _end(self, peer: str, connection: socket.socket) -> None:
        self._unproven[peer].remove(connection)
        self.selector.unregister(connection)
        connection.close()


def _ips(lists: Iterable[list[str]]) -> set[str]:
    return {ip for ips in lists for ip in ips}


def _has_version(partners: Partners, endpoint: str) -> bool:
    return any(version_of(peer) == version_of(endpoint) for peer in partners.giving)


def _listen(stack: contextlib.ExitStack, endpoint: str, port: int) -> socket.socket | None:
    """Return a listening socket, None if the port is in use."""
    listener = stack.enter_context(contextlib.closing(socket.socket(_FAMILY[version_of(endpoint)])))
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    # The program that follows the egress IPs listens at all addresses (`fleet_calls`); the exact one comes first.
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    listener.setblocking(False)
    try:
        listener.bind((endpoint, port))
        listener.listen()
    except OSError:
        return None
    return listener


def _answer(key: bytes, new_holder: _NewHolder, flows: Flows, deadline: float) -> None:
    """Send a new holder the connections of the egress IPs that it takes."""
    sent = {ip: [flow.to_list() for flow in flows.get(ip, ())] for ip in new_holder.egress_ips}
    with contextlib.suppress(OSError):
        node_messages.send(
            new_holder.connection, node_messages.message(key, new_holder.number, sent), node_messages.left(deadline)
        )


def _request(key: bytes, port: int, giver: str, ips: list[str], deadlines: _Deadlines) -> Flows:
    """Announce the claim to the old holder; returns its connections, empty if it does not answer in time."""
    while time.monotonic() < deadlines.meeting:
        try:
            patience = node_messages.left(deadlines.meeting)
            with socket.create_connection((giver, port), timeout=patience) as connection:
                return _exchange(connection, key, ips, deadlines)
        except ConnectionError:  # the old holder does not listen yet
            time.sleep(RETRY)
        except (OSError, RefusedError):
            break
    return {}


def _exchange(connection: socket.socket, key: bytes, ips: list[str], deadlines: _Deadlines) -> Flows:
    theirs = node_messages.read(connection, _read_number(), deadlines.meeting)
    number = os.urandom(NUMBER)
    greeting = number + _proof(key, _NEW, theirs + number) + node_messages.message(key, theirs, {"egressIPs": ips})
    node_messages.send(connection, greeting, node_messages.left(deadlines.meeting))
    node_messages.read(connection, _read_proof(key, number), deadlines.meeting)
    return node_messages.read(connection, _read_answer(key, number, ips), deadlines.end)


def _read_number() -> Reading[bytes]:
    return (yield NUMBER)


def _read_greeting(key: bytes, number: bytes, expected: Collection[str]) -> Reading[tuple[bytes, list[str]]]:
    """Read the number of a new holder and the egress IPs that it takes, some of the expected ones."""
    data = yield NUMBER + DIGEST
    theirs = data[:NUMBER]
    node_messages.check(data[NUMBER:], _proof(key, _NEW, number + theirs))
    message = yield from node_messages.read_message(key, number, _GREETING_LIMIT)
    ips = message.get("egressIPs")
    if not isinstance(ips, list) or not ips or not all(isinstance(ip, str) and ip in expected for ip in ips):
        raise RefusedError("hand-over message: egressIPs: must be egress IPs that this node hands over")
    return theirs, ips


def _read_proof(key: bytes, number: bytes) -> Reading[bool]:
    """Read the proof of an old holder."""
    node_messages.check((yield DIGEST), _proof(key, _OLD, number))
    return True


def _read_answer(key: bytes, number: bytes, ips: Collection[str]) -> Reading[Flows]:
    """Read the connections of the egress IPs from their old holder."""
    message = yield from node_messages.read_message(key, number, _answer_limit())
    return {ip: node_messages.read_flows(message.get(ip), ip) for ip in ips}


def _answer_limit() -> int:
    """Return the bytes of as many connections as this host can track: a faulty node must not fill its memory."""
    try:
        # 0 is no limit.
        most = int(read_now(_TABLE_SIZE)) or _USUAL_SIZE
    except (OSError, ValueError):
        most = _USUAL_SIZE
    return _FLOW_SIZE * most + _GREETING_LIMIT


def _proof(key: bytes, side: bytes, numbers: bytes) -> bytes:
    return node_messages.digest(key, side, numbers)
