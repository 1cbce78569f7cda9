# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Neighbour solicitations and advertisements (RFC 4861, RFC 4862) as bytes. PRIVATE to the collection. No I/O."""

from __future__ import annotations

import struct

from .._common.addresses import canonical, parse_address, parse_packed_ipv6
from .ethernet import NeighbourMessage, mac_bytes, mac_text

ETHERTYPE = 0x86DD
SOLICITATION, ADVERTISEMENT = 135, 136
_ETHERNET = struct.Struct("!6s6sH")
_HEADER = struct.Struct("!IHBB16s16s")
_MESSAGE = struct.Struct("!BBHI16s")
_LENGTH = _ETHERNET.size + _HEADER.size + _MESSAGE.size
_ICMPV6, _HOP_LIMIT = 58, 255
_OVERRIDE = 0x20000000
# Type and length (in units of 8 bytes) of the option "target link-layer address".
_TARGET_MAC = bytes((2, 1))
# The same with the option "source link-layer address".
_SOURCE_MAC = bytes((1, 1))
_UNSPECIFIED = bytes(16)
_ALL_NODES = bytes.fromhex("ff020000000000000000000000000001")
_SOLICITED_NODE = bytes.fromhex("ff0200000000000000000001ff000000")
# Multicast over Ethernet (RFC 2464): these two bytes and the last four of the group.
_MULTICAST = b"\x33\x33"


def probe_frame(mac: str, address: str) -> bytes:
    """Return a probe for `address`, sent by `mac`: the solicitation of duplicate address detection."""
    target = parse_address(address, "target").packed
    return _frame(mac, _UNSPECIFIED, _SOLICITED_NODE[:13] + target[13:], SOLICITATION, 0, target)


def question_frame(mac: str, own: str, address: str, to: str = "") -> bytes:
    """Return the solicitation with which the host that has `own` resolves `address`; to one MAC address, or to all.

    The answer goes to this host alone, and no host changes its neighbour cache but for `own`.
    """
    target = parse_address(address, "target").packed
    frame = _frame(
        mac,
        parse_address(own, "own").packed,
        _SOLICITED_NODE[:13] + target[13:],
        SOLICITATION,
        0,
        target,
        _SOURCE_MAC + mac_bytes(mac),
    )
    return mac_bytes(to) + frame[6:] if to else frame


def solicited(data: bytes) -> str:
    """Return the address that a frame of `parse_frame` solicits, empty if it is no solicitation."""
    kind, _code, _checksum, _flags, target = _MESSAGE.unpack_from(data, _ETHERNET.size + _HEADER.size)
    return _ip_text(target) if kind == SOLICITATION else ""


def announcements(mac: str, address: str, holder: str) -> tuple[bytes, ...]:
    """Return the unsolicited advertisement, sent by `mac`: `holder` (a MAC) has `address`.

    It overrides the neighbour caches of its receivers.
    """
    own = parse_address(address, "address").packed
    option = _TARGET_MAC + mac_bytes(holder)
    return (_frame(mac, own, _ALL_NODES, ADVERTISEMENT, _OVERRIDE, own, option),)


def parse_frame(data: bytes) -> NeighbourMessage | None:
    """Return the message in an Ethernet frame; None when it is no neighbour solicitation or advertisement."""
    if len(data) < _LENGTH:
        return None
    _destination, sender, ethertype = _ETHERNET.unpack_from(data)
    _flow, _length, next_header, hop_limit, source, _target = _HEADER.unpack_from(data, _ETHERNET.size)
    kind, _code, _checksum, _flags, target = _MESSAGE.unpack_from(data, _ETHERNET.size + _HEADER.size)
    if (ethertype, next_header, hop_limit) != (ETHERTYPE, _ICMPV6, _HOP_LIMIT):
        return None
    if kind == ADVERTISEMENT:
        option = data[_LENGTH:]
        holder = option[2:8] if option.startswith(_TARGET_MAC) and len(option) >= 8 else sender
        return NeighbourMessage(mac_text(holder), _ip_text(target), "")
    if kind == SOLICITATION and source == _UNSPECIFIED:
        return NeighbourMessage(mac_text(sender), "", _ip_text(target))
    if kind == SOLICITATION:
        return NeighbourMessage(mac_text(sender), _ip_text(source), "")
    return None


def _frame(
    mac: str, source: bytes, destination: bytes, kind: int, flags: int, target: bytes, options: bytes = b""
) -> bytes:
    body = _MESSAGE.pack(kind, 0, 0, flags, target) + options
    checksum = _checksum(source + destination + struct.pack("!II", len(body), _ICMPV6) + body)
    body = _MESSAGE.pack(kind, 0, checksum, flags, target) + options
    ethernet = _ETHERNET.pack(_MULTICAST + destination[12:], mac_bytes(mac), ETHERTYPE)
    return ethernet + _HEADER.pack(6 << 28, len(body), _ICMPV6, _HOP_LIMIT, source, destination) + body


def _checksum(data: bytes) -> int:
    """Return the internet checksum (RFC 1071) of an even number of bytes."""
    total: int = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def _ip_text(packed: bytes) -> str:
    return canonical(parse_packed_ipv6(packed))
