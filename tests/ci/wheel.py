# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Files of a package on PyPI for the tests, without its installation: a PyPI mirror is there wherever the tests run."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
# The tests run in a copy of the repository, below its .build.
BUILD = next((each for each in ROOT.parents if each.name == ".build"), ROOT / ".build")


def download(requirements: Path, folder: Path) -> Path:
    """Download the one wheel that a file of requirements names with its checksum; return its path."""
    words = ["download", "--quiet", "--no-deps", "--require-hashes", "--requirement", str(requirements)]
    subprocess.run([sys.executable, "-m", "pip", *words, "--dest", str(folder)], check=True)
    (wheel,) = folder.glob("*.whl")
    return wheel
