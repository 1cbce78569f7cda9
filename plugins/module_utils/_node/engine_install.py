# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The container engines of a node that start our program with each pod. PRIVATE to the collection."""

from __future__ import annotations

from collections.abc import Collection

from .._common.network_names import PODMAN
from .._dataplane.followed_pods import KUBERNETES
from .._dataplane.node_state import NodeState
from .._host_io.host_io import HostIO
from .engine_changes import EngineChanges, change_engines


def engine_changes(io: HostIO, engines: Collection[str]) -> EngineChanges:
    """Return the changes after which these engines start our program, and no others."""
    # Most nodes follow no pods, and load none of this.
    from .cni_install import cni_changes  # noqa: PLC0415
    from .hook_install import hook_changes  # noqa: PLC0415

    parts = (cni_changes(io, KUBERNETES in engines), hook_changes(io, PODMAN in engines))
    return EngineChanges(
        tuple(item for part in parts for item in part.lists),
        tuple(item for part in parts for item in part.files),
        "; ".join(part.problem for part in parts if part.problem),
    )


def restore_engines(io: HostIO, state: NodeState) -> None:
    """Let the engines of a node that keeps this state start our program again, so that pods get their class."""
    if state.follow:
        change_engines(io, engine_changes(io, state.followed_engines))
