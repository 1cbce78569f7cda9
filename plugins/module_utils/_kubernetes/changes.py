# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which changes of a cluster's objects need a run. PRIVATE to the collection. Pure.

A run is needed if an EgressIP or Node changes, a Namespace that an EgressIP selects, or the egress IPs of a pod. Status
of EgressIPs, heartbeats of nodes and pods without egress IP change all the time and need no run.
"""

from __future__ import annotations

from typing import Any, Iterable, NamedTuple

from .._common.errors import InvalidError
from .._common.selectors import Selector
from .objects import parse_namespace, parse_pod, read_egressip


class Key(NamedTuple):
    """What names an object."""

    kind: str
    namespace: str
    name: str

    def __str__(self) -> str:
        place = f"{self.namespace}/" if self.namespace else ""
        return f"{self.kind} {place}{self.name}"


class KnownObjects:
    """The objects of a cluster, as documents of `clusters.document_of`. A `place` is the path of a list."""

    def __init__(self) -> None:
        self._documents: dict[Key, Any] = {}
        self._places: dict[str, set[Key]] = {}
        self._selectors: dict[str, tuple[Selector, Selector]] = {}
        self._namespaces: dict[str, Any] = {}

    def replace(self, place: str, documents: Iterable[object]) -> list[str]:
        """Take the complete list of a place; return the objects whose change needs a run, none for the first list."""
        found = {key: document for document in documents for key in _keys(document)}
        is_first, known = place not in self._places, self._places.get(place, set())
        changed = [self._update(place, key, found.get(key)) for key in sorted({*known, *found})]
        # Of an empty list too, the next one is not the first.
        self._places.setdefault(place, set())
        return [] if is_first else [name for name in changed if name]

    def change(self, place: str, document: object, is_deleted: bool) -> list[str]:
        """Take the change of one object; return the object if that needs a run."""
        changed = [self._update(place, key, None if is_deleted else document) for key in _keys(document)]
        return [name for name in changed if name]

    def _update(self, place: str, key: Key, document: Any) -> str:
        """Keep the new document of an object, None for a deleted one; return its name if that needs a run."""
        if key.kind == "EgressIP" and document is not None:
            document = {name: part for name, part in document.items() if name != "status"}
        before, is_first = self._documents.get(key), place not in self._places
        keys = self._places.setdefault(place, set())
        if before == document:
            return ""
        needed = self._is_selected(before) or self._is_selected(document) if key.kind == "Namespace" else True
        if key.kind == "Pod":
            needed = not is_first and self._egress_of(before) != self._egress_of(document)
        if document is None:
            keys.discard(key)
            del self._documents[key]
        else:
            keys.add(key)
            self._documents[key] = document
        self._keep_parsed(key, document)
        return str(key) if needed else ""

    def _keep_parsed(self, key: Key, document: Any) -> None:
        if key.kind == "EgressIP":
            self._selectors.pop(key.name, None)
            egressip = read_egressip(document) if document is not None else None
            if egressip is not None and egressip.namespace_selector is not None and not egressip.errors:
                self._selectors[key.name] = egressip.namespace_selector, egressip.pod_selector or Selector()
        elif key.kind == "Namespace":
            self._namespaces[key.name] = _labels_of_namespace(document)

    def _is_selected(self, namespace: Any) -> bool:
        labels = _labels_of_namespace(namespace)
        return labels is not None and any(selector.matches(labels) for selector, _pods in self._selectors.values())

    def _egress_of(self, document: Any) -> object:
        """Return the addresses and node of a pod, and the EgressIPs that select it; None without any."""
        try:
            pod = parse_pod(document) if document is not None else None
        except InvalidError:
            return None
        labels = self._namespaces.get(pod.namespace) if pod is not None and pod.has_own_traffic else None
        if pod is None or labels is None:
            return None
        names = [
            name
            for name, (namespaces, pods) in self._selectors.items()
            if namespaces.matches(labels) and pods.matches(pod.labels)
        ]
        return (pod.pod_ips, pod.node, sorted(names)) if names else None


def _keys(document: object) -> Iterable[Key]:
    """Yield the key of a document, nothing for a malformed one, which no run can use either."""
    metadata = document.get("metadata") if isinstance(document, dict) else None
    if isinstance(document, dict) and isinstance(metadata, dict) and isinstance(metadata.get("name"), str):
        yield Key(str(document.get("kind")), str(metadata.get("namespace") or ""), metadata["name"])


def _labels_of_namespace(document: Any) -> Any:
    try:
        return None if document is None else parse_namespace(document).labels
    except InvalidError:
        return None
