# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Removal of everything that the collection put on a node. PRIVATE to the collection."""

from __future__ import annotations

from dataclasses import replace

from .._common.errors import EgressIPError
from .._dataplane.options import DataPlaneOptions
from .._dataplane.state import DataPlane, desired_data_plane, held_on, transaction
from .._host_io.host_io import HostIO
from .connections import forget
from .current_state import read_data_plane, read_node, require_node
from .engine_changes import EngineChanges, change_engines
from .engine_install import engine_changes, restore_engines
from .installed_files import present_files, remove_all_files, start_timers, stop_units
from .record import Record
from .result import Difference, NodeOutcome, Result, file_lines, result
from .systemd_units import Parts


def remove(io: HostIO, options: DataPlaneOptions, check: bool = False) -> Result:
    """Remove everything of the collection from this node, or with `check` only show it; returns the module's result.

    The options on record, if there is a record, precede `options`. Raises EgressIPError if something cannot be removed.
    """
    require_node(io)
    with io.lock():
        record = Record.load(io)
        _record, host, tables, claimed = read_node(io, record)
        options = record.state.options if record else options
        current = read_data_plane(io, host, options, claimed, tables)
        # Without a record, the node may have followed pods.
        engines = engine_changes(io, ()) if record is None or record.state.follow else EngineChanges()
        lines = replace(current, sysctls={}).lines() | file_lines([*present_files(io, options), *engines.removed])
        texts = desired_data_plane(record.state, record.marks, host).texts() if record else {}
        if lines and not check:
            change_engines(io, engines)
            _take_down(io, record, options)
        if not check:
            _remove_files(io, options if lines else None)
        return result(Difference(lines, frozenset(), texts), NodeOutcome(released=held_on(host, claimed)))


def _take_down(io: HostIO, record: Record | None, options: DataPlaneOptions) -> None:
    # A unit that runs now would restore what is removed.
    stop_units(io, options)
    try:
        _record, host, tables, claimed = read_node(io, record)
        # Sysctls get their former values from the record.
        current = replace(read_data_plane(io, host, options, claimed, tables), sysctls={})
        io.execute(transaction(current, DataPlane()))
    except EgressIPError:
        start_timers(io, Parts.of(record.state) if record else Parts(options.metrics_dir))
        if record:
            restore_engines(io, record.state)
        raise
    originals = record.original_sysctls if record else {}
    for name in io.read_sysctls(originals):
        io.write_sysctl(name, originals[name])
    forget(io, options, record.marks.values() if record else ())
    if record is None or record.state.follow:
        io.dismiss_pods()


def _remove_files(io: HostIO, options: DataPlaneOptions | None) -> None:
    """Remove the files of a node with these options, None if it has none, and the compiled programs."""
    try:
        if options:
            remove_all_files(io, options)
    finally:
        # Also the one of this call: no other module of it is imported from here on.
        io.remove_programs()
