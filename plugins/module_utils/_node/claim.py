# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Claims of egress IPs: each is taken as soon as its probe found it free. PRIVATE to the collection."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping
from concurrent.futures import Future
from typing import NamedTuple

from .._common.errors import EgressIPError
from .._dataplane.node_state import Held
from .._dataplane.state import transaction
from .._host_io.host_io import HostIO
from .._host_io.packets import Verdict, no_link
from .._protocols.ctnetlink import Flow
from .address_conflicts import announce, probes
from .connections import Connections, challenge, forget
from .decide import Steps
from .journal import log

# Seconds after which an address that a probe found free may be another host's: a run can wait long for a disk, or for
# the nodes with which it exchanges addresses, and another node can take one over in about a second.
_FRESH = 1.0


class Probed(NamedTuple):
    """The verdicts of probes, and when the last one was known, by the monotonic clock."""

    verdicts: list[Verdict]
    at: float


class Claims(NamedTuple):
    """The claimed addresses, {Held: MAC of the host that has it} of the others, and those that wait for a link."""

    claimed: tuple[Held, ...]
    conflicts: Mapping[Held, str]
    waiting: tuple[Held, ...]


def run_probes(io: HostIO, steps: Steps, items: tuple[Held, ...]) -> Iterable[Verdict]:
    """Probe those of the addresses to claim whose interface has a link; yields the verdicts as they are known."""
    linked = [item for item in items if io.has_link(item.interface)]
    return io.run_probes(probes(linked, steps.host, steps.request.pace, steps.releasing))


def claim(
    io: HostIO,
    steps: Steps,
    connections: Connections,
    probed: Future[Probed],
    received: Mapping[str, list[Flow]],
) -> Claims:
    """Claim each address as soon as it is free. `probed` are the verdicts on `steps.free_now`.

    `received` {egress IP: its connections} comes from the old holders. Raises EgressIPError with the record up to date.
    A unit, which runs again, leaves on record what it cannot probe or claim for another reason than another holder.
    """
    to_claim, kept = steps.changes.to_claim, steps.changes.kept
    waiting = tuple(item for item in to_claim if item.egress_ip in steps.releasing)
    claimed: tuple[Held, ...] = ()
    conflicts = dict(steps.changes.foreign)
    try:
        for free, busy in itertools.chain(_fresh(io, steps, probed.result()), run_probes(io, steps, waiting)):
            batch = tuple(item for item in to_claim if item.egress_ip in free)
            conflicts.update({item: busy[item.egress_ip] for item in to_claim if item.egress_ip in busy})
            if batch:
                take(io, steps, connections, kept + claimed, batch, received)
                claimed += batch
        unprobed = tuple(item for item in to_claim if item not in {*claimed, *conflicts})
        if unprobed and not steps.request.by_unit:
            raise no_link(unprobed[0].interface)
    except EgressIPError:
        again = [item for item in to_claim if steps.request.by_unit and item not in conflicts]
        steps.record_with({*kept, *claimed, *again}).save(io)
        raise
    for item in unprobed:
        log(f"{item.egress_ip} is not claimed yet: {item.interface} has no link")
    return Claims(claimed, conflicts, unprobed)


def _fresh(io: HostIO, steps: Steps, probed: Probed) -> Iterable[Verdict]:
    """Return the verdicts on `steps.free_now`, those of other probes if they are old."""
    return probed.verdicts if io.monotonic_clock() - probed.at < _FRESH else run_probes(io, steps, steps.free_now)


def take(
    io: HostIO,
    steps: Steps,
    connections: Connections,
    held: tuple[Held, ...],
    items: tuple[Held, ...],
    received: Mapping[str, list[Flow]],
) -> None:
    """Take these addresses in addition to those `held`. Their connections are tracked first, before a packet comes."""
    with_flows = {item.egress_ip: received[item.egress_ip] for item in items if item.egress_ip in received}
    without_flows = [item.egress_ip for item in items if item.egress_ip not in received]
    if with_flows:
        connections.arrive(with_flows)
    io.execute(transaction(steps.planes.interim(held), steps.planes.interim(held + items)))
    announce(io, items, steps.host)
    # What this node's own pods sent to the old holder.
    stale = connections.elsewhere(without_flows if steps.record else ())
    forget(io, steps.state.options, {steps.marks[ip] for ip in without_flows})
    challenge(io, stale)
    if with_flows:
        connections.forget_others(with_flows)
