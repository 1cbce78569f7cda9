# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Documents sorted by kind, and the pods that EgressIP objects select. PRIVATE to the collection."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from dataclasses import dataclass
from operator import attrgetter
from typing import Any, Callable, Iterable, Iterator, Mapping, NamedTuple, TypeVar

from .._common.errors import EgressIPError, InvalidError
from .._common.gc_pause import paused_collector
from .._common.messages import pasted_hint, quote, type_name
from .._common.selectors import LabelIndex
from .._common.validation import did_you_mean, plain
from .annotations import misplaced_networks
from .objects import (
    API_VERSIONS,
    NO_DOCUMENT,
    EgressIP,
    Namespace,
    NodeObject,
    Pod,
    common_pod,
    implicit_namespace,
    object_path,
    parse_namespace,
    parse_node,
    parse_pod,
    read_egressip,
)

Value = TypeVar("Value")
_PARSERS: dict[str, Callable[[object, str], Any]] = {"Namespace": parse_namespace, "Pod": parse_pod, "Node": parse_node}
# Similar enough for a typing error ("EgressIp", "Pods"), too different for other kinds ("EgressQoS", "NodePool").
_SAME_KIND = 0.85
_GROUPS = sorted({version.partition("/")[0] for version in API_VERSIONS.values() if "/" in version})
# Similar enough for a typing error ("k8s.ovn.io").
_SAME_GROUP = 0.75


@dataclass(frozen=True)
class Manifests:
    """The objects of all manifests.

    ``egressips`` includes broken objects, which the planner reports. ``invalid``: ``{name, errors}`` of each document
    that cannot be used and is in none of the other fields. ``ignored``: notes about documents of other kinds.
    ``network_errors``: lines about annotations for networks, without which the documents are used; ``network_faults``
    names the namespaces with one.
    """

    egressips: tuple[EgressIP, ...] = ()
    namespaces: tuple[Namespace, ...] = ()
    pods: tuple[Pod, ...] = ()
    nodes: tuple[NodeObject, ...] = ()
    invalid: tuple[Mapping[str, Any], ...] = ()
    ignored: tuple[str, ...] = ()
    network_errors: tuple[str, ...] = ()
    network_faults: tuple[str, ...] = ()

    @property
    def broken(self) -> tuple[str, ...]:
        """The names of the EgressIP objects with errors."""
        return tuple(egressip.name for egressip in self.egressips if egressip.errors)

    @property
    def contested(self) -> tuple[str, ...]:
        """The names of the EgressIP objects that request an address which another one requests too."""
        counts = Counter(address for egressip in self.egressips for address in egressip.egress_ips)
        return tuple(
            egressip.name for egressip in self.egressips if any(counts[address] > 1 for address in egressip.egress_ips)
        )

    @classmethod
    def from_dict(cls, value: Mapping[str, Any]) -> Manifests:
        """Return the Manifests of the dict that ``to_dict`` or ``to_short_dict`` returned."""
        pods = value["pods"]
        return cls(
            egressips=read_egressips(value["egressips"]),
            namespaces=valid(parse_namespace, value["namespaces"]),
            pods=_pods_of(pods) if isinstance(pods, str) else valid(parse_pod, pods),
            nodes=valid(parse_node, value["nodes"]),
            invalid=tuple(value["invalid"]),
            ignored=tuple(value["ignored"]),
            network_errors=tuple(value.get("network_errors", ())),
            network_faults=tuple(value.get("network_faults", ())),
        )

    def to_dict(self) -> dict[str, list[Any]]:
        """Return a dict of plain lists: EgressIP documents as written, others reduced to the fields in use."""
        return {**self._without_pods(), "pods": [pod.to_dict() for pod in self.pods]}

    def to_short_dict(self) -> dict[str, Any]:
        """Return the same dict with the pods as one text."""
        return {**self._without_pods(), "pods": pods_as_text(self.pods)}

    def _without_pods(self) -> dict[str, list[Any]]:
        return {
            "egressips": [egressip.document for egressip in self.egressips],
            "broken": list(self.broken),
            "pooled": [egressip.name for egressip in self.egressips if egressip.is_pooled],
            "contested": list(self.contested),
            "namespaces": [namespace.to_dict() for namespace in self.namespaces],
            "nodes": [node.to_dict() for node in self.nodes],
            "invalid": list(self.invalid),
            "ignored": list(self.ignored),
            "network_names": sorted({name for namespace in self.namespaces for name in namespace.networks}),
            "network_errors": list(self.network_errors),
            "network_faults": list(self.network_faults),
        }


def pods_as_text(pods: Iterable[Pod]) -> str:
    """Return pods as one text, which ``Manifests.from_dict`` reads without another check of each pod."""
    return json.dumps([*pods], separators=(",", ":"))


@paused_collector()
def _pods_of(text: str) -> tuple[Pod, ...]:
    return tuple(map(Pod.of_row, json.loads(text)))


class SelectedPod(NamedTuple):
    """A pod and the sorted names of the EgressIP objects that select it; the first applies."""

    pod: Pod
    egressips: tuple[str, ...]

    def to_dict(self) -> dict[str, Any]:
        """Return ``{namespace, pod, node, podIPs, egressips}``."""
        return {
            "namespace": self.pod.namespace,
            "pod": self.pod.name,
            "node": self.pod.node,
            "podIPs": list(self.pod.pod_ips),
            "egressips": list(self.egressips),
        }


@paused_collector()
def read_manifests(documents: Iterable[Mapping[str, Any]]) -> Manifests:
    """Return the Manifests of parsed documents, with ``List`` documents unrolled; raises nothing.

    ``documents`` are ``{source, document}``; ``source`` names the document in messages (``web.yml[0]``). Of several
    different documents with one kind and name, the first applies.
    """
    reader = _Reader()
    for entry in documents:
        reader.read(entry["document"], entry["source"])
    return reader.manifests()


@paused_collector()
def read_egressips(documents: Iterable[object]) -> tuple[EgressIP, ...]:
    """Return the EgressIP of each document, valid or broken, with a plain copy of the document."""
    return tuple(read_egressip(plain(document), f"egressip[{n}]") for n, document in enumerate(documents))


@paused_collector()
def valid(parse: Callable[[object], Value], documents: Iterable[object]) -> tuple[Value, ...]:
    """Return the values of those documents that ``parse`` accepts."""
    values = []
    for document in documents:
        try:
            values.append(parse(document))
        except EgressIPError:
            continue
    return tuple(values)


def select_pods(
    egressips: Iterable[EgressIP], pods: Iterable[Pod], namespaces: Iterable[Namespace]
) -> tuple[SelectedPod, ...]:
    """Return the pods that EgressIP objects select, sorted by namespace and name. Broken objects select none.

    Of several objects or pods with one name, the first applies.
    """
    labels = {namespace.name: namespace.labels for namespace in namespaces}
    by_namespace: defaultdict[str, dict[str, Pod]] = defaultdict(dict)
    for pod in pods:
        if pod.has_own_traffic:
            by_namespace[pod.namespace].setdefault(pod.name, pod)
    index = LabelIndex({name: labels.get(name) or implicit_namespace(name).labels for name in by_namespace})
    objects: dict[str, EgressIP] = {}
    for egressip in egressips:
        if not egressip.errors:
            objects.setdefault(egressip.name, egressip)
    selecting: dict[str, list[EgressIP]] = {}
    for name in sorted(objects):
        selector = objects[name].namespace_selector
        for namespace in () if selector is None else index.selected_by(selector):
            selecting.setdefault(namespace, []).append(objects[name])
    return tuple(
        pod for name in sorted(selecting) for pod in _selected_in(by_namespace[name].values(), selecting[name])
    )


def objects_of_networks(
    egressips: Iterable[EgressIP], namespaces: Iterable[Namespace], names: Iterable[str]
) -> dict[str, tuple[str, ...]]:
    """Return {namespace: sorted names of the objects that select its pods without labels} of these namespaces."""
    # The addresses and the node are not used; a pod needs them to have traffic of its own.
    pods = [Pod(name, "any", {}, "any", ("0.0.0.0",)) for name in names]
    return {pod.namespace: objects for pod, objects in select_pods(egressips, pods, namespaces)}


class _Reader:
    """Takes documents one by one and keeps the source of the first object of each kind and name."""

    def __init__(self) -> None:
        self._found: dict[str, list[Any]] = {kind: [] for kind in API_VERSIONS}
        self._first: dict[str, tuple[Any, str]] = {}
        self._invalid: list[dict[str, Any]] = []
        self._ignored: list[str] = []
        self._misplaced: list[str] = []

    def manifests(self) -> Manifests:
        """Return the Manifests of all documents read so far."""
        return Manifests(
            egressips=tuple(self._found["EgressIP"]),
            namespaces=tuple(self._found["Namespace"]),
            pods=tuple(self._found["Pod"]),
            nodes=tuple(self._found["Node"]),
            invalid=tuple(self._invalid),
            ignored=tuple(self._ignored),
            network_errors=(*self._misplaced, *(e for each in self._found["Namespace"] for e in each.errors)),
            network_faults=tuple(each.name for each in self._found["Namespace"] if each.errors),
        )

    def read(self, document: object, source: str) -> None:
        """Read one document, which may be a List of others."""
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

    def _read_object(self, document: dict[Any, Any], kind: str, source: str) -> None:
        pod = common_pod(document) if kind == "Pod" else None
        if pod:
            self._add(pod, kind, document, f"pod/{pod.namespace}/{pod.name}", source)
            return
        path = object_path(document, kind, source)
        if _is_of_another_group(document):
            self._ignore(source, f"{path} is of {document['apiVersion']}")
        elif kind == "EgressIP":
            self._read_egressip(document, path, source)
        else:
            try:
                value = _PARSERS[kind](document, source)
            except InvalidError as error:
                self._invalid.append({"name": path, "errors": list(error.errors)})
                return
            self._add(value, kind, document, path, source)

    def _add(self, value: Any, kind: str, document: dict[Any, Any], path: str, source: str) -> None:
        """Add a valid object, unless one of its kind and name was read before."""
        if self._is_first(value, path, source):
            self._found[kind].append(value)
            self._misplaced += [] if kind == "Namespace" else misplaced_networks(document, path)

    def _read_egressip(self, document: dict[Any, Any], path: str, source: str) -> None:
        """Read an EgressIP. A broken one is kept if it has a name: under that name it keeps its addresses."""
        egressip = read_egressip(plain(document), source)
        if egressip.errors and path == source:
            self._invalid.append({"name": path, "errors": list(egressip.errors)})
        elif self._is_first(egressip, path, source):
            self._found["EgressIP"].append(egressip)

    def _is_first(self, value: Any, path: str, source: str) -> bool:
        """Return whether no object of this kind and name was read before; else add a note or an error."""
        if path not in self._first:
            self._first[path] = (value, source)
            return True
        first_value, first_source = self._first[path]
        if value == first_value and not getattr(value, "errors", ()):
            self._ignore(source, f"{path} is the same as in {first_source}")
        else:
            text = f"{path}: {source} defines it again and differently; {first_source} applies"
            self._invalid.append({"name": path, "errors": [text]})
        return False

    def _unroll(self, document: dict[Any, Any], kind: str, source: str) -> None:
        """Read the items of a List; as in the API server, those of a typed one may omit apiVersion and kind."""
        if kind and (kind not in API_VERSIONS or _is_of_another_group(document)):
            self._ignore(source, f"kind {quote(document['kind'])} is ignored")
            return
        items = document.get("items", ())
        if not isinstance(items, list) and items is not None:
            fault = "is missing" if "items" not in document else f"must be a list, not {type_name(items)}"
            self._refuse(source, f"items: {fault}")
            return
        defaults = {"apiVersion": API_VERSIONS[kind], "kind": kind} if kind else {}
        for index, item in enumerate(items or []):
            self.read({**defaults, **item} if defaults and isinstance(item, dict) else item, f"{source}.items[{index}]")

    def _read_other(self, document: dict[Any, Any], kind: str, source: str) -> None:
        near = did_you_mean(kind, (*API_VERSIONS, "List"), _SAME_KIND)
        if _is_of_another_group(document):
            self._ignore(source, f"kind {quote(kind)} is ignored")
        elif pasted_hint(kind):
            self._refuse(source, f"kind: {quote(kind)} {pasted_hint(kind)}")
        elif near:
            self._refuse(source, f"kind: {quote(kind)} is unknown; did you mean {near}?")
        else:
            self._ignore(source, f"kind {quote(kind)} is ignored")

    def _refuse(self, source: str, text: str) -> None:
        self._invalid.append({"name": source, "errors": [f"{source}: {text}"]})

    def _ignore(self, source: str, text: str) -> None:
        self._ignored.append(f"{source}: {text}")


def _is_of_another_group(document: Mapping[str, Any]) -> bool:
    """Return whether a document belongs to an API group that is not in use (``config.openshift.io/v1`` Node).

    A group that is similar to one in use is a typing error.
    """
    api_version = document.get("apiVersion")
    group = api_version.partition("/")[0] if isinstance(api_version, str) and "/" in api_version else ""
    return "." in group and group not in _GROUPS and did_you_mean(group, _GROUPS, _SAME_GROUP) is None


def _selected_in(pods: Iterable[Pod], egressips: Iterable[EgressIP]) -> Iterator[SelectedPod]:
    """Yield the pods of a namespace, sorted by name, that one of the objects that select the namespace selects."""
    selectors = [(egressip.name, egressip.pod_selector) for egressip in egressips]
    # Pods with the same objects share the tuple.
    whole = tuple(name for name, _selector in selectors)
    has_selectors = any(selector is not None for _name, selector in selectors)
    for pod in sorted(pods, key=attrgetter("name")):
        names = whole
        if has_selectors:
            names = tuple(name for name, each in selectors if each is None or each.matches(pod.labels))
        if names:
            yield SelectedPod(pod, names)
