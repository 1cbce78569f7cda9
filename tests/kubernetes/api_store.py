# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The objects of the test API server: resources, versions, and the history that watches read."""

from __future__ import annotations

import base64
import copy
import threading
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import crd_schema

ACCOUNT_TOKEN = "kubernetes.io/service-account-token"


@dataclass(frozen=True)
class Resource:
    """One resource of an API group; `columns` are printer columns and `schema` the schema of a custom one."""

    group: str
    version: str
    plural: str
    kind: str
    namespaced: bool = False
    short_names: tuple[str, ...] = ()
    has_status: bool = True
    columns: tuple[Mapping[str, Any], ...] = ()
    schema: Mapping[str, Any] | None = None

    @property
    def api_version(self) -> str:
        """`v1`, or `GROUP/VERSION`."""
        return f"{self.group}/{self.version}" if self.group else self.version

    @property
    def full_name(self) -> str:
        """The name in error messages, `egressips.k8s.ovn.org`."""
        return f"{self.plural}.{self.group}" if self.group else self.plural

    def described(self) -> list[dict[str, Any]]:
        """The entries of an APIResourceList."""
        verbs = ["create", "delete", "get", "list", "patch", "update", "watch"]
        entry = {"name": self.plural, "singularName": self.kind.lower(), "namespaced": self.namespaced}
        found = [{**entry, "kind": self.kind, "verbs": verbs, "shortNames": list(self.short_names)}]
        if self.has_status:
            status = {"name": f"{self.plural}/status", "singularName": "", "namespaced": self.namespaced}
            found.append({**status, "kind": self.kind, "verbs": ["get", "patch", "update"]})
        return found


CRDS = Resource("apiextensions.k8s.io", "v1", "customresourcedefinitions", "CustomResourceDefinition", False, ("crd",))
SECRETS = Resource("", "v1", "secrets", "Secret", True, has_status=False)
RBAC = "rbac.authorization.k8s.io"
BUILT_IN = (
    Resource("", "v1", "pods", "Pod", True, ("po",)),
    Resource("", "v1", "namespaces", "Namespace", False, ("ns",)),
    Resource("", "v1", "nodes", "Node", False, ("no",)),
    Resource("", "v1", "events", "Event", True, ("ev",), has_status=False),
    CRDS,
    Resource("", "v1", "serviceaccounts", "ServiceAccount", True, ("sa",), has_status=False),
    SECRETS,
    Resource(RBAC, "v1", "clusterroles", "ClusterRole", has_status=False),
    Resource(RBAC, "v1", "clusterrolebindings", "ClusterRoleBinding", has_status=False),
    Resource(RBAC, "v1", "roles", "Role", True, has_status=False),
    Resource(RBAC, "v1", "rolebindings", "RoleBinding", True, has_status=False),
)


class Refused(Exception):
    """An answer of the kind Status: its code, reason and message."""

    def __init__(self, code: int, reason: str, message: str) -> None:
        super().__init__(message)
        self.code, self.reason = code, reason

    def to_dict(self) -> dict[str, Any]:
        """Return the Status as the API server writes it."""
        header = {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure"}
        return {**header, "message": str(self), "reason": self.reason, "code": self.code}


EXPIRED = Refused(410, "Expired", "The provided continue parameter is too old; the list must start again")


@dataclass(frozen=True)
class WatchEvent:
    """One event of the history."""

    version: int
    kind: str
    resource: tuple[str, str]
    document: dict[str, Any]


class Store:
    """All objects, by resource and (namespace, name). Each write has the next resource version."""

    def __init__(self, ca: bytes = b"") -> None:
        """`ca` is the certificate that secrets of service accounts have."""
        self._ca = ca
        self.changed = threading.Condition(threading.RLock())
        self.version = 1
        self.compacted = 0
        self._objects: dict[tuple[str, str], dict[tuple[str, str], dict[str, Any]]] = {}
        self._history: list[WatchEvent] = []

    def resources(self) -> tuple[Resource, ...]:
        """Return the built-in resources and those of the CRDs in the store."""
        return (*BUILT_IN, *(_custom(each) for each in self.all(CRDS)))

    def resource(self, group: str, version: str, plural: str) -> Resource | None:
        """Return the resource of a path, None if there is none."""
        wanted = group, version, plural
        return next((r for r in self.resources() if (r.group, r.version, r.plural) == wanted), None)

    def of_kind(self, api_version: str, kind: str) -> Resource:
        """Return the resource of a document."""
        return next(r for r in self.resources() if (r.api_version, r.kind) == (api_version, kind))

    def all(self, resource: Resource) -> list[dict[str, Any]]:
        """Return all objects of a resource in the order of their names."""
        with self.changed:
            return [each for _key, each in sorted(self._objects.get(_of(resource), {}).items())]

    def get(self, resource: Resource, namespace: str, name: str) -> dict[str, Any]:
        """Return one object. Raises Refused."""
        with self.changed:
            found = self._objects.get(_of(resource), {}).get((namespace, name))
        if found is None:
            raise Refused(404, "NotFound", f'{resource.full_name} "{name}" not found')
        return found

    def add(self, documents: Iterable[Mapping[str, Any]]) -> None:
        """Add documents as an administrator does, with their status; an object of the same name is replaced."""
        known: dict[tuple[str, str], Resource] = {}
        for document in documents:
            kind = document["apiVersion"], document["kind"]
            resource = known.get(kind) or known.setdefault(kind, self.of_kind(*kind))
            namespace = document["metadata"].get("namespace", "default") if resource.namespaced else ""
            self._write(resource, namespace, copy.deepcopy(dict(document)))

    def create(self, resource: Resource, namespace: str, document: dict[str, Any]) -> dict[str, Any]:
        """Create an object. Raises Refused."""
        metadata = document.setdefault("metadata", {})
        if "generateName" in metadata and "name" not in metadata:
            metadata["name"] = f"{metadata['generateName']}{uuid.uuid4().hex[:5]}"
        with self.changed:
            if (namespace, metadata.get("name", "")) in self._objects.get(_of(resource), {}):
                raise Refused(409, "AlreadyExists", f'{resource.full_name} "{metadata["name"]}" already exists')
            if resource.schema is not None:
                document.pop("status", None)
            if document.get("type") == ACCOUNT_TOKEN:
                secrets = {"token": uuid.uuid4().hex.encode(), "ca.crt": self._ca}
                document["data"] = {key: base64.b64encode(value).decode() for key, value in secrets.items()}
            return self._write(resource, namespace, document)

    def update(
        self,
        resource: Resource,
        namespace: str,
        name: str,
        change: Callable[[dict[str, Any]], dict[str, Any]],
        of_status: bool,
    ) -> dict[str, Any]:
        """Replace the status of an object, or all but the status, by those of `change(object)`. Raises Refused."""
        with self.changed:
            before = self.get(resource, namespace, name)
            wanted = change(copy.deepcopy(before))
            given = wanted.get("metadata", {}).get("resourceVersion")
            if given not in (None, before["metadata"]["resourceVersion"]):
                text = f'Operation cannot be fulfilled on {resource.full_name} "{name}": the object has been modified'
                raise Refused(409, "Conflict", text)
            kept, taken = (before, wanted) if of_status else (wanted, before)
            document = {**kept, "metadata": {**kept["metadata"], "uid": before["metadata"]["uid"]}}
            if resource.has_status:
                document.pop("status", None)
                document |= {"status": taken["status"]} if "status" in taken else {}
            return self._write(resource, namespace, document)

    def delete(self, resource: Resource, namespace: str, name: str) -> dict[str, Any]:
        """Delete an object. Raises Refused."""
        with self.changed:
            document = self.get(resource, namespace, name)
            del self._objects[_of(resource)][namespace, name]
            self._note("DELETED", resource, document)
            return document

    def account_of(self, token: str) -> tuple[str, str] | None:
        """Return (namespace, name) of the service account of a token, None if there is none."""
        wanted = base64.b64encode(token.encode()).decode()
        for secret in self.all(SECRETS):
            if secret.get("type") == ACCOUNT_TOKEN and secret["data"]["token"] == wanted:
                metadata = secret["metadata"]
                return metadata["namespace"], metadata["annotations"]["kubernetes.io/service-account.name"]
        return None

    def rules_of(self, namespace: str, account: str) -> list[dict[str, Any]]:
        """Return the rules of all roles that are bound to a service account; those of a Role name its namespace."""
        subject = {"kind": "ServiceAccount", "name": account, "namespace": namespace}
        rules = []
        for kind in ("ClusterRoleBinding", "RoleBinding"):
            for binding in self.all(self.of_kind(f"{RBAC}/v1", kind)):
                if subject in binding["subjects"]:
                    place = binding["metadata"].get("namespace", "")
                    reference = binding["roleRef"]
                    where = place if reference["kind"] == "Role" else ""
                    role = self.get(self.of_kind(f"{RBAC}/v1", reference["kind"]), where, reference["name"])
                    rules += [{**rule, "namespace": place} for rule in role["rules"]]
        return rules

    def compact(self) -> None:
        """Forget the history: older watches end with 410."""
        with self.changed:
            self.compacted, self._history = self.version, []
            self.changed.notify_all()

    def changes(self, resource: Resource, version: int) -> list[WatchEvent]:
        """Return the events after a version. Raises Refused if the history does not reach back."""
        with self.changed:
            if version < self.compacted:
                raise Refused(410, "Expired", f"too old resource version: {version} ({self.compacted})")
            return [each for each in self._history if each.resource == _of(resource) and each.version > version]

    def _write(self, resource: Resource, namespace: str, document: dict[str, Any]) -> dict[str, Any]:
        metadata = document["metadata"]
        if resource.schema is not None:
            document = {**crd_schema.complete(document, resource.schema), "metadata": metadata}
            faults = crd_schema.faults(document, resource.schema)
            if faults:
                name = metadata["name"]
                raise Refused(422, "Invalid", f'{resource.kind}.{resource.group} "{name}" is invalid: {faults}')
        with self.changed:
            known = self._objects.setdefault(_of(resource), {})
            key = (namespace, metadata["name"])
            before = known.get(key)
            now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
            uid = before["metadata"]["uid"] if before else str(uuid.uuid4())
            created = before["metadata"]["creationTimestamp"] if before else now
            header = {"apiVersion": resource.api_version, "kind": resource.kind}
            place = {"namespace": namespace} if resource.namespaced else {}
            written = {**metadata, **place, "uid": uid, "creationTimestamp": created}
            document = {**header, **document, "metadata": written}
            written["resourceVersion"] = str(self.version + 1)
            known[key] = document
            self._note("MODIFIED" if before else "ADDED", resource, document)
            return document

    def _note(self, kind: str, resource: Resource, document: dict[str, Any]) -> None:
        self.version += 1
        metadata = {**document["metadata"], "resourceVersion": str(self.version)}
        self._history.append(WatchEvent(self.version, kind, _of(resource), {**document, "metadata": metadata}))
        self.changed.notify_all()


def _of(resource: Resource) -> tuple[str, str]:
    return resource.group, resource.plural


def _custom(document: Mapping[str, Any]) -> Resource:
    """Return the resource that a CustomResourceDefinition defines."""
    spec, version = document["spec"], document["spec"]["versions"][0]
    names = spec["names"]
    return Resource(
        spec["group"],
        version["name"],
        names["plural"],
        names["kind"],
        spec["scope"] == "Namespaced",
        tuple(names.get("shortNames", ())),
        "status" in version.get("subresources", {}),
        tuple(version.get("additionalPrinterColumns", ())),
        version["schema"]["openAPIV3Schema"],
    )


def pods(count: int, namespace: str = "default", node: str = "node1") -> Iterator[dict[str, Any]]:
    """Yield running pods of the size that pods have in real clusters."""
    for number in range(count):
        container = {
            "name": "web",
            "image": f"registry.example/shop/web@sha256:{number:064x}",
            "env": [{"name": f"SETTING_{each}", "value": f"value of {each}"} for each in range(12)],
            "resources": {"limits": {"cpu": "1", "memory": "512Mi"}, "requests": {"cpu": "50m", "memory": "64Mi"}},
            "volumeMounts": [{"mountPath": "/var/run/secrets/kubernetes.io/serviceaccount", "name": "token"}],
        }
        address = f"10.{128 + (number >> 16)}.{number >> 8 & 255}.{number & 255}"
        conditions = ("PodReadyToStartContainers", "Initialized", "Ready", "ContainersReady", "PodScheduled")
        moment = "2026-09-01T08:00:00Z"
        fields = {f"f:{key}": {f"f:{each}": {} for each in range(8)} for key in ("metadata", "spec", "status")}
        yield {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {
                "name": f"web-{number}",
                "namespace": namespace,
                "labels": {"app": "web", "pod-template-hash": f"{number % 97:x}"},
                "managedFields": [{"manager": name, "fieldsV1": fields} for name in ("kubelet", "controller")],
            },
            "spec": {"nodeName": node, "containers": [container], "tolerations": [{"operator": "Exists"}]},
            "status": {
                "phase": "Running",
                "podIP": address,
                "podIPs": [{"ip": address}],
                "conditions": [{"type": each, "status": "True", "lastTransitionTime": moment} for each in conditions],
                "containerStatuses": [{"name": "web", "ready": True, "state": {"running": {"startedAt": moment}}}],
            },
        }
