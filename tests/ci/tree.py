# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Copy the collection to .build/ansible_collections/netops/egress_ip, where Ansible's tools look for it.

ansible-test follows symbolic links and refuses any other path, so the copy is a real one: exactly the files that git
tracks or would track. The copy is a git repository of its own, or the tools would take its files for ignored ones. A
clone that is in such a folder needs no copy.
"""

from __future__ import annotations

import filecmp
import shutil
import subprocess
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
BUILD = ROOT / ".build"
IN_COLLECTIONS = Path("ansible_collections/netops/egress_ip")
TREE = BUILD / IN_COLLECTIONS
NO_GIT_SKIP = (".build", ".git")


def wanted_files() -> set[Path]:
    """Relative paths of the collection's files."""
    words = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(words, cwd=ROOT, capture_output=True, check=False)
    if listed.returncode == 0:
        found = {Path(name) for name in listed.stdout.decode().split("\0") if name}
    else:
        # A release tarball or a bare copy: no git to ask.
        found = {path.relative_to(ROOT) for path in ROOT.rglob("*")}
        found = {path for path in found if path.parts[0] not in NO_GIT_SKIP}
    return {path for path in found if (ROOT / path).is_file()}


def _untracked(folder: Path) -> set[Path]:
    """Relative paths of the files in a git repository that tracks none, without those that it ignores.

    What programs write there while others run, such as compiled files, is ignored.
    """
    words = ["git", "ls-files", "-z", "--others", "--exclude-standard"]
    listed = subprocess.run(words, cwd=folder, capture_output=True, check=True)
    return {Path(name) for name in listed.stdout.decode().split("\0") if name}


def copy_tree() -> None:
    """Make the copy equal to the source; files that did not change keep their inode.

    Other checks may use the copy meanwhile.
    """
    wanted = wanted_files()
    TREE.mkdir(parents=True, exist_ok=True)
    if not (TREE / ".git").exists():
        subprocess.run(["git", "init", "--quiet", str(TREE)], check=True)
    present = _untracked(TREE)
    for path in present - wanted:
        (TREE / path).unlink(missing_ok=True)
    for path in wanted:
        source, target = ROOT / path, TREE / path
        if path in present and filecmp.cmp(source, target, shallow=True):
            continue
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(source, target)


if __name__ == "__main__" and not ROOT.match(str(IN_COLLECTIONS)):
    copy_tree()
