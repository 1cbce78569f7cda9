# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which egress IPs a node yields after it was away, when another host answers for them. PRIVATE to the collection.

A node that was not away never yields. If both holders were away, as when a switch restarts, one of them keeps the
address: the one with the lower MAC address yields at once, and the other one only if it still hears it some seconds
later. If the first one was slow, both have yielded; then the second one takes the address back.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from dataclasses import replace
from typing import NamedTuple

from .._dataplane.host import Host
from .._dataplane.node_state import Held
from .._dataplane.state import desired_data_plane, transaction
from .._host_io import files
from .._host_io.host_io import HostIO
from .._host_io.watch import LONGEST_PAUSE
from .._protocols.address_probe import announcements
from .._protocols.ctnetlink import Flow
from .address_conflicts import mac_address, other_holders
from .connections import Connections, challenge, forget
from .current_state import held_on_record, read_data_plane, read_host
from .journal import log
from .presence import note_presence
from .record import Record

# Seconds until the node with the higher MAC address probes again: mostly the other one has yielded by then.
AFTER_THE_OTHER = 6


class PendingYield(NamedTuple):
    """Addresses of a node that lets another holder yield first, and the generation of its plan."""

    generation: int
    items: tuple[Held, ...]


def yield_first(
    io: HostIO, record: Record, taken: Mapping[Held, str], host: Host
) -> tuple[Record, list[Flow], PendingYield | None]:
    """Yield those of the addresses, {Held: MAC of another holder}, whose other holder has the higher MAC address.

    Returns the record after that, the connections of these addresses, and the other ones for `yield_last`, None without
    any. The caller holds the lock.
    """
    second = tuple(item for item, mac in taken.items() if mac_address(host, item.interface) > mac)
    later = set(second)
    first = {item: mac for item, mac in taken.items() if item not in later}
    pending = PendingYield(record.state.generation, second) if second else None
    return (*(_yield_addresses(io, record, first) if first else (record, [])), pending)


def yield_last(io: HostIO, pending: PendingYield) -> list[Flow]:
    """Yield the addresses for which another host still answers, and note them; returns their connections.

    The caller holds the lock, which it did not hold since `yield_first`: a newer plan counts.
    """
    record = Record.load(io)
    if record is None or record.state.generation != pending.generation:
        return []
    host = read_host(io, record)
    present = held_on_record(record, host)
    doubtful = set(pending.items)
    taken = other_holders(io, [item for item in present if item in doubtful], host)
    lost: list[Flow] = []
    if taken:
        record, lost = _yield_addresses(io, record, taken)
        _note(io, record, taken)
    note_presence(io, record.state, tuple(item for item in present if item not in taken))
    return lost


# Why one of two holders keeps an address if neither is slower than LONGEST_PAUSE from a probe to what follows from it:
# the first one yields only after a probe that the second one answered, so before the second one had yielded. At most
# LONGEST_PAUSE after that it has yielded, or never will: then the second one claims the address, or hears the first.
def _note(io: HostIO, record: Record, yielded: Collection[Held]) -> None:
    interfaces = {item.egress_ip: item.interface for item in yielded}
    generation, _until, earlier = _read(io.read_file(files.YIELDED_FILE) or b"")
    if generation == record.state.generation:
        interfaces = {**earlier, **interfaces}
    noted = [record.state.generation, io.monotonic_clock() + LONGEST_PAUSE, interfaces]
    io.write_file(files.YIELDED_FILE, json.dumps(noted).encode(), 0o600)


def reclaim(io: HostIO, record: Record) -> Record:
    """Return the record with the addresses that this node must claim unless their other holder has them.

    The other one may have yielded them too. A newer plan counts, and has them if they are this node's.
    """
    noted = io.read_file(files.YIELDED_FILE)
    if noted is None:
        return record
    generation, until, interfaces = _read(noted)
    items = {Held(ip, interface) for ip, interface in interfaces.items() if ip in record.marks}
    if generation == record.state.generation and items:
        if io.monotonic_clock() < until or not all(io.has_link(item.interface) for item in items):
            return record
        record = replace(record, state=record.state.holding(items.union(record.state.held)))
        record.save(io)
    io.remove_file(files.YIELDED_FILE)
    return record


def _read(data: bytes) -> tuple[int, float, Mapping[str, str]]:
    """Return what `_note` wrote, (generation, time, {egress IP: interface}); no address if the file is damaged."""
    try:
        noted = json.loads(data)
    except ValueError:
        noted = None
    if not isinstance(noted, list) or [type(each) for each in noted] != [int, float, dict]:
        return 0, 0.0, {}
    generation, until, interfaces = noted
    return generation, until, interfaces if all(isinstance(name, str) for name in interfaces.values()) else {}


def _yield_addresses(io: HostIO, record: Record, taken: Mapping[Held, str]) -> tuple[Record, list[Flow]]:
    """Release addresses, {Held: MAC of the new holder}, and announce the new holder to the neighbours.

    Returns the record after that, and the connections of these addresses, whose clients have been challenged once.
    """
    state = record.state.holding(item for item in record.state.held if item not in taken)
    host = read_host(io, record)
    # What is on record and gone from the host may be another host's: it comes back only after a probe.
    here = [item for item in held_on_record(record, host) if item not in taken]
    current = read_data_plane(io, host, record.state.options, record.claimed)
    connections = Connections(io, record.state, record.marks)
    connections.leaving([item.egress_ip for item in taken])
    io.execute(transaction(current, desired_data_plane(state.holding(here), record.marks, host)))
    forget(io, state.options, {record.marks[item.egress_ip] for item in taken})
    # The disk of a node that hung may be slow or read-only: the neighbours do not wait for the record.
    for item, mac in taken.items():
        log(f"{item.egress_ip} is released: {mac} took it while this node was away")
        own = mac_address(host, item.interface)
        io.send_frames(item.interface, [announcements(own, item.egress_ip, mac)])
    challenge(io, connections.lost)
    after = replace(record, state=state)
    after.save(io)
    return after, connections.lost
