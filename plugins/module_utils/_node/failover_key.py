# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The key with which the nodes of a fleet call each other, in a file that only root can read. PRIVATE.

A run makes a new key unless all nodes have the same one. The record has its fingerprint only, so it can be shown.
"""

from __future__ import annotations

from .._common.errors import ConflictError
from .._dataplane.esp import fingerprint
from .._dataplane.node_state import NodeState
from .._host_io import files
from .._host_io.host_io import HostIO


def load_key(io: HostIO, state: NodeState) -> str:
    """Return the key that the node has for this state, empty if there is none."""
    text = (io.read_file(files.FAILOVER_KEY) or b"").decode(errors="replace")
    return text if text and state.failover and fingerprint(text) == state.failover.key else ""


def key_is_missing(io: HostIO, state: NodeState, new: str) -> bool:
    """Return whether the node has to save the key `new` for this state. Raises ConflictError if it is another one."""
    wanted = state.failover.key if state.failover else ""
    if not wanted or load_key(io, state):
        return False
    if fingerprint(new) != wanted:
        raise ConflictError("failover_key: this node has no key of the plan; pass the key with which the plan was made")
    return True


def save_key(io: HostIO, key: str) -> None:
    """Save the key of the fleet. Raises CommandError if that fails."""
    io.write_file(files.FAILOVER_KEY, key.encode(), 0o600)


def key_is_left_over(io: HostIO, state: NodeState) -> bool:
    """Return whether the node has a key and needs none."""
    return not (state.failover and state.failover.key) and io.read_file(files.FAILOVER_KEY) is not None
