# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Run a playbook on the lab and measure its tasks; for the demo and the measurements."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
TASK = re.compile(r"^(?:TASK|PLAY|RUNNING HANDLER) \[(?P<name>.*?)\] \**$")
RESULT = re.compile(r"^ok: \[[^]]*\] => (\{.*?^\})$", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True)
class PlaybookRun:
    """One run: UNIX time of its start and end, exit code, (task, seconds) in order, and output."""

    started: float
    ended: float
    code: int
    tasks: tuple[tuple[str, float], ...]
    output: str

    @property
    def seconds(self) -> float:
        """Duration in seconds."""
        return self.ended - self.started

    @property
    def messages(self) -> list[str]:
        """The lines that its debug tasks print."""
        found: list[str] = []
        for text in RESULT.findall(self.output):
            message = json.loads(text).get("msg", [])
            found += message if isinstance(message, list) else [message]
        return [str(line) for line in found]


def run_playbook(playbook: str, inventory: Path, variables: dict) -> PlaybookRun:
    """Run a playbook: a path or `netops.egress_ip.NAME`."""
    environment = {
        **os.environ,
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "ANSIBLE_COLLECTIONS_PATH": str(ROOT / ".build"),
        "ANSIBLE_NOCOLOR": "1",
        "ANSIBLE_STDOUT_CALLBACK": "default",
        "ANSIBLE_CALLBACK_RESULT_FORMAT": "json",
        "PYTHONUNBUFFERED": "1",
    }
    argv = ["ansible-playbook", playbook, "-i", str(inventory), "--extra-vars", json.dumps(variables)]
    started = time.time()
    process = subprocess.Popen(
        argv, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    marks, lines = [("Ansible's start", started)], []
    for line in process.stdout:
        lines.append(line)
        task = TASK.match(line)
        if task:
            marks.append((task["name"], time.time()))
    code = process.wait()
    ended = time.time()
    ends = [at for _name, at in marks[1:]] + [ended]
    tasks = tuple((name, end - at) for (name, at), end in zip(marks, ends, strict=True))
    return PlaybookRun(started, ended, code, tasks, "".join(lines))
