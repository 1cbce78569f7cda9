# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The execution of a run's steps: change, verify, hand over, claim; and roll back if something fails. PRIVATE.

The order of the steps keeps two promises. A packet of a selected pod never leaves with a wrong source: rules and routes
are in place before anything is marked, and a marked packet without a route is refused. An address is never on two
hosts: a node releases before it claims, and claims only what its probes found free.
"""

from __future__ import annotations

from collections.abc import Collection
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING

from .._common.errors import EgressIPError, VerificationError
from .._dataplane.host import Host, is_our_device
from .._dataplane.node_state import Held
from .._dataplane.options import DataPlaneOptions
from .._dataplane.state import DataPlane, desired_data_plane, lines_between, rollback_target, transaction
from .._host_io import files
from .._host_io.host_io import HostIO
from .._host_io.packets import no_link
from .._protocols.ctnetlink import Flow
from .address_conflicts import other_holders
from .claim import Probed, claim, run_probes
from .connections import Connections, challenge, forget, note_lost
from .current_state import Tables, read_data_plane, read_host
from .decide import Steps
from .engine_changes import change_engines
from .engine_install import restore_engines
from .failover_key import save_key
from .installed_files import install, remove_all_files, run_program_later
from .presence import note_presence
from .record import Record
from .result import Result
from .systemd_units import Parts
from .tunnel_secrets import save_secrets

if TYPE_CHECKING:
    from .._host_io.node_messages import Flows

# Seconds until a second announcement, for neighbours that missed the first.
ANNOUNCE_AGAIN = 2
# Seconds until the clients of lost connections are challenged for the first time.
CHALLENGE_AFTER = 2
_SHOWN = 5


def preview(io: HostIO, steps: Steps) -> Result:
    """Return what `execute` would return. Probes the claims for which no other node has to release first."""
    conflicts = dict(steps.changes.foreign)
    for item in steps.free_now:
        if not io.has_link(item.interface):
            raise no_link(item.interface)
    for _free, busy in run_probes(io, steps, steps.free_now):
        conflicts.update({item: busy[item.egress_ip] for item in steps.free_now if item.egress_ip in busy})
    claimed = tuple(item for item in steps.changes.to_claim if item not in conflicts)
    return steps.report(claimed, conflicts, {})


def execute(io: HostIO, steps: Steps) -> Result:
    """Carry out the steps and return what was done."""
    steps = keep_unconfirmed(io, steps)
    connections = Connections(io, steps.state, steps.marks)
    with ThreadPoolExecutor(max_workers=2) as pool:
        # Probes and systemd take their time; the data plane changes meanwhile.
        probed = pool.submit(lambda: Probed(list(run_probes(io, steps, steps.free_now)), io.monotonic_clock()))
        installed = pool.submit(install, io, steps.observation.missing, Parts.of(steps.state))
        verified = change_data_plane(io, steps, installed)
        received, unreleased = hand_over(io, steps, connections)
        rest = steps.keeping(unreleased)
        claimed, conflicts, waiting = claim(io, rest, connections, probed, received)
    held = rest.state.holding(rest.changes.kept + claimed).held
    if rest.leaving or claimed or conflicts or waiting:
        remove_leftovers(io, rest, held, verified)
    if files.FAILOVER_KEY in steps.observation.missing:
        # Not before: a node that goes back to its former record needs its former key.
        save_key(io, steps.request.failover_key)
    rest.record_with((*held, *waiting)).save(io)
    # Also those without a link: the watch waits for it.
    note_presence(io, rest.state, (*held, *waiting))
    finish(io, rest, held, claimed, connections.lost)
    return rest.report(claimed, conflicts, connections.arrived)


def keep_unconfirmed(io: HostIO, steps: Steps) -> Steps:
    """Return the steps without the release of addresses that another node only reports to hold.

    No node claims them in this run, so without that node's answer on the wire they would have no holder.
    """
    doubtful = [item for item in steps.held_elsewhere if io.has_link(item.interface)]
    if not doubtful:
        return steps
    answered = other_holders(io, doubtful, steps.host)
    return steps.keeping({item.egress_ip for item in doubtful if item not in answered})


def prepare(io: HostIO, steps: Steps) -> None:
    """Write what must survive a crash: the addresses that the node may hold from now on."""
    changes = steps.changes
    # A node that fails between two sets of keys, or goes back, has both.
    former = [steps.record.state] if steps.record else []
    if steps.state.follow is None:
        # A pod must not start without the rules that our program needs.
        change_engines(io, steps.observation.engines)
    save_secrets(io, steps.host.tunnel_secrets, steps.state, *former)
    steps.record_with({*changes.kept, *changes.released, *changes.to_claim}).save(io)
    if steps.record:
        _delete_former_device(io, steps.record.state.options, steps.state.options, steps.host)


def change_data_plane(io: HostIO, steps: Steps, installed: Future[None]) -> DataPlane:
    """Write what must survive a crash, then apply everything except changes of holders; roll back if that fails.

    Returns the data plane read then.

    No address changes hands before `installed`: a node that holds addresses must know them after a crash.
    """
    held = steps.changes.kept + steps.leaving
    interim = steps.planes.interim(held)
    try:
        try:
            prepare(io, steps)
            io.execute(transaction(steps.observation.current, interim))
            verified = verify(io, steps, interim, held)
            # Without this note, the watch would take a node that has just claimed an address for one that was away.
            note_presence(io, steps.state, steps.changes.kept + steps.changes.to_claim)
            return verified
        finally:
            # Also after a failure: the rollback must not run while files are still being installed.
            installed.result()
    except EgressIPError as error:
        roll_back(io, steps, error)
        raise VerificationError(f"{error}; the node is as it was before") from None


def hand_over(io: HostIO, steps: Steps, connections: Connections) -> tuple[Flows, set[str]]:
    """Release addresses, and exchange connections with the partners of this run.

    Returns {egress IP: connections} of the addresses to claim, and the egress IPs that were not released, because their
    new holder did not connect.
    """
    promised = {ip for ips in steps.partners.giving.values() for ip in ips}
    unreleased: set[str] = set()

    def release(egress_ips: Collection[str]) -> Flows:
        unreleased.update(promised.difference(egress_ips))
        leaving = _release(io, steps.keeping(unreleased), steps.leaving, connections)
        return {ip: connections.send_on(ip, leaving[ip]) for ip in egress_ips}

    if not steps.partners:
        release(())
        return {}, unreleased
    state = steps.state
    received = io.hand_over(steps.request.key, state.options.tunnel_port, state.endpoints, steps.partners, release)
    return received, unreleased


def _release(io: HostIO, steps: Steps, present: tuple[Held, ...], connections: Connections) -> Flows:
    """Release all addresses in one step, as late as possible: the gap of a move begins here.

    `present` are the held addresses that were to leave. Returns {egress IP: its connections} of those that leave.
    """
    kept, planes = steps.changes.kept, steps.planes
    io.execute(transaction(planes.interim(kept + present), planes.interim(kept)))
    leaving = connections.leaving([item.egress_ip for item in steps.leaving])
    options = steps.record.state.options if steps.record else steps.state.options
    forget(io, options, steps.forget)
    return leaving


def remove_leftovers(io: HostIO, steps: Steps, held: tuple[Held, ...], verified: DataPlane) -> None:
    """Remove what was prepared for addresses that could not be claimed, and verify the whole again."""
    expected = steps.planes.final(held)
    # The tables of a claimed address were prepared and verified; the release of an address also changes the tables.
    tables = None if steps.leaving else verified.tables
    surplus = transaction(_read_again(io, steps, held, tables), expected)
    if surplus:
        io.execute(surplus)
        verify(io, steps, expected, held)


def finish(io: HostIO, steps: Steps, held: tuple[Held, ...], claimed: tuple[Held, ...], lost: list[Flow]) -> None:
    """Schedule what follows some seconds later, and remove surplus files. Raises CommandError if that fails."""
    save_secrets(io, steps.host.tunnel_secrets, steps.state)
    admission = steps.planes.final(held).admission
    if admission:
        io.admit_pods(admission)
        change_engines(io, steps.observation.engines)
    elif steps.record and steps.record.state.follow:
        io.dismiss_pods()
    if steps.request.by_unit:
        challenge(io, lost)
        return
    if claimed:
        run_program_later(io, ANNOUNCE_AGAIN, "announce")
    if lost:
        note_lost(io, lost)
        run_program_later(io, CHALLENGE_AFTER, "challenge")
    if steps.observation.surplus:
        # A file that cannot be removed fails the run, and must not stop the rest.
        io.remove_files(steps.observation.surplus)


def roll_back(io: HostIO, steps: Steps, error: EgressIPError) -> None:
    """Restore the data plane as it was observed, after this error. Raises VerificationError if that fails too."""
    then = steps.record or Record(steps.state, steps.requested_digest, steps.marks, {})
    known = desired_data_plane(then.state, then.marks, steps.host)
    claimed = {item.egress_ip for item in steps.changes.kept + steps.changes.released}
    options = then.state.options
    try:
        _delete_former_device(io, steps.state.options, options, read_host(io, steps.record))
        now = read_data_plane(io, read_host(io, steps.record), options, claimed)
        before = rollback_target(steps.observation.current, known, options, steps.host, claimed)
        io.execute(transaction(now, before))
        if steps.record:
            steps.record.save(io)
            restore_engines(io, steps.record.state)
        else:
            remove_all_files(io, steps.state.options)
    except EgressIPError as second:
        raise VerificationError(f"{error}; rollback failed too: {second}") from None


def verify(io: HostIO, steps: Steps, expected: DataPlane, held: tuple[Held, ...]) -> DataPlane:
    """Read the data plane and return it. Raises VerificationError if it is not as expected."""
    current = _read_again(io, steps, held)
    missing, surplus = lines_between(current, expected)
    if missing or surplus:
        shown = [f"missing {line}" for line in missing[:_SHOWN]] + [f"left over {line}" for line in surplus[:_SHOWN]]
        raise VerificationError(f"node/{steps.state.name}: differs from the applied state: {'; '.join(shown)}")
    return current


def _read_again(io: HostIO, steps: Steps, held: tuple[Held, ...], tables: Tables | None = None) -> DataPlane:
    claimed = {item.egress_ip for item in held}
    return read_data_plane(io, read_host(io, steps.record), steps.state.options, claimed, tables)


def _delete_former_device(io: HostIO, former: DataPlaneOptions, new: DataPlaneOptions, host: Host) -> None:
    """Delete the tunnel device of other options: two devices cannot share a port."""
    if former.tunnel_device != new.tunnel_device and is_our_device(host, former.tunnel_device):
        io.check(["ip", "link", "delete", former.tunnel_device])
