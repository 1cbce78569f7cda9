# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Take everything of ours off a node. PRIVATE to the collection."""

from __future__ import annotations

import sys
from dataclasses import replace

from .._common.errors import NodeStateError
from .._dataplane.state import DataPlane, desired_data_plane, held_on, result_of, transaction
from .._host_io import node_io
from . import metrics_file, systemd_units
from .apply import remove_files
from .connections import forget
from .record import Record, claimed_by, look, read


def remove(options, check=False):
    """Take everything of ours off this node; returns what the module `node` returns."""
    missing = node_io.missing_requirements()
    if missing:
        raise NodeStateError("; ".join(missing))
    with node_io.lock():
        record = Record.load()
        host = look(record)
        options = record.state.options if record else options
        tables = node_io.read_tables()
        claimed = claimed_by(record, tables)
        before = replace(read(host, options, claimed, tables), sysctls={})
        left = [
            path
            for path in (*systemd_units.files(sys.executable), node_io.STATE_FILE)
            if node_io.read_file(path) is not None
        ] + metrics_file.left_over(None, options)
        lines = before.lines() | {f"file {path}" for path in left}
        known = desired_data_plane(record.state, record.marks, host).texts() if record else {}
        if lines and not check:
            _take_down(before, record, options)
        released = [item.egress_ip for item in held_on(host, claimed)]
        return {
            **result_of(lines, frozenset(), known),
            "held": [],
            "released": released,
            "claimed": [],
            "connections": {},
            "conflicts": [],
        }


def _take_down(before, record, options):
    node_io.execute(transaction(before, DataPlane()))
    former = record.former if record else {}
    for name in node_io.read_sysctls(former):
        node_io.write_sysctl(name, former[name])
    forget(options, record.marks.values() if record else ())
    remove_files(options)
