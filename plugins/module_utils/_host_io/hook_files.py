# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The folders in which Podman and CRI-O look for OCI hooks. PRIVATE to the collection.

Their configuration is TOML, for which Python 3.8 has no parser: only one list of strings is read.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from .container_networks import PODMAN_PROGRAM, has_podman_data
from .read_now import read_now

NAME = "netops-egress-ip.json"
DEFAULT_FOLDER = Path("/usr/share/containers/oci/hooks.d")
# Where administrators put hooks, if an engine is configured to read it.
_OTHER_FOLDER = Path("/etc/containers/oci/hooks.d")
# The last file that has a value counts; a folder stands for its `.conf` files.
PODMAN_FILES = (
    Path("/usr/share/containers/containers.conf"),
    Path("/etc/containers/containers.conf"),
    Path("/etc/containers/containers.conf.d"),
)
CRIO_FILES = (Path("/etc/crio/crio.conf"), Path("/etc/crio/crio.conf.d"))
_LARGEST, _MOST_FILES = 1 << 20, 100
_REASON = "does not exist or is read-only; create this folder"
_SETTING = re.compile(r"^[ \t]*hooks_dir[ \t]*=[ \t]*\[([^\]]*)\]", re.MULTILINE)
_COMMENT = re.compile(r"^[ \t]*#.*$", re.MULTILINE)
_STRING = re.compile("\"([^\"\n]*)\"|'([^'\n]*)'")


class HookFolders(NamedTuple):
    """The folders that get the hook, all that may have it, and the reason why an engine finds no hook, if any."""

    used: tuple[Path, ...]
    known: tuple[Path, ...]
    problem: str = ""


def hook_folders() -> HookFolders:
    """Return the HookFolders of this host. Of several folders of an engine, the last usable one gets the hook."""
    has_crio = _exists(CRIO_FILES)
    by_engine = []
    if not has_crio or _exists((*PODMAN_FILES, PODMAN_PROGRAM)) or has_podman_data():
        by_engine.append(("containers.conf", _configured(PODMAN_FILES)))
    if has_crio:
        by_engine.append(("crio.conf", _configured(CRIO_FILES)))
    used: list[Path] = []
    problem = ""
    for file, folders in by_engine:
        usable = [folder for folder in folders if folder.is_dir() and os.access(folder, os.W_OK)]
        used += usable[-1:]
        if not usable:
            problem = f"{folders[-1]}: {_REASON}, or name another one in hooks_dir of {file}"
    named = [folder for _file, folders in by_engine for folder in folders]
    return HookFolders(
        tuple(dict.fromkeys(used)), tuple(dict.fromkeys((DEFAULT_FOLDER, _OTHER_FOLDER, *named))), problem
    )


def _exists(paths: Iterable[Path]) -> bool:
    return any(path.exists() for path in paths)


def _configured(paths: tuple[Path, ...]) -> list[Path]:
    """Return the folders of an engine, by increasing precedence."""
    found = [DEFAULT_FOLDER]
    for path in paths:
        for file in sorted(path.glob("*.conf"))[:_MOST_FILES] if path.is_dir() else [path]:
            found = _setting(file) or found
    return found


def _setting(path: Path) -> list[Path]:
    """Return the absolute paths in hooks_dir of a file, none without it."""
    try:
        text = read_now(path, _LARGEST).decode(errors="replace")
    except OSError:
        return []
    values = _SETTING.findall(_COMMENT.sub("", text))
    words = (double or single for double, single in _STRING.findall(values[-1])) if values else ()
    return [Path(word) for word in words if word.startswith("/")]
