# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The addresses that VMware Tools report of a VM. PRIVATE to the collection. No I/O."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from .._common.addresses import Address, address_order, canonical
from .fence import OFF, ON, why_unknown

HELD, ABSENT, UNKNOWN = "held", "absent", "unknown"
RUNNING = "guestToolsRunning"
# The most adapters that VMware Tools report, and the most addresses of one (older and newer versions).
_FULL_ADAPTERS, _FULL_ADDRESSES = 16, (64, 2048)


@dataclass(frozen=True)
class Guest:
    """The last report of the VMware Tools of a VM.

    ``vm``: {name, moid}; ``host``: name of the ESXi host, None for none; ``responds``, ``state``, ``power``: as in
    `fence.Adapter`; ``tools``: the API's name of the state of VMware Tools; ``adapters``: tuple of (MAC address or
    None, tuple of addresses).
    """

    vm: dict[str, Any]
    host: str | None
    responds: bool
    state: str
    power: str
    tools: str
    adapters: tuple[tuple[str | None, tuple[Address, ...]], ...]

    def to_dict(self) -> dict[str, Any]:
        """Return the guest in the form of `vsphere_guest_ip_info`."""
        addresses = {canonical(address) for _mac, found in self.adapters for address in found}
        return {
            "vm": dict(self.vm),
            "host": self.host,
            "power_state": self.power,
            "tools": self.tools,
            "addresses": sorted(addresses, key=address_order),
        }


def find_address(guest: Guest, address: Address) -> dict[str, Any]:
    """Return whether a Guest holds ``address``: {egressIP, state, mac, reason}; ``mac`` of the adapter or None.

    ``state``: HELD, ABSENT or UNKNOWN. ABSENT is not a proof: VMware Tools report every 30 seconds, and may be
    configured to leave out addresses.
    """
    state, mac, reason = _state(guest, address)
    return {"egressIP": canonical(address), "state": state, "mac": mac, "reason": reason}


def _state(guest: Guest, address: Address) -> tuple[str, str | None, str]:
    problem = why_unknown(guest) or _silence(guest)
    if problem:
        return UNKNOWN, None, problem
    if guest.power == OFF:
        return ABSENT, None, "the VM is powered off"
    macs = [mac for mac, addresses in guest.adapters if address in addresses]
    if macs:
        return HELD, macs[0], "VMware Tools show the address"
    counts = [len(addresses) for _mac, addresses in guest.adapters]
    if len(counts) >= _FULL_ADAPTERS or {*counts} & {*_FULL_ADDRESSES}:
        return UNKNOWN, None, "VMware Tools show as many addresses as they can, and there may be more"
    return ABSENT, None, "VMware Tools do not show the address; they report every 30 seconds"


def _silence(guest: Guest) -> str | None:
    """Return why the report of VMware Tools cannot be used; None if it can."""
    if guest.power == OFF:
        return None
    if guest.power != ON:
        return f"the VM is {guest.power}"
    if guest.tools != RUNNING:
        return f"VMware Tools do not run in the guest ({guest.tools})"
    if not any(addresses for _mac, addresses in guest.adapters):
        return "VMware Tools show no address at all"
    return None
