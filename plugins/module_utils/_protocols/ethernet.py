# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Values and helpers that ARP and neighbour discovery share. PRIVATE to the collection. No I/O."""

from __future__ import annotations

from typing import NamedTuple

BROADCAST = "ff:ff:ff:ff:ff:ff"
# Results that a cache of frames keeps at most: a program that watches others sends and receives the same ones again
# and again.
KEPT = 512


class NeighbourMessage(NamedTuple):
    """An ARP or neighbour discovery message: the MAC `mac` uses the address `uses`, or probes for `probes`.

    `mac` is written `aa:bb:cc:dd:ee:ff`, addresses are canonical. One of `uses` and `probes` is empty.
    """

    mac: str
    uses: str
    probes: str


def mac_bytes(text: str) -> bytes:
    """Return the six bytes of a MAC address written `aa:bb:cc:dd:ee:ff`."""
    return bytes.fromhex(text.replace(":", ""))


def mac_text(data: bytes) -> str:
    """Return the bytes of a MAC address as `aa:bb:cc:dd:ee:ff`."""
    return data.hex(":")
