# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Requests to a socket that answers like Docker's, answers nonsense, or does not answer."""

from __future__ import annotations

import contextlib
import socket
import subprocess
import sys
import threading

import pytest
from ansible_collections.netops.egress_ip.plugins.module_utils._common.errors import CommandError
from ansible_collections.netops.egress_ip.plugins.module_utils._host_io import docker_socket

# Seconds that a server in a thread of this process does not need, even on a busy machine.
LONG = 60


@contextlib.contextmanager
def server(path, answer):
    """Answer one request at a socket with these bytes; yields the requests."""
    requests = []
    with contextlib.closing(socket.socket(socket.AF_UNIX)) as listener:
        listener.bind(str(path))
        listener.listen()

        def serve():
            with contextlib.closing(listener.accept()[0]) as connection:
                requests.append(connection.recv(1000))
                connection.sendall(answer)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield requests
        thread.join()


def test_a_response_is_cut_at_its_limit(tmp_path):
    answer = b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nabcdef"
    with server(tmp_path / "docker", answer) as requests:
        assert docker_socket.get(tmp_path / "docker", "/networks/web", LONG, 4) == (200, b"abcd")
    assert requests[0].startswith(b"GET /networks/web HTTP/1.1\r\n")


@pytest.mark.parametrize("answer", [b"nonsense\r\n\r\n", b""])
def test_an_answer_that_is_not_http_is_an_error(tmp_path, answer):
    with server(tmp_path / "docker", answer), pytest.raises((CommandError, OSError)):
        docker_socket.get(tmp_path / "docker", "/", LONG, 100)


def test_a_socket_that_does_not_exist_is_an_error(tmp_path):
    with pytest.raises(FileNotFoundError):
        docker_socket.get(tmp_path / "docker", "/", LONG, 100)


def test_without_docker_no_process_loads_openssl():
    module = "ansible_collections.netops.egress_ip.plugins.module_utils._host_io.container_networks"
    loaded = "{'ssl', 'http.client', 'xml.etree'} & {*sys.modules}"
    code = f"import sys, {module} as module; module.idle_networks(); print(*({loaded}))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "\n"
