# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The vendor or kind of a device from its MAC address, for reports of conflicts. PRIVATE to the collection. Pure."""

from __future__ import annotations

from .._planner.netaddr import EUI, AddrFormatError, NotRegisteredError

_LOCALLY_ADMINISTERED = 0x02


def with_vendor(mac: str) -> str:
    """Return the MAC address with the name of its vendor, where the IEEE's list in netaddr has it.

    Without netaddr, and for text that is no MAC address, ``mac`` alone.
    """
    vendor = _vendor(mac)
    return f"{mac} ({vendor})" if vendor else mac


def _vendor(mac: str) -> str:
    if EUI is None:
        return ""
    try:
        parsed = EUI(mac, version=48)
        if parsed.words[0] & _LOCALLY_ADMINISTERED:
            return "locally administered: a VM or a container"
        return str(parsed.oui.registration().org)
    except (AddrFormatError, NotRegisteredError):
        return ""
