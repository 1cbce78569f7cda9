# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Writes the status of EgressIP objects and the Events of moves, on the controller. PRIVATE to the collection."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ansible_collections.netops.egress_ip.plugins.module_utils._common.errors import EgressIPError
from ansible_collections.netops.egress_ip.plugins.module_utils._kubernetes.clusters import Cluster, ListRequest
from ansible_collections.netops.egress_ip.plugins.module_utils._kubernetes.status import (
    EVENT_NAMESPACE,
    ClusterOutcome,
    StatusChange,
    move_event,
    status_changes,
)
from ansible_collections.netops.egress_ip.plugins.plugin_utils._kubernetes_api import Api, ApiError
from ansible_collections.netops.egress_ip.plugins.plugin_utils._kubernetes_source import read_list

_PATH = "/apis/k8s.ovn.org/v1/egressips"


class StatusWriter:
    """Writes the outcome of a run into clusters, and keeps what was written and what failed."""

    def __init__(self, reached: ClusterOutcome, moment: str, check_mode: bool) -> None:
        """Take the ClusterOutcome, the time of the Events in RFC 3339 form, and whether to write nothing."""
        self._reached, self._moment, self._check_mode = reached, moment, check_mode
        self._written: list[tuple[str, StatusChange]] = []
        self._failures: list[str] = []

    def write(self, cluster: Cluster, find: Callable[[str, str], str]) -> None:
        """Write the objects of one cluster. One failed object does not stop the others, but a silent API server
        does."""
        try:
            api = Api(cluster, find)
            listed = read_list(api, cluster, ListRequest("EgressIP", _PATH), lambda item: item)
        except EgressIPError as error:
            self._failures.append(f"the status of EgressIPs is not written: {error}")
            return
        changes = status_changes(cluster.name, listed, self._reached)
        for position, change in enumerate(changes, 1):
            if not self._write(api, cluster.name, change):
                # Each of the others would take as long.
                left = len(changes) - position
                text = (
                    f"the status of the other EgressIPs ({left}) is not written, since the API server gives no answer"
                )
                self._failures += [f"{cluster.path}: {text}"] if left else []
                return

    def result(self) -> dict[str, Any]:
        """Return `changed`, `written`, `failures` and the diff."""
        shown = {f"{cluster}.{each.name}" if cluster else each.name: each for cluster, each in self._written}
        before, after = ({name: getattr(shown[name], key) for name in shown} for key in ("before", "after"))
        result = {"changed": bool(shown), "written": sorted(shown), "failures": self._failures}
        return {**result, "diff": {"before": before, "after": after}} if shown else result

    def _write(self, api: Api, cluster: str, change: StatusChange) -> bool:
        """Write an object and the Events of its moves, and return whether the API server answered."""
        if not self._check_mode:
            try:
                api.patch(f"{_PATH}/{change.name}/status", {"status": {"items": change.after}})
            except ApiError as error:
                self._failures.append(f"egressip/{change.name}: the status is not written: {error}")
                return error.code > 0
        self._written.append((cluster, change))
        return self._check_mode or self._write_events(api, change)

    def _write_events(self, api: Api, change: StatusChange) -> bool:
        """Write the Events of the moves, and return whether the API server answered."""
        for move in change.moves:
            try:
                api.create(f"/api/v1/namespaces/{EVENT_NAMESPACE}/events", move_event(change, move, self._moment))
            except ApiError as error:
                where = f"egressip/{change.name}: {move['egressIP']}"
                self._failures.append(f"{where}: the Event of a move is not written: {error}")
                if not error.code:
                    return False
        return True
