# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The OCI hook for containers that start between runs: a file in a folder of Podman and CRI-O (oci-hooks(5)). PRIVATE.

The file has the program too, so that it is whole or missing.
"""

from __future__ import annotations

import json

from .._host_io import files
from .._host_io.hook_files import NAME
from .._host_io.host_io import HostIO
from .engine_changes import OWN_LINE, EngineChanges, file_change, foreign_problem, launcher

# The engine of another user may have the same folder, but no access to our files: its containers have no network of
# the host.
_PROGRAM = """\
{own_line}
import os
import sys
text = sys.stdin.buffer.read()
if os.path.isdir("{state}") and not os.access("{state}", os.R_OK):
    sys.exit(0)
if not os.path.exists("{program}"):
    sys.exit("netops.egress_ip: {program} is missing; run the playbook reconcile")
"""
_STAGES = ["createRuntime", "poststop"]
# The engines of other users read it too.
_MODE = 0o644


def hook_changes(io: HostIO, follows: bool) -> EngineChanges:
    """Return the changes after which the hook is in the folder of each engine, or nowhere."""
    folders = io.hook_folders()
    used = folders.used if follows else ()
    text = hook_text(io.interpreter())
    changes = [
        change
        for folder in folders.known
        for change in file_change(io, folder / NAME, text if folder in used else None, _MODE)
    ]
    problem = folders.problem or foreign_problem(io, [folder / NAME for folder in used])
    return EngineChanges(files=tuple(changes), problem=problem if follows else "")


def hook_text(python: str) -> str:
    """Return the hook in the version 1.0.0 of its schema."""
    names = {"own_line": OWN_LINE, "program": files.PROGRAM_FILE, "state": files.STATE_DIRECTORY}
    program = _PROGRAM.format(**names) + launcher("oci_hook", "text")
    hook = {"path": python, "args": [python, "-IS", "-c", program]}
    value = {"version": "1.0.0", "hook": hook, "when": {"always": True}, "stages": _STAGES}
    return json.dumps(value, indent=2) + "\n"
