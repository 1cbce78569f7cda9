# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A rulebook under the real ansible-rulebook, started as docs/eda.md does; nodes are files with their state."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import yaml
from playbook_fleet import PlaybookFleet

# For one step; a machine may be busy.
LONG = 300


class Rulebook:
    """A running rulebook with its fleet of two nodes."""

    def __init__(self, folder):
        self.fleet = PlaybookFleet(folder, 2)
        self.folder, self.log = folder, folder / "rulebook.log"

    def wait(self, ready):
        """Wait until `ready()`; return the seconds that it took."""
        started = time.monotonic()
        while not ready():
            assert time.monotonic() - started < LONG, self.log.read_text()
            time.sleep(0.02)
        return time.monotonic() - started

    def runs(self):
        """Return the number of runs so far, each of which observes both nodes once."""
        calls = self.folder / "calls"
        return calls.read_text().count('"observed"') // self.fleet.count if calls.exists() else 0

    @contextlib.contextmanager
    def running(self, name, variables, programs=""):
        """Run the rulebook of this name with these variables; its runs find programs in the folder `programs` first."""
        assert shutil.which("java"), "java is missing; run: apt-get install default-jre-headless"
        inventory, given = self.folder / "inventory.yml", self.folder / "variables.yml"
        inventory.write_text(yaml.safe_dump(self.fleet.inventory()))
        given.write_text(yaml.safe_dump(variables))
        program = str(Path(sys.executable).with_name("ansible-rulebook"))
        words = ["--rulebook", f"netops.egress_ip.{name}", "-i", str(inventory), "--vars", str(given), "-vv"]
        own = {
            "ANSIBLE_COLLECTIONS_PATH": str(self.fleet.collections),
            "EGRESS_IP_TEST_FOLDER": str(self.folder),
            "PATH": ":".join(filter(None, (str(programs), str(Path(sys.executable).parent), os.environ["PATH"]))),
            "PYTHONPATH": "",
        }
        with self.log.open("w") as log:
            process = subprocess.Popen(
                [program, *words], cwd=self.folder, env={**os.environ, **own}, stdout=log, stderr=subprocess.STDOUT
            )
        try:
            yield self
        finally:
            process.terminate()
            process.wait()
