# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Connections per translated source address, and the share of its ports in use. PRIVATE to the collection. No I/O.

A busy node tracks hundreds of thousands of connections, too many to parse each of them. `read_dump` cuts out the bytes
that hold the server's view of a connection, the caller counts equal pieces, and `uses` parses each piece once.
Numbers are those of linux/netfilter/nfnetlink_conntrack.h.
"""

from __future__ import annotations

import socket
import struct
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from .._common.errors import CommandError

# Number of source ports for connections of one address and protocol to one destination: 1024 to 65535.
PORTS = 64512
_NAMES = {1: "icmp", 6: "tcp", 17: "udp", 33: "dccp", 58: "icmpv6", 132: "sctp", 136: "udplite"}
WITH_PORTS = ("tcp", "udp", "dccp", "sctp", "udplite")

_NEW = 0x100
# Length and type of a message, and the length of its first attribute, the tuple of the original direction.
_START = struct.Struct("=IH14xH")
# A piece is the tuple of the reply direction: two addresses, the protocol number, and the destination port or ICMP id.
# {length: (address family, layout, values of the fields that are lengths and types)}.
_LAYOUT = "=2xHHHHH{0}sHH{0}s2xHHHB3xHH2s"
_PIECES = {
    42: (socket.AF_INET, struct.Struct(_LAYOUT.format(4)), (0x8002, 20, 0x8001, 8, 1, 8, 2, 0x8002, 5, 1)),
    66: (socket.AF_INET6, struct.Struct(_LAYOUT.format(16)), (0x8002, 44, 0x8001, 20, 3, 20, 4, 0x8002, 5, 1)),
}
_FIXED = (0, 1, 2, 3, 4, 6, 7, 9, 10, 11)
_SRC_PORT = (6, 2)
_UNKNOWN_LAYOUT = "ctnetlink: this version of the collection cannot read the kernel's list of connections"


@dataclass(frozen=True)
class Use:
    """The number of connections of one protocol from one source address.

    `busiest` is the destination with most of them, where the source ports run out first, `most` their number.
    """

    connections: int = 0
    busiest: str = ""
    most: int = 0

    @property
    def port_share(self) -> float:
        """Return the share, 0 to 1, of the source ports that connections to the busiest destination use."""
        return self.most / PORTS


def mark_filters(mask: int, highest: int) -> list[tuple[int, int]]:
    """Return [(mark, mask)] that together match each connection with an index from 1 to `highest` exactly once.

    The kernel compares for equality under a mask, so there is one filter for each position of a mark's highest bit.
    """
    lowest = mask & -mask
    return [(lowest << bit, mask & -(lowest << bit)) for bit in range(highest.bit_length())]


def mark_blocks(marks: Iterable[int], mask: int) -> list[tuple[int, int]]:
    """Return the fewest (mark, mask) that together match these marks, each exactly once, and no other.

    Each request to the kernel walks through all its connections, and one is enough for a whole block of marks that
    differ in their lowest bits only.
    """
    found: list[tuple[int, int]] = []
    blocks, size = set(marks), mask & -mask
    while blocks:
        pairs = {mark for mark in blocks if not mark & size and mark | size in blocks}
        found += [(mark, mask & -size) for mark in sorted(blocks) if mark & ~size not in pairs]
        blocks, size = pairs, size << 1
    return found


def read_dump(data: bytes) -> tuple[list[bytes], int | None]:
    """Return (pieces, end) of the bytes that a socket received: per connection the bytes with the server's view.

    `end` is None while more messages follow, else the error number, 0 for success.
    """
    pieces: list[bytes] = []
    at, size = 0, len(data)
    # The last message may be shorter than `_START`.
    data += bytes(2)
    while at < size:
        length, kind, original = _START.unpack_from(data, at)
        if kind != _NEW:
            return pieces, -int(struct.unpack_from("=i", data, at + 16)[0])
        reply = at + 20 + original
        # The length of the addresses is below 256, so one of its two bytes is 0 in either byte order. After them follow
        # 8 bytes, and 6 for the port.
        addresses = data[reply + 4] | data[reply + 5]
        pieces.append(data[reply : reply + 4 + addresses + 18])
        at += length
    return pieces, None


def uses(counted: Mapping[bytes, int]) -> dict[str, dict[str, Use]]:
    """Return {source address: {protocol: Use}} of {piece of `read_dump`: number of connections}.

    Raises CommandError for a piece of unknown layout.
    """
    found: dict[str, dict[str, dict[str, int]]] = {}
    for piece, number in counted.items():
        source, protocol, destination = _read_piece(piece)
        destinations = found.setdefault(source, {}).setdefault(protocol, {})
        destinations[destination] = destinations.get(destination, 0) + number
    return {
        source: {protocol: _use(destinations) for protocol, destinations in protocols.items()}
        for source, protocols in found.items()
    }


def _use(destinations: Mapping[str, int]) -> Use:
    busiest, most = min(destinations.items(), key=lambda item: (-item[1], item[0]))
    return Use(sum(destinations.values()), busiest, most)


def _read_piece(piece: bytes) -> tuple[str, str, str]:
    """Return (source, protocol, destination) of a connection as the server sees it."""
    if len(piece) not in _PIECES:
        raise CommandError(_UNKNOWN_LAYOUT)
    family, layout, expected = _PIECES[len(piece)]
    fields = layout.unpack(piece)
    if tuple(fields[i] for i in _FIXED) != expected:
        raise CommandError(_UNKNOWN_LAYOUT)
    destination, source = (socket.inet_ntop(family, fields[i]) for i in (5, 8))
    protocol = _NAMES.get(fields[12], str(fields[12]))
    if fields[13:15] != _SRC_PORT:
        return source, protocol, destination
    port = int.from_bytes(fields[15], "big")
    return source, protocol, f"[{destination}]:{port}" if family == socket.AF_INET6 else f"{destination}:{port}"
