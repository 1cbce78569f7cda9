# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What makes the client of a TCP connection speak whose egress IP has moved. PRIVATE to the collection. Pure.

A client that only listens would never learn that its connection could not go along: the server is told so by the new
holder as soon as it sends something, the client by nobody. So it is sent a SYN-ACK as if from its server. A connection
that is open answers that with an acknowledgement, whatever the sequence number (RFC 5961, section 4), and connection
tracking on the way lets it pass. The answer goes out by the new holder: either the server still knows the connection,
which goes on then, or it answers with a reset.
"""

from __future__ import annotations

import socket
import struct

from .._common.addresses import version_of

_TCP, _ESTABLISHED = 6, 3
_SYN_ACK = 0x12
_FAMILIES = {4: socket.AF_INET, 6: socket.AF_INET6}
_DONT_FRAGMENT, _HOPS = 0x4000, 64


def challenges(flows):
    """Return [(IP version, address of the client, packet)] for the open TCP connections among these `Flow`."""
    return [
        (version_of(flow.source[0]), flow.source[0], _packet(flow))
        for flow in flows
        if flow.protocol == _TCP and flow.tcp and flow.tcp[0] == _ESTABLISHED
    ]


def _packet(flow):
    """Return the bytes of an IP packet from where the client has sent to, back to the client."""
    version = version_of(flow.source[0])
    source, target = (socket.inet_pton(_FAMILIES[version], end[0]) for end in (flow.destination, flow.source))
    ports = flow.destination[1], flow.source[1]
    segment = struct.pack("!HHIIBBHHH", *ports, 0, 0, 5 << 4, _SYN_ACK, 0, 0, 0)
    pseudo = source + target + struct.pack("!II", len(segment), _TCP)
    segment = segment[:16] + struct.pack("!H", _checksum(pseudo + segment)) + segment[18:]
    if version == 4:
        # The kernel fills in the header's own checksum.
        header = struct.pack("!BBHHHBBH", 0x45, 0, 20 + len(segment), 0, _DONT_FRAGMENT, _HOPS, _TCP, 0)
    else:
        header = struct.pack("!IHBB", 6 << 28, len(segment), _TCP, _HOPS)
    return header + source + target + segment


def _checksum(data):
    """Return the internet checksum (RFC 1071) of an even number of bytes."""
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    total = (total & 0xFFFF) + (total >> 16)
    return ~(total + (total >> 16)) & 0xFFFF
