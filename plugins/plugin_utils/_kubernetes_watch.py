# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Follows the objects of a cluster by watches, in a thread for each list. PRIVATE to the collection.

A watch may end at any time: it continues from the version of the last event or bookmark. A version that the server has
forgotten (410 Gone) needs a new list. Failures are reported, and tried again after a pause that grows.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from threading import Event
from typing import Any, Protocol

from ansible_collections.netops.egress_ip.plugins.module_utils._kubernetes.clusters import (
    Cluster,
    ListRequest,
    document_of,
)
from ansible_collections.netops.egress_ip.plugins.plugin_utils._kubernetes_api import Api, ApiError
from ansible_collections.netops.egress_ip.plugins.plugin_utils._kubernetes_source import GONE, read_version, version_of

# The server ends a watch after these seconds, so that a connection that is dead without a sign is noticed.
_WATCH_SECONDS = 30
_LONGEST_PAUSE = 60.0


class Receiver(Protocol):
    """Takes what is found; its methods are called in the threads."""

    def listed(self, place: str, documents: list[object]) -> None:
        """Take a complete list."""

    def changed(self, place: str, document: object, is_deleted: bool) -> None:
        """Take a change of one object."""

    def failed(self, place: str, text: str) -> None:
        """Take the reason for which a list or watch failed."""


def follow(
    cluster: Cluster, find: Callable[[str, str], str], request: ListRequest, receiver: Receiver, stopping: Event
) -> None:
    """Report the list of a request and then all changes, until `stopping` is set."""
    pause = 0.0
    while not stopping.is_set():
        try:
            # The credentials are read again each time, since tokens expire.
            api = Api(cluster, find)
            version = _list(api, cluster, request, receiver)
            while not stopping.is_set():
                version = _watch(api, cluster, request, version, receiver, stopping)
                pause = 0.0
        except ApiError as error:
            is_usual = error.code == GONE and not pause
            pause = min(max(1.0, 2 * pause), _LONGEST_PAUSE)
            if not is_usual:
                receiver.failed(request.path, str(error))
                stopping.wait(pause * random.uniform(0.5, 1))  # noqa: S311 - not for cryptography


def _list(api: Api, cluster: Cluster, request: ListRequest, receiver: Receiver) -> str:
    """Report the list and return its version, empty for one object."""

    def convert(item: object) -> object:
        return document_of(item, request.kind, cluster.name)

    if request.is_object:
        receiver.listed(request.path, [convert(api.get(request.path))])
        return ""
    documents, version = read_version(api, cluster, request, convert)
    receiver.listed(request.path, documents)
    return version


def _watch(api: Api, cluster: Cluster, request: ListRequest, version: str, receiver: Receiver, stopping: Event) -> str:
    """Report the changes after a version until the server ends the watch; return the version of the last one."""
    if request.is_object:
        # The right to get one namespace does not include a watch.
        stopping.wait(_WATCH_SECONDS)
        return _list(api, cluster, request, receiver)
    query = {"watch": 1, "resourceVersion": version, "allowWatchBookmarks": "true", "timeoutSeconds": _WATCH_SECONDS}
    for event in api.watch(request.path, query, _WATCH_SECONDS + cluster.timeout):
        item: Any = event.get("object")
        kind = event.get("type")
        if kind == "ERROR" or not isinstance(item, dict):
            raise _error(cluster, api, request, item)
        version = version_of(item) or version
        if kind != "BOOKMARK":
            receiver.changed(request.path, document_of(item, request.kind, cluster.name), kind == "DELETED")
        if stopping.is_set():
            break
    return version


def _error(cluster: Cluster, api: Api, request: ListRequest, status: Any) -> ApiError:
    code = status.get("code") if isinstance(status, dict) else None
    text = f"{cluster.path}: {api.url} ended the watch of {request.path} with the status {code}"
    return ApiError(text, code if isinstance(code, int) else 0)
