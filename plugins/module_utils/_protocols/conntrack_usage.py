# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How many connections each translated source address has, and how full its ports are. PRIVATE to the collection. Pure.

A busy node has hundreds of thousands of connections. So none is parsed by itself: connections are counted by the bytes
that tell what the server sees of them (`read_dump`), and each different piece of bytes is read once (`uses`).
Numbers are those of linux/netfilter/nfnetlink_conntrack.h.
"""

from __future__ import annotations

import socket
import struct
from dataclasses import dataclass

from .._common.errors import CommandError

# Source ports that the kernel gives out to connections of one address and protocol to one destination: 1024 to 65535.
PORTS = 64512
_NAMES = {1: "icmp", 6: "tcp", 17: "udp", 33: "dccp", 58: "icmpv6", 132: "sctp", 136: "udplite"}
WITH_PORTS = ("tcp", "udp", "dccp", "sctp", "udplite")

_NEW = 0x100
# Length and type of a message, and the length of its first attribute, the tuple in the original direction.
_START = struct.Struct("=IH14xH")
# A piece is the tuple of the replies: two addresses, the protocol's number, and what identifies a connection in it.
# {length: (address family, layout, what the fields must be that are lengths and types)}.
_LAYOUT = "=2xHHHHH{0}sHH{0}s2xHHHB3xHH2s"
_PIECES = {
    42: (socket.AF_INET, struct.Struct(_LAYOUT.format(4)), (0x8002, 20, 0x8001, 8, 1, 8, 2, 0x8002, 5, 1)),
    66: (socket.AF_INET6, struct.Struct(_LAYOUT.format(16)), (0x8002, 44, 0x8001, 20, 3, 20, 4, 0x8002, 5, 1)),
}
_FIXED = (0, 1, 2, 3, 4, 6, 7, 9, 10, 11)
_SRC_PORT = (6, 2)


@dataclass(frozen=True)
class Use:
    """The connections of one protocol from one source address.

    `busiest` is the destination with most of them, `most` are these: where the source ports run out first.
    """

    connections: int = 0
    busiest: str = ""
    most: int = 0

    @property
    def port_share(self):
        """Return the part of the source ports towards the busiest destination that is in use."""
        return self.most / PORTS


def mark_filters(mask, highest):
    """Return the (mark, mask) that together match each connection with an index from 1 to `highest` exactly once.

    The kernel knows only "equal under a mask", so there is one for each place that a mark's highest bit may have.
    """
    lowest = mask & -mask
    return [(lowest << bit, mask & -(lowest << bit)) for bit in range(highest.bit_length())]


def read_dump(data):
    """Return (pieces, end) of what a socket received: of each connection the bytes that say what the server sees.

    `end` is None while more is to come, else the error number.
    """
    pieces, at, size = [], 0, len(data)
    # The last message is shorter than what `_START` reads.
    data += bytes(2)
    while at < size:
        length, kind, original = _START.unpack_from(data, at)
        if kind != _NEW:
            return pieces, -struct.unpack_from("=i", data, at + 16)[0]
        reply = at + 20 + original
        # The addresses' length is below 256, so one of its two bytes is 0. After them come 8 bytes, and 6 for the port.
        addresses = data[reply + 4] | data[reply + 5]
        pieces.append(data[reply : reply + 4 + addresses + 18])
        at += length
    return pieces, None


def uses(counted):
    """Return {source address: {protocol: Use}} of {piece: number of connections} (see `read_dump`)."""
    found = {}
    for piece, number in counted.items():
        source, protocol, destination = _read_piece(piece)
        destinations = found.setdefault(source, {}).setdefault(protocol, {})
        destinations[destination] = destinations.get(destination, 0) + number
    return {
        source: {protocol: _use(destinations) for protocol, destinations in protocols.items()}
        for source, protocols in found.items()
    }


def _use(destinations):
    busiest, most = min(destinations.items(), key=lambda item: (-item[1], item[0]))
    return Use(sum(destinations.values()), busiest, most)


def _read_piece(piece):
    """Return (source, protocol, destination) of a connection as the server sees it."""
    family, layout, expected = _PIECES.get(len(piece), (None, None, None))
    fields = layout.unpack(piece) if layout else ()
    if not fields or tuple(fields[i] for i in _FIXED) != expected:
        raise CommandError("ctnetlink: tells of connections in a way that this version of the collection cannot read")
    destination, source = (socket.inet_ntop(family, fields[i]) for i in (5, 8))
    protocol = _NAMES.get(fields[12], str(fields[12]))
    if fields[13:15] != _SRC_PORT:
        return source, protocol, destination
    port = int.from_bytes(fields[15], "big")
    return source, protocol, f"[{destination}]:{port}" if family == socket.AF_INET6 else f"{destination}:{port}"
