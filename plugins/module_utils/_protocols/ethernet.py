# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What ARP and neighbour discovery have in common. PRIVATE to the collection. Pure."""

from __future__ import annotations

from dataclasses import dataclass

BROADCAST = "ff:ff:ff:ff:ff:ff"


@dataclass(frozen=True)
class Heard:
    """What a frame tells: `mac` (as `aa:bb:..`) uses the address `uses`, or probes for `probes`; the other is empty."""

    mac: str
    uses: str
    probes: str


def mac_bytes(text):
    """Return the six bytes of a MAC address."""
    return bytes.fromhex(text.replace(":", ""))


def mac_text(data):
    """Return a MAC address as `aa:bb:..`."""
    return ":".join(f"{byte:02x}" for byte in data)
