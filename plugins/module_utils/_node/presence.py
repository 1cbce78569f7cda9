# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the watch of a node checks. PRIVATE to the collection."""

from __future__ import annotations

from .._common.addresses import version_of
from .._dataplane.node_state import Held, NodeState
from .._host_io.host_io import HostIO


def note_presence(io: HostIO, state: NodeState, held: tuple[Held, ...]) -> None:
    """Note for the watch what this node holds, and its endpoints, which it needs to work as a holder."""
    versions = sorted({version_of(item.egress_ip) for item in held})
    io.note_presence(state.options.tunnel_device, held, map(state.endpoint, versions))
