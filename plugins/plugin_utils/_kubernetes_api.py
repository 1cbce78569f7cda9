# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Requests to the API server of a cluster, through the connection of the official client. PRIVATE to the collection.

The client reads kubeconfig files and makes the connection. Its models are not used: they take seconds for 10,000 pods.
Every error is one line and has no secret in it. No answer may be silent, slow or large without end.
"""

from __future__ import annotations

import contextlib
import json
import os
import time
from collections.abc import Callable, Iterator, Mapping
from importlib import import_module
from pathlib import Path
from typing import Any
from urllib.parse import urlencode, urlsplit

from ansible_collections.netops.egress_ip.plugins.module_utils._common.errors import ManifestError
from ansible_collections.netops.egress_ip.plugins.module_utils._common.json_object import json_object
from ansible_collections.netops.egress_ip.plugins.module_utils._common.messages import on_one_line
from ansible_collections.netops.egress_ip.plugins.module_utils._kubernetes.clusters import Cluster
from ansible_collections.netops.egress_ip.plugins.plugin_utils._time_limit import run_with_limit

# 500 objects of a page are 5 MB in a usual cluster; etcd allows 1.5 MB for each.
_MAX_ANSWER = 256 << 20
_MAX_EVENT = 16 << 20
_CHUNK = 1 << 20
# How many times the longest silence a whole answer may take.
_WHOLE = 6
_MAX_MESSAGE = 400
_OK = 200
# A program that gets a token may ask an identity provider, but cannot ask a person.
_LOGIN_SECONDS = 60
# The names of the token in the client's configuration, now and in its version 29.
_TOKEN, _OLD_TOKEN = "BearerToken", "authorization"
_REASONS = {
    401: "does not accept the credentials (401 Unauthorized); renew the token or certificate",
    403: "refuses the request (403 Forbidden); give the user the rights of docs/kubernetes/rbac.yaml",
}


class ApiError(ManifestError):
    """A request failed; ``code`` is the HTTP status, 0 without an answer."""

    def __init__(self, text: str, code: int = 0) -> None:
        super().__init__(text)
        self.code = code


class Api:
    """The API server of one cluster. ``find`` returns the real path of a file that a setting names."""

    def __init__(self, cluster: Cluster, find: Callable[[str, str], str]) -> None:
        """Raise an ApiError if the settings name no usable API server."""
        self._cluster = cluster
        self.url = "the API server"
        self._secret = ""
        self._client = _import_client(cluster.path)
        configuration = self._client.client.Configuration()
        # Attempts to connect again would multiply the silence.
        configuration.retries = False
        self._configure(configuration, find)
        self.url = self._checked_url(configuration.host)
        self._headers = {"Accept": "application/json", "User-Agent": "netops.egress_ip"}
        token = configuration.get_api_key_with_prefix(_TOKEN if _TOKEN in configuration.api_key else _OLD_TOKEN)
        if token:
            self._headers["Authorization"] = self._checked_token(token.strip())
        self._pool = self._pool_of(configuration)

    def _pool_of(self, configuration: Any) -> Any:
        try:
            return self._client.client.ApiClient(configuration).rest_client.pool_manager
        except (ImportError, ValueError, self._client.errors.HTTPError):
            # The message may have a user of the proxy in it.
            text = "the proxy (HTTPS_PROXY, or proxy-url of the kubeconfig) must be like http://proxy.example.com:3128"
            raise ApiError(f"{self._cluster.path}: {text}") from None

    @property
    def is_verified(self) -> bool:
        """Whether the server has to prove its name by a certificate."""
        return self._verifies

    def get(self, path: str, query: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """Return the document at a path of the URL. Raises ApiError."""
        return self._request("GET", f"{path}?{urlencode(query)}" if query else path, None, {})

    def watch(self, path: str, query: Mapping[str, Any], silence: float) -> Iterator[dict[str, Any]]:
        """Yield the events of a watch until the server ends it. Raises ApiError, also after ``silence`` seconds."""
        with self._one_line(f"GET {path}", silence):
            response = self._open("GET", f"{path}?{urlencode(query)}", None, {}, silence)
            try:
                if response.status != _OK:
                    body = response.read1(_CHUNK)
                    text = self._refusal(response.status, "GET", path, body)
                    raise ApiError(f"{self._cluster.path}: {self.url} {text}", response.status)
                for line in self._lines(response):
                    yield self._parsed(line)
            finally:
                response.close()

    def _lines(self, response: Any) -> Iterator[bytes]:
        """Yield the lines of an answer as they arrive."""
        rest = b""
        while True:
            chunk = response.read1(_CHUNK)
            if not chunk:
                break
            *lines, rest = (rest + chunk).split(b"\n")
            yield from (line for line in lines if line.strip())
            if len(rest) > _MAX_EVENT:
                raise ApiError(f"{self._cluster.path}: {self.url} sends an event of more than {_MAX_EVENT >> 20} MB")

    def patch(self, path: str, document: Mapping[str, Any]) -> dict[str, Any]:
        """Change an object by a JSON merge patch and return it. Raises ApiError."""
        return self._request("PATCH", path, document, {"Content-Type": "application/merge-patch+json"})

    def create(self, path: str, document: Mapping[str, Any]) -> dict[str, Any]:
        """Create an object and return it. Raises ApiError."""
        return self._request("POST", path, document, {"Content-Type": "application/json"})

    def _configure(self, configuration: Any, find: Callable[[str, str], str]) -> None:
        cluster = self._cluster
        if cluster.host:
            configuration.host = self._checked_url(cluster.host)
            configuration.verify_ssl = cluster.verify
            configuration.ssl_ca_cert = find(cluster.ca_cert, f"{cluster.path}.ca_cert") if cluster.ca_cert else None
            token = self._read_token(find) if cluster.token_file else cluster.token.strip()
            configuration.api_key = {_TOKEN: f"Bearer {token}"} if token else {}
        else:
            self._load_kubeconfig(configuration, find)
        self._verifies = bool(configuration.verify_ssl)

    def _read_token(self, find: Callable[[str, str], str]) -> str:
        path = f"{self._cluster.path}.token_file"
        try:
            return Path(find(self._cluster.token_file, path)).read_text(encoding="ascii").strip()
        except (OSError, ValueError) as error:
            raise ApiError(f"{path}: cannot be read: {_short(error)}") from error

    def _load_kubeconfig(self, configuration: Any, find: Callable[[str, str], str]) -> None:
        cluster = self._cluster
        path = f"{cluster.path}.kubeconfig"
        usual = os.environ.get("KUBECONFIG") or "~/.kube/config"
        file = find(cluster.kubeconfig, path) if cluster.kubeconfig else usual
        load = self._client.config.load_kube_config
        options = {"client_configuration": configuration, "persist_config": False}
        try:
            run_with_limit(lambda: load(file, cluster.context or None, **options), _LOGIN_SECONDS)
        except TimeoutError as error:
            text = f"the program of the file that gets a token did not end within {_LOGIN_SECONDS} s; run it by hand"
            raise ApiError(f"{path}: {text}") from error
        except Exception as error:  # pylint: disable=broad-exception-caught  # see below
            # A malformed file or a failed login program leads to exceptions of many types in the client.
            raise ApiError(f"{path}: cannot be used: {_short(error)}") from error

    def _checked_token(self, written: str) -> str:
        """Return the value of the header, and keep the token out of messages."""
        # The HTTP client would show the header in its message.
        if not (written.isascii() and written.isprintable()):
            text = "the token has characters that no token has, such as a line end; write the token on one line"
            raise ApiError(f"{self._cluster.path}: {text}")
        self._secret = written.rpartition(" ")[2]
        return written

    def _checked_url(self, written: str) -> str:
        """Return the URL without a user and password; tokens must not be sent in clear text."""
        try:
            parts = urlsplit(written)
            port = parts.port
        except ValueError as error:
            # Its message may have the password in it.
            text = "the URL of the API server must be like https://api.example.com:6443"
            raise ApiError(f"{self._cluster.path}: {text}; correct its host or port") from error
        if not parts.hostname or parts.scheme != "https":
            raise ApiError(f"{self._cluster.path}: the URL of the API server must begin with https://")
        host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
        return f"https://{host}{f':{port}' if port else ''}{parts.path.rstrip('/')}"

    def _request(
        self, method: str, path: str, document: Mapping[str, Any] | None, headers: Mapping[str, str]
    ) -> dict[str, Any]:
        with self._one_line(f"{method} {path.partition('?')[0]}"):
            status, body = self._exchange(method, path, document, headers)
        answer = self._parsed(body) if 200 <= status < 300 else None
        if answer is None:
            raise ApiError(f"{self._cluster.path}: {self.url} {self._refusal(status, method, path, body)}", status)
        return answer

    def _exchange(
        self, method: str, path: str, document: Mapping[str, Any] | None, headers: Mapping[str, str]
    ) -> tuple[int, bytes]:
        timeout = self._cluster.timeout
        deadline = time.monotonic() + _WHOLE * timeout
        response = self._open(method, path, document, headers, timeout)
        try:
            chunks, size = [], 0
            while True:
                chunk = response.read1(_CHUNK)
                if not chunk:
                    break
                chunks.append(chunk)
                size += len(chunk)
                if size > _MAX_ANSWER:
                    raise ApiError(f"{self._cluster.path}: {self.url} answers with more than {_MAX_ANSWER >> 20} MB")
                if time.monotonic() > deadline:
                    raise TimeoutError
        except BaseException:
            response.close()
            raise
        response.release_conn()
        return response.status, b"".join(chunks)

    def _open(
        self,
        method: str,
        path: str,
        document: Mapping[str, Any] | None,
        headers: Mapping[str, str],
        timeout: float,
    ) -> Any:
        """Send a request and return the response, whose body is not read."""
        return self._pool.request(
            method,
            f"{self.url}{path}",
            body=None if document is None else json.dumps(document).encode(),
            headers={**self._headers, **headers},
            timeout=timeout,
            retries=False,
            redirect=False,
            preload_content=False,
            # A compressed answer, which was not requested, could be larger than the memory.
            decode_content=False,
        )

    def _refusal(self, status: int, method: str, path: str, body: bytes) -> str:
        """Return the message of an answer that is no success; the server's own message is shown on one line."""
        message = (json_object(body[:_CHUNK]) or {}).get("message")
        shown = f": {self._shown(message)}" if isinstance(message, str) and message else ""
        reason = _REASONS.get(status, f"answers {method} {path.partition('?')[0]} with the status {status}")
        return f"{reason}{shown}"

    def _shown(self, text: object) -> str:
        """Return a message of the client or server on one line, without the token."""
        return _short(str(text).replace(self._secret, "(token)") if self._secret else text)

    def _parsed(self, body: bytes) -> dict[str, Any]:
        answer = json_object(body)
        if answer is None:
            raise ApiError(f"{self._cluster.path}: {self.url} does not answer as an API server (no JSON object)")
        return answer

    @contextlib.contextmanager
    def _one_line(self, what: str, silence: float = 0) -> Iterator[None]:
        """Turn the exceptions of the connection into an ApiError of one line; ``what`` is the request.

        ``silence`` is the number of seconds that it waits, by default those of the cluster.
        """
        where, errors = self._cluster.path, self._client.errors
        try:
            yield
        except errors.NewConnectionError as error:
            raise ApiError(f"{where}: {self.url} cannot be reached: {self._shown(error)}") from error
        except (TimeoutError, errors.TimeoutError) as error:
            seconds = f"{silence or self._cluster.timeout:g}"
            raise ApiError(f"{where}: {self.url} did not answer {what} within {seconds} s of silence") from error
        except errors.SSLError as error:
            fix = "the CA of the source must be the CA of that API server"
            raise ApiError(
                f"{where}: the certificate of {self.url} is not trusted: {self._shown(error)}; {fix}"
            ) from error
        except (OSError, ValueError, errors.HTTPError) as error:
            raise ApiError(f"{where}: {self.url} cannot be reached: {self._shown(error)}") from error


class _Client:
    """The modules of the official client that are in use."""

    def __init__(self) -> None:
        # Only where a source is a cluster: the client takes 0.3 s to load.
        self.client, self.config = import_module("kubernetes.client"), import_module("kubernetes.config")
        self.errors = import_module("urllib3.exceptions")
        if not hasattr(import_module("urllib3.response").HTTPResponse, "read1"):
            raise ImportError("urllib3 is older than 2.2")


def _import_client(path: str) -> _Client:
    try:
        return _Client()
    except ImportError as error:
        text = f"needs the Python packages kubernetes and urllib3 on the controller: {_short(error)}"
        raise ApiError(f"{path}: {text}; install those of meta/ee-requirements.txt") from error


def _short(text: object) -> str:
    return on_one_line(str(text).strip())[:_MAX_MESSAGE]
