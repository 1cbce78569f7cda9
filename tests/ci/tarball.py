# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Build the collection's tarball, install it in an empty folder, and read the documentation of everything in it.

Then import it as Galaxy does, without ansible-lint, which is a check of its own.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

COLLECTION = "netops.egress_ip"
# Kinds of ansible-doc; `role` reads meta/argument_specs.yml.
KINDS = ("callback", "filter", "lookup", "module", "test", "role")
NOT_FOR_USERS = (".build", ".ci", ".git", ".github", ".hypothesis", "tests/output")
IMPORTER_SETTINGS = "[galaxy-importer]\nrun_ansible_lint = False\n"


def run(*argv: str, path: str) -> str:
    """Standard output of an Ansible command that sees only the collections below `path`."""
    environment = {**os.environ, "ANSIBLE_COLLECTIONS_PATH": path}
    return subprocess.run(argv, env=environment, stdout=subprocess.PIPE, text=True, check=True).stdout


def check_documents(path: str) -> list[str]:
    """Names of plugins and roles without readable documentation."""
    missing = []
    for kind in KINDS:
        names = sorted(json.loads(run("ansible-doc", "--type", kind, "--list", "--json", COLLECTION, path=path)))
        print(f"{kind}: {' '.join(names) or 'none'}")
        documents = json.loads(run("ansible-doc", "--type", kind, "--json", *names, path=path)) if names else {}
        missing += [name for name in names if name not in documents]
    return missing


def check_import(tarball: Path) -> list[str]:
    """What Galaxy's importer refuses, and its warnings."""
    settings = tarball.parent / "galaxy-importer.cfg"
    settings.write_text(IMPORTER_SETTINGS, encoding="utf-8")
    argv = (sys.executable, "-m", "galaxy_importer.main", str(tarball))
    environment = {**os.environ, "GALAXY_IMPORTER_CONFIG": str(settings)}
    # It writes importer_result.json into the current folder.
    ended = subprocess.run(argv, env=environment, cwd=tarball.parent, capture_output=True, text=True, check=False)
    words = f"{ended.stdout}\n{ended.stderr}".splitlines()
    found = [line for line in words if line.startswith(("ERROR", "WARNING"))]
    return found or ([] if ended.returncode == 0 else [f"the import by Galaxy ends with {ended.returncode}"])


def main() -> int:
    """Build, install, read, import; 1 if something is wrong."""
    with tempfile.TemporaryDirectory() as folder:
        run("ansible-galaxy", "collection", "build", "--output-path", folder, path=folder)
        tarball = next(Path(folder).glob("*.tar.gz"))
        run("ansible-galaxy", "collection", "install", str(tarball), "--collections-path", folder, path=folder)
        installed = Path(folder, "ansible_collections", *COLLECTION.split("."))
        wrong = [f"{name} is in the tarball" for name in NOT_FOR_USERS if (installed / name).exists()]
        wrong += [f"{name} has no documentation" for name in check_documents(folder)]
        wrong += check_import(tarball)
        print(f"{tarball.name}: {tarball.stat().st_size // 1024} KiB")
    print("\n".join(wrong))
    return int(bool(wrong))


if __name__ == "__main__":
    sys.exit(main())
