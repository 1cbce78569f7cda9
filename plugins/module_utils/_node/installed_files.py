# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The files of a node: program, units, record, metrics. PRIVATE to the collection."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Mapping
from pathlib import Path

from .._dataplane.node_state import NodeState
from .._dataplane.options import DataPlaneOptions
from .._host_io import files
from .._host_io.host_io import HostIO
from .._host_io.plugin_sources import WHOLE_PREFIX
from . import metrics_file, systemd_units, zipapp
from .record import Record
from .systemd_units import Parts

# Seconds until systemd reads new units.
_RELOAD_AFTER = 1
# Seconds until the program that follows the egress IPs starts again: the reload has ended, and so has the run.
_RESTART_AFTER = 3


def missing_files(io: HostIO, parts: Parts) -> list[Path]:
    """Return the files and links that a node with these parts needs and that are missing or differ."""
    wanted = {path: data for path, (data, _mode) in _node_files(io, parts).items()}
    links = systemd_units.links(parts)
    wanted.update({link: wanted[unit] for link, unit in links.items()})
    missing = [path for path, data in wanted.items() if io.read_file(path) != data]
    contents = {path: io.read_file(path) for path in Record.paths()}
    missing += [path for path, data in contents.items() if data is None]
    if files.STATE_FILE not in missing and contents[files.STATE_FILE] != contents[files.STATE_COPY]:
        missing.append(files.STATE_FILE)
    return missing


def is_follower_stopped(io: HostIO) -> bool:
    """Return whether the unit that a failover needs does not run, and systemd will not start it again."""
    state = io.run(["systemctl", "is-active", systemd_units.FOLLOW_UNIT]).stdout.strip()
    return state in ("inactive", "failed")


def left_over(io: HostIO, state: NodeState | None, former: DataPlaneOptions | None) -> list[Path]:
    """Return the files that exist and that `state` does not want, of a node with `former` options; None: nothing."""
    follow = files.UNIT_DIRECTORY / systemd_units.FOLLOW_UNIT
    unwanted = (state is None or state.failover is None) and io.read_file(follow) is not None
    metrics = metrics_file.left_over(io, state.options if state else None, former)
    return [*([follow] if unwanted else ()), *metrics]


def present_files(io: HostIO, options: DataPlaneOptions) -> list[Path]:
    """Return the files of a node with these options that exist and last."""
    return [path for path in _lasting(io) if io.read_file(path) is not None] + left_over(io, None, options)


def install(io: HostIO, missing: Collection[Path], parts: Parts) -> None:
    """Write the missing files, and enable and start the units. Raises CommandError if that fails."""
    if not missing:
        return
    restarts = parts.failover and _must_restart_follower(io, missing, parts)
    for path, (data, mode) in _node_files(io, parts).items():
        if path in missing:
            io.write_file(path, data, mode)
        if path in missing and path == files.PROGRAM_FILE:
            # This call imports more of its own, also if that is another program.
            io.remove_programs(kept=(f"{WHOLE_PREFIX}{hashlib.sha256(data).hexdigest()}", zipapp.FOLDER))
    io.check(["systemctl", "enable", "--quiet", "--no-reload", *systemd_units.enabled_units(parts)])
    start_timers(io, parts)
    if restarts:
        # Its addresses stay while it restarts.
        io.run_later(_RESTART_AFTER, ["systemctl", "restart", systemd_units.FOLLOW_UNIT])
    # systemd then reads changed units and the drop-in of nftables.service. It takes systemd long, and no step of a run
    # needs it.
    io.run_later(_RELOAD_AFTER, ["systemctl", "daemon-reload"])


def _must_restart_follower(io: HostIO, missing: Collection[Path], parts: Parts) -> bool:
    """Return whether the unit of a failover goes on with an older program or definition when it is started."""
    unit = files.UNIT_DIRECTORY / systemd_units.FOLLOW_UNIT
    present = io.read_file(unit)
    if present is None:
        return False
    # systemd may have the definition in memory also while the unit is stopped.
    if present != _node_files(io, parts)[unit][0]:
        return True
    return files.PROGRAM_FILE in missing and not is_follower_stopped(io)


def run_program_later(io: HostIO, seconds: float, command: str) -> None:
    """Let systemd run a command of the program after some seconds, compiled if this call is."""
    program = zipapp.FOLDER if zipapp.FOLDER.startswith(WHOLE_PREFIX) else files.PROGRAM_FILE
    io.run_later(seconds, [io.interpreter(), "-I", str(program), command])


def stop_units(io: HostIO, options: DataPlaneOptions) -> None:
    """Stop all units. A unit that is stopped while it runs counts as failed and starts CLOSED_UNIT, so that is last."""
    installed = _node_files(io, Parts(options.metrics_dir, failover=True))
    units = [path.name for path in installed if path.parent == files.UNIT_DIRECTORY]
    io.stop_units(unit for unit in units if unit != systemd_units.CLOSED_UNIT)
    io.stop_units([systemd_units.CLOSED_UNIT])


def start_timers(io: HostIO, parts: Parts) -> None:
    """Start the timers, and the unit of a failover, without waiting for them. Raises CommandError if that fails."""
    units = [*systemd_units.timers(parts), *((systemd_units.FOLLOW_UNIT,) if parts.failover else ())]
    io.check(["systemctl", "start", "--quiet", "--no-block", *units])


def remove_all_files(io: HostIO, options: DataPlaneOptions) -> None:
    """Remove the files and units of a node with these options. Raises CommandError if systemd refuses."""
    io.remove_files([*left_over(io, None, options), *_lasting(io), *_volatile()])


def _volatile() -> tuple[Path, ...]:
    """Return the files that do not outlive a boot."""
    return (
        files.WATCH_FILE,
        files.LOST_FILE,
        files.CONFLICTS_FILE,
        files.TAKEOVERS_FILE,
        files.NETWORKS_FILE,
        files.YIELDED_FILE,
    )


def _node_files(io: HostIO, parts: Parts) -> Mapping[Path, tuple[bytes, int]]:
    return systemd_units.node_files(io.interpreter(), parts)


def _lasting(io: HostIO) -> tuple[Path, ...]:
    """Return the files of any node but those of the metrics."""
    return (*systemd_units.node_files(io.interpreter()), *Record.paths(), files.TUNNEL_SECRETS, files.FAILOVER_KEY)
