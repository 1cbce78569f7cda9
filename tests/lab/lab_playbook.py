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
RESULT = re.compile(r"^(?P<status>ok|changed|skipping|included|failed|fatal): ")


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
        """The lines that its tasks show as text, between the task's name and its result."""
        found: list[str] = []
        shown: list[str] = []
        for line in self.output.splitlines():
            result = RESULT.match(line)
            if result and result["status"] == "ok":
                found += shown
            # Errors and warnings are no text of a task.
            ends = result or TASK.match(line) or line.startswith("[")
            shown = [] if ends else [*shown, line]
        return found


def playbook_command(playbook: str, inventory: Path, variables: dict) -> tuple[list[str], dict[str, str]]:
    """The command line and the environment that run a playbook: a path or `netops.egress_ip.NAME`."""
    environment = {
        **os.environ,
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "ANSIBLE_COLLECTIONS_PATH": str(ROOT / ".build"),
        "ANSIBLE_NOCOLOR": "1",
        "ANSIBLE_STDOUT_CALLBACK": "default",
        "ANSIBLE_CALLBACK_RESULT_FORMAT": "json",
        "PYTHONUNBUFFERED": "1",
    }
    return ["ansible-playbook", playbook, "-i", str(inventory), "--extra-vars", json.dumps(variables)], environment


def run_playbook(playbook: str, inventory: Path, variables: dict) -> PlaybookRun:
    """Run a playbook: a path or `netops.egress_ip.NAME`."""
    argv, environment = playbook_command(playbook, inventory, variables)
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
