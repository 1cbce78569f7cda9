# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The metrics of this node, and the file in which Prometheus' node_exporter reads them. PRIVATE to the collection."""

from __future__ import annotations

from pathlib import Path

from .._dataplane.options import DataPlaneOptions
from .._host_io import files
from .._host_io.host_io import HostIO
from . import systemd_units
from .address_conflicts import read_conflicts
from .record import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .metrics import Metrics

_NAME = "egress_ip.prom"


def measure(io: HostIO, record: Record) -> Metrics:
    """Return the metrics of this node, see `_node.metrics`."""
    # Most calls only compare the names of files.
    from .._protocols.conntrack_usage import mark_filters, uses  # noqa: PLC0415
    from .metrics import metrics  # noqa: PLC0415

    options = record.state.options
    counted = io.count_connections(mark_filters(options.mark_mask, max(record.marks.values(), default=0)))
    return metrics(record.state, io.read_counters(), uses(counted), read_conflicts(io))


def write(io: HostIO, record: Record) -> None:
    """Write the metrics to the folder `metrics_dir` on record, if it is set."""
    path = _path(record.state.options)
    if path:
        from .metrics import textfile  # noqa: PLC0415
        from .takeovers import Takeovers  # noqa: PLC0415

        takeovers = Takeovers.load(io, record).total if record.state.failover else None
        io.publish_file(path, textfile(measure(io, record), takeovers).encode())


def left_over(io: HostIO, options: DataPlaneOptions | None, former: DataPlaneOptions | None) -> list[Path]:
    """Return the files that `former` options left and that `options` do not want; with None, they want nothing."""
    wanted, old = _path(options), _path(former)
    units = [] if wanted else [files.UNIT_DIRECTORY / name for name in systemd_units.METRICS_UNITS]
    textfiles = [old] if old and old != wanted else []
    return [path for path in units + textfiles if _exists(io, path)]


def _exists(io: HostIO, path: Path) -> bool:
    # Not read: who may write to the folder of the metrics chooses what the name leads to.
    try:
        return io.file_version(path) != files.NO_FILE
    except OSError:
        # Such as a folder that is a loop of links now.
        return False


def _path(options: DataPlaneOptions | None) -> Path | None:
    """Return the path of the metrics file, None if there is to be none."""
    return Path(options.metrics_dir, _NAME) if options and options.metrics_dir else None
