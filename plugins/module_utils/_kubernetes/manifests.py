# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""From documents to what the planner and the nodes need. PRIVATE to the collection."""

from __future__ import annotations

from dataclasses import dataclass

from .._common.errors import EgressIPError, InvalidError
from .._common.messages import pasted_hint, quote, type_name
from .._common.validation import did_you_mean, plain
from .annotations import has_pool
from .objects import (
    API_VERSIONS,
    NO_DOCUMENT,
    EgressIP,
    Namespace,
    Node,
    Pod,
    implicit_namespace,
    object_path,
    parse_egressip,
    parse_namespace,
    parse_node,
    parse_pod,
)
from .selectors import LabelIndex

__all__ = [
    "EgressIP",
    "Manifests",
    "Namespace",
    "Node",
    "Pod",
    "parse_egressip",
    "parse_namespace",
    "parse_node",
    "parse_pod",
    "read_manifests",
    "select_pods",
]

_PARSERS = {"EgressIP": parse_egressip, "Namespace": parse_namespace, "Pod": parse_pod, "Node": parse_node}
# Near enough for a slip of the pen ("EgressIp", "Pods"), too far for other kinds ("EgressQoS", "NodePool").
_SAME_KIND = 0.85


@dataclass(frozen=True)
class Manifests:
    """What the manifests hold.

    ``egressips``: EgressIP documents as written, broken ones too, for ``assign`` to report; ``broken`` names those.
    ``pooled`` names those that ask for addresses of a pool.
    ``namespaces``, ``pods``, ``nodes``: sound documents, reduced to what the collection uses.
    ``invalid``: ``{name, errors}`` of everything that cannot be used and is in none of the lists above.
    ``ignored``: notes on what is ignored.
    """

    egressips: tuple = ()
    broken: tuple = ()
    pooled: tuple = ()
    namespaces: tuple = ()
    pods: tuple = ()
    nodes: tuple = ()
    invalid: tuple = ()
    ignored: tuple = ()

    def to_dict(self):
        """Return a dict of plain lists."""
        return {
            "egressips": list(self.egressips),
            "broken": list(self.broken),
            "pooled": list(self.pooled),
            "namespaces": list(self.namespaces),
            "pods": list(self.pods),
            "nodes": list(self.nodes),
            "invalid": list(self.invalid),
            "ignored": list(self.ignored),
        }


def read_manifests(documents):
    """Sort parsed documents by kind, with ``List`` documents unrolled; returns Manifests, never raises.

    ``documents`` is a list of ``{source, document}``; ``source`` names the document in messages (``web.yml[0]``).
    Of several different documents with one kind and name, the first counts.
    """
    reader = _Reader()
    for entry in documents:
        reader.read(entry["document"], entry["source"])
    return reader.manifests()


def select_pods(egressips, pods, namespaces):
    """Return the pods that EgressIP objects select, as a list of dicts sorted by namespace and pod.

    Takes documents, and returns ``{namespace, pod, node, podIPs, egressips}``; ``egressips`` is the sorted list of
    objects, of which the first counts. Broken documents select nothing and are not selected.
    """
    labels = {namespace.name: namespace.labels for namespace in _sound(parse_namespace, namespaces)}
    by_namespace = {}
    for pod in _sound(parse_pod, pods):
        if pod.has_traffic_of_its_own:
            by_namespace.setdefault(pod.namespace, {}).setdefault(pod.name, pod)
    index = LabelIndex({name: labels.get(name) or implicit_namespace(name).labels for name in by_namespace})
    selected = {}
    objects = {egressip.name: egressip for egressip in reversed(_sound(parse_egressip, egressips))}
    for name in sorted(objects):
        for pod in _selected_by(objects[name], by_namespace, index):
            selected.setdefault((pod.namespace, pod.name), (pod, []))[1].append(name)
    return [_selected_pod(*selected[key]) for key in sorted(selected)]


class _Reader:
    """Takes documents one by one and remembers where each object was first seen."""

    def __init__(self):
        self._found = {kind: [] for kind in API_VERSIONS}
        self._first = {}
        self._broken = []
        self._pooled = []
        self._invalid = []
        self._ignored = []

    def manifests(self):
        """Return what was read so far."""
        return Manifests(
            egressips=tuple(self._found["EgressIP"]),
            broken=tuple(self._broken),
            pooled=tuple(self._pooled),
            namespaces=tuple(self._found["Namespace"]),
            pods=tuple(self._found["Pod"]),
            nodes=tuple(self._found["Node"]),
            invalid=tuple(self._invalid),
            ignored=tuple(self._ignored),
        )

    def read(self, document, source):
        """Take one document, which may be a List of others."""
        if document is None:
            return
        if not isinstance(document, dict):
            self._refuse(source, f"{NO_DOCUMENT}, not {type_name(document)}")
            return
        kind = document.get("kind")
        if not isinstance(kind, str) or not kind:
            fault = "is missing" if kind in (None, "") else f"must be a string, not {type_name(kind)}"
            self._refuse(source, f"kind: {fault}")
        elif kind in API_VERSIONS:
            self._read_object(document, str(kind), source)
        elif kind.endswith("List"):
            self._unroll(document, kind[: -len("List")], source)
        else:
            self._read_other(document, kind, source)

    def _read_object(self, document, kind, source):
        path = object_path(document, kind, source)
        if _is_of_another_group(document, kind):
            self._ignore(source, f"{path} is of {document['apiVersion']}")
            return
        try:
            value = _PARSERS[kind](document, source).to_dict()
        except InvalidError as error:
            # A broken EgressIP goes on to `assign`: under its name it keeps what it holds.
            if kind != "EgressIP" or path == source:
                self._invalid.append({"name": path, "errors": list(error.errors)})
                return
            value = None
        if self._is_first(value, path, source):
            self._broken += [str(document["metadata"]["name"])] if value is None else []
            if kind == "EgressIP" and has_pool(document["metadata"]):
                self._pooled.append(str(document["metadata"]["name"]))
            self._found[kind].append(plain(document) if kind == "EgressIP" else value)

    def _is_first(self, value, path, source):
        """Tell whether no object of this kind and name was seen before; note it when there was one."""
        if path not in self._first:
            self._first[path] = (value, source)
            return True
        first_value, first_source = self._first[path]
        if value is not None and value == first_value:
            self._ignore(source, f"{path} is the same as in {first_source}")
        else:
            text = f"{path}: {source} defines it again and differently; {first_source} counts"
            self._invalid.append({"name": path, "errors": [text]})
        return False

    def _unroll(self, document, kind, source):
        """Read the items of a List; those of a typed one may leave out apiVersion and kind, as the API server does."""
        if kind and kind not in API_VERSIONS:
            self._ignore(source, f"kind {quote(document['kind'])} is ignored")
            return
        items = document.get("items", ())
        if not isinstance(items, list) and items is not None:
            fault = "is missing" if "items" not in document else f"must be a list, not {type_name(items)}"
            self._refuse(source, f"items: {fault}")
            return
        defaults = {"apiVersion": API_VERSIONS[kind], "kind": kind} if kind else {}
        for index, item in enumerate(items or []):
            self.read({**defaults, **item} if isinstance(item, dict) else item, f"{source}.items[{index}]")

    def _read_other(self, document, kind, source):
        near = did_you_mean(kind, (*API_VERSIONS, "List"), _SAME_KIND)
        if pasted_hint(kind):
            self._refuse(source, f"kind: {quote(kind)} {pasted_hint(kind)}")
        elif near:
            self._refuse(source, f"kind: {quote(kind)} is unknown; did you mean {near}?")
        else:
            self._ignore(source, f"kind {quote(kind)} is ignored")

    def _refuse(self, source, text):
        self._invalid.append({"name": source, "errors": [f"{source}: {text}"]})

    def _ignore(self, source, text):
        self._ignored.append(f"{source}: {text}")


def _is_of_another_group(document, kind):
    """Tell whether a kind that we share with others belongs to another API group (``config.openshift.io/v1`` Node)."""
    api_version = document.get("apiVersion")
    group = api_version.partition("/")[0] if isinstance(api_version, str) and "/" in api_version else ""
    return kind != "EgressIP" and "." in group


def _sound(parse, documents):
    """Return the values of those documents that ``parse`` accepts."""
    values = []
    for document in documents:
        try:
            values.append(parse(document))
        except EgressIPError:
            continue
    return values


def _selected_by(egressip, by_namespace, index):
    """Return the pods that one object selects; ``by_namespace`` is {namespace: {name: Pod}}."""
    return [
        pod
        for namespace in index.selected_by(egressip.namespace_selector)
        for pod in by_namespace[namespace].values()
        if egressip.pod_selector is None or egressip.pod_selector.matches(pod.labels)
    ]


def _selected_pod(pod, names):
    return {
        "namespace": pod.namespace,
        "pod": pod.name,
        "node": pod.node,
        "podIPs": list(pod.pod_ips),
        "egressips": names,
    }
