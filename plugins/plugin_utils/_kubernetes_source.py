# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Reads the objects of clusters as documents, on the controller. PRIVATE to the collection.

A list is read completely or the run stops: a part of the pods must not be taken for all.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from ansible_collections.netops.egress_ip.plugins.module_utils._common.gc_pause import paused_collector
from ansible_collections.netops.egress_ip.plugins.module_utils._common.messages import type_name
from ansible_collections.netops.egress_ip.plugins.module_utils._kubernetes.clusters import (
    Cluster,
    ListRequest,
    document_of,
    list_requests,
)
from ansible_collections.netops.egress_ip.plugins.plugin_utils._documents import Documents
from ansible_collections.netops.egress_ip.plugins.plugin_utils._kubernetes_api import Api, ApiError

_PAGE = 500
# A server that never ends its list.
_MAX_PAGES = 4000
# How often a list begins again whose next page the server has forgotten.
_ATTEMPTS = 3
# The status of a version or page that the server has forgotten.
GONE = 410
_NOT_FOUND = 404
# Finished pods send no packets, and a cluster may keep thousands.
_RUNNING = "status.phase!=Succeeded,status.phase!=Failed"


@paused_collector()
def read_objects(cluster: Cluster, find: Callable[[str, str], str], documents: Documents) -> None:
    """Add the objects of a cluster. Raises ApiError unless all lists were read; then no document is added."""
    api = Api(cluster, find)
    found = [(request, _read(api, cluster, request)) for request in list_requests(cluster)]
    if not api.is_verified:
        documents.ignored.append(f"{cluster.path}: the certificate of {api.url} is not verified")
    for request, items in found:
        for index, item in enumerate(items):
            source = f"{cluster.path}: {request.path}[{index}]"
            documents.add(item, source)


def _read(api: Api, cluster: Cluster, request: ListRequest) -> list[object]:
    """Return the documents of a list or object."""
    try:
        if request.is_object:
            return [document_of(api.get(request.path), request.kind, cluster.name)]
        return read_list(api, cluster, request, lambda item: document_of(item, request.kind, cluster.name))
    except ApiError as error:
        if error.code == _NOT_FOUND:
            raise ApiError(f"{error}; {_missing(request)}", error.code) from error
        raise


def read_list(api: Api, cluster: Cluster, request: ListRequest, convert: Callable[[object], object]) -> list[object]:
    """Return the converted items of all pages; begin again when the server has forgotten the next page."""
    return read_version(api, cluster, request, convert)[0]


def read_version(
    api: Api, cluster: Cluster, request: ListRequest, convert: Callable[[object], object]
) -> tuple[list[object], str]:
    """Return the converted items of all pages, and the version of the list."""
    for _attempt in range(_ATTEMPTS):
        try:
            # Page by page, since the items are many times as large as the documents.
            found: list[object] = []
            version = ""
            for page, version_of_page in _pages(api, cluster, request):
                found += [convert(item) for item in page]
                version = version_of_page
            return found, version
        except ApiError as error:
            if error.code != GONE:
                raise
    raise ApiError(f"{cluster.path}: {api.url} forgot the pages of {request.path} {_ATTEMPTS} times; run again")


def version_of(document: Mapping[str, Any]) -> str:
    """Return the version of a list or object, empty if it has none."""
    metadata = document.get("metadata")
    return str(metadata.get("resourceVersion") or "") if isinstance(metadata, Mapping) else ""


def _pages(api: Api, cluster: Cluster, request: ListRequest) -> Iterator[tuple[list[object], str]]:
    """Yield the items of each page, and the version of the list."""
    query: dict[str, Any] = {"limit": _PAGE, **({"fieldSelector": _RUNNING} if request.kind == "Pod" else {})}
    for _page in range(_MAX_PAGES):
        answer = api.get(request.path, query)
        items, metadata = answer.get("items"), answer.get("metadata")
        if answer.get("kind") != f"{request.kind}List" or not isinstance(items or [], list):
            found = answer.get("kind")
            shown = f"'{found}'" if isinstance(found, str) else type_name(found)
            text = f"answers {request.path} with {shown}, not with a {request.kind}List"
            raise ApiError(f"{cluster.path}: {api.url} {text}")
        yield items or [], version_of(answer)
        token = metadata.get("continue") if isinstance(metadata, Mapping) else None
        if not token:
            return
        query = {**query, "continue": str(token)}
    raise ApiError(f"{cluster.path}: {api.url} has more than {_MAX_PAGES * _PAGE} objects at {request.path}")


def _missing(request: ListRequest) -> str:
    if request.is_object:
        return "a namespace that was deleted must be removed from namespaces"
    return f"apply docs/kubernetes/egressip-crd.yaml, or leave {request.kind} out of kinds"
