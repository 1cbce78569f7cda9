# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A test API of AWX, as far as the collection awx.awx uses it: objects by name, associations, surveys, approvals."""

from __future__ import annotations

import contextlib
import json
import re
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, urlsplit

TOKEN = "token-of-the-test-awx"
ROOT = "/api/v2/"
POLL = 0.05
TEMPLATES = ("job_templates", "workflow_job_templates", "projects")
TYPES = {"inventories": "inventory"}


class Awx:
    """A running API: `objects` {collection: [object]}, `changes` the requests so far that change something."""

    def __init__(self) -> None:
        self.objects: dict[str, list[dict[str, Any]]] = {}
        self.surveys: dict[str, Any] = {}
        self.related: dict[tuple[str, str], list[int]] = {}
        self.changes: list[str] = []
        self._number = 0
        self._http = ThreadingHTTPServer(("127.0.0.1", 0), type("_Handler", (Handler,), {"awx": self}))
        self._http.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._http.server_address[1]}"

    @contextlib.contextmanager
    def running(self) -> Iterator[Awx]:
        """Serve until the end of the `with` block."""
        thread = threading.Thread(target=self._http.serve_forever, args=(POLL,), daemon=True)
        thread.start()
        try:
            yield self
        finally:
            self._http.shutdown()
            self._http.server_close()
            thread.join()

    def add(self, collection: str, **fields: Any) -> dict[str, Any]:
        """Create an object."""
        self._number += 1
        url = f"{ROOT}{collection}/{self._number}/"
        made = {"id": self._number, "type": TYPES.get(collection, collection.rstrip("s")), "url": url, **fields}
        made |= {"related": {"survey_spec": f"{url}survey_spec/"}, "summary_fields": {}}
        if collection == "projects":
            made["scm_revision"] = ""
            update = self.add("project_updates", name=fields["name"], status="successful", failed=False)
            made["summary_fields"]["current_update"] = {"id": update["id"]}
        self.objects.setdefault(collection, []).append(made)
        return made

    def find(self, collection: str, number: int) -> dict[str, Any] | None:
        """Return an object by its number."""
        return next((each for each in self.objects.get(collection, []) if each["id"] == number), None)

    def listed(self, collection: str, query: dict[str, str]) -> list[dict[str, Any]]:
        """Return the objects with these values; `or__` names alternatives."""
        names = TEMPLATES if collection == "unified_job_templates" else (collection,)
        found = [each for name in names for each in self.objects.get(name, [])]
        some = {key[4:]: value for key, value in query.items() if key.startswith("or__")}
        every = {key: value for key, value in query.items() if not key.startswith("or__")}
        return [
            each
            for each in found
            if all(str(each.get(key)) == value for key, value in every.items())
            and (not some or any(str(each.get(key)) == value for key, value in some.items()))
        ]


class Handler(BaseHTTPRequestHandler):
    """One connection."""

    awx: Awx

    def log_message(self, *_arguments: Any) -> None:
        """Write nothing."""

    def do_GET(self) -> None:
        """Answer a list, an object, its survey, or its associations."""
        parts = urlsplit(self.path)
        match = re.fullmatch(rf"{ROOT}(\w+)/(?:(\d+)/(?:(\w+)/)?)?", parts.path)
        length = int(self.headers.get("Content-Length") or 0)
        body = json.loads(self.rfile.read(length)) if length else {}
        if self.headers.get("Authorization") != f"Bearer {TOKEN}":
            self._send(401, {"detail": "no token"})
        elif match is None:
            self._send(404, {"detail": "not found"})
        else:
            if self.command != "GET":
                self.awx.changes.append(f"{self.command} {parts.path}")
            collection, number, below = match.groups()
            if number is None:
                self._on_collection(collection, dict(parse_qsl(parts.query)), body)
            else:
                self._on_object(collection, int(number), below, body)

    do_POST = do_PATCH = do_DELETE = do_GET

    def _send(self, code: int, document: Any) -> None:
        text = b"" if document is None else json.dumps(document).encode()
        self.send_response(code)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(text)))
        self.send_header("X-API-Product-Name", "AWX")
        self.send_header("X-API-Product-Version", "24.6.1")
        self.end_headers()
        self.wfile.write(text)

    def _send_list(self, items: list[dict[str, Any]]) -> None:
        self._send(200, {"count": len(items), "next": None, "results": items})

    def _on_collection(self, collection: str, query: dict[str, str], body: dict[str, Any]) -> None:
        if self.command == "POST":
            self._send(201, self.awx.add(collection, **{key: body[key] for key in body if key != "type"}))
        else:
            self._send_list(self.awx.listed(collection, query))

    def _on_object(self, collection: str, number: int, below: str | None, body: dict[str, Any]) -> None:
        found = self.awx.find(collection, number)
        if found is None:
            self._send(404, {"detail": "not found"})
        elif below == "survey_spec":
            self._on_survey(found["url"], body)
        elif below == "create_approval_template":
            made = self.awx.add("workflow_approval_templates", **body)
            found |= {"unified_job_template": made["id"]}
            found["related"]["unified_job_template"] = made["url"]
            self._send(201, made)
        elif below:
            self._on_related(found["url"], below, body)
        elif self.command == "PATCH":
            # As AWX, without fields that the kind does not have.
            found |= {key: value for key, value in body.items() if key in found}
            self._send(200, found)
        elif self.command == "DELETE":
            self.awx.objects[collection].remove(found)
            self._send(204, None)
        else:
            self._send(200, found)

    def _on_survey(self, url: str, body: dict[str, Any]) -> None:
        if self.command == "POST":
            self.awx.surveys[url] = body
        elif self.command == "DELETE":
            self.awx.surveys.pop(url, None)
        self._send(200, self.awx.surveys.get(url, {}))

    def _on_related(self, url: str, below: str, body: dict[str, Any]) -> None:
        # Approvals have no nodes behind them: their node has.
        if "approval" in url:
            self._send(404, {"detail": "not found"})
            return
        numbers = self.awx.related.setdefault((url, below), [])
        if self.command != "POST":
            self._send_list([{"id": number} for number in numbers])
            return
        if body.get("disassociate"):
            numbers.remove(body["id"])
        else:
            numbers.append(body["id"])
        self._send(204, None)
