# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The record of the last run on a node. PRIVATE to the collection."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from .._common.errors import NodeStateError
from .._dataplane.node_state import NodeState, known_keys
from .._host_io import files
from .._host_io.host_io import HostIO


@dataclass(frozen=True)
class Record:
    """What was applied last: the state, its marks {egress IP: index}, and the sysctls {name: former value}.

    `asked` is the digest of the requested state; `state` lacks the addresses that could not be claimed.
    """

    state: NodeState
    asked: str
    marks: Mapping[str, int]
    former: Mapping[str, str]

    @classmethod
    def load(cls, io: HostIO) -> Record | None:
        """Return the record of this node, None before the first run.

        Raises CommandError if it cannot be read, and NodeStateError if it is not a record.
        """
        data = io.load_record()
        if data is None:
            return None
        path = str(files.STATE_FILE)
        record = cls._parse(data, path)
        if record is None:
            raise NodeStateError(f"{path}: is not a record of this collection; remove it to start without a record")
        return record

    @classmethod
    def _parse(cls, data: object, path: str) -> Record | None:
        """Return the record, None if `data` has another form. Raises InvalidError with every error of its state."""
        if not isinstance(data, dict) or not {"state", "asked", "marks", "former"} <= set(data):
            return None
        state, asked, marks, former = (data[key] for key in ("state", "asked", "marks", "former"))
        mappings = (state, marks, former, state.get("options") if isinstance(state, dict) else None)
        if not isinstance(asked, str) or not all(isinstance(item, dict) for item in mappings):
            return None
        record = cls(NodeState.from_dict(known_keys(state), path), asked, marks, former)
        numbered = all(isinstance(marks.get(ip), int) for ip in record.state.egress_ips)
        return record if numbered else None

    def save(self, io: HostIO) -> None:
        """Write the record. Raises CommandError if that fails."""
        io.save_record({**self.__dict__, "state": self.state.to_dict()})

    @property
    def claimed(self) -> frozenset[str]:
        """Return the egress IPs on record as held."""
        return frozenset(item.egress_ip for item in self.state.held)
