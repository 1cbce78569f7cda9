# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""ARP frames, and the rules of a probe before a claim. PRIVATE to the collection. Pure: `_node_io` owns the sockets.

A probe is RFC 5227's, quicker: a request with sender address 0.0.0.0, which changes no neighbour's table. An address is
free when `count` probes, `interval` seconds apart, stayed without an answer.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, field

from ._addresses import canonical, parse_address

ETHERTYPE = 0x0806
BROADCAST = "ff:ff:ff:ff:ff:ff"
_FRAME = struct.Struct("!6s6sHHHBBH6s4s6s4s")
_REQUEST, _REPLY = 1, 2
_NOBODY = "0.0.0.0"


@dataclass(frozen=True)
class Frame:
    """What an ARP frame says. MACs as `aa:bb:..`, addresses in canonical form."""

    operation: int
    sender_mac: str
    sender_ip: str
    target_ip: str


def probe_frame(mac, address):
    """Return the bytes of a probe for `address`, sent by `mac`."""
    return _frame(_REQUEST, mac, _NOBODY, "00:00:00:00:00:00", address)


def announcements(mac, address):
    """Return the two forms of gratuitous ARP for `address`: peers differ in which one they heed."""
    return (
        _frame(_REQUEST, mac, address, "00:00:00:00:00:00", address),
        _frame(_REPLY, mac, address, BROADCAST, address),
    )


def parse_frame(data):
    """Return the Frame in these bytes, None when they hold something else than ARP for Ethernet and IPv4."""
    if len(data) < _FRAME.size:
        return None
    fields = _FRAME.unpack_from(data)
    if fields[2:7] != (ETHERTYPE, 1, 0x0800, 6, 4):
        return None
    return Frame(fields[7], _mac_text(fields[8]), _ip_text(fields[9]), _ip_text(fields[11]))


@dataclass
class Probe:
    """The probe of one address. `waiting` says that its holder is about to release it, so an answer is no conflict yet.

    Times are seconds on any steady clock. After `deadline` an address that still answers is a conflict.
    """

    address: str
    mac: str
    count: int
    interval: float
    deadline: float
    waiting: bool = False
    _sent: int = field(default=0, init=False)
    _due: float = field(default=0.0, init=False)
    _answered_by: str = field(default="", init=False)

    def frame_due(self, now):
        """Return the next probe's bytes when it is time for one, else None."""
        if now < self._due or self._sent >= self.count:
            return None
        self._sent += 1
        self._due = now + self.interval
        return probe_frame(self.mac, self.address)

    def hear(self, frame):
        """Take in a frame from the wire: somebody who uses the address, or who probes for it at the same time."""
        uses = frame.sender_ip == self.address
        probes = frame.sender_ip == _NOBODY and frame.target_ip == self.address
        if (uses or probes) and frame.sender_mac != self.mac:
            self._answered_by = frame.sender_mac
            self._sent = 0

    def next_time(self):
        """Return when something is due."""
        return self._due

    def is_free(self, now):
        """Tell whether enough probes stayed unanswered."""
        return self._sent >= self.count and now >= self._due

    def conflict(self, now):
        """Return the MAC of who holds the address, None while it may still become free."""
        if self._answered_by and not self.is_free(now) and (now >= self.deadline or not self.waiting):
            return self._answered_by
        return None


def _frame(operation, mac, sender_ip, target_mac, target_ip):
    return _FRAME.pack(
        _mac_bytes(BROADCAST),
        _mac_bytes(mac),
        ETHERTYPE,
        1,
        0x0800,
        6,
        4,
        operation,
        _mac_bytes(mac),
        parse_address(sender_ip, "sender").packed,
        _mac_bytes(target_mac),
        parse_address(target_ip, "target").packed,
    )


def _mac_bytes(text):
    return bytes.fromhex(text.replace(":", ""))


def _mac_text(data):
    return ":".join(f"{byte:02x}" for byte in data)


def _ip_text(data):
    return canonical(parse_address(".".join(map(str, data)), "ARP"))
