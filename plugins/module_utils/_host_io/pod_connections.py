# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Connections of former pods, which a new pod with their address must not inherit. PRIVATE to the collection.

The program that starts with each pod uses it, so it speaks netlink itself and imports almost nothing.
"""

from __future__ import annotations

import struct

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

# linux/netlink.h, linux/netfilter/nfnetlink_conntrack.h
_NETLINK, _RAW, _NETFILTER = 16, 3, 12
_GET, _DELETE = 0x101, 0x102
_REQUEST, _ACK, _DUMP = 0x1, 0x4, 0x300
_ERROR, _DONE = 2, 3
_NESTED, _KIND = 0x8000, 0x3FFF
_TUPLE_ORIG, _TUPLE_IP, _FILTER, _FILTER_ORIG_FLAGS, _BY_SOURCE = 1, 1, 25, 1, 1
_SOURCE = {4: 1, 16: 3}
_INET, _INET6 = 2, 10
_BUFFER, _HEADER = 1 << 16, 20
_SECONDS = 5


def forget(addresses: Iterable[str]) -> None:
    """Delete the kernel's entries of connections that one of these addresses opened. Raises OSError."""
    # `socket` would take a third of the time of a start.
    from _socket import inet_pton, socket  # noqa: PLC0415

    sock = socket(_NETLINK, _RAW, _NETFILTER)
    try:
        sock.settimeout(_SECONDS)
        for address in addresses:
            family = _INET6 if ":" in address else _INET
            packed = inet_pton(family, address)
            sock.send(_message(_GET, _REQUEST | _DUMP, family, _filter(packed)))
            # A kernel before 5.8 lists all connections.
            found = [each for each in _tuples(sock.recv) if _attribute(_SOURCE[len(packed)], packed) in each]
            for each in found:
                sock.send(_message(_DELETE, _REQUEST | _ACK, family, each))
                sock.recv(_BUFFER)
    finally:
        sock.close()


def _filter(packed: bytes) -> bytes:
    source = _attribute(_SOURCE[len(packed)], packed)
    flags = _attribute(_FILTER_ORIG_FLAGS, struct.pack("=I", _BY_SOURCE))
    return _nest(_TUPLE_ORIG, _nest(_TUPLE_IP, source)) + _nest(_FILTER, flags)


def _tuples(receive: object) -> Iterator[bytes]:
    """Yield the attribute CTA_TUPLE_ORIG of each connection in the answer to a dump."""
    while True:
        data = receive(_BUFFER)  # type: ignore[operator]  # a method of a socket
        while len(data) >= _HEADER - 4:
            length, kind = struct.unpack_from("=IH", data)
            if kind in (_DONE, _ERROR):
                return
            yield from _original(data[_HEADER:length])
            data = data[length + 3 & ~3 :]


def _original(attributes: bytes) -> Iterator[bytes]:
    while len(attributes) >= 4:
        length, kind = struct.unpack_from("=HH", attributes)
        if kind & _KIND == _TUPLE_ORIG:
            yield attributes[: length + 3 & ~3]
            return
        attributes = attributes[max(4, length + 3 & ~3) :]


def _message(kind: int, flags: int, family: int, attributes: bytes) -> bytes:
    body = struct.pack("=BBH", family, 0, 0) + attributes
    return struct.pack("=IHHII", 16 + len(body), kind, flags, 1, 0) + body


def _attribute(kind: int, payload: bytes) -> bytes:
    return struct.pack("=HH", 4 + len(payload), kind) + payload.ljust(len(payload) + 3 & ~3, b"\0")


def _nest(kind: int, payload: bytes) -> bytes:
    return _attribute(kind | _NESTED, payload)
