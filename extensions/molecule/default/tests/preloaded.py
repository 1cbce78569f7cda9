# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Run ansible-playbook many times, but import Ansible once: each run is a fork of a process that has imported it.

The imports are a quarter of the processor time of a run. Everything else is that of the command: it reads its
arguments, the environment, the configuration and all files in the fork.
"""

from __future__ import annotations

import importlib
import json
import os
import subprocess
import sys
from typing import NoReturn

COMMAND = "ansible.cli.playbook"
# The modules that the command imports before and while it runs a playbook over SSH.
PRELOADED = (
    "ansible.executor.playbook_executor",
    "ansible.plugins.action.debug",
    "ansible.plugins.connection.ssh",
    "ansible.plugins.strategy.linear",
    COMMAND,
)


class Preloaded:
    """The process; its `ANSIBLE_*` variables are those of its start, because Ansible reads them when it is imported."""

    def __init__(self, environment: dict[str, str]) -> None:
        self._settings = _settings(environment)
        self._process = subprocess.Popen(
            [sys.executable, __file__], env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def fits(self, environment: dict[str, str]) -> bool:
        """Return whether a run with this environment has the settings of the process."""
        return _settings(environment) == self._settings and self._process.poll() is None

    def run(self, argv: list[str], environment: dict[str, str], output: str) -> int:
        """Run `ansible-playbook` with its output in a file; returns its exit code."""
        print(json.dumps({"argv": argv, "environment": environment, "output": output}), file=self._process.stdin)
        self._process.stdin.flush()
        return int(self._process.stdout.readline())

    def close(self) -> None:
        """End the process."""
        self._process.communicate()


def _settings(environment: dict[str, str]) -> dict[str, str]:
    return {name: value for name, value in environment.items() if name.startswith("ANSIBLE_")}


def _run(argv: list[str], environment: dict[str, str], output: str) -> NoReturn:
    """In the fork: be the command `argv`."""
    nothing, file = os.open(os.devnull, os.O_RDONLY), os.open(output, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    for source, target in ((nothing, 0), (file, 1), (file, 2)):
        os.dup2(source, target)
    os.environ.clear()
    os.environ.update(environment)
    sys.argv = argv
    code = 1
    try:
        sys.modules[COMMAND].PlaybookCLI.cli_executor(argv)
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else int(end.code is not None)
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def _serve() -> None:
    """Fork for each line of standard input, and answer with the exit code."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    for line in sys.stdin:
        request = json.loads(line)
        child = os.fork()
        if child == 0:
            answers.close()
            _run(**request)
        _child, status = os.waitpid(child, 0)
        print(os.waitstatus_to_exitcode(status), file=answers, flush=True)


if __name__ == "__main__":
    for _module in PRELOADED:
        importlib.import_module(_module)
    _serve()
