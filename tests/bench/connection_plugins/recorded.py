# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A connection to a host that does not exist, for measurements of the controller: it answers as nodes on record."""

from __future__ import annotations

DOCUMENTATION = """
name: recorded
short_description: Answer as a recorded node
description: Answers the modules ping and node from a folder of recorded answers, and counts the bytes.
author: The netops.egress_ip authors
extends_documentation_fragment:
  - connection_pipelining
options:
  folder:
    description: The folder with the answers.
    type: path
    required: true
    vars:
      - name: recorded_folder
"""

import ast
import json
import os
import re
from pathlib import Path
from typing import Any

from ansible.plugins.connection import ConnectionBase

# In the program that Ansible sends: a text literal with the options in JSON, and the module's name.
_PARAMS = re.compile(r"^params=(?P<literal>.*),$", re.MULTILINE)
_MODULE = re.compile(r"^module_fqn='(?P<name>.*)',$", re.MULTILINE)
# How the program on a node is asked without a module.
_QUESTION = "observe || cat >/dev/null; elif "


class Connection(ConnectionBase):
    """Answers at once; what neither is a ping nor calls a node gets no answer."""

    transport = "recorded"
    has_pipelining = True

    def _connect(self) -> Connection:
        self._connected = True
        return self

    def exec_command(self, cmd: str, in_data: bytes | None = None, sudoable: bool = True) -> tuple[int, bytes, bytes]:
        """Return (exit code, output, errors) of the command."""
        super().exec_command(cmd, in_data=in_data, sudoable=sudoable)
        folder = Path(self.get_option("folder"))
        text = (in_data or b"").decode()
        module = _MODULE.search(text)
        answer = _answer(folder, self.host, module["name"], text) if module else ""
        if _QUESTION in cmd:
            answer = _observed(folder, self.host)
        with (folder / "traffic").open("a", encoding="utf-8") as traffic:
            traffic.write(f"{self.host} {len(cmd) + len(text)} {len(answer)}\n")
        return 0, answer.encode(), b""

    @property
    def host(self) -> str:
        """The name of the host."""
        return str(self._play_context.remote_addr)

    def put_file(self, in_path: str, out_path: str) -> None:
        """Count a file as sent."""
        with (Path(self.get_option("folder")) / "traffic").open("a", encoding="utf-8") as traffic:
            traffic.write(f"{self.host} {Path(in_path).stat().st_size} 0\n")

    def fetch_file(self, in_path: str, out_path: str) -> None:
        """Fetch nothing: no module of a run does that."""
        raise NotImplementedError

    def close(self) -> None:
        """Close nothing."""


def _answer(folder: Path, host: str, module: str, program: str) -> str:
    if module.endswith(".ping"):
        return json.dumps({"ping": "pong", "invocation": {"module_args": {"data": "pong"}}})
    found = _PARAMS.search(program)
    options: dict[str, Any] = json.loads(ast.literal_eval(found["literal"]))["ANSIBLE_MODULE_ARGS"] if found else {}
    return _applied(folder, host, options) if options.get("mode") != "observed" else _observed(folder, host)


def _observed(folder: Path, host: str) -> str:
    return (folder / f"{host}.json").read_text(encoding="utf-8")


def _applied(folder: Path, host: str, options: dict[str, Any]) -> str:
    """Keep the state as `HOST.state.json`; return the answer of a node that claimed what it did not hold."""
    text = options["state_json"]
    temporary = folder / f".{host}.state"
    temporary.write_text(text, encoding="utf-8")
    os.replace(temporary, folder / f"{host}.state.json")  # noqa: PTH105 - atomic
    held = {item["egressIP"] for item in json.loads(_observed(folder, host))["held"]}
    claimed = [item["egressIP"] for item in json.loads(text)["held"] if item["egressIP"] not in held]
    return json.dumps({"changed": True, "claimed": claimed, "released": [], "conflicts": [], "connections": {}})
