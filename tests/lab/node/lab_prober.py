# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""On the server of the lab: asks the network every 20 ms who has some addresses, and prints each answer.

A line is `UNIX_TIME ADDRESS MAC`. The questions are ARP requests and neighbour solicitations to all hosts, so two hosts
with one address both answer.
"""

from __future__ import annotations

import contextlib
import select
import socket
import struct
import sys
import time

INTERFACE = "eth0"
INTERVAL = 0.02
ARP = 0x0806
REQUEST, REPLY = 1, 2
SOLICITATION, ADVERTISEMENT = 135, 136
ARP_HEADER = struct.Struct("!HHBBH6s4s6s4s")
# A socket option that the module `socket` does not name, and what comes with each message: seconds and microseconds.
TIMESTAMP, TIMEVAL = 29, struct.Struct("@ll")


def receive(sock: socket.socket) -> tuple[float, bytes]:
    """A message, and when the kernel received it; this program may wait for the processor before it reads it."""
    data, ((_level, _kind, at),), _flags, _sender = sock.recvmsg(200, socket.CMSG_SPACE(TIMEVAL.size))
    seconds, microseconds = TIMEVAL.unpack(at)
    return seconds + microseconds / 1e6, data


class Arp:
    """Questions and answers of IPv4."""

    def __init__(self, own: str) -> None:
        self.socket = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(ARP))
        self.socket.setsockopt(socket.SOL_SOCKET, TIMESTAMP, 1)
        self.socket.bind((INTERFACE, ARP))
        self.own, self.mac = socket.inet_aton(own), self.socket.getsockname()[4]

    def probe(self, address: str) -> None:
        """Ask all hosts."""
        target = socket.inet_aton(address)
        frame = ARP_HEADER.pack(1, 0x0800, 6, 4, REQUEST, self.mac, self.own, bytes(6), target)
        self.socket.sendto(frame, (INTERFACE, ARP, 0, 0, b"\xff" * 6))

    def read(self) -> tuple[float, str, bytes] | None:
        """When an answer came, its address, and its MAC address."""
        at, data = receive(self.socket)
        _hardware, _protocol, _size, _length, kind, mac, sender, _to, _target = ARP_HEADER.unpack_from(data)
        return (at, socket.inet_ntoa(sender), mac) if kind == REPLY else None


class Ndp:
    """Questions and answers of IPv6."""

    def __init__(self, mac: bytes) -> None:
        self.socket = socket.socket(socket.AF_INET6, socket.SOCK_RAW, socket.IPPROTO_ICMPV6)
        self.socket.setsockopt(socket.SOL_SOCKET, TIMESTAMP, 1)
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, INTERFACE.encode())
        # The receivers drop messages that may have passed a router.
        self.socket.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_HOPS, 255)
        self.mac = mac

    def probe(self, address: str) -> None:
        """Ask the hosts whose address has this end."""
        target = socket.inet_pton(socket.AF_INET6, address)
        group = socket.inet_pton(socket.AF_INET6, "ff02::1:ff00:0")[:13] + target[13:]
        message = struct.pack("!BBHI", SOLICITATION, 0, 0, 0) + target + b"\1\1" + self.mac
        self.socket.sendto(message, (socket.inet_ntop(socket.AF_INET6, group), 0))

    def read(self) -> tuple[float, str, bytes] | None:
        """When an answer came, its address, and its MAC address."""
        at, data = receive(self.socket)
        if len(data) < 32 or data[0] != ADVERTISEMENT or data[24:26] != b"\2\1":
            return None
        return at, socket.inet_ntop(socket.AF_INET6, data[8:24]), data[26:32]


def main() -> None:
    """Ask for the addresses of the command line; the first word is the own IPv4 address."""
    own, *addresses = sys.argv[1:]
    arp = Arp(own)
    ndp = Ndp(arp.mac)
    due = time.monotonic()
    while True:
        readable, _writable, _failed = select.select([arp.socket, ndp.socket], [], [], max(0.0, due - time.monotonic()))
        for side in (arp, ndp):
            answer = side.read() if side.socket in readable else None
            if answer and answer[1] in addresses:
                print(f"{answer[0]:.3f} {answer[1]} {answer[2].hex(':')}", flush=True)
        if time.monotonic() >= due:
            due = time.monotonic() + INTERVAL
            # While the link is down nothing can be sent.
            with contextlib.suppress(OSError):
                for address in addresses:
                    (ndp if ":" in address else arp).probe(address)


if __name__ == "__main__":
    main()
