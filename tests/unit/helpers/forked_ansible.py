# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""ansible-playbook without its start, which takes a second of processor time and compiles the code of collections.

A process that has imported Ansible and the collection forks for each run (forked_ansible_server.py). A run has its own
process, environment, folder and output; nothing of it stays in the process that forks. Warnings that a plugin gives
when it is loaded are not in the output: tests/unit/playbooks has those.
"""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import tempfile
from pathlib import Path

PROGRAM = Path(__file__).with_name("forked_ansible_server.py")
# A callback whose output a program reads, and no person.
FOR_PROGRAMS = {
    "ANSIBLE_CALLBACK_PLUGINS": str(Path(__file__).with_name("callbacks")),
    "ANSIBLE_STDOUT_CALLBACK": "program",
}
# Ansible reads these variables when it is imported.
_AT_IMPORT = ("ANSIBLE_", "HOME", "LANG", "LC_")
_servers: dict[frozenset, _Server] = {}


def ansible_playbook(words, cwd, environment, merged=False):
    """Run ansible-playbook with these words; return its CompletedProcess. `merged` writes errors to the output.

    A feature of Ansible that will be removed fails the test.
    """
    key = frozenset(item for item in environment.items() if item[0].startswith(_AT_IMPORT))
    if key not in _servers:
        _servers[key] = _Server(environment)
    with tempfile.TemporaryDirectory() as folder:
        paths = [str(Path(folder, "output")), str(Path(folder, "output" if merged else "errors"))]
        code = _servers[key].run([str(word) for word in words], str(cwd), environment, paths)
        output, errors = (Path(path).read_text(errors="replace") for path in paths)
    found = deprecations(output + errors)
    assert not found, found[0]
    return subprocess.CompletedProcess(words, code, output, "" if merged else errors)


def deprecations(output):
    """Return the lines of an output of Ansible that begin a warning of a feature that will be removed."""
    return [line for line in output.splitlines() if line.startswith("[DEPRECATION WARNING]")]


def stop():
    """End the processes that fork, and wait for them."""
    while _servers:
        _servers.popitem()[1].stop()


class _Server:
    """The process that forks, as its callers see it; several threads may call at once."""

    def __init__(self, environment):
        self._folder = tempfile.TemporaryDirectory()
        self._path = str(Path(self._folder.name, "socket"))
        listener = socket.socket(socket.AF_UNIX)
        listener.bind(self._path)
        listener.listen(64)
        self._process = subprocess.Popen(
            [sys.executable, str(PROGRAM), str(listener.fileno())],
            env={**environment, "PYTHONPATH": ""},
            stdin=subprocess.PIPE,
            pass_fds=[listener.fileno()],
        )
        listener.close()

    def run(self, words, cwd, environment, paths):
        with socket.socket(socket.AF_UNIX) as connection:
            connection.connect(self._path)
            connection.sendall(json.dumps([words, cwd, environment, paths]).encode())
            connection.shutdown(socket.SHUT_WR)
            answer = _all_of(connection)
        assert answer, f"ansible-playbook {' '.join(words)} has ended without an exit code"
        return int(answer)

    def stop(self):
        self._process.stdin.close()
        self._process.wait()
        self._folder.cleanup()


def _all_of(connection):
    return b"".join(iter(lambda: connection.recv(1 << 16), b""))
