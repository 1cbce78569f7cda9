# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Challenge ACKs: make the client of a TCP connection send a packet after its egress IP moved. PRIVATE. No I/O.

When a connection cannot move along, the new holder answers the server's next packet with a reset, but a client that
only listens learns nothing. So the new holder sends the client a SYN-ACK with the server's address as source. An open
connection answers it with an ACK to any sequence number (RFC 5961, section 4), and connection tracking on the
path lets it pass. The ACK leaves through the new holder: the server either still knows the connection, which then goes
on, or answers with a reset. A client answers one such packet in half a second.
"""

from __future__ import annotations

import socket
import struct
from collections.abc import Iterable

from .._common.addresses import version_of
from .ctnetlink import ADDRESS_FAMILIES, TCP_OPEN, Flow

_SYN_ACK = 0x12
# Not 0: if the kernel tracks the connection and has seen no packet of it, it takes that for the answer to a SYN that it
# has missed. It follows these numbers from then on, and what the client sends is invalid (nf_conntrack_proto_tcp.c).
_ACKNOWLEDGED = 1
_DONT_FRAGMENT, _HOPS = 0x4000, 64


def challenges(flows: Iterable[Flow]) -> list[tuple[int, str, bytes]]:
    """Return [(IP version, address of the client, IP packet)] for the open TCP connections of `flows`."""
    return [
        (version_of(flow.source[0]), flow.source[0], _packet(flow))
        for flow in flows
        if flow.protocol == socket.IPPROTO_TCP and flow.tcp and flow.tcp[0] in TCP_OPEN
    ]


def _packet(flow: Flow) -> bytes:
    """Return the IP packet to the flow's client from the address to which the client has sent."""
    version = version_of(flow.source[0])
    source, target = (socket.inet_pton(ADDRESS_FAMILIES[version], end[0]) for end in (flow.destination, flow.source))
    ports = flow.destination[1], flow.source[1]
    segment = struct.pack("!HHIIBBHHH", *ports, 0, _ACKNOWLEDGED, 5 << 4, _SYN_ACK, 0, 0, 0)
    pseudo_header = source + target + struct.pack("!II", len(segment), socket.IPPROTO_TCP)
    segment = segment[:16] + struct.pack("!H", _checksum(pseudo_header + segment)) + segment[18:]
    if version == 4:
        # The kernel fills in the checksum of an IPv4 header.
        length = 20 + len(segment)
        header = struct.pack("!BBHHHBBH", 0x45, 0, length, 0, _DONT_FRAGMENT, _HOPS, socket.IPPROTO_TCP, 0)
    else:
        header = struct.pack("!IHBB", 6 << 28, len(segment), socket.IPPROTO_TCP, _HOPS)
    return header + source + target + segment


def _checksum(data: bytes) -> int:
    """Return the internet checksum (RFC 1071) of an even number of bytes."""
    total: int = sum(struct.unpack(f"!{len(data) // 2}H", data))
    total = (total & 0xFFFF) + (total >> 16)
    return ~(total + (total >> 16)) & 0xFFFF
