# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a node keeps of its last run, and what it shows now. PRIVATE to the collection."""

from __future__ import annotations

import sys
from dataclasses import dataclass

from .._common.errors import NodeStateError
from .._dataplane.nft_ruleset import held_by
from .._dataplane.node_state import NodeState, known_keys
from .._dataplane.state import current_data_plane, sysctl_names
from .._host_io import node_io
from . import systemd_units


@dataclass(frozen=True)
class Record:
    """What was applied last: the state, its marks, and the sysctls as they were before us.

    `asked` is the digest of what was asked for; the state lacks the addresses that could not be claimed.
    """

    state: NodeState
    asked: str
    marks: dict
    former: dict

    @classmethod
    def load(cls):
        """Return the record of this node, None when nothing was applied yet."""
        data = node_io.load()
        if data is None:
            return None
        path = str(node_io.STATE_FILE)
        try:
            state = NodeState.from_dict(known_keys(data["state"]), path)
            record = cls(state, data["asked"], data["marks"], data["former"])
            sound = isinstance(record.asked, str) and isinstance(record.former, dict) and record._numbers_everything()
        except (KeyError, TypeError):
            sound = False
        if not sound:
            raise NodeStateError(f"{path}: is not a record of this collection; remove it to start anew")
        return record

    def save(self):
        """Write the record."""
        node_io.save({**self.__dict__, "state": self.state.to_dict()})

    @property
    def claimed(self):
        """Return the egress IPs on record as held."""
        return {item.egress_ip for item in self.state.held}

    def _numbers_everything(self):
        return all(isinstance(self.marks[ip], int) for ip in self.state.egress_ips)


def look(record):
    """Return what this host shows. What heeded router advertisements before us goes on: after a boot none was heard."""
    prefix, suffix = "net.ipv6.conf.", ".accept_ra"
    names = [name for name in (record.former if record else ()) if name.endswith(suffix)]
    return node_io.read_host([name[len(prefix) : -len(suffix)] for name in names])


def read(host, options, claimed, tables=None):
    """Return the DataPlane that the host shows now; `tables` if they are known."""
    sysctls = node_io.read_sysctls(sysctl_names(host, options.tunnel_device))
    return current_data_plane(host, node_io.read_tables() if tables is None else tables, sysctls, options, claimed)


def claimed_by(record, tables):
    """Return the egress IPs that this node holds for sure or maybe. Without a record our own tables tell."""
    return record.claimed if record else held_by(tables)


def missing_files(options):
    """Return the paths of what the node should keep and does not, or not as it should: files, links, the record."""
    metrics = bool(options.metrics_dir)
    wanted = {path: data for path, (data, _mode) in systemd_units.files(sys.executable, metrics).items()}
    wanted.update({link: wanted[unit] for link, unit in systemd_units.links(metrics).items()})
    missing = [path for path, data in wanted.items() if node_io.read_file(path) != data]
    return missing + ([] if node_io.read_file(node_io.STATE_FILE) else [node_io.STATE_FILE])
