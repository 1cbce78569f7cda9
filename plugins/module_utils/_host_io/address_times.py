# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Since when this host has its addresses. PRIVATE to the collection."""

from __future__ import annotations

import socket
import time

from .._protocols import address_times

_NETLINK_ROUTE, _BUFFER = 0, 1 << 16


def read_ages() -> dict[str, float]:
    """Return {address: seconds since it was added} of all addresses of this host."""
    found: dict[str, float] = {}
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, _NETLINK_ROUTE) as sock:
        sock.send(address_times.dump_request())
        is_last = False
        while not is_last:
            part, is_last = address_times.parse_answer(sock.recv(_BUFFER))
            found.update(part)
    now = time.monotonic()
    return {address: address_times.age(added, now) for address, added in found.items()}
