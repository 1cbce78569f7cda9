# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The objects of the manifests: EgressIP, Namespace, Pod, Node. PRIVATE to the collection.

Each ``parse_*`` function takes one parsed document and returns one immutable value, or raises an InvalidError with
every error of the document. ``to_dict`` gives a document again, reduced to the fields that the collection uses.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from .._common.addresses import canonical_address, canonical_egress_ip
from .._common.destinations import Destinations
from .._common.errors import Errors, InvalidError
from .._common.messages import pasted_hint, quote, type_name
from .._common.validation import (
    NO_MAPPING,
    check_fields,
    check_list,
    check_mapping,
    check_string,
    required,
    required_mapping,
)
from .annotations import POOL, has_pool, parse_annotations, to_annotations
from .selectors import Selector, is_dns_label, is_dns_subdomain, parse_labels

API_VERSIONS = {"EgressIP": "k8s.ovn.org/v1", "Namespace": "v1", "Pod": "v1", "Node": "v1"}
DEFAULT_NAMESPACE = "default"
NAME_LABEL = "kubernetes.io/metadata.name"
NO_DOCUMENT = "must be a mapping with apiVersion, kind and metadata"

_EGRESSIP_FIELDS = ("apiVersion", "kind", "metadata", "spec", "status")
_SPEC_FIELDS = ("egressIPs", "namespaceSelector", "podSelector")
_STATUS_FIELDS = ("items", "assignments")
_ASSIGNMENT_FIELDS = ("node", "egressIP")


class EgressIP(NamedTuple):
    """An EgressIP object. Addresses are canonical strings; ``assignments`` holds (egress IP, node) from the status.

    What stands in annotations: ``node_selector`` selects the nodes that may hold its addresses, None all; ``spread`` is
    the label over whose values they are spread, or None; ``weight`` is what each adds to the load of its node; of each
    of ``pools`` it gets ``pool_size`` addresses; ``destinations`` are where it applies.
    """

    name: str
    egress_ips: tuple
    namespace_selector: Selector
    pod_selector: Selector | None = None
    assignments: tuple = ()
    node_selector: Selector | None = None
    spread: str | None = None
    weight: int = 1
    pools: tuple = ()
    pool_size: int = 1
    destinations: Destinations = Destinations()

    def to_dict(self):
        """Return the object as a document."""
        spec = {"egressIPs": list(self.egress_ips), "namespaceSelector": self.namespace_selector.to_dict()}
        if self.pod_selector is not None:
            spec["podSelector"] = self.pod_selector.to_dict()
        annotations = to_annotations(self)
        metadata = {"name": self.name, **({"annotations": annotations} if annotations else {})}
        document = _document("EgressIP", metadata, spec=spec)
        if self.assignments:
            entries = [{"node": node, "egressIP": address} for address, node in self.assignments]
            document["status"] = {"assignments": entries}
        return document


@dataclass(frozen=True)
class Namespace:
    """A namespace. ``labels`` (dict) always holds the namespace's name, as in Kubernetes."""

    name: str
    labels: dict

    def to_dict(self):
        """Return the namespace as a document."""
        return _document("Namespace", {"name": self.name, "labels": dict(self.labels)})


@dataclass(frozen=True)
class Pod:
    """A pod. ``node`` and ``phase`` may be None; ``pod_ips`` is a tuple of canonical addresses."""

    namespace: str
    name: str
    labels: dict
    node: str | None = None
    pod_ips: tuple = ()
    host_network: bool = False
    phase: str | None = None

    @property
    def has_traffic_of_its_own(self):
        """Tell whether the pod's packets can be told from others: it runs, with addresses that are not its node's."""
        return bool(self.node and self.pod_ips) and not self.host_network and self.phase not in ("Succeeded", "Failed")

    def to_dict(self):
        """Return the pod as a document."""
        metadata = {"namespace": self.namespace, "name": self.name, "labels": dict(self.labels)}
        spec = {"hostNetwork": self.host_network}
        if self.node is not None:
            spec["nodeName"] = self.node
        status = {"podIPs": [{"ip": address} for address in self.pod_ips]}
        if self.phase is not None:
            status["phase"] = self.phase
        return _document("Pod", metadata, spec=spec, status=status)


@dataclass(frozen=True)
class Node:
    """A Node document: labels for the inventory host of that name. ``pod_cidrs`` is a tuple of strings as written."""

    name: str
    labels: dict
    pod_cidrs: tuple = ()

    def to_dict(self):
        """Return the node as a document."""
        metadata = {"name": self.name, "labels": dict(self.labels)}
        return _document("Node", metadata, spec={"podCIDRs": list(self.pod_cidrs)})


def parse_egressip(document, path=None):
    """Return the EgressIP of ``document``; ``path`` names the document in errors while it has no usable name."""
    errors = Errors()
    root, metadata, name = _parse_header(document, "EgressIP", path or "egressip", errors)
    check_fields(document, f"{root}: ", _EGRESSIP_FIELDS, errors, below=("spec", _SPEC_FIELDS))
    annotations = errors.attempt(parse_annotations, metadata, root)
    spec = required_mapping(document, "spec", f"{root}: ", errors)
    fields = _parse_spec(spec, f"{root}: spec", errors)
    if spec.get("egressIPs") == [] and not has_pool(metadata):
        errors.add(f"{root}: spec.egressIPs", f"is empty; an EgressIP needs at least one address, or {POOL}")
    assignments = _parse_status(document.get("status"), f"{root}: status", errors)
    errors.raise_if_any()
    return EgressIP(name=name, assignments=assignments, **fields, **annotations)


def parse_namespace(document, path=None):
    """Return the Namespace of ``document``."""
    errors = Errors()
    root, metadata, name = _parse_header(document, "Namespace", path or "namespace", errors)
    labels = _parse_metadata_labels(metadata, root, errors)
    errors.raise_if_any()
    return implicit_namespace(name, labels)


def implicit_namespace(name, labels=()):
    """Return the Namespace ``name`` with the label that Kubernetes gives to each."""
    return Namespace(name, {**dict(labels), NAME_LABEL: name})


def parse_pod(document, path=None):
    """Return the Pod of ``document``. Fields that the collection does not use are not looked at."""
    errors = Errors()
    root, metadata, name = _parse_header(document, "Pod", path or "pod", errors)
    spec = _open_mapping(document, "spec", f"{root}: ", errors)
    status = _open_mapping(document, "status", f"{root}: ", errors)
    pod = {
        "namespace": _optional_string(metadata, "namespace", f"{root}: metadata.", errors) or DEFAULT_NAMESPACE,
        "labels": _parse_metadata_labels(metadata, root, errors),
        "node": _optional_string(spec, "nodeName", f"{root}: spec.", errors),
        "host_network": _parse_host_network(spec, f"{root}: spec.hostNetwork", errors),
        "pod_ips": _parse_pod_ips(status, f"{root}: status.", errors),
        "phase": _optional_string(status, "phase", f"{root}: status.", errors),
    }
    errors.raise_if_any()
    return Pod(name=name, **pod)


def parse_node(document, path=None):
    """Return the Node of ``document``. Its name is that of an inventory host, so any name will do."""
    errors = Errors()
    root, metadata, name = _parse_header(document, "Node", path or "node", errors)
    labels = _parse_metadata_labels(metadata, root, errors)
    spec = _open_mapping(document, "spec", f"{root}: ", errors)
    listed = check_list(spec.get("podCIDRs") or [], f"{root}: spec.podCIDRs", errors)
    cidrs = [check_string(cidr, f"{root}: spec.podCIDRs[{index}]", errors) for index, cidr in enumerate(listed)]
    errors.raise_if_any()
    return Node(name, labels, tuple(cidrs))


def object_path(document, kind, fallback):
    """Return what errors of ``document`` begin with: ``pod/NAMESPACE/NAME``, ``egressip/NAME``, or ``fallback``."""
    metadata = document.get("metadata") if isinstance(document, dict) else None
    name = metadata.get("name") if isinstance(metadata, dict) else None
    if not isinstance(name, str) or not name.strip() or not name.isprintable():
        return fallback
    parts = [kind.lower(), name]
    if kind == "Pod":
        namespace = metadata.get("namespace") or DEFAULT_NAMESPACE
        parts[1:1] = [namespace] if isinstance(namespace, str) else []
    return "/".join(parts)


def _document(kind, metadata, **parts):
    return {"apiVersion": API_VERSIONS[kind], "kind": kind, "metadata": metadata, **parts}


def _parse_header(document, kind, fallback, errors):
    """Check what all kinds have; return the path that errors begin with, the metadata and the name."""
    if not isinstance(document, dict):
        raise InvalidError([f"{fallback}: {NO_DOCUMENT}, not {type_name(document)}"])
    root = object_path(document, kind, fallback)
    for field, wanted in (("apiVersion", API_VERSIONS[kind]), ("kind", kind)):
        if document.get(field) == wanted:
            continue
        value = required(document, field, f"{root}: ", errors)
        if field in document:
            found = quote(value) if isinstance(value, str) else type_name(value)
            hint = isinstance(value, str) and pasted_hint(value)
            errors.add(f"{root}: {field}", f"must be {wanted}, not {found}" + (f", which {hint}" if hint else ""))
    metadata = required_mapping(document, "metadata", f"{root}: ", errors)
    name = required(metadata, "name", f"{root}: metadata.", errors)
    if "name" in metadata:
        name = _check_name(name, kind, f"{root}: metadata.name", errors)
    return root, metadata, name


def _check_name(value, kind, path, errors):
    name = check_string(value, path, errors)
    if name is None:
        return None
    if kind == "Namespace" and not is_dns_label(name):
        errors.add(path, f"must be a lower-case DNS label of at most 63 letters, digits and '-', not {quote(name)}")
    if kind in ("EgressIP", "Pod") and not is_dns_subdomain(name):
        errors.add(
            path, f"must be a lower-case DNS name of at most 253 letters, digits, '-' and '.', not {quote(name)}"
        )
    return name


def _parse_spec(spec, path, errors):
    """Return the fields of EgressIP that the spec gives."""
    if spec is NO_MAPPING:
        return {}
    check_fields(spec, f"{path}.", _SPEC_FIELDS, errors)
    egress_ips = required(spec, "egressIPs", f"{path}.", errors)
    namespaces, pods = spec.get("namespaceSelector"), spec.get("podSelector")
    fields = {}
    if "egressIPs" in spec:
        fields["egress_ips"] = _parse_egress_ips(egress_ips, f"{path}.egressIPs", errors)
    if namespaces is None:
        errors.add(f"{path}.namespaceSelector", "is missing; write {} to select all namespaces")
    else:
        fields["namespace_selector"] = errors.attempt(Selector.from_dict, namespaces, f"{path}.namespaceSelector")
    # A selector whose lines were lost or commented out must not become "all pods".
    if "podSelector" in spec and pods is None:
        errors.add(f"{path}.podSelector", "is null; leave it out to select all pods")
    elif pods is not None:
        fields["pod_selector"] = errors.attempt(Selector.from_dict, pods, f"{path}.podSelector")
    return fields


def _parse_egress_ips(value, path, errors):
    listed = check_list(value, path, errors)
    seen = {}
    for index, text in enumerate(listed):
        address = errors.attempt(canonical_egress_ip, text, f"{path}[{index}]")
        if address is None:
            continue
        first = seen.setdefault(address, index)
        if first != index:
            errors.add(f"{path}[{index}]", f"{quote(text)} is the same address as egressIPs[{first}]")
    return tuple(seen)


def _parse_status(status, path, errors):
    """Return the (egress IP, node) pairs of both lists of the status. Null is as good as absent: programs write it."""
    if status is None:
        return ()
    status = check_mapping(status, path, errors)
    check_fields(status, f"{path}.", _STATUS_FIELDS, errors)
    pairs = []
    for field in _STATUS_FIELDS:
        listed = check_list([] if status.get(field) is None else status[field], f"{path}.{field}", errors)
        for index, entry in enumerate(listed):
            pair = errors.attempt(_parse_assignment, entry, f"{path}.{field}[{index}]")
            if pair not in pairs:
                pairs.append(pair)
    return tuple(pairs)


def _parse_assignment(entry, path):
    errors = Errors()
    entry = check_mapping(entry, path, errors)
    check_fields(entry, f"{path}.", _ASSIGNMENT_FIELDS, errors)
    node = required(entry, "node", f"{path}.", errors)
    address = required(entry, "egressIP", f"{path}.", errors)
    if "node" in entry:
        node = check_string(node, f"{path}.node", errors)
    if "egressIP" in entry:
        address = errors.attempt(canonical_address, address, f"{path}.egressIP")
    errors.raise_if_any()
    return address, node


def _parse_metadata_labels(metadata, root, errors):
    labels = metadata.get("labels")
    return {} if labels is None else errors.attempt(parse_labels, labels, f"{root}: metadata.labels")


def _parse_host_network(spec, path, errors):
    value = spec.get("hostNetwork")
    if value is not None and not isinstance(value, bool):
        errors.add(path, f"must be true or false, not {type_name(value)}")
    return value is True


def _parse_pod_ips(status, prefix, errors):
    """Return the canonical addresses of podIPs, or of podIP where a pod has no podIPs, without repetitions."""
    listed = check_list(status.get("podIPs") or [], f"{prefix}podIPs", errors)
    addresses = []
    for index, entry in enumerate(listed):
        path = f"{prefix}podIPs[{index}]"
        entry = check_mapping(entry, path, errors)  # noqa: PLW2901
        required(entry, "ip", f"{path}.", errors)
        if "ip" in entry:
            addresses.append(errors.attempt(canonical_address, entry["ip"], f"{path}.ip"))
    if not listed and status.get("podIP"):
        addresses = [errors.attempt(canonical_address, status["podIP"], f"{prefix}podIP")]
    return tuple(dict.fromkeys(addresses))


def _open_mapping(document, field, prefix, errors):
    """Return the mapping at ``field``; an absent or null one is empty."""
    value = document.get(field)
    return {} if value is None else check_mapping(value, f"{prefix}{field}", errors)


def _optional_string(mapping, field, prefix, errors):
    """Return the string at ``field``; None when it is absent, null or empty."""
    value = mapping.get(field)
    return None if value is None or value == "" else check_string(value, f"{prefix}{field}", errors)
