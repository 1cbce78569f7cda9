# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The collection awx.awx in .build/awx, for the test of examples/awx/configure.yml."""

from __future__ import annotations

import sys
import tempfile
import zipfile
from pathlib import Path

HERE = Path(__file__).resolve()
sys.path.insert(0, str(HERE.parents[1] / "ci"))

import wheel  # noqa: E402

# Below it is ansible_collections.
FOLDER = wheel.BUILD / "awx"
PREFIX = "ansible_collections/awx/awx/"
_MANIFEST = FOLDER / PREFIX / "MANIFEST.json"


def is_installed() -> bool:
    """Return whether the collection is there, completely."""
    return _MANIFEST.exists()


def install() -> None:
    """Download the collection and extract it, its manifest last."""
    with tempfile.TemporaryDirectory() as folder:
        path = wheel.download(HERE.with_suffix(".txt"), Path(folder))
        with zipfile.ZipFile(path) as files:
            names = [name for name in files.namelist() if name.startswith(PREFIX)]
            for name in sorted(names, key=lambda name: name.endswith("/MANIFEST.json")):
                files.extract(name, FOLDER)
