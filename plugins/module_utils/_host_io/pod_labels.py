# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The labels of a pod, by one request to the API server with the kubelet's credentials. PRIVATE to the collection.

Only a pod whose labels decide needs it. Its imports take longer than the rest of the program, so it has few: the file
is read line by line, as kubeadm and kubectl write it, with one cluster and one user.
"""

from __future__ import annotations

import base64
import binascii
import os
import socket
import ssl
import time

from .._common.json_object import json_object
from .pod_notes import NoteError
from .read_now import read_now

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

# Seconds for the whole request. A name server without an answer takes one more.
TIMEOUT = 2.0
# glibc would wait ten seconds for each name server.
_RESOLVER = "timeout:1 attempts:1"
_LARGEST_FILE, _LARGEST_ANSWER, _CHUNK = 1 << 20, 4 << 20, 1 << 16
_OK = 200
_SCHEME, _PORT = "https://", 443
_FIELDS = (
    "server",
    "certificate-authority",
    "certificate-authority-data",
    "client-certificate",
    "client-certificate-data",
    "client-key",
    "client-key-data",
    "token",
    "tokenFile",
    "insecure-skip-tls-verify",
)


def read_labels(kubeconfig: str, namespace: str, name: str) -> dict[str, str]:
    """Return the labels of a pod. Raises NoteError with the reason if they cannot be read."""
    deadline = time.monotonic() + TIMEOUT
    fields = read_kubeconfig(kubeconfig)
    try:
        answer = _get(kubeconfig, fields, f"/api/v1/namespaces/{namespace}/pods/{name}", deadline)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error) or "no answer"
        raise NoteError(f"{fields['server']}: the pod cannot be read: {' '.join(str(reason).split())}") from None
    labels = _labels(answer)
    if labels is None:
        raise NoteError(f"{fields['server']}: the answer is not a Pod")
    return labels


def read_kubeconfig(path: str) -> dict[str, str]:
    """Return the fields of a kubeconfig file with one cluster and one user. Raises NoteError."""
    text = _read(path, path).decode(errors="replace")
    found: dict[str, str] = {}
    for line in text.splitlines():
        key, colon, value = line.strip().lstrip("- ").partition(":")
        value = value.strip().strip("\"'")
        if not colon or key not in _FIELDS or not value:
            continue
        if key in found:
            raise NoteError(f"{path}: has {key} twice; it must have one cluster and one user")
        found[key] = value
    if not found.get("server", "").startswith(_SCHEME):
        raise NoteError(f"{path}: has no server with {_SCHEME}")
    if found.get("insecure-skip-tls-verify", "false") != "false":
        raise NoteError(f"{path}: insecure-skip-tls-verify is not supported; name the certificate authority")
    return found


def _read(path: str, of: str) -> bytes:
    """Return the content of a file that a kubeconfig file names. Raises NoteError."""
    try:
        data = read_now(path, _LARGEST_FILE)
    except OSError as error:
        raise NoteError(f"{of}: {path} cannot be read: {error.strerror}") from None
    if len(data) > _LARGEST_FILE:
        raise NoteError(f"{of}: {path} is larger than {_LARGEST_FILE} bytes")
    return data


def _data(path: str, fields: Mapping[str, str], key: str) -> bytes:
    """Return what a kubeconfig file has in itself or in a file of its own; empty without either."""
    if f"{key}-data" in fields:
        try:
            return base64.b64decode(fields[f"{key}-data"], validate=True)
        except binascii.Error:
            raise NoteError(f"{path}: {key}-data is not base64") from None
    return _named(path, fields[key]) if key in fields else b""


def _named(path: str, name: str) -> bytes:
    """Return the content of a file by its path from the folder of the kubeconfig file. Raises NoteError."""
    return _read(os.path.join(os.path.dirname(path), name), path)  # noqa: PTH118,PTH120


def _context(path: str, fields: Mapping[str, str]) -> ssl.SSLContext:
    """Return how the server is verified, and the certificate with which the node authenticates itself."""
    authority = _data(path, fields, "certificate-authority")
    context = ssl.create_default_context(cadata=authority.decode("ascii") if authority else None)
    certificate, key = (_data(path, fields, name) for name in ("client-certificate", "client-key"))
    if certificate:
        # OpenSSL reads them from a file only.
        descriptor = os.memfd_create("egress-ip")
        try:
            os.write(descriptor, certificate + b"\n" + key)
            context.load_cert_chain(f"/proc/self/fd/{descriptor}")
        finally:
            os.close(descriptor)
    return context


def split_server(server: str) -> tuple[Any, int, str]:
    """Return (host, port, path) of the URL of a server. Raises ValueError if the port is not a number.

    A host in ASCII is bytes: for a text, Python would import the codec of other names, which takes as long as the
    handshake.
    """
    netloc, _slash, path = server[len(_SCHEME) :].partition("/")
    has_port = ":" in netloc.rpartition("]")[2]
    name, _colon, port = netloc.rpartition(":") if has_port else (netloc, "", str(_PORT))
    if not port.isdigit():
        raise ValueError("the port is not a number")
    host = name.strip("[]")
    return host.encode("ascii") if host.isascii() else host, int(port), path and f"/{path.rstrip('/')}"


def _get(path: str, fields: Mapping[str, str], url: str, deadline: float) -> bytes:
    """Return the body of an answer. Raises OSError, ValueError or NoteError."""
    host, port, prefix = split_server(fields["server"])
    request = _request(path, fields, f"{prefix}{url}")
    os.environ["RES_OPTIONS"] = _RESOLVER
    plain = socket.create_connection((host, port), _left(deadline))
    with plain, _context(path, fields).wrap_socket(plain, server_hostname=host) as sock:
        sock.sendall(request)
        answer = _receive(sock, deadline)
    head, _end, body = answer.partition(b"\r\n\r\n")
    status = head.split(b"\r\n")[0].decode(errors="replace").split(" ", 1)[-1]
    if not status.startswith(str(_OK)):
        raise NoteError(f"{fields['server']}: refuses to show the pod: {status or 'no answer'}")
    return body


def _request(path: str, fields: Mapping[str, str], url: str) -> bytes:
    token = _named(path, fields["tokenFile"]).decode().strip() if "tokenFile" in fields else fields.get("token", "")
    if not token.isprintable():
        raise NoteError(f"{path}: the token has characters that a header cannot have")
    netloc = fields["server"][len(_SCHEME) :].partition("/")[0]
    lines = [f"GET {url} HTTP/1.0", f"Host: {netloc}", "Accept: application/json"]
    lines += [f"Authorization: Bearer {token}"] if token else []
    return "\r\n".join([*lines, "", ""]).encode()


def _receive(sock: ssl.SSLSocket, deadline: float) -> bytes:
    """Return all that a server sends, up to a limit."""
    answer = b""
    while len(answer) <= _LARGEST_ANSWER:
        sock.settimeout(_left(deadline))
        data = sock.recv(_CHUNK)
        if not data:
            break
        answer += data
    return answer


def _left(deadline: float) -> float:
    left = deadline - time.monotonic()
    if left <= 0:
        raise TimeoutError(f"no answer within {TIMEOUT:g} seconds")
    return left


def _labels(answer: bytes) -> dict[str, str] | None:
    """Return the labels in a Pod, None if the answer is something else."""
    pod = json_object(answer) or {}
    metadata = pod.get("metadata") if pod.get("kind") == "Pod" else None
    labels = (metadata.get("labels") or {}) if isinstance(metadata, dict) else None
    if not isinstance(labels, dict) or not all(isinstance(value, str) for value in labels.values()):
        return None
    return labels
