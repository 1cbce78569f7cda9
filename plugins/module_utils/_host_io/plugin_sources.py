# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The sources of the CNI plugin and the OCI hook in a folder, where Python keeps them compiled. PRIVATE.

Out of the program's zip file, Python would compile them at each start of a pod, which takes a third of the time. The
module `node` keeps the whole program so.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import zipfile
from collections.abc import Iterator
from pathlib import Path

# The name of each version of the program follows, and for the module `node` its digest.
PREFIX = "/run/netops-egress-ip.cni."
WHOLE_PREFIX = "/run/netops-egress-ip.program."
# Without imports of others, so that a start needs nothing else.
MODULES = (
    "_common/json_object",
    "_common/pod_rules",
    "_dataplane/pod_classes",
    "_host_io/pod_connections",
    "_host_io/pod_labels",
    "_host_io/pod_notes",
    "_host_io/process_network",
    "_host_io/read_now",
    "_node/cni",
    "_node/oci_hook",
    "_node/pod_admission",
)
_PACKAGE = "netops_egress_ip"


def keep_sources(program: str, folder: str) -> None:
    """Copy the sources from the program into a new folder, and remove those of other programs.

    Another start may do the same at this moment. Without the folder, only the next start takes longer.
    """
    new = Path(f"{folder}.{os.getpid()}")
    with contextlib.suppress(OSError, KeyError, zipfile.BadZipFile):
        # With the mode here, and not in `parents`: the runtime may have any umask.
        new.mkdir(mode=0o700)
        with zipfile.ZipFile(program) as archive:
            for name in _files():
                path = new / name
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(archive.read(name))
        remove_sources(kept=(folder, str(new)))
        new.rename(folder)
    shutil.rmtree(new, ignore_errors=True)


def remove_sources(kept: tuple[str, ...] = ()) -> None:
    """Remove the folders of the plugin of all programs but these."""
    for path in _folders(PREFIX):
        if str(path) not in kept:
            shutil.rmtree(path, ignore_errors=True)


@contextlib.contextmanager
def used_program(folder: str) -> Iterator[None]:
    """Keep the folder with a whole program in place, as the module `node` does. Raises OSError if it was removed."""
    with Path(folder, "lock").open("rb+") as lock:
        fcntl.lockf(lock, fcntl.LOCK_SH)
        if not os.path.samestat(os.fstat(lock.fileno()), Path(folder, "lock").stat()):
            raise FileNotFoundError(folder)
        yield


def remove_programs(kept: tuple[str, ...] = ()) -> None:
    """Remove the folders with a whole program, except these and those that another process uses."""
    for path in _folders(WHOLE_PREFIX):
        # The lock of a process does not stop the process itself.
        if str(path) not in kept:
            with contextlib.suppress(OSError):
                _remove_program(path)


def _remove_program(path: Path) -> None:
    """Remove a folder with a whole program, or with what a killed process left of one.

    Raises OSError if another process uses it.
    """
    try:
        lock = (path / "lock").open("rb+")
    except FileNotFoundError:
        # Killed as it began. One that begins now goes on without a folder.
        path.rmdir()
        return
    with lock:
        fcntl.lockf(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        # With another name first: no process finds a part of a program. The lock last: the next removal finds the rest.
        removed = path.rename(f"{path}.{os.getpid()}")
        shutil.rmtree(removed / _PACKAGE, ignore_errors=True)
        shutil.rmtree(removed, ignore_errors=True)


def _folders(prefix: str) -> list[Path]:
    path = Path(prefix)
    return [*path.parent.glob(f"{path.name}*")]


def _files() -> list[str]:
    folders = sorted({name.partition("/")[0] for name in MODULES})
    packages = [_PACKAGE, *(f"{_PACKAGE}/{folder}" for folder in folders)]
    return [*(f"{name}/__init__.py" for name in packages), *(f"{_PACKAGE}/{name}.py" for name in MODULES)]
