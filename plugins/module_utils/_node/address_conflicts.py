# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Probes and announcements of egress IPs on the node's networks. PRIVATE to the collection.

`_protocols.address_probe` has the rules of a probe.
"""

from __future__ import annotations

import json
import time
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

from .._common.errors import CommandError
from .._common.messages import quote
from .._dataplane.host import Host
from .._dataplane.node_state import Held
from .._host_io import files
from .._host_io.host_io import HostIO
from .._protocols.address_probe import Probe, announcements


@dataclass(frozen=True)
class Pace:
    """How an address is probed: `count` probes, `interval` seconds apart; `timeout` seconds for a hand-over.

    In a hand-over the interval is halved: the holder is known to be alive and answers until it releases the address.
    """

    count: int = 3
    interval: float = 0.1
    timeout: float = 20.0


# A node expects silence for the addresses that it holds, so two probes are enough.
_CHECK_HELD = Pace(count=2, interval=0.2, timeout=0.0)


def probes(
    items: Collection[Held], host: Host, pace: Pace, waiting: Collection[str] = (), holding: bool = False
) -> dict[str, list[Probe]]:
    """Return {interface: [Probe]} of addresses to claim, or with `holding` of addresses that this node holds.

    An answer for an address in `waiting` is a conflict only after the timeout. Raises CommandError for an unknown
    interface.
    """
    deadline = time.monotonic() + pace.timeout
    macs, own = {name: mac_address(host, name) for name in {item.interface for item in items}}, host.macs()
    found: dict[str, list[Probe]] = {interface: [] for interface in macs}
    for item in items:
        waits = item.egress_ip in waiting
        interval = pace.interval / (2 if waits else 1)
        probe = Probe(item.egress_ip, macs[item.interface], pace.count, interval, deadline, waits, holding, own)
        found[item.interface].append(probe)
    return found


def mac_address(host: Host, interface: str) -> str:
    """Return the MAC address of an interface. Raises CommandError if the host has no such interface."""
    document = host.interface(interface)
    if document is None:
        raise CommandError(f"egress_ip_interface: must be an interface of this host, not {quote(interface)}")
    return str(document.get("address", ""))


def announce(io: HostIO, items: Iterable[Held], host: Host) -> None:
    """Announce held addresses to all neighbours. Raises CommandError if an interface cannot send."""
    by_interface: dict[str, list[str]] = {}
    for item in items:
        by_interface.setdefault(item.interface, []).append(item.egress_ip)
    for interface in sorted(by_interface):
        mac = mac_address(host, interface)
        io.send_frames(interface, [announcements(mac, ip) for ip in by_interface[interface]])


def read_conflicts(io: HostIO) -> dict[str, str]:
    """Return {egress IP: MAC} of the other holders that the watch noted last, empty if the file is damaged."""
    noted = io.read_file(files.CONFLICTS_FILE)
    try:
        conflicts = json.loads(noted or b"{}")
    except ValueError:
        return {}
    return {str(ip): str(mac) for ip, mac in conflicts.items()} if isinstance(conflicts, dict) else {}


def write_conflicts(io: HostIO, conflicts: Mapping[str, str]) -> None:
    """Note {egress IP: MAC} of other holders. Raises CommandError if that fails."""
    if conflicts:
        io.write_file(files.CONFLICTS_FILE, json.dumps(conflicts, sort_keys=True).encode(), 0o600)
    else:
        io.remove_file(files.CONFLICTS_FILE)


def other_holders(io: HostIO, held: Collection[Held], host: Host) -> dict[Held, str]:
    """Return {Held: MAC} of the addresses of this node for which another host answers."""
    found: dict[Held, str] = {}
    for _free, busy in io.run_probes(probes(held, host, _CHECK_HELD, holding=True)):
        found.update({item: busy[item.egress_ip] for item in held if item.egress_ip in busy})
    return found
