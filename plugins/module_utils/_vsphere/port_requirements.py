# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The requirements of an egress IP on its port. PRIVATE to the collection. No I/O."""

from __future__ import annotations

from typing import Any, Iterator

from .._common.addresses import Address, canonical
from .port import NSX, Level, Port
from .traffic_filter import Rule, dropped_by, partly_dropped_by

OWN, SECOND, CHANGED = "own", "second", "changed"


def need(port: Port, address: Address, guest_mac: str) -> dict[str, Any]:
    """Return {egressIP, needed, reason, change}: the settings that a port must have for ``address``.

    ``needed`` is None on NSX, whose settings vCenter does not know.
    ``guest_mac``: the MAC address under which the guest uses it: OWN is the adapter's, SECOND an additional one
    (macvlan, VRRP, a bridge), CHANGED one that replaces it. ``change``: options of `vsphere_port_security`, empty if
    nothing is needed or if vCenter cannot change it.
    """
    change: dict[str, Any] = {}
    reasons = []
    if port.switch["type"] == NSX:
        reasons.append(
            "the port belongs to NSX: its segment profiles must allow the address; vCenter cannot check that"
        )
    elif port.level is not None:
        for part, words in _parts(port.level, address, guest_mac):
            change.update(part)
            reasons.append(words)
    mac = "its own MAC address" if guest_mac == OWN else f"a {guest_mac} MAC address"
    passes = f"the guest uses {mac}, and the port lets that pass"
    partly = partly_dropped_by(port.level.rules, address) if port.level else None
    if partly:
        passes += f", but for packets that {_named(partly)} drops"
    return {
        "egressIP": canonical(address),
        "needed": None if port.switch["type"] == NSX else bool(reasons),
        "reason": "; ".join(reasons) or passes,
        "change": change,
    }


def _parts(level: Level, address: Address, guest_mac: str) -> Iterator[tuple[dict[str, Any], str]]:
    """Yield ({option: value}, reason) for each obstacle."""
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
        yield {"allowed_addresses": [canonical(address)]}, f"{_named(rule)} drops the address"


def _named(rule: Rule) -> str:
    return f"rule {rule['sequence']} ({rule['description'] or 'without description'})"
