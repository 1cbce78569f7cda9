# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Clusters as sources of manifests: their settings, the lists to read, and the names of their objects. PRIVATE. Pure.

Objects of a cluster with a name are qualified by it, so that those of two clusters differ: the EgressIP ``web`` of the
cluster ``prod`` is ``prod.web``, its namespace ``default`` is ``prod.default``. A namespace's name never has a dot. The
node ``worker1`` is ``worker1.prod``, so that its short name, which may identify an inventory host, stays.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any, Iterable, Mapping, NamedTuple

from .._common.errors import Errors
from .._common.messages import quote, type_name
from .._common.selectors import is_dns_label
from .._common.validation import check_fields, check_list, check_mapping, check_string, did_you_mean
from .objects import API_VERSIONS, CLUSTER_LABEL

_FIELDS = ("name", "kubeconfig", "context", "host", "ca_cert", "token_file", "namespaces", "kinds", "timeout")
_TOKENS = ("api_key", "token", "password", "username")
_MAX_TIMEOUT = 600
_LAST_APPLIED = "kubectl.kubernetes.io/last-applied-configuration"
# The fields of each kind that the collection reads, {part: fields}; other parts are large.
_USED: Mapping[str, Mapping[str, tuple[str, ...]]] = {
    "Namespace": {"metadata": ("name", "labels", "annotations")},
    "Pod": {
        "metadata": ("name", "namespace", "labels"),
        "spec": ("nodeName", "hostNetwork"),
        "status": ("phase", "podIPs", "podIP"),
    },
    "Node": {"metadata": ("name", "labels"), "spec": ("podCIDRs",), "status": ("addresses",)},
    "EgressIP": {"metadata": ("name", "labels", "annotations")},
}
_PLURALS = {"EgressIP": "egressips", "Namespace": "namespaces", "Pod": "pods", "Node": "nodes"}
KINDS = tuple(_PLURALS)


@dataclass(frozen=True)
class Cluster:
    """The settings of a cluster; ``path`` names them in errors. Empty settings are not given.

    ``timeout`` is the longest silence of the API server in seconds. ``verify`` is whether its certificate is checked.
    """

    path: str
    name: str = ""
    kubeconfig: str = ""
    context: str = ""
    host: str = ""
    ca_cert: str = ""
    token_file: str = ""
    token: str = field(default="", repr=False)
    namespaces: tuple[str, ...] = ()
    kinds: tuple[str, ...] = KINDS
    timeout: float = 10
    verify: bool = True

    def with_environment(self, environment: Mapping[str, str]) -> Cluster:
        """Return the cluster with the values of ``K8S_AUTH_*`` variables, if no setting names a cluster.

        These variables are those of kubernetes.core, and AWX sets them for a Kubernetes credential. One that names a
        cluster gets nothing from them, so that no cluster receives the token of another.
        """
        if self.kubeconfig or self.context or self.host:
            return self
        given = {name: environment.get(f"K8S_AUTH_{name}", "") for name in _ENVIRONMENT}
        found: dict[str, Any] = {setting: given[name] for name, setting in _ENVIRONMENT.items() if given[name]}
        verify = environment.get("K8S_AUTH_VERIFY_SSL", "").strip().lower() not in ("0", "f", "false", "n", "no", "off")
        return replace(self, verify=verify or "host" not in found, **found)


_ENVIRONMENT = {
    "KUBECONFIG": "kubeconfig",
    "CONTEXT": "context",
    "HOST": "host",
    "API_KEY": "token",
    "SSL_CA_CERT": "ca_cert",
}


class ListRequest(NamedTuple):
    """One list or object to read: its kind, the path of the URL, and whether it is one object."""

    kind: str
    path: str
    is_object: bool = False


def read_cluster(value: object, path: str) -> Cluster:
    """Return the Cluster of a source's settings, a mapping; InvalidError has every error."""
    errors = Errors()
    written = check_mapping(value, path, errors)
    _refuse_tokens(written, path, errors)
    check_fields({key: written[key] for key in written if key not in _TOKENS}, f"{path}.", _FIELDS, errors)
    texts: dict[str, Any] = {key: _text(written, key, path, errors) for key in _FIELDS[:6]}
    if texts["name"] and not is_dns_label(texts["name"]):
        errors.add(f"{path}.name", f"must be a lower-case DNS label, not {quote(texts['name'])}")
    if texts["host"] and texts["kubeconfig"]:
        errors.add(f"{path}.host", "must not be combined with kubeconfig; remove one of them")
    for key in ("ca_cert", "token_file"):
        if texts[key] and not texts["host"]:
            errors.add(f"{path}.{key}", "has no effect without host; a kubeconfig file has its own")
    found = Cluster(
        path,
        **texts,
        namespaces=_texts(written, "namespaces", path, errors),
        kinds=_kinds(written, path, errors),
        timeout=_timeout(written, path, errors),
    )
    errors.raise_if_any()
    return found


def check_names(clusters: Iterable[Cluster]) -> None:
    """Raise an InvalidError unless each of several clusters has a name of its own."""
    errors = Errors()
    listed = list(clusters)
    first: dict[str, Cluster] = {}
    for cluster in listed if len(listed) > 1 else ():
        if not cluster.name:
            errors.add(f"{cluster.path}.name", "is missing; each of several clusters needs a name of its own")
        elif first.setdefault(cluster.name, cluster) is not cluster:
            text = f"{quote(cluster.name)} is the name in {first[cluster.name].path} too; each cluster needs its own"
            errors.add(f"{cluster.path}.name", text)
    errors.raise_if_any()


def list_requests(cluster: Cluster) -> list[ListRequest]:
    """Return what is read from a cluster. With ``namespaces``, only these are read, and their pods."""
    found = []
    for kind in cluster.kinds:
        if kind == "Pod" and cluster.namespaces:
            found += [ListRequest(kind, f"/api/v1/namespaces/{name}/pods") for name in cluster.namespaces]
        elif kind == "Namespace" and cluster.namespaces:
            found += [ListRequest(kind, f"/api/v1/namespaces/{name}", True) for name in cluster.namespaces]
        else:
            version = API_VERSIONS[kind]
            root = f"/apis/{version}" if "/" in version else f"/api/{version}"
            found.append(ListRequest(kind, f"{root}/{_PLURALS[kind]}"))
    return found


def document_of(item: object, kind: str, cluster: str = "") -> object:
    """Return an item of a list as a document of this kind, reduced to the fields in use; malformed parts stay.

    ``cluster`` is the name that qualifies the object, empty for none.
    """
    if not isinstance(item, dict):
        return item
    used = _USED[kind]
    parts = {key: _reduced(item[key], used[key]) for key in used if key in item}
    if kind == "EgressIP":
        parts.update({key: item[key] for key in ("spec", "status") if key in item})
    annotations = parts["metadata"].get("annotations") if isinstance(parts.get("metadata"), dict) else None
    if isinstance(annotations, dict):
        parts["metadata"]["annotations"] = {k: annotations[k] for k in annotations if k != _LAST_APPLIED}
    document = {"apiVersion": API_VERSIONS[kind], "kind": kind, **parts}
    return _qualified(document, kind, cluster) if cluster else document


def own_name(name: str, cluster: str) -> str | None:
    """Return the name of an object in its cluster by its qualified name; None if it belongs to another cluster."""
    if not cluster:
        return name
    return name[len(cluster) + 1 :] if name.startswith(f"{cluster}.") else None


def own_node_name(name: str, cluster: str) -> str:
    """Return the name of a node in its cluster by its qualified name; others stay as they are."""
    suffix = f".{cluster}"
    return name[: -len(suffix)] if cluster and name.endswith(suffix) else name


def _node_name(name: object, cluster: str) -> object:
    return f"{name}.{cluster}" if isinstance(name, str) else name


def _qualified(document: dict[str, Any], kind: str, cluster: str) -> dict[str, Any]:
    """Qualify the names in a document, and mark Nodes and Namespaces by a label.

    An EgressIP selects namespaces of its own cluster only. Its status names nodes, so it is left out.
    """
    metadata = document.get("metadata")
    if not isinstance(metadata, dict):
        return document
    key = {"EgressIP": "name", "Namespace": "name", "Pod": "namespace"}.get(kind)
    if key and isinstance(metadata.get(key), str) and metadata[key]:
        metadata[key] = f"{cluster}.{metadata[key]}"
    place = document.get("spec") if kind == "Pod" else metadata if kind == "Node" else None
    if isinstance(place, dict):
        place.update({key: _node_name(place[key], cluster) for key in ("name", "nodeName") if place.get(key)})
    if kind == "EgressIP":
        document.pop("status", None)
    labels = metadata.get("labels") or {}
    if kind in ("Namespace", "Node") and isinstance(labels, dict):
        metadata["labels"] = {**labels, CLUSTER_LABEL: cluster}
    spec = document.get("spec")
    selector = spec.get("namespaceSelector") if kind == "EgressIP" and isinstance(spec, dict) else None
    if isinstance(selector, dict) and isinstance(selector.get("matchLabels", {}), dict):
        narrowed = {**selector, "matchLabels": {**selector.get("matchLabels", {}), CLUSTER_LABEL: cluster}}
        document["spec"] = {**document["spec"], "namespaceSelector": narrowed}
    return document


def _reduced(value: object, fields: Iterable[str]) -> Any:
    return {key: value[key] for key in fields if key in value} if isinstance(value, dict) else value


def _refuse_tokens(written: Mapping[str, Any], path: str, errors: Errors) -> None:
    """Ansible shows variables in several places, so a secret must not be one."""
    for key in _TOKENS:
        if key in written:
            fix = "use kubeconfig, token_file, or the environment variable K8S_AUTH_API_KEY"
            errors.add(f"{path}.{key}", f"secrets are not accepted in variables; {fix}")


def _text(written: Mapping[str, Any], key: str, path: str, errors: Errors) -> str:
    # A template that gives nothing gives an empty string.
    if written.get(key) in (None, ""):
        return ""
    return check_string(written[key], f"{path}.{key}", errors) or ""


def _texts(written: Mapping[str, Any], key: str, path: str, errors: Errors) -> tuple[str, ...]:
    listed = check_list(written.get(key) or [], f"{path}.{key}", errors)
    texts = [check_string(text, f"{path}.{key}[{index}]", errors) for index, text in enumerate(listed)]
    for index, text in enumerate(texts):
        if text is not None and not is_dns_label(text):
            errors.add(f"{path}.{key}[{index}]", f"must be the name of a namespace, not {quote(text)}")
    return tuple(dict.fromkeys(text for text in texts if text is not None))


def _kinds(written: Mapping[str, Any], path: str, errors: Errors) -> tuple[str, ...]:
    if written.get("kinds") is None:
        return KINDS
    listed = check_list(written["kinds"], f"{path}.kinds", errors)
    if not listed:
        errors.add(f"{path}.kinds", "is empty; leave it out to read all kinds")
    for index, kind in enumerate(listed):
        if kind not in KINDS:
            near = did_you_mean(kind, KINDS) if isinstance(kind, str) else None
            found = quote(kind) if isinstance(kind, str) else type_name(kind)
            hint = f"did you mean {near}?" if near else f"expected one of {', '.join(KINDS)}"
            errors.add(f"{path}.kinds[{index}]", f"{found} is not a kind that is read; {hint}")
    return tuple(kind for kind in KINDS if kind in listed)


def _timeout(written: Mapping[str, Any], path: str, errors: Errors) -> float:
    value = written.get("timeout", 10)
    try:
        seconds = 0.0 if isinstance(value, bool) else float(value)
    except (TypeError, ValueError):
        seconds = 0.0
    if not 0 < seconds <= _MAX_TIMEOUT:
        found = quote(value) if isinstance(value, str) else type_name(value)
        errors.add(f"{path}.timeout", f"must be a number of seconds above 0 and at most {_MAX_TIMEOUT}, not {found}")
    return seconds
