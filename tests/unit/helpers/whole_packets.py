# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whole IP packets, as bytes, and how a pod of the small fleet sends one past its own kernel."""

from __future__ import annotations

import socket
import struct

from small_fleet import FAMILIES, checksum, inside


def packed(version, *addresses):
    return b"".join(socket.inet_pton(FAMILIES[version], address) for address in addresses)


def packet(version, source, destination, protocol, payload, fragment=0):
    """Return a whole IP packet; `fragment` are the flags and the offset of IPv4."""
    if version == 6:
        return struct.pack("!IHBB", 6 << 28, len(payload), protocol, 64) + packed(6, source, destination) + payload
    header = struct.pack("!BBHHHBBH", 0x45, 0, 20 + len(payload), 777, fragment, 64, protocol, 0)
    header += packed(4, source, destination)
    return header[:10] + struct.pack("!H", checksum(header)) + header[12:] + payload


def with_checksum(version, source, destination, protocol, data, offset, pseudo):
    """Return `data` with its checksum at `offset`; `pseudo`: it covers the addresses too."""
    head = packed(version, source, destination) + struct.pack("!II", len(data), protocol) if pseudo else b""
    total = checksum(head + data + b"\0" * (len(data) % 2))
    return data[:offset] + struct.pack("!H", total) + data[offset + 2 :]


def datagram(version, source, destination, ports, data=b"xx"):
    udp = struct.pack("!HHHH", *ports, 8 + len(data), 0) + data
    return with_checksum(version, source, destination, socket.IPPROTO_UDP, udp, 6, pseudo=True)


def segment(version, source, destination, ports, flags):
    """Return a TCP segment without data."""
    tcp = struct.pack("!HHIIBBHHH", *ports, 7, 7, 5 << 4, flags, 100, 0, 0)
    return with_checksum(version, source, destination, socket.IPPROTO_TCP, tcp, 16, pseudo=True)


def send_to_router(name, version, data):
    """Send a whole packet to the router of a pod, whatever its destination: the kernel would keep one to itself."""
    kind = {4: 0x0800, 6: 0x86DD}[version]
    with inside(name), socket.socket(socket.AF_PACKET, socket.SOCK_RAW) as sock:
        sock.bind(("eth0", kind))
        sock.send(router_mac(name) + sock.getsockname()[4] + struct.pack("!H", kind) + data)


def router_mac(pod):
    with inside(f"node{pod[-1]}"), socket.socket(socket.AF_PACKET, socket.SOCK_RAW) as sock:
        sock.bind(("pods0", 0))
        return sock.getsockname()[4]
