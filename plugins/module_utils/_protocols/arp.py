# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""ARP frames (RFC 826, RFC 5227). PRIVATE to the collection. Pure: `_host_io.node_io` owns the sockets."""

from __future__ import annotations

import struct

from .._common.addresses import parse_address
from .ethernet import BROADCAST, Heard, mac_bytes, mac_text

ETHERTYPE = 0x0806
_FRAME = struct.Struct("!6s6sHHHBBH6s4s6s4s")
_REQUEST, _REPLY = 1, 2
_NOBODY = "0.0.0.0"


def probe_frame(mac, address):
    """Return the bytes of a probe for `address`, sent by `mac`: a request from 0.0.0.0 changes no neighbour's table."""
    return _frame(_REQUEST, mac, _NOBODY, "00:00:00:00:00:00", address)


def announcements(mac, address, holder):
    """Return the two forms of gratuitous ARP for `address`, which `holder` has, sent by `mac`.

    Peers differ in which one they heed.
    """
    return (
        _frame(_REQUEST, mac, address, "00:00:00:00:00:00", address, holder),
        _frame(_REPLY, mac, address, BROADCAST, address, holder),
    )


def parse_frame(data):
    """Return what is Heard in these bytes, None when they hold something else than ARP for Ethernet and IPv4."""
    if len(data) < _FRAME.size:
        return None
    fields = _FRAME.unpack_from(data)
    if fields[2:7] != (ETHERTYPE, 1, 0x0800, 6, 4):
        return None
    sender, target = _ip_text(fields[9]), _ip_text(fields[11])
    return Heard(mac_text(fields[8]), "" if sender == _NOBODY else sender, target if sender == _NOBODY else "")


def _frame(operation, mac, sender_ip, target_mac, target_ip, sender_mac=""):
    """Return the frame that `mac` sends: from it a switch learns where `mac` is, whatever ARP says inside."""
    return _FRAME.pack(
        mac_bytes(BROADCAST),
        mac_bytes(mac),
        ETHERTYPE,
        1,
        0x0800,
        6,
        4,
        operation,
        mac_bytes(sender_mac or mac),
        parse_address(sender_ip, "sender").packed,
        mac_bytes(target_mac),
        parse_address(target_ip, "target").packed,
    )


def _ip_text(data):
    return ".".join(map(str, data))
