# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a node shows now: its record, its host and its data plane. PRIVATE to the collection."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace
from typing import Mapping, NamedTuple

from .._common.errors import NodeStateError
from .._dataplane.esp import IPSEC
from .._dataplane.host import Host
from .._dataplane.nft_networks import closes_unknown
from .._dataplane.nft_ruleset import held_by
from .._dataplane.nft_table import TableState
from .._dataplane.node_state import Held
from .._dataplane.options import DataPlaneOptions
from .._dataplane.state import FORWARDING, DataPlane, current_data_plane, held_on, not_routing, sysctl_names
from .._host_io.host_io import HostIO
from .record import Record
from .takeovers import Takeovers
from .tunnel_secrets import load_secrets

Tables = Mapping[str, TableState]
_ACCEPT_RA = ("net.ipv6.conf.", ".accept_ra")


class Reading(NamedTuple):
    """One reading of a node. `claimed` are the egress IPs that it holds or may hold: those on record and those that it
    takes over just now, if there is a record, else those in its tables.
    """

    record: Record | None
    host: Host
    tables: Tables
    claimed: Collection[str]


def require_node(io: HostIO, options: DataPlaneOptions | None = None) -> None:
    """Raise NodeStateError with everything that this host lacks to be a node, with these options if there are any."""
    missing = missing_requirements(io, options)
    if missing:
        raise NodeStateError(", ".join(missing))


def missing_requirements(io: HostIO, options: DataPlaneOptions | None) -> list[str]:
    """Return what this host lacks to be a node with these options, one sentence with the fix for each."""
    missing = io.missing_requirements()
    if missing or options is None or options.tunnel_encryption != IPSEC:
        return missing
    return io.esp_problems(options.tunnel_port)


def read_node(io: HostIO, record: Record | None) -> Reading:
    """Return the reading of a node with this record."""
    host, tables = read_host(io, record), io.read_tables()
    return Reading(record, host, tables, _claimed(io, record) if record else held_by(tables))


def _claimed(io: HostIO, record: Record) -> Collection[str]:
    """Return the egress IPs that a node holds. A takeover is noted before the address is added, which is before the
    record has it.
    """
    return record.claimed.union(Takeovers.load(io, record).taken if record.state.failover else ())


def held_on_record(record: Record, host: Host) -> tuple[Held, ...]:
    """Return the egress IPs on record that the host holds. An address with the label may belong to no object."""
    return tuple(item for item in held_on(host, record.claimed) if item.egress_ip in record.marks)


def read_host(io: HostIO, record: Record | None) -> Host:
    """Return the Host. An interface that accepted router advertisements on record still does, even if none came yet."""
    prefix, suffix = _ACCEPT_RA
    originals = record.original_sysctls if record else {}
    host = io.read_host([name[len(prefix) : -len(suffix)] for name in originals if name.endswith(suffix)])
    tables = {} if record else io.read_tables()
    host = replace(host, not_routing=not_routing(io.read_sysctls(FORWARDING.values()), originals, tables))
    if record is not None and closes_unknown(record.state):
        host = replace(host, idle_networks=io.idle_networks())
    secrets = load_secrets(io)
    encrypted = record is not None and record.state.options.tunnel_encryption == IPSEC
    # Nodes without encryption do not pay for it. Without a record, states of an earlier installation may be left.
    if record is not None and not encrypted and secrets is None:
        return host
    return replace(host, esp=io.read_esp(), tunnel_secrets=secrets or {})


def read_data_plane(
    io: HostIO, host: Host, options: DataPlaneOptions, claimed: Collection[str], tables: Tables | None = None
) -> DataPlane:
    """Return the DataPlane that the host shows now; reads the tables unless they are given."""
    sysctls = io.read_sysctls(sysctl_names(host, options.tunnel_device))
    return current_data_plane(host, io.read_tables() if tables is None else tables, sysctls, options, claimed)
