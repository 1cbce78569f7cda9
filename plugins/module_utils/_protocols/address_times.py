# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The kernel's list of addresses with the times at which they were added, over rtnetlink. PRIVATE. Pure.

`ip address` does not show these times.
"""

from __future__ import annotations

import ipaddress
import struct

_NEW_ADDRESS, _GET_ADDRESS, _ERROR, _DONE = 20, 22, 2, 3
_REQUEST_DUMP = 0x301
_HEADER, _BODY, _ATTRIBUTE = 16, 8, 4
_ADDRESS, _LOCAL, _CACHE_INFO = 1, 2, 6
# struct ifa_cacheinfo: preferred and valid lifetime, then when the address was added, in 1/100 s since boot.
_ADDED = 8
# The kernel counts in 32 bits.
_WRAP = 2**32 / 100


def dump_request() -> bytes:
    """Return the message that requests all addresses."""
    return struct.pack("=IHHII8x", _HEADER + _BODY, _GET_ADDRESS, _REQUEST_DUMP, 0, 0)


def parse_answer(data: bytes) -> tuple[dict[str, float], bool]:
    """Return {address: seconds since boot when it was added} of a part of the answer, and whether it is the last."""
    found: dict[str, float] = {}
    while len(data) >= _HEADER:
        length, kind = struct.unpack_from("=IH", data)
        if kind in (_DONE, _ERROR) or length < _HEADER:
            return found, True
        if kind == _NEW_ADDRESS:
            found.update(_added(data[_HEADER + _BODY : length]))
        data = data[length + 3 & ~3 :]
    return found, False


def age(added: float, now: float) -> float:
    """Return the seconds from `added` to `now`, both in seconds since boot; `added` wraps after 497 days."""
    return (now - added) % _WRAP


def _added(data: bytes) -> dict[str, float]:
    """Return {address: seconds} of the attributes of one message, empty if they are not complete."""
    attributes: dict[int, bytes] = {}
    while len(data) >= _ATTRIBUTE:
        length, kind = struct.unpack_from("=HH", data)
        if length < _ATTRIBUTE:
            break
        attributes[kind] = data[_ATTRIBUTE:length]
        data = data[length + 3 & ~3 :]
    address = attributes.get(_LOCAL) or attributes.get(_ADDRESS, b"")
    times = attributes.get(_CACHE_INFO, b"")
    if len(address) not in (4, 16) or len(times) < _ADDED + 4:
        return {}
    return {str(ipaddress.ip_address(address)): struct.unpack_from("=I", times, _ADDED)[0] / 100}
