# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The commands of the systemd units of a node, which need no controller. PRIVATE to the collection.

`follow` has a module of its own.

The watch does three things. First, it finds out whether another node took this node's addresses while it was away. A
node was away when it did not run (hung, suspended, paused) or had no link for a while; `_host_io.watch` notices. From
then on for a minute, the watch probes, and releases the addresses for which another host answers. A node that was not
away never releases anything, so of two holders exactly the older one yields; `yielding` decides between two that were
both away. Second, it probes once a minute, and reports other holders in the journal and the metrics. Third,
it restores what others removed, as it is on record.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import NamedTuple

from .._common.addresses import VERSIONS, version_of
from .._common.errors import EgressIPError
from .._dataplane.followed_pods import KUBERNETES
from .._dataplane.host import Host
from .._dataplane.node_state import Held
from .._dataplane.state import desired_data_plane, transaction
from .._host_io.host_io import HostIO
from .._protocols.ctnetlink import Flow
from . import metrics_file
from .address_conflicts import announce, other_holders, read_conflicts, write_conflicts
from .apply import apply_locked
from .cni_install import cni_changes
from .connections import challenge, challenge_lost
from .current_state import held_on_record, read_data_plane, read_host, require_node
from .decide import Request
from .engine_changes import write_lists
from .execute import ANNOUNCE_AGAIN
from .journal import log
from .networks import NEVER, refreshed
from .record import Record
from .result import Result
from .yielding import AFTER_THE_OTHER, PendingYield, reclaim, yield_first, yield_last

# Seconds until clients are challenged again: an answer may be lost, and a client answers once in half a second.
_CHALLENGE_AGAIN = 2


class _WatchResult(NamedTuple):
    """What a run of the watch did: whether it claimed an address, the connections of addresses that it released, and
    the addresses that it yields last.
    """

    claimed: bool = False
    lost: Sequence[Flow] = ()
    pending: PendingYield | None = None


def main(io: HostIO, argv: Sequence[str]) -> int:
    """Run the command that `argv` names; returns the exit status."""
    try:
        _COMMANDS[argv[0]](io)
    except EgressIPError as error:
        log(str(error))
        return 1
    return 0


def _restore(io: HostIO) -> None:
    """Restore the data plane with the addresses that the host has: at boot, before the network, it has none."""
    with io.lock():
        record = Record.load(io)
        if record is not None:
            host = read_host(io, record)
            _restore_with(io, record, host, held_on_record(record, host))


def _restore_with(io: HostIO, record: Record, host: Host, held: Collection[Held]) -> bool:
    """Restore what is on record, with these addresses; returns whether anything had changed."""
    current = read_data_plane(io, host, record.state.options, record.claimed)
    needed = transaction(current, desired_data_plane(record.state.holding(held), record.marks, host))
    io.execute(needed)
    return bool(needed)


def _claim(io: HostIO) -> None:
    """Restore what is on record, claim what is free, and announce it twice."""
    require_node(io)
    with io.lock():
        record = Record.load(io)
        claimed = record is not None and _claim_on_record(io, record)
        io.note_networks(NEVER if record and record.state.watches_networks else None)
    if claimed:
        io.sleep(ANNOUNCE_AGAIN)
        _announce_held(io)


def _claim_on_record(io: HostIO, record: Record, again: bool = False) -> bool:
    """Restore what is on record, and claim the addresses for which no other host answers; returns whether any were.

    Without its own tunnel endpoint, a node cannot serve addresses: it claims none and releases what it holds, until the
    endpoint is back. With `again`, that is logged only if something changed. The caller holds the lock since it read
    the record, so that what a run or a removal did in the meantime stays done.
    """
    host = read_host(io, record)
    own = {"", *(address["local"] for _name, address in host.addresses())}
    dead = {version for version in VERSIONS if record.state.endpoint(version) not in own}
    held = held_on_record(record, host)
    if any(version_of(item.egress_ip) in dead for item in record.state.held):
        done = _restore_with(io, record, host, [item for item in held if version_of(item.egress_ip) not in dead])
        if done or not again:
            log("nothing is claimed: this node has lost the address at which its tunnel ends")
        return False
    result = apply_locked(io, Request(record.state, by_unit=True))
    _log_result(result)
    return bool(result["claimed"])


def _log_result(result: Result) -> None:
    for line in result["diff"]["after"].splitlines():
        log(f"restored {line}")
    for conflict in result["conflicts"]:
        log("{egressIP} is not claimed: {mac} answers for it".format(**conflict))


def _announce_held(io: HostIO, doubtful: Collection[Held] = ()) -> None:
    """Announce the addresses of this node but those of which another host may be the holder."""
    with io.lock():
        record = Record.load(io)
        if record is not None:
            host, left_out = read_host(io, record), {*doubtful}
            announce(io, [item for item in held_on_record(record, host) if item not in left_out], host)


def _write_metrics(io: HostIO) -> None:
    record = Record.load(io)
    if record is not None:
        metrics_file.write(io, record)


def _watch(io: HostIO) -> None:
    """Yield and restore. Runs only if this node was away or something is missing (`_host_io.watch`)."""
    require_node(io)
    with io.lock():
        claimed, lost, pending = _watch_locked(io)
    if claimed:
        io.sleep(ANNOUNCE_AGAIN)
        _announce_held(io, pending.items if pending else ())
    if pending:
        io.sleep(AFTER_THE_OTHER)
        with io.lock():
            lost = [*lost, *yield_last(io, pending)]
    if lost:
        io.sleep(_CHALLENGE_AGAIN)
        challenge(io, lost)


def _watch_locked(io: HostIO) -> _WatchResult:
    record = Record.load(io)
    if record is None:
        return _WatchResult()
    # A list that is written again from here on is of another version, so that the watch runs again.
    seen = io.networks_version() if KUBERNETES in record.state.followed_engines else None
    # Before the data plane, which may fail: pods that start without the plugin are not covered at all.
    _restore_plugin(io, record)
    host = read_host(io, record)
    held = held_on_record(record, host)
    if not all(io.has_link(item.interface) for item in held):
        io.note_absence()
        return _WatchResult()
    record = reclaim(io, record)
    settling, probing = io.is_settling(), io.was_away() or io.is_probe_due()
    taken = other_holders(io, held, host) if probing else {}
    lost: list[Flow] = []
    pending = None
    if taken and settling:
        record, lost, pending = yield_first(io, record, taken, host)
    elif probing:
        _report_conflicts(io, taken)
    # After the yield: an engine or a directory service may hang.
    record, version = refreshed(io, record, host)
    claimed = _claim_on_record(io, record, again=True)
    if version not in (None, NEVER, io.networks_version()):
        # The data plane, which was read later, may have a bridge that these networks lack.
        record, version = refreshed(io, record, read_host(io, record))
        claimed = _claim_on_record(io, record, again=True) or claimed
    io.note_networks(version if seen in (None, version) else NEVER)
    if probing:
        io.note_probed()
    return _WatchResult(claimed, lost, pending)


def _restore_plugin(io: HostIO, record: Record) -> None:
    """Put the network plugin back into the list from which a kubelet or daemon that wrote it again took it.

    A failure is logged: the rest of the watch does not need the plugin.
    """
    if KUBERNETES not in record.state.followed_engines:
        return
    try:
        changes = cni_changes(io, True)
        if changes.missing:
            log(f"the plugin is not restored: {changes.missing[0]} is missing; run the playbook reconcile")
            return
        write_lists(io, changes)
    except (EgressIPError, OSError) as error:
        log(str(error))
        return
    for item in changes.lists:
        log(f"{'restored the plugin in' if item.adds else 'removed the plugin from'} {item.path}")


def _report_conflicts(io: HostIO, taken: Mapping[Held, str]) -> None:
    """Log new conflicts, and note all for the metrics."""
    known, now = read_conflicts(io), {item.egress_ip: mac for item, mac in taken.items()}
    for ip, mac in sorted(now.items()):
        if known.get(ip) != mac:
            log(f"{ip} is in conflict: {mac} answers for it as well")
    for ip in sorted(known.keys() - now.keys()):
        log(f"{ip} is no longer in conflict")
    if now != known:
        write_conflicts(io, now)


_COMMANDS = {
    "restore": _restore,
    "claim": _claim,
    "announce": _announce_held,
    "challenge": challenge_lost,
    "watch": _watch,
    "metrics": _write_metrics,
}
