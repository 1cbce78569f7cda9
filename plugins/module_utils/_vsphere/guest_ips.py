# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What VMware Tools say of the addresses in a VM, and how far that goes. PRIVATE to the collection. No I/O."""

from __future__ import annotations

from dataclasses import dataclass

from .._common.addresses import address_order, canonical
from .fence import OFF, ON, doubt

HELD, ABSENT, UNKNOWN = "held", "absent", "unknown"
RUNNING = "guestToolsRunning"
# VMware Tools leave out what is more than so many adapters, and so many addresses (older and newer ones) of one.
_FULL_ADAPTERS, _FULL_ADDRESSES = 16, (64, 2048)


@dataclass(frozen=True)
class Guest:
    """A VM as its VMware Tools told last.

    ``vm``: {name, moid}; ``host``: name of the ESXi host, None for none; ``responds``, ``state``, ``power``: as in
    `_vsphere.fence`; ``tools``: the state of VMware Tools in the API's words; ``adapters``: a tuple of (MAC address,
    None for none, and tuple of parsed addresses).
    """

    vm: dict
    host: object
    responds: bool
    state: str
    power: str
    tools: str
    adapters: tuple

    def to_dict(self):
        """Return the form that `vsphere_guest_ip_info` gives."""
        addresses = {canonical(address) for _mac, found in self.adapters for address in found}
        return {
            "vm": dict(self.vm),
            "host": self.host,
            "power_state": self.power,
            "tools": self.tools,
            "addresses": sorted(addresses, key=address_order),
        }


def tell(guest, address):
    """Tell whether a Guest holds ``address`` (parsed): {egressIP, state, mac, reason}; ``mac`` of the adapter or None.

    HELD is what VMware Tools show now. ABSENT is no proof: they look every 30 seconds, and at what they are told to.
    """
    state, mac, reason = _state(guest, address)
    return {"egressIP": canonical(address), "state": state, "mac": mac, "reason": reason}


def _state(guest, address):
    problem = doubt(guest) or _silence(guest)
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
    return ABSENT, None, "VMware Tools do not show the address; they look every 30 seconds"


def _silence(guest):
    """Return why VMware Tools say nothing that counts, None when they do."""
    if guest.power == OFF:
        return None
    if guest.power != ON:
        return f"the VM is {guest.power}"
    if guest.tools != RUNNING:
        return f"VMware Tools do not run in the guest ({guest.tools})"
    if not any(addresses for _mac, addresses in guest.adapters):
        return "VMware Tools show no address at all"
    return None
