# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether a port must be changed for an egress IP, and how little is enough. PRIVATE to the collection. No I/O."""

from __future__ import annotations

from .._common.addresses import canonical
from .port import NSX
from .traffic_filter import dropped_by

OWN, SECOND, CHANGED = "own", "second", "changed"


def need(port, address, guest_mac):
    """Tell what `port`, a `_vsphere.port.Port`, must allow so that ``address`` (parsed) works there.

    ``guest_mac``: the MAC address under which the guest uses it: OWN is the adapter's, SECOND one beside it
    (macvlan, VRRP, a bridge), CHANGED one in its place. Returns {egressIP, needed, reason, change}; ``change`` holds
    the options for `vsphere_port_security`, nothing when nothing is needed or nothing can be done.
    """
    change, reasons = {}, []
    if port.switch["type"] == NSX:
        reasons.append("the port belongs to NSX: allow the address in its segment profiles; vCenter cannot")
    else:
        for part, words in _parts(port, address, guest_mac):
            change.update(part)
            reasons.append(words)
    what = "its own MAC address" if guest_mac == OWN else f"a {guest_mac} MAC address"
    return {
        "egressIP": canonical(address),
        "needed": bool(reasons),
        "reason": "; ".join(reasons) or f"the guest uses {what}, and the port lets that pass",
        "change": change,
    }


def _parts(port, address, guest_mac):
    """Yield ({option: value}, reason) for each thing that is in the way."""
    level = port.level
    flags = {SECOND: ("forged_transmits",), CHANGED: ("forged_transmits", "mac_changes")}.get(guest_mac, ())
    missing = {flag: True for flag in flags if not level.security[flag]}
    reasons = [f"{flag} is rejected" for flag in missing]
    if guest_mac == SECOND and not level.security["promiscuous"] and not (level.mac_learning or {}).get("enabled"):
        reasons.append("frames to the second MAC address do not reach the guest")
        if level.mac_learning is None:
            missing["promiscuous"] = True
        else:
            yield {"mac_learning": {"enabled": True}}, reasons.pop()
    if missing:
        yield {"security": missing}, ", ".join(reasons)
    rule = dropped_by(level.rules, address)
    if rule:
        words = f"rule {rule['sequence']} ({rule['description'] or 'without description'}) drops the address"
        yield {"allowed_addresses": [canonical(address)]}, words
