# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Ask the wire who has egress IPs, and tell it. PRIVATE to the collection. `_protocols.address_probe` has the rules."""

from __future__ import annotations

from .._host_io import node_io
from .._protocols.address_probe import Probe, announcements

# For what a node holds: that it is silent is expected, so two probes do.
_PROBES, _PROBE_INTERVAL = 2, 0.2


def probes(items, host, count, interval, deadline=0.0, waiting=(), holding=False):
    """Return {interface: [Probe]} of addresses, held or wanted; those in `waiting` are asked for twice as fast."""
    found = {item.interface: [] for item in items}
    macs = {interface: node_io.mac_address(interface) for interface in found}
    own = host.macs()
    for item in items:
        waits = item.egress_ip in waiting
        pace = count, interval / (2 if waits else 1), deadline
        found[item.interface].append(Probe(item.egress_ip, macs[item.interface], *pace, waits, holding, own))
    return found


def announce(items):
    """Tell all neighbours of these held addresses."""
    for interface in sorted({item.interface for item in items}):
        mac = node_io.mac_address(interface)
        node_io.send_frames(
            interface, [announcements(mac, item.egress_ip) for item in items if item.interface == interface]
        )


def others_with(held, host):
    """Return {Held: MAC of another host that answers for it} of what this node holds itself."""
    found = {}
    for _free, busy in node_io.run_probes(probes(held, host, _PROBES, _PROBE_INTERVAL, holding=True)):
        found.update({item: busy[item.egress_ip] for item in held if item.egress_ip in busy})
    return found
