# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The record of the last run on a node. PRIVATE to the collection."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from .._common.errors import CommandError, EgressIPError, NodeStateError
from .._dataplane.closed import closed_policies, closed_ruleset
from .._dataplane.node_state import NodeState, known_keys
from .._host_io import files
from .._host_io.host_io import HostIO

_KEYS = ("state", "requested_digest", "marks", "original_sysctls")
_REMOVE_IT = "remove it to start without a record"


@dataclass(frozen=True)
class Record:
    """What was applied last: the state, its marks {egress IP: index}, and the sysctls {name: original value}.

    `requested_digest` is the digest of the requested state; `state` lacks the addresses that could not be claimed.
    """

    state: NodeState
    requested_digest: str
    marks: Mapping[str, int]
    original_sysctls: Mapping[str, str]

    @classmethod
    def load(cls, io: HostIO) -> Record | None:
        """Return the record of this node, None before the first run; its copy if the record is damaged.

        Raises CommandError or NodeStateError if both are damaged.
        """
        try:
            data = io.read_file(files.STATE_FILE)
            return None if data is None else cls._parse(data)
        except EgressIPError:
            with contextlib.suppress(EgressIPError):
                copy = io.read_file(files.STATE_COPY)
                if copy is not None:
                    return cls._parse(copy)
            raise

    @classmethod
    def _parse(cls, text: bytes) -> Record:
        path = str(files.STATE_FILE)
        try:
            data = json.loads(text)
        except (ValueError, RecursionError) as error:
            raise CommandError(f"{path}: cannot be read: {error}; {_REMOVE_IT}") from None
        record = cls._from_data(data, path)
        if record is None:
            raise NodeStateError(f"{path}: is not a record of this collection; {_REMOVE_IT}")
        return record

    @classmethod
    def _from_data(cls, data: object, path: str) -> Record | None:
        """Return the record, None if `data` has another form. Raises InvalidError with every error of its state."""
        if not isinstance(data, dict) or not {*_KEYS} <= set(data):
            return None
        state, requested_digest, marks, original_sysctls = (data[key] for key in _KEYS)
        mappings = (state, marks, original_sysctls, state.get("options") if isinstance(state, dict) else None)
        if not isinstance(requested_digest, str) or not all(isinstance(item, dict) for item in mappings):
            return None
        record = cls(NodeState.from_dict(known_keys(state), path), requested_digest, marks, original_sysctls)
        numbered = all(isinstance(marks.get(ip), int) for ip in record.state.egress_ips)
        texts = all(isinstance(value, str) for value in original_sysctls.values())
        return record if numbered and texts else None

    def save(self, io: HostIO) -> None:
        """Write the record, its copy, and what closes the node if neither can be used, readable by root only.

        The record is written in any case: the failover program then looks at its addresses at once. What is the same
        already may stay, so a full disk does not prevent the return to a former record. Raises CommandError if a change
        cannot be written.
        """
        data = json.dumps({**self.__dict__, "state": self.state.to_dict()}, sort_keys=True).encode()
        closed = {
            files.CLOSED_RULES: closed_ruleset(self.state, self.marks).encode(),
            files.CLOSED_POLICIES: closed_policies(self.state).encode(),
        }
        for path, text in closed.items():
            if io.read_file(path) != text:
                io.write_file(path, text, 0o600)
        for path in (files.STATE_FILE, files.STATE_COPY):
            try:
                io.write_file(path, data, 0o600)
            except CommandError:
                if io.read_file(path) != data:
                    raise

    @staticmethod
    def paths() -> tuple[Path, ...]:
        """Return the files that a record consists of."""
        return files.STATE_FILE, files.STATE_COPY, files.CLOSED_RULES, files.CLOSED_POLICIES

    @property
    def claimed(self) -> frozenset[str]:
        """Return the egress IPs on record as held."""
        return frozenset(item.egress_ip for item in self.state.held)
