# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Neighbour solicitations and advertisements (RFC 4861, RFC 4862). PRIVATE to the collection. Pure: no sockets here."""

from __future__ import annotations

import struct

from .._common.addresses import canonical, parse_address, parse_packed_ipv6
from .ethernet import Heard, mac_bytes, mac_text

ETHERTYPE = 0x86DD
SOLICITATION, ADVERTISEMENT = 135, 136
_ETHERNET = struct.Struct("!6s6sH")
_HEADER = struct.Struct("!IHBB16s16s")
_MESSAGE = struct.Struct("!BBHI16s")
_ICMPV6, _HOP_LIMIT = 58, 255
_OVERRIDE = 0x20000000
# Type and length of the option "target link-layer address".
_OF_HOLDER = bytes((2, 1))
_NOBODY = bytes(16)
_ALL_NODES = bytes.fromhex("ff020000000000000000000000000001")
_SOLICITED_NODE = bytes.fromhex("ff0200000000000000000001ff000000")


def probe_frame(mac, address):
    """Return the bytes of a probe for `address`, sent by `mac`: duplicate detection's solicitation, from nobody."""
    target = parse_address(address, "target").packed
    return _frame(mac, _NOBODY, _SOLICITED_NODE[:13] + target[13:], SOLICITATION, 0, target)


def announcements(mac, address, holder):
    """Return the unsolicited advertisement of `address`, which `holder` has, sent by `mac`.

    It replaces what neighbours know.
    """
    own = parse_address(address, "address").packed
    option = _OF_HOLDER + mac_bytes(holder)
    return (_frame(mac, own, _ALL_NODES, ADVERTISEMENT, _OVERRIDE, own, option),)


def parse_frame(data):
    """Return what is Heard in these bytes, None when they hold no neighbour solicitation or advertisement."""
    if len(data) < _ETHERNET.size + _HEADER.size + _MESSAGE.size:
        return None
    _destination, sender, kind = _ETHERNET.unpack_from(data)
    _flow, _length, next_header, hop_limit, source, _target = _HEADER.unpack_from(data, _ETHERNET.size)
    message, _code, _checksum, _flags, target = _MESSAGE.unpack_from(data, _ETHERNET.size + _HEADER.size)
    if (kind, next_header, hop_limit) != (ETHERTYPE, _ICMPV6, _HOP_LIMIT):
        return None
    if message == ADVERTISEMENT:
        option = data[_ETHERNET.size + _HEADER.size + _MESSAGE.size :]
        told = option[2:8] if option.startswith(_OF_HOLDER) and len(option) >= 8 else sender
        return Heard(mac_text(told), _text(target), "")
    if message == SOLICITATION and source == _NOBODY:
        return Heard(mac_text(sender), "", _text(target))
    if message == SOLICITATION:
        return Heard(mac_text(sender), _text(source), "")
    return None


def _frame(mac, source, destination, kind, flags, target, options=b""):
    body = _MESSAGE.pack(kind, 0, 0, flags, target) + options
    checksum = _checksum(source + destination + struct.pack("!II", len(body), _ICMPV6) + body)
    body = _MESSAGE.pack(kind, 0, checksum, flags, target) + options
    # Multicast over Ethernet (RFC 2464): 33:33 and the last four bytes of the group.
    ethernet = _ETHERNET.pack(b"\x33\x33" + destination[12:], mac_bytes(mac), ETHERTYPE)
    return ethernet + _HEADER.pack(6 << 28, len(body), _ICMPV6, _HOP_LIMIT, source, destination) + body


def _checksum(data):
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def _text(packed):
    return canonical(parse_packed_ipv6(packed))
