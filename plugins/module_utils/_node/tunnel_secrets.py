# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The secrets of the tunnel on a node, in a file of their own that only root can read. PRIVATE to the collection.

The record names them by fingerprints only, so it can be shown. Nothing returns a secret to the controller.
"""

from __future__ import annotations

import json
from collections.abc import Mapping

from .._common.json_object import json_object
from .._dataplane.node_state import NodeState
from .._host_io import files
from .._host_io.host_io import HostIO


def load_secrets(io: HostIO) -> dict[str, str] | None:
    """Return {fingerprint: secret}, None without a file. A damaged file has none: a run writes it again."""
    data = io.read_file(files.TUNNEL_SECRETS)
    if data is None:
        return None
    return {str(key): str(text) for key, text in (json_object(data) or {}).items()}


def save_secrets(io: HostIO, secrets: Mapping[str, str], *states: NodeState) -> None:
    """Write those of the secrets that one of the states names, and no file if there are none."""
    content = _content(secrets, *states)
    if content != io.read_file(files.TUNNEL_SECRETS):
        if content is None:
            io.remove_file(files.TUNNEL_SECRETS)
        else:
            io.write_file(files.TUNNEL_SECRETS, content, 0o600)


def are_saved(io: HostIO, secrets: Mapping[str, str], state: NodeState) -> bool:
    """Return whether the file has exactly what a node with this state keeps of these secrets."""
    return io.read_file(files.TUNNEL_SECRETS) == _content(secrets, state)


def _content(secrets: Mapping[str, str], *states: NodeState) -> bytes | None:
    kept = {key: secrets[key] for state in states for key in state.options.tunnel_keys if key in secrets}
    return json.dumps(kept, sort_keys=True).encode() if kept else None
