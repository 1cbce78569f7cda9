# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A test API server of Kubernetes over HTTPS, for tests without a cluster: kubectl and the Python client read it.

It has discovery, lists in pages, watches with bookmarks, 410 Gone, tokens of service accounts with their roles, custom
resources by their CRD (schema, defaults, printer columns), status subresources, Events, and faults on demand. It has no
OpenAPI documents, admission or controllers: call kubectl with --validate=false.
"""

from __future__ import annotations

import base64
import contextlib
import json
import ssl
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from ipaddress import ip_address
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import crd_schema
import yaml
from api_store import EXPIRED, Refused, Resource, Store
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

ADMIN = "admin-token-of-the-test-api-server"
VERSION = {"major": "1", "minor": "32", "gitVersion": "v1.32.4", "platform": "linux/amd64"}
TABLE = "as=Table"
POLL = 0.05
ALL = ({"apiGroups": ["*"], "resources": ["*"], "verbs": ["*"]},)
# The columns of built-in kinds, by JSON path; a real server has more.
COLUMNS = {
    "Event": (
        {"name": "Type", "type": "string", "jsonPath": ".type"},
        {"name": "Reason", "jsonPath": ".reason"},
        {"name": "Object", "jsonPath": ".involvedObject.name"},
        {"name": "Message", "jsonPath": ".message"},
    ),
    "Pod": ({"name": "Status", "jsonPath": ".status.phase"},),
}


class ApiServer:
    """A running server: `store` has its objects, `requests` the requests so far as `METHOD path`."""

    def __init__(self, folder: Path) -> None:
        self.tokens: dict[str, tuple[str, Sequence[Mapping[str, Any]]]] = {ADMIN: ("admin", ALL)}
        self.requests: list[str] = []
        self.bookmark_seconds = 1.0
        self.page_snapshots: dict[str, list[dict[str, Any]]] = {}
        self.stopping = threading.Event()
        self._faults: list[list[Any]] = []
        self.ca = folder / "ca.crt"
        key_and_certificate = _certificates(self.ca, folder / "server.pem")
        self.store = Store(self.ca.read_bytes())
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(key_and_certificate)
        # As a real API server asks for the certificate of a client; only tokens count here.
        context.load_verify_locations(self.ca)
        context.verify_mode = ssl.CERT_OPTIONAL
        self._http = ThreadingHTTPServer(("127.0.0.1", 0), type("_Handler", (Handler,), {"api": self}))
        self._http.daemon_threads = True
        self._http.socket = context.wrap_socket(self._http.socket, server_side=True, do_handshake_on_connect=False)
        self.url = f"https://127.0.0.1:{self._http.server_address[1]}"

    @contextlib.contextmanager
    def running(self) -> Iterator[ApiServer]:
        """Serve until the end of the `with` block."""
        thread = threading.Thread(target=self._http.serve_forever, args=(POLL,), daemon=True)
        thread.start()
        try:
            yield self
        finally:
            self.stopping.set()
            self._http.shutdown()
            self._http.server_close()
            thread.join()

    def allow(self, token: str, user: str, rules: Sequence[Mapping[str, Any]]) -> None:
        """Accept a bearer token with the `rules` of a ClusterRole document."""
        self.tokens[token] = (user, rules)

    def fault(self, path: str, action: Callable[[Handler], None], times: int = 1 << 30) -> None:
        """Call `action(handler)` for the next `times` requests whose path contains `path`; it may answer or raise."""
        self._faults.append([path, action, times])

    def pass_faults(self, handler: Handler) -> None:
        """Call the first fault for the request; a fault that raises `Done` has answered it."""
        for fault in self._faults:
            path, action, times = fault
            if path in handler.path and times:
                fault[2] -= 1
                action(handler)
                return

    def kubeconfig(self, path: Path, token: str = ADMIN, ca: Path | None = None) -> Path:
        """Write a kubeconfig file with the context `test`."""
        cluster = {"server": self.url, "certificate-authority": str(ca or self.ca)}
        document = {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": "test", "cluster": cluster}],
            "users": [{"name": "test", "user": {"token": token}}],
            "contexts": [{"name": "test", "context": {"cluster": "test", "user": "test"}}],
            "current-context": "test",
        }
        path.write_text(yaml.safe_dump(document))
        path.chmod(0o600)
        return path


class Done(Exception):
    """The request is answered."""


@dataclass(frozen=True)
class Target:
    """What a path names: a resource, or one object of it, or its status."""

    resource: Resource
    namespace: str = ""
    name: str = ""
    subresource: str = ""


class Handler(BaseHTTPRequestHandler):
    """One connection."""

    api: ApiServer
    protocol_version = "HTTP/1.1"

    def handle(self) -> None:
        """Answer the requests of a connection; a client may end it at any time."""
        with contextlib.suppress(OSError, ssl.SSLError):
            super().handle()

    def log_message(self, *_arguments: Any) -> None:
        """Write nothing; `requests` of the server has the paths."""

    def do_GET(self) -> None:
        """Answer discovery, a list, an object or a watch."""
        self._answer()

    do_POST = do_PUT = do_PATCH = do_DELETE = do_GET

    def send(self, code: int, body: bytes, kind: str = "application/json") -> None:
        """Send a complete answer."""
        self.send_response(code)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def send_json(self, code: int, document: Any) -> None:
        """Send a document."""
        self.send(code, json.dumps(document).encode())

    def _answer(self) -> None:
        self.api.requests.append(f"{self.command} {self.path}")
        length = int(self.headers.get("Content-Length") or 0)
        self.body = json.loads(self.rfile.read(length)) if length else None
        parts = urlsplit(self.path)
        self.query = {key: values[-1] for key, values in parse_qs(parts.query).items()}
        try:
            self.api.pass_faults(self)
            user, rules = self._user()
            found = self._discovery(parts.path)
            if found is not None:
                self.send_json(200, found)
                return
            target = self._target([each for each in parts.path.split("/") if each])
            self._check_rules(target, user, rules)
            self._serve(target)
        except Refused as refused:
            self.send_json(refused.code, refused.to_dict())
        except Done:
            pass

    def _user(self) -> tuple[str, Sequence[Mapping[str, Any]]]:
        scheme, _space, token = self.headers.get("Authorization", "").partition(" ")
        account = self.api.store.account_of(token)
        if scheme.lower() == "bearer" and account is not None:
            return ":".join(("system:serviceaccount", *account)), self.api.store.rules_of(*account)
        if scheme.lower() != "bearer" or token not in self.api.tokens:
            raise Refused(401, "Unauthorized", "Unauthorized")
        return self.api.tokens[token]

    def _discovery(self, path: str) -> dict[str, Any] | None:
        resources = self.api.store.resources()
        groups = sorted({(each.group, each.version) for each in resources if each.group})
        fixed: dict[str, Any] = {
            "/version": VERSION,
            "/api": {"kind": "APIVersions", "versions": ["v1"]},
            "/apis": {"kind": "APIGroupList", "apiVersion": "v1", "groups": [_group(*each) for each in groups]},
        }
        for group, version in [("", "v1"), *groups]:
            served = [entry for each in resources if each.group == group for entry in each.described()]
            name = f"{group}/{version}" if group else version
            described = {"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": name, "resources": served}
            fixed[f"/apis/{name}" if group else "/api/v1"] = described
            fixed[f"/apis/{group}"] = {"kind": "APIGroup", "apiVersion": "v1", **_group(group, version)}
        return fixed.get(path.rstrip("/"))

    def _target(self, parts: list[str]) -> Target:
        if parts[:1] not in (["api"], ["apis"]) or len(parts) < 2:
            raise Refused(404, "NotFound", "the server could not find the requested resource")
        group, version, rest = (
            ("", parts[1:2], parts[2:]) if parts[:1] == ["api"] else (*parts[1:2], parts[2:3], parts[3:])
        )
        namespace = rest.pop(1) if len(rest) > 2 and rest[0] == "namespaces" and rest[2] != "status" else ""
        rest = rest[1:] if namespace else rest
        resource = self.api.store.resource(group, "".join(version), rest[0] if rest else "")
        if resource is None or len(rest) > 3:
            raise Refused(404, "NotFound", "the server could not find the requested resource")
        target = Target(resource, namespace, *rest[1:])
        if target.subresource and not (target.subresource == "status" and resource.has_status):
            raise Refused(404, "NotFound", "the server could not find the requested resource")
        return target

    def _check_rules(self, target: Target, user: str, rules: Sequence[Mapping[str, Any]]) -> None:
        verbs = {"POST": "create", "PUT": "update", "PATCH": "patch", "DELETE": "delete"}
        verb = verbs.get(self.command) or ("get" if target.name else "watch" if "watch" in self.query else "list")
        name = "/".join(filter(None, (target.resource.plural, target.subresource)))
        for rule in rules:
            groups, names = {*rule["apiGroups"]}, {*rule.get("resourceNames", ())}
            if (
                groups & {"*", target.resource.group}
                and {*rule["resources"]} & {"*", name}
                and {*rule["verbs"]} & {"*", verb}
                and (not names or target.name in names)
                and rule.get("namespace", "") in ("", target.namespace)
            ):
                return
        where = f'in the namespace "{target.namespace}"' if target.namespace else "at the cluster scope"
        text = f'cannot {verb} resource "{name}" in API group "{target.resource.group}" {where}'
        raise Refused(403, "Forbidden", f'{target.resource.full_name} is forbidden: User "{user}" {text}')

    def _serve(self, target: Target) -> None:
        store, place = self.api.store, (target.resource, target.namespace, target.name)
        if self.command == "POST":
            self.send_json(201, store.create(target.resource, target.namespace, self.body))
        elif self.command == "DELETE":
            self.send_json(200, store.delete(*place))
        elif self.command in ("PUT", "PATCH"):
            self.send_json(200, store.update(*place, self._change(), target.subresource == "status"))
        elif target.name:
            self._send_objects(target.resource, store.get(*place))
        elif self.query.get("watch") in ("1", "true"):
            self._watch(target)
        else:
            self._list(target)

    def _change(self) -> Callable[[dict[str, Any]], dict[str, Any]]:
        """Return the function that a PUT or PATCH applies to an object."""
        if self.command == "PUT":
            return lambda _document: self.body
        kind = self.headers.get("Content-Type", "")
        if kind != "application/merge-patch+json":
            raise Refused(415, "UnsupportedMediaType", f"this server has no patches of the type {kind}")
        return lambda document: _merged(document, self.body)

    def _list(self, target: Target) -> None:
        limit = int(self.query.get("limit") or 0)
        token = self.query.get("continue")
        version = str(self.api.store.version)
        if token is None:
            items = self._selected(target, self.api.store.all(target.resource))
        else:
            place = json.loads(base64.b64decode(token))
            version = place["version"]
            items = self.api.page_snapshots.pop(place["id"], None)
            if items is None:
                raise EXPIRED
        shown, left = (items[:limit], items[limit:]) if limit else (items, [])
        metadata: dict[str, Any] = {"resourceVersion": version}
        if left:
            number = f"{len(self.api.requests)}-{id(left)}"
            self.api.page_snapshots[number] = left
            place = json.dumps({"version": version, "id": number}).encode()
            metadata |= {"continue": base64.b64encode(place).decode(), "remainingItemCount": len(left)}
        self._send_objects(target.resource, shown, metadata)

    def _selected(self, target: Target, documents: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
        terms = [each for each in self.query.get("fieldSelector", "").split(",") if each]
        labels = [each.partition("=")[::2] for each in self.query.get("labelSelector", "").split(",") if each]
        return [
            document
            for document in documents
            if target.namespace in ("", document["metadata"].get("namespace"))
            and all(document["metadata"].get("labels", {}).get(key) == value.strip("=") for key, value in labels)
            and all(_has_field(document, term) for term in terms)
        ]

    def _send_objects(self, resource: Resource, found: Any, metadata: Mapping[str, Any] | None = None) -> None:
        documents = [found] if metadata is None else found
        if TABLE in self.headers.get("Accept", ""):
            self.send_json(200, _table(resource, documents, metadata))
        elif metadata is None:
            self.send_json(200, found)
        else:
            header = {"kind": f"{resource.kind}List", "apiVersion": resource.api_version, "metadata": metadata}
            # As the real server does, the items of a typed list have no kind; those of custom resources have one.
            bare = [
                {key: d[key] for key in d if resource.schema or key not in ("kind", "apiVersion")} for d in documents
            ]
            self.send_json(200, {**header, "items": bare})

    def _watch(self, target: Target) -> None:
        """Send the changes after `resourceVersion` in chunks; end after `timeoutSeconds`, or with an ERROR event."""
        store, given = self.api.store, self.query.get("resourceVersion", "0")
        version = store.version if given in ("", "0") else int(given)
        end = time.monotonic() + float(self.query.get("timeoutSeconds") or 3600)
        bookmarks = self.query.get("allowWatchBookmarks") in ("1", "true")
        bookmark_at = time.monotonic() + self.api.bookmark_seconds
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        while time.monotonic() < end and not self.api.stopping.is_set():
            try:
                changes = store.changes(target.resource, version)
            except Refused as refused:
                self._chunk({"type": "ERROR", "object": refused.to_dict()})
                break
            for change in changes:
                version = change.version
                if self._selected(target, [change.document]):
                    self._chunk({"type": change.kind, "object": self._watched(target.resource, change.document)})
            if bookmarks and time.monotonic() >= bookmark_at:
                bookmark_at = time.monotonic() + self.api.bookmark_seconds
                header = {"kind": target.resource.kind, "apiVersion": target.resource.api_version}
                seen = {**header, "metadata": {"resourceVersion": str(store.version)}}
                self._chunk({"type": "BOOKMARK", "object": seen})
            with store.changed:
                store.changed.wait(POLL)
        self.wfile.write(b"0\r\n\r\n")

    def _watched(self, resource: Resource, document: dict[str, Any]) -> dict[str, Any]:
        return _table(resource, [document], {}) if TABLE in self.headers.get("Accept", "") else document

    def _chunk(self, document: Mapping[str, Any]) -> None:
        body = json.dumps(document).encode() + b"\n"
        self.wfile.write(f"{len(body):x}\r\n".encode() + body + b"\r\n")
        self.wfile.flush()


def silent(handler: Handler) -> None:
    """Never answer; a fault."""
    handler.api.stopping.wait()
    raise ConnectionResetError


def dripping(handler: Handler) -> None:
    """Announce a long answer and send one byte at a time, for ever; a fault."""
    handler.send_response(200)
    handler.send_header("Content-Length", "1000000")
    handler.end_headers()
    while not handler.api.stopping.wait(POLL):
        handler.wfile.write(b" ")
    raise ConnectionResetError


def cut(handler: Handler) -> None:
    """End the connection in the middle of an answer; a fault."""
    handler.send_response(200)
    handler.send_header("Content-Length", "1000000")
    handler.end_headers()
    handler.wfile.write(b'{"kind": "PodList", "items": [')
    handler.close_connection = True
    raise Done


def answering(code: int, body: bytes, kind: str = "application/json") -> Callable[[Handler], None]:
    """Return a fault that sends this answer."""

    def answer(handler: Handler) -> None:
        handler.send(code, body, kind)
        raise Done

    return answer


def _group(group: str, version: str) -> dict[str, Any]:
    entry = {"groupVersion": f"{group}/{version}", "version": version}
    return {"name": group, "versions": [entry], "preferredVersion": entry}


def _merged(document: Any, patch: Any) -> Any:
    """Return a document with a JSON merge patch (RFC 7396)."""
    if not isinstance(patch, dict):
        return patch
    result = dict(document) if isinstance(document, dict) else {}
    for key, value in patch.items():
        if value is None:
            result.pop(key, None)
        else:
            result[key] = _merged(result.get(key), value)
    return result


def _has_field(document: Mapping[str, Any], term: str) -> bool:
    path, differs, value = term.partition("!=") if "!=" in term else term.partition("=")
    found: Any = document
    for name in path.split("."):
        found = found.get(name, "") if isinstance(found, Mapping) else ""
    return (str(found) != value) if differs == "!=" else (str(found) == value.strip("="))


def _table(
    resource: Resource, documents: Sequence[dict[str, Any]], metadata: Mapping[str, Any] | None
) -> dict[str, Any]:
    """Return documents as the Table that kubectl shows."""
    columns = resource.columns or COLUMNS.get(resource.kind, ())
    headers = [{"name": "Name", "type": "string", "format": "name"}]
    headers += [{"name": each["name"], "type": "string", "priority": each.get("priority", 0)} for each in columns]
    rows = [
        {
            "cells": [document["metadata"]["name"], *(crd_schema.column(document, each) for each in columns)],
            "object": {
                "kind": "PartialObjectMetadata",
                "apiVersion": "meta.k8s.io/v1",
                "metadata": document["metadata"],
            },
        }
        for document in documents
    ]
    header = {"kind": "Table", "apiVersion": "meta.k8s.io/v1", "metadata": dict(metadata or {})}
    return {
        **header,
        "columnDefinitions": [{"description": "", "format": "", **each} for each in headers],
        "rows": rows,
    }


def _certificates(ca: Path, server: Path) -> Path:
    """Write the certificate of a new CA, and key and certificate of the server at 127.0.0.1; return the latter."""
    ca_key, key = (ec.generate_private_key(ec.SECP256R1()) for _each in range(2))
    authority = _certificate("test CA", "test CA", ca_key.public_key(), ca_key, None)
    signed = _certificate("test API server", "test CA", key.public_key(), ca_key, ip_address("127.0.0.1"))
    ca.write_bytes(authority.public_bytes(serialization.Encoding.PEM))
    plain = serialization.NoEncryption()
    secret = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, plain)
    server.write_bytes(secret + signed.public_bytes(serialization.Encoding.PEM))
    return server


def _certificate(subject: str, issuer: str, public_key: Any, signer: Any, address: Any) -> x509.Certificate:
    """Return a certificate; without an address that of a CA."""
    names = [x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, each)]) for each in (subject, issuer)]
    now = datetime.now(UTC)
    builder = x509.CertificateBuilder(
        issuer_name=names[1],
        subject_name=names[0],
        public_key=public_key,
        serial_number=x509.random_serial_number(),
        not_valid_before=now - timedelta(days=1),
        not_valid_after=now + timedelta(days=1),
    )
    builder = builder.add_extension(x509.BasicConstraints(ca=address is None, path_length=None), critical=True)
    identifier = x509.SubjectKeyIdentifier.from_public_key(public_key)
    builder = builder.add_extension(identifier, critical=False)
    issued_by = x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.public_key())
    builder = builder.add_extension(issued_by, critical=False)
    if address is None:
        usage = x509.KeyUsage(False, False, False, False, False, True, True, False, False)
        builder = builder.add_extension(usage, critical=True)
    else:
        names_of = x509.SubjectAlternativeName([x509.IPAddress(address), x509.DNSName("localhost")])
        builder = builder.add_extension(names_of, critical=False)
    return builder.sign(signer, hashes.SHA256())
