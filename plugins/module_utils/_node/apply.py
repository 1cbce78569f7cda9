# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One run on a node: observe, decide, and if anything is to be done, execute. PRIVATE to the collection."""

from __future__ import annotations

from dataclasses import replace

from .._dataplane.esp import fingerprint
from .._dataplane.node_state import NodeState
from .._host_io import files
from .._host_io.host_io import HostIO
from .current_state import Reading, read_data_plane, read_node, require_node
from .decide import Observation, Request, Steps, decide
from .engine_changes import EngineChanges
from .engine_install import engine_changes
from .failover_key import key_is_left_over, key_is_missing
from .installed_files import is_follower_stopped, left_over, missing_files
from .networks import NEVER
from .presence import note_presence
from .record import Record
from .result import Result
from .systemd_units import FOLLOW_UNIT, Parts
from .tunnel_secrets import are_saved


def apply(io: HostIO, request: Request, check: bool = False) -> Result:
    """Apply the state of a request, or with `check` only show what that would change; returns the module's result.

    Raises EgressIPError with the node as it was; once addresses change hands, with what was reached on record.
    """
    require_node(io, request.state.options)
    with io.lock():
        result = apply_locked(io, request, check)
        if not check:
            # The addresses of networks in the state may be old: the watch finds them again.
            io.note_networks(NEVER if request.state.watches_networks else None)
        return result


def apply_locked(io: HostIO, request: Request, check: bool = False) -> Result:
    """Do the same for a caller that holds the lock of the node, and has checked that the host can be one."""
    steps = decide(request, observe(io, request))
    if not steps.is_empty:
        return _carry_out(io, steps, check)
    if not check:
        admission = steps.planes.final(steps.state.held).admission
        if admission:
            io.admit_pods(admission)
        note_presence(io, steps.state, steps.changes.kept)
    return steps.report((), {}, {})


def _carry_out(io: HostIO, steps: Steps, check: bool) -> Result:
    # Most runs change nothing and need none of this.
    from .execute import execute, preview  # noqa: PLC0415

    return preview(io, steps) if check else execute(io, steps)


def observe(io: HostIO, request: Request) -> Observation:
    """Return what the node shows, as far as it matters for a request."""
    record, options = Record.load(io), request.state.options
    reading = _with_secret(read_node(io, record), request.tunnel_secret)
    current = read_data_plane(io, reading.host, options, reading.claimed, reading.tables)
    if request.by_unit:
        return Observation(reading, current, (), ())
    surplus = left_over(io, request.state, record.state.options if record else None)
    failover = request.state.failover is not None
    missing = missing_files(io, Parts.of(request.state))
    follow = files.UNIT_DIRECTORY / FOLLOW_UNIT
    if failover and follow not in missing and is_follower_stopped(io):
        # To install the unit starts it.
        missing.append(follow)
    if key_is_missing(io, request.state, request.failover_key):
        missing.append(files.FAILOVER_KEY)
    elif key_is_left_over(io, request.state):
        surplus.append(files.FAILOVER_KEY)
    if not are_saved(io, reading.host.tunnel_secrets, request.state):
        (missing if options.tunnel_keys else surplus).append(files.TUNNEL_SECRETS)
    return Observation(reading, current, missing, surplus, _engine_changes(io, request.state, record))


def _engine_changes(io: HostIO, state: NodeState, record: Record | None) -> EngineChanges:
    """Return the changes of the engines; a node that does not follow pods, and never did, has none."""
    if state.follow is None and (record is None or record.state.follow is None):
        return EngineChanges()
    return engine_changes(io, state.followed_engines)


def _with_secret(reading: Reading, secret: str) -> Reading:
    """Return the reading, with this secret of the tunnel in addition to those that the node has."""
    if not secret:
        return reading
    secrets = {**reading.host.tunnel_secrets, fingerprint(secret): secret}
    return reading._replace(host=replace(reading.host, tunnel_secrets=secrets))
