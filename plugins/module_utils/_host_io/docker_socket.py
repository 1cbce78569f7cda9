# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One request to Docker's socket. PRIVATE to the collection.

A module of its own, since http.client loads OpenSSL, which processes without Docker do not need.
"""

from __future__ import annotations

import contextlib
import http.client
import socket
from pathlib import Path

from .._common.errors import CommandError


class _Connection(http.client.HTTPConnection):
    def __init__(self, path: Path, timeout: float) -> None:
        super().__init__("localhost", timeout=timeout)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(str(self._path))


def get(path: Path, url: str, timeout: float, most: int) -> tuple[int, bytes]:
    """Return the status and the body of a response, of which no more than `most` bytes are read.

    `path` is the socket, `timeout` the longest silence in seconds. Raises OSError, or CommandError for an answer that
    is not HTTP.
    """
    with contextlib.closing(_Connection(path, timeout)) as connection:
        try:
            connection.request("GET", url)
            response = connection.getresponse()
            return response.status, response.read(most)
        except http.client.HTTPException as error:
            raise CommandError(f"{path}: gives no valid answer, {type(error).__name__}") from None
