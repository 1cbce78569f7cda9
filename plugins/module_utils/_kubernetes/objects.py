# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The objects of the manifests: EgressIP, Namespace, Pod, Node. PRIVATE to the collection.

Each ``parse_*`` function takes one parsed document and returns one immutable value, or raises an InvalidError with
every error of the document. ``to_dict`` returns a document again, reduced to the fields that the collection uses.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import Any, Iterable, Mapping, NamedTuple, Sequence

from .._common.addresses import canonical_address, canonical_egress_ip
from .._common.destinations import Destinations
from .._common.errors import EgressIPError, Errors, InvalidError
from .._common.messages import pasted_hint, quote, type_name
from .._common.selectors import Requirement, Selector, is_dns_label, is_dns_subdomain, parse_labels
from .._common.validation import (
    NO_MAPPING,
    check_fields,
    check_list,
    check_mapping,
    check_string,
    required,
    required_mapping,
)
from .annotations import NETWORKS, NO_ANNOTATIONS, POOL, Annotations, has_pool, read_annotations, read_networks

API_VERSIONS = {"EgressIP": "k8s.ovn.org/v1", "Namespace": "v1", "Pod": "v1", "Node": "v1"}
DEFAULT_NAMESPACE = "default"
NAME_LABEL = "kubernetes.io/metadata.name"
# The name of the cluster that a live namespace or node is from; see `clusters`.
CLUSTER_LABEL = "egress-ip.netops/cluster"
NO_DOCUMENT = "must be a mapping with apiVersion, kind and metadata"

_EGRESSIP_FIELDS = ("apiVersion", "kind", "metadata", "spec", "status")
_SPEC_FIELDS = ("egressIPs", "namespaceSelector", "podSelector", "egressNodeSelector")
# A field of a newer API must not be taken for a typing error: "nodeSelector" is not "podSelector".
_TYPING_ERROR = 0.9
_NODE_ADDRESS_TYPES = ("Hostname", "InternalIP")
_STATUS_LISTS = ("items", "assignments")
ASSIGNABLE_LABEL = "k8s.ovn.org/egress-assignable"
# The default of spec.egressNodeSelector, which the API server writes into every object.
ASSIGNABLE = Selector(match_expressions=(Requirement(ASSIGNABLE_LABEL, "Exists"),))


@dataclass(frozen=True)
class EgressIP:
    """An EgressIP object, valid or broken.

    ``egress_ips``: canonical addresses; ``egress_node_selector``: selects the nodes that may hold them;
    ``assignments``: (egress IP, node) pairs of the status, with ``notes`` about unreadable entries. A broken object has
    ``errors``; its other fields hold the values that could be read, and it selects no pods. ``document`` is the
    document as written.
    """

    name: str
    egress_ips: tuple[str, ...] = ()
    namespace_selector: Selector | None = None
    pod_selector: Selector | None = None
    egress_node_selector: Selector = ASSIGNABLE
    assignments: tuple[tuple[str, str], ...] = ()
    annotations: Annotations = NO_ANNOTATIONS
    errors: tuple[str, ...] = ()
    notes: tuple[str, ...] = field(default=(), compare=False)
    document: Any = field(default=None, compare=False, repr=False)

    @property
    def destinations(self) -> Destinations:
        """The destinations to which the object applies."""
        return Destinations(self.annotations.destinations, self.annotations.excluded_destinations)

    @property
    def is_pooled(self) -> bool:
        """Whether the document requests addresses of a pool, even in a malformed annotation."""
        return isinstance(self.document, dict) and has_pool(self.document.get("metadata"))

    def with_addresses(self, addresses: Iterable[str]) -> EgressIP:
        """Return the object with these addresses added to ``spec.egressIPs`` of its document."""
        spec = {**self.document["spec"], "egressIPs": [*self.document["spec"]["egressIPs"], *addresses]}
        egress_ips = tuple(dict.fromkeys((*self.egress_ips, *addresses)))
        return replace(self, egress_ips=egress_ips, document={**self.document, "spec": spec})

    def to_dict(self) -> dict[str, Any]:
        """Return a valid object as a document."""
        spec: dict[str, Any] = {"egressIPs": list(self.egress_ips)}
        for key, selector in (("namespaceSelector", self.namespace_selector), ("podSelector", self.pod_selector)):
            if selector is not None:
                spec[key] = selector.to_dict()
        if self.egress_node_selector != ASSIGNABLE:
            spec["egressNodeSelector"] = self.egress_node_selector.to_dict()
        annotations = self.annotations.to_dict()
        metadata = {"name": self.name, **({"annotations": annotations} if annotations else {})}
        document = _document("EgressIP", metadata, spec=spec)
        if self.assignments:
            entries = [{"node": node, "egressIP": address} for address, node in self.assignments]
            document["status"] = {"assignments": entries}
        return document


@dataclass(frozen=True)
class Namespace:
    """A namespace. ``labels`` always holds the namespace's name, as in Kubernetes.

    Everything in its ``networks`` (``NetworkName.text``) is a pod of the namespace without labels. ``errors`` are those
    of annotations, which do not make the namespace invalid.
    """

    name: str
    labels: Mapping[str, str]
    networks: tuple[str, ...] = ()
    errors: tuple[str, ...] = field(default=(), compare=False)

    def to_dict(self) -> dict[str, Any]:
        """Return the namespace as a document, without what has errors."""
        metadata: dict[str, Any] = {"name": self.name, "labels": dict(self.labels)}
        if self.networks:
            metadata["annotations"] = {NETWORKS: ", ".join(self.networks)}
        return _document("Namespace", metadata)


class Pod(NamedTuple):
    """A pod. ``pod_ips`` are canonical addresses; ``phase`` is one of Kubernetes, or None.

    ``engine`` is where its node found it, empty for a document. Pods with equal labels may share them. A tuple: a
    cluster has a hundred thousand pods, and a tuple is made in a third of the time, and is its own form in JSON.
    """

    namespace: str
    name: str
    labels: Mapping[str, str]
    node: str | None = None
    pod_ips: tuple[str, ...] = ()
    host_network: bool = False
    phase: str | None = None
    engine: str = ""

    @property
    def has_own_traffic(self) -> bool:
        """Whether the pod's packets can be distinguished: it runs, with addresses other than its node's."""
        return bool(self.node and self.pod_ips) and not self.host_network and self.phase not in ("Succeeded", "Failed")

    @classmethod
    def of_row(cls, row: Sequence[Any]) -> Pod:
        """Return the pod of its fields as JSON has them, without a check."""
        namespace, name, labels, node, pod_ips, host_network, phase, engine = row
        return cls(namespace, name, labels, node, tuple(pod_ips), host_network, phase, engine)

    def to_dict(self) -> dict[str, Any]:
        """Return the pod as a document."""
        metadata = {"namespace": self.namespace, "name": self.name, "labels": dict(self.labels)}
        spec: dict[str, Any] = {"hostNetwork": self.host_network}
        if self.node is not None:
            spec["nodeName"] = self.node
        status: dict[str, Any] = {"podIPs": [{"ip": address} for address in self.pod_ips]}
        if self.phase is not None:
            status["phase"] = self.phase
        return _document("Pod", metadata, spec=spec, status=status)


@dataclass(frozen=True)
class NodeObject:
    """A Node object: labels for an inventory host. ``pod_cidrs`` are strings as written.

    ``addresses`` are its host names and internal addresses, which identify the inventory host.

    The word node alone means an inventory host (``_planner.nodes.Node``).
    """

    name: str
    labels: Mapping[str, str]
    pod_cidrs: tuple[str, ...] = ()
    addresses: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Return the node as a document."""
        metadata = {"name": self.name, "labels": dict(self.labels)}
        document = _document("Node", metadata, spec={"podCIDRs": list(self.pod_cidrs)})
        if self.addresses:
            entries = [{"type": "Hostname", "address": address} for address in self.addresses]
            document["status"] = {"addresses": entries}
        return document


def read_egressip(document: object, path: str = "egressip") -> EgressIP:
    """Return the EgressIP of ``document``, valid or broken; ``path`` is its name while it has no usable one."""
    errors = Errors()
    if not isinstance(document, dict):
        return EgressIP(path, errors=(_no_document(document, path),), document=document)
    root, metadata, name = _parse_header(document, "EgressIP", path, errors)
    check_fields(document, f"{root}: ", _EGRESSIP_FIELDS, errors, below=("spec", _SPEC_FIELDS))
    annotations = read_annotations(metadata, root, errors)
    spec = required_mapping(document, "spec", f"{root}: ", errors)
    fields = _read_spec(spec, f"{root}: spec", errors)
    if spec.get("egressIPs") == [] and not has_pool(metadata):
        errors.add(f"{root}: spec.egressIPs", f"is empty; an EgressIP needs at least one address, or {POOL}")
    notes = Errors()
    assignments = _read_status(document.get("status"), f"{root}: status", notes)
    return EgressIP(
        name=name or _readable_name(metadata) or path,
        assignments=assignments,
        annotations=annotations,
        errors=errors.found,
        notes=notes.found,
        document=document,
        **fields,
    )


def parse_egressip(document: object, path: str = "egressip") -> EgressIP:
    """Return the valid EgressIP of ``document``; ``path`` names the document in errors while it has no usable name."""
    egressip = read_egressip(document, path)
    if egressip.errors:
        raise InvalidError(egressip.errors)
    return egressip


def parse_namespace(document: object, path: str = "namespace") -> Namespace:
    """Return the Namespace of ``document``."""
    errors = Errors()
    root, metadata, name = _parse_header(document, "Namespace", path, errors)
    labels = _parse_metadata_labels(metadata, root, errors)
    errors.raise_if_any()
    faults = Errors()
    networks = read_networks(metadata, root, faults)
    return replace(implicit_namespace(name, labels), networks=networks, errors=faults.found)


def implicit_namespace(name: str, labels: Mapping[str, str] = NO_MAPPING) -> Namespace:
    """Return the Namespace ``name`` with the label that Kubernetes gives to each.

    The namespace ``default`` of the cluster ``prod`` has the name ``prod.default`` and the label of that cluster.
    """
    cluster, dot, own = name.rpartition(".")
    return Namespace(name, {**labels, NAME_LABEL: own, **({CLUSTER_LABEL: cluster} if dot else {})})


def parse_pod(document: object, path: str = "pod") -> Pod:
    """Return the Pod of ``document``. Fields that the collection does not use are ignored."""
    return common_pod(document) or _any_pod(document, path)


def common_pod(document: Any) -> Pod | None:
    """Return the Pod of a valid document of the usual form, None for any other one.

    A cluster has a hundred thousand pods, and a check that can name each error takes several times as long.
    """
    try:
        metadata, spec, status = document["metadata"], document["spec"], document["status"]
        name, namespace, node, phase = metadata["name"], metadata["namespace"], spec["nodeName"], status["phase"]
        ips = [entry["ip"] for entry in status["podIPs"]]
        pod_ips = tuple(dict.fromkeys([canonical_address(ip, "") for ip in ips]))
        labels = _common_labels(tuple(metadata["labels"].items()))
        is_pod = (
            isinstance(document, dict) and document["kind"] == "Pod" and document["apiVersion"] == API_VERSIONS["Pod"]
        )
    except (EgressIPError, AttributeError, KeyError, TypeError):
        return None
    if not is_pod or not pod_ips or {*map(type, (name, namespace, node, phase, *ips))} != {str}:
        return None
    host_network = spec.get("hostNetwork", False)
    if not isinstance(host_network, bool) or not is_dns_subdomain(name):
        return None
    if not (_is_plain(namespace) and _is_plain(node) and _is_plain(phase)):
        return None
    return Pod(namespace, name, labels, node, pod_ips, host_network, phase)


@lru_cache(maxsize=1 << 14)
def _is_plain(text: str) -> bool:
    """Return whether a text is valid in each field that takes any text."""
    errors = Errors()
    check_string(text, "", errors)
    return not errors.found


@lru_cache(maxsize=1 << 14)
def _common_labels(items: tuple[tuple[str, str], ...]) -> dict[str, str]:
    """Return the labels, the same dict for equal ones. Raises InvalidError."""
    return parse_labels(dict(items), "")


def _any_pod(document: object, path: str) -> Pod:
    errors = Errors()
    root, metadata, name = _parse_header(document, "Pod", path, errors)
    spec = _optional_mapping(document, "spec", f"{root}: ", errors)
    status = _optional_mapping(document, "status", f"{root}: ", errors)
    pod = Pod(
        name=name,
        namespace=_optional_string(metadata, "namespace", f"{root}: metadata.", errors) or DEFAULT_NAMESPACE,
        labels=_parse_metadata_labels(metadata, root, errors),
        node=_optional_string(spec, "nodeName", f"{root}: spec.", errors),
        host_network=_parse_host_network(spec, f"{root}: spec.hostNetwork", errors),
        pod_ips=_parse_pod_ips(status, f"{root}: status.", errors),
        phase=_optional_string(status, "phase", f"{root}: status.", errors),
    )
    errors.raise_if_any()
    return pod


def parse_node(document: object, path: str = "node") -> NodeObject:
    """Return the NodeObject of ``document``. Its name may be that of an inventory host, so any name is valid."""
    errors = Errors()
    root, metadata, name = _parse_header(document, "Node", path, errors)
    labels = _parse_metadata_labels(metadata, root, errors)
    spec = _optional_mapping(document, "spec", f"{root}: ", errors)
    listed = check_list(spec.get("podCIDRs") or [], f"{root}: spec.podCIDRs", errors)
    cidrs = [check_string(cidr, f"{root}: spec.podCIDRs[{index}]", errors) for index, cidr in enumerate(listed)]
    errors.raise_if_any()
    addresses = _read_node_addresses(document)
    return NodeObject(name, labels, tuple(cidr for cidr in cidrs if cidr is not None), addresses)


def object_path(document: object, kind: str, fallback: str) -> str:
    """Return the path of ``document`` in errors: ``pod/NAMESPACE/NAME``, ``egressip/NAME``, or ``fallback``."""
    metadata = document.get("metadata") if isinstance(document, dict) else None
    name = metadata.get("name") if isinstance(metadata, dict) else None
    if not isinstance(metadata, dict) or not isinstance(name, str) or not name.strip() or not name.isprintable():
        return fallback
    parts = [kind.lower(), name]
    if kind == "Pod":
        namespace = metadata.get("namespace") or DEFAULT_NAMESPACE
        parts[1:1] = [namespace] if isinstance(namespace, str) else []
    return "/".join(parts)


def _document(kind: str, metadata: Mapping[str, Any], **parts: Any) -> dict[str, Any]:
    return {"apiVersion": API_VERSIONS[kind], "kind": kind, "metadata": metadata, **parts}


def _no_document(document: object, path: str) -> str:
    return f"{path}: {NO_DOCUMENT}, not {type_name(document)}"


def _parse_header(document: Any, kind: str, fallback: str, errors: Errors) -> tuple[str, Mapping[str, Any], str]:
    """Check the fields of all kinds; return the path of the document, its metadata and its name (empty if unusable)."""
    if not isinstance(document, dict):
        raise InvalidError([_no_document(document, fallback)])
    root = object_path(document, kind, fallback)
    for key, wanted in (("apiVersion", API_VERSIONS[kind]), ("kind", kind)):
        if document.get(key) == wanted:
            continue
        value = required(document, key, f"{root}: ", errors)
        if key in document:
            found = quote(value) if isinstance(value, str) else type_name(value)
            hint = pasted_hint(value) if isinstance(value, str) else None
            errors.add(f"{root}: {key}", f"must be {wanted}, not {found}" + (f", which {hint}" if hint else ""))
    metadata = required_mapping(document, "metadata", f"{root}: ", errors)
    written = required(metadata, "name", f"{root}: metadata.", errors)
    if "name" not in metadata:
        return root, metadata, ""
    return root, metadata, _check_name(written, kind, f"{root}: metadata.name", errors, _cluster_prefix(metadata))


def _cluster_prefix(metadata: Mapping[str, Any]) -> str:
    """Return the prefix of the names of the cluster that the labels of a live object name, empty for none."""
    labels = metadata.get("labels")
    cluster = labels.get(CLUSTER_LABEL) if isinstance(labels, dict) else None
    return f"{cluster}." if isinstance(cluster, str) and is_dns_label(cluster) else ""


def _check_name(value: object, kind: str, path: str, errors: Errors, prefix: str = "") -> str:
    name = check_string(value, path, errors)
    if name is None:
        return ""
    if kind == "Namespace" and not is_dns_label(name[len(prefix) :] if name.startswith(prefix) else name):
        errors.add(path, f"must be a lower-case DNS label of at most 63 letters, digits and '-', not {quote(name)}")
    if kind in ("EgressIP", "Pod") and not is_dns_subdomain(name):
        rule = "a lower-case DNS name of at most 253 letters, digits, '-' and '.'"
        errors.add(path, f"must be {rule}, not {quote(name)}")
    return name


def _readable_name(metadata: Mapping[str, Any]) -> str:
    """Return the name of a broken object, which records may know, also if it is not a valid one."""
    name = metadata.get("name")
    return str(name) if isinstance(name, str) and name.strip() else ""


def _read_spec(spec: Mapping[str, Any], path: str, errors: Errors) -> dict[str, Any]:
    """Return the fields of EgressIP that the spec gives, as far as they can be read."""
    if spec is NO_MAPPING:
        return {"egress_node_selector": Selector()}
    check_fields(spec, f"{path}.", _SPEC_FIELDS, errors, cutoff=_TYPING_ERROR)
    egress_ips = required(spec, "egressIPs", f"{path}.", errors)
    namespaces, pods = spec.get("namespaceSelector"), spec.get("podSelector")
    fields: dict[str, Any] = {}
    if "egressIPs" in spec:
        fields["egress_ips"] = _read_egress_ips(egress_ips, f"{path}.egressIPs", errors)
    if namespaces is None:
        errors.add(f"{path}.namespaceSelector", "is missing; write {} to select all namespaces")
    else:
        fields["namespace_selector"] = errors.attempt(Selector.from_dict, namespaces, f"{path}.namespaceSelector")
    # A selector whose lines were lost or commented out must not become "all pods".
    if "podSelector" in spec and pods is None:
        errors.add(f"{path}.podSelector", "is null; leave it out to select all pods")
    elif pods is not None:
        fields["pod_selector"] = errors.attempt(Selector.from_dict, pods, f"{path}.podSelector")
    # As in the API server, null is the default. An object whose selector is broken keeps its addresses on any node.
    nodes = spec.get("egressNodeSelector")
    if nodes is not None:
        found = errors.attempt(Selector.from_dict, nodes, f"{path}.egressNodeSelector")
        fields["egress_node_selector"] = Selector() if found is None else found
    return fields


def _read_egress_ips(value: object, path: str, errors: Errors) -> tuple[str, ...]:
    """Return the canonical forms of the addresses that can be read."""
    seen: dict[str, int] = {}
    for index, text in enumerate(check_list(value, path, errors)):
        address = errors.attempt(canonical_egress_ip, text, f"{path}[{index}]")
        if address is None:
            continue
        first = seen.setdefault(address, index)
        if first != index:
            errors.add(f"{path}[{index}]", f"{quote(text)} is the same address as egressIPs[{first}]")
    return tuple(seen)


def _read_status(written: object, path: str, notes: Errors) -> tuple[tuple[str, str], ...]:
    """Return the (egress IP, node) pairs of both lists of the status; add a note for each that cannot be read.

    The status belongs to the server: it may have other fields, and null for none.
    """
    if written is None:
        return ()
    status = check_mapping(written, path, notes)
    pairs: dict[tuple[str, str], None] = {}
    for name in _STATUS_LISTS:
        listed = check_list([] if status.get(name) is None else status[name], f"{path}.{name}", notes)
        for index, entry in enumerate(listed):
            address, node = _read_assignment(entry, f"{path}.{name}[{index}]", notes)
            if address is not None and node is not None:
                pairs[address, node] = None
    return tuple(pairs)


def _read_assignment(value: object, path: str, notes: Errors) -> tuple[str | None, str | None]:
    entry = check_mapping(value, path, notes)
    node = required(entry, "node", f"{path}.", notes)
    address = required(entry, "egressIP", f"{path}.", notes)
    if "node" in entry:
        node = check_string(node, f"{path}.node", notes)
    if "egressIP" in entry:
        address = notes.attempt(canonical_address, address, f"{path}.egressIP")
    return address, node


def _parse_metadata_labels(metadata: Mapping[str, Any], root: str, errors: Errors) -> dict[str, str]:
    labels = metadata.get("labels")
    found = None if labels is None else errors.attempt(parse_labels, labels, f"{root}: metadata.labels")
    return found or {}


def _parse_host_network(spec: Mapping[str, Any], path: str, errors: Errors) -> bool:
    value = spec.get("hostNetwork")
    if value is not None and not isinstance(value, bool):
        errors.add(path, f"must be true or false, not {type_name(value)}")
    return value is True


def _parse_pod_ips(status: Mapping[str, Any], prefix: str, errors: Errors) -> tuple[str, ...]:
    """Return the distinct canonical addresses of podIPs, or of podIP if a pod has no podIPs."""
    listed = check_list(status.get("podIPs") or [], f"{prefix}podIPs", errors)
    addresses: list[str | None] = []
    for index, value in enumerate(listed):
        path = f"{prefix}podIPs[{index}]"
        entry = check_mapping(value, path, errors)
        required(entry, "ip", f"{path}.", errors)
        if "ip" in entry:
            addresses.append(errors.attempt(canonical_address, entry["ip"], f"{path}.ip"))
    if not listed and status.get("podIP"):
        addresses = [errors.attempt(canonical_address, status["podIP"], f"{prefix}podIP")]
    return tuple(dict.fromkeys(address for address in addresses if address is not None))


def _read_node_addresses(document: Any) -> tuple[str, ...]:
    """Return the host names and internal addresses in ``status.addresses``; the server's other entries are ignored."""
    status = document.get("status")
    listed = status.get("addresses") if isinstance(status, dict) else None
    entries = [entry for entry in (listed if isinstance(listed, list) else ()) if isinstance(entry, dict)]
    values = [entry.get("address") for entry in entries if entry.get("type") in _NODE_ADDRESS_TYPES]
    texts = [value for value in values if isinstance(value, str) and value]
    return tuple(dict.fromkeys(Errors().attempt(canonical_address, text, "") or str(text) for text in texts))


def _optional_mapping(document: Any, name: str, prefix: str, errors: Errors) -> Mapping[str, Any]:
    """Return the mapping at ``name``; an absent or null one is empty."""
    value = document.get(name)
    return {} if value is None else check_mapping(value, f"{prefix}{name}", errors)


def _optional_string(mapping: Mapping[str, Any], name: str, prefix: str, errors: Errors) -> str | None:
    """Return the string at ``name``; None if it is absent, null or empty."""
    value = mapping.get(name)
    return None if value is None or value == "" else check_string(value, f"{prefix}{name}", errors)
