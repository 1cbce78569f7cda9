# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""ARP frames (RFC 826, RFC 5227) as bytes. PRIVATE to the collection. No I/O: `_host_io` owns the sockets."""

from __future__ import annotations

import struct

from .._common.addresses import parse_address
from .ethernet import BROADCAST, NeighbourMessage, mac_bytes, mac_text

ETHERTYPE = 0x0806
_FRAME = struct.Struct("!6s6sHHHBBH6s4s6s4s")
_HARDWARE_ETHERNET, _PROTOCOL_IPV4 = 1, 0x0800
_FIXED_FIELDS = (ETHERTYPE, _HARDWARE_ETHERNET, _PROTOCOL_IPV4, 6, 4)
_REQUEST, _REPLY = 1, 2
_UNSPECIFIED = "0.0.0.0"
_NO_MAC = "00:00:00:00:00:00"


def probe_frame(mac: str, address: str, to: str = BROADCAST) -> bytes:
    """Return a probe for `address`, sent by `mac`: a request from 0.0.0.0, which updates no ARP cache."""
    return _frame(_REQUEST, mac, _UNSPECIFIED, mac, _NO_MAC, address, to)


def question_frame(mac: str, own: str, address: str, to: str = BROADCAST) -> bytes:
    """Return the request with which the host that has `own` resolves `address`."""
    return _frame(_REQUEST, mac, own, mac, _NO_MAC, address, to)


def announcements(mac: str, address: str, holder: str) -> tuple[bytes, ...]:
    """Return both forms of gratuitous ARP, sent by `mac`: `holder` (a MAC) has `address`.

    Some peers accept only the request, some only the reply.
    """
    return (
        _frame(_REQUEST, mac, address, holder, _NO_MAC, address),
        _frame(_REPLY, mac, address, holder, BROADCAST, address),
    )


def parse_frame(data: bytes) -> NeighbourMessage | None:
    """Return the message in an Ethernet frame; None when it is not ARP for IPv4."""
    if len(data) < _FRAME.size:
        return None
    _to, _from, *fixed, _operation, sender_mac, sender, _target_mac, target = _FRAME.unpack_from(data)
    if tuple(fixed) != _FIXED_FIELDS:
        return None
    if _ip_text(sender) == _UNSPECIFIED:
        return NeighbourMessage(mac_text(sender_mac), "", _ip_text(target))
    return NeighbourMessage(mac_text(sender_mac), _ip_text(sender), "")


def _frame(
    operation: int, mac: str, sender_ip: str, sender_mac: str, target_mac: str, target_ip: str, to: str = BROADCAST
) -> bytes:
    """Return the frame. Its Ethernet source is `mac`, so that switches learn the port of `mac`."""
    return _FRAME.pack(
        mac_bytes(to),
        mac_bytes(mac),
        *_FIXED_FIELDS,
        operation,
        mac_bytes(sender_mac),
        parse_address(sender_ip, "sender").packed,
        mac_bytes(target_mac),
        parse_address(target_ip, "target").packed,
    )


def _ip_text(data: bytes) -> str:
    return ".".join(map(str, data))
