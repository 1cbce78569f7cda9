# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The metrics of this node, read and written to Prometheus' textfile; and what is there for that alone. PRIVATE."""

from __future__ import annotations

from pathlib import Path

from .._host_io import node_io
from .._protocols.conntrack_usage import mark_filters, uses
from . import systemd_units
from .metrics import metrics, textfile

_NAME = "egress_ip.prom"


def measure(record):
    """Return the metrics of this node (see `_node.module.metrics`)."""
    options = record.state.options
    counted = node_io.count_connections(mark_filters(options.mark_mask, max(record.marks.values(), default=0)))
    return metrics(record.state, node_io.read_counters(), uses(counted))


def write(record):
    """Write the metrics where `metrics_dir` of the record says, if it does."""
    for path in _path(record.state.options):
        node_io.publish(path, textfile(measure(record)).encode())


def left_over(options, former):
    """Return what is there from a time with the options `former` and not wanted with `options`; None wants nothing."""
    units = (
        ()
        if options and options.metrics_dir
        else map(systemd_units.UNIT_DIRECTORY.joinpath, systemd_units.METRICS_UNITS)
    )
    files = () if former is None else (path for path in _path(former) if path not in _path(options))
    return [path for path in (*units, *files) if node_io.read_file(path) is not None]


def _path(options):
    """Return the path of the textfile in a tuple, which is empty when there is to be none."""
    return (Path(options.metrics_dir, _NAME),) if options and options.metrics_dir else ()
