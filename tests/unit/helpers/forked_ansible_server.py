# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The process of forked_ansible.py that forks; its argument is the number of the file of a listening socket."""

from __future__ import annotations

import contextlib
import gc
import json
import os
import select
import socket
import sys
import traceback
import warnings
from pathlib import Path

# Ansible has to begin with its command line, which makes it a controller.
from ansible.cli.playbook import main  # isort: skip
from ansible.plugins import loader

COLLECTION = Path(__file__).resolve().parents[3]
NAME = "netops.egress_ip"
# Plugins of Ansible that each run loads, with the documentation that has their options.
USED = {
    "strategy": ("linear", "free", "host_pinned"),
    "callback": ("default",),
    "connection": ("local", "ssh"),
    "shell": ("sh",),
    "cache": ("memory",),
    "inventory": ("host_list", "script", "auto", "yaml", "ini"),
    "action": ("set_fact", "debug", "assert", "fail", "copy", "normal"),
}


def serve(listener):
    """Fork for each connection, until the standard input ends."""
    _load()
    while True:
        ready, _none, _none = select.select([listener, sys.stdin], [], [], 1)
        with contextlib.suppress(ChildProcessError):
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass
        if sys.stdin in ready:
            break
        if listener in ready:
            connection, _address = listener.accept()
            if os.fork() == 0:
                listener.close()
                _answer(connection)
            connection.close()
    with contextlib.suppress(ChildProcessError):
        while True:
            os.wait()


def _load():
    """Import what runs use, and leave nothing for a collection of garbage to look at in each of them."""
    loader.init_plugin_loader()
    names = {kind: list(names) for kind, names in USED.items()}
    for kind in ("action", "filter", "lookup", "test"):
        own = (COLLECTION / "plugins" / kind).glob("[!_]*.py")
        names[kind] = [*names.get(kind, ()), *(f"{NAME}.{path.stem}" for path in own)]
    for kind, wanted in names.items():
        for name in wanted:
            getattr(loader, f"{kind}_loader").get(name, class_only=True)
    # Ansible keeps the objects of these plugins.
    list(loader.vars_loader.all())
    gc.freeze()


def _answer(connection):
    """Run ansible-playbook as the request says, in this process, and send the exit code."""
    code = 250
    try:
        words, cwd, environment, paths = json.loads(b"".join(iter(lambda: connection.recv(1 << 16), b"")))
        os.environ.clear()
        os.environ.update(environment)
        os.chdir(cwd)
        _redirect(paths)
        code = _run(words)
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        connection.sendall(str(code).encode())
        # A process that the run has left behind has this socket too.
        connection.shutdown(socket.SHUT_RDWR)
        # Not the end of an interpreter: that would remove the temporary files of the process that forks.
        os._exit(0)


def _redirect(paths):
    flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND
    for number, path in enumerate((os.devnull, *paths)):
        opened = os.open(path, flags if number else os.O_RDONLY, 0o600)
        os.dup2(opened, number)
        os.close(opened)


def _run(words):
    warnings.filterwarnings("ignore", "AnsibleCollectionFinder has already been configured")
    try:
        main(["ansible-playbook", *words])
    except SystemExit as end:
        return int(end.code or 0)
    return 0


if __name__ == "__main__":
    serve(socket.socket(fileno=int(sys.argv[1])))
