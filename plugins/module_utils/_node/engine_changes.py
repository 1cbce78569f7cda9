# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The changes after which container engines start our program with each pod, and their execution. PRIVATE."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from .._host_io import files
from .._host_io.host_io import HostIO
from .._host_io.plugin_sources import PREFIX

# A file without this line belongs to another, and stays as it is.
OWN_LINE = "# Written by the Ansible collection netops.egress_ip."
# Python keeps the sources compiled in `folder`. The zip file comes after Python's own folders, because reading its
# directory takes time, and the exit skips the cleanup of all modules: together they would take a seventh of a start.
_LAUNCHER = """\
program = "{program}"
folder = f"{prefix}{{os.stat(program).st_mtime_ns}}"
sys.path += [folder, program]
from netops_egress_ip._node.{module} import main
status = main({arguments})
if not os.path.isdir(folder):
    from netops_egress_ip._host_io.plugin_sources import keep_sources
    keep_sources(program, folder)
sys.stdout.flush()
sys.stderr.flush()
os._exit(status)
"""


class FileChange(NamedTuple):
    """A file to change: its content before, and after; None for a file that is removed.

    `adds` is whether the engine starts our program afterwards; `mode` that of a whole file.
    """

    path: Path
    before: str
    after: str | None
    adds: bool
    mode: int = 0


class EngineChanges(NamedTuple):
    """Files of engines to edit, whole files of this collection, and why an engine cannot start our program."""

    lists: tuple[FileChange, ...] = ()
    files: tuple[FileChange, ...] = ()
    problem: str = ""

    @property
    def added(self) -> list[Path]:
        """Return the files that lack our program, or have another one."""
        return [item.path for item in (*self.lists, *self.files) if item.adds]

    @property
    def missing(self) -> list[Path]:
        """Return the whole files that do not exist: a list that names one lets no pod start."""
        return [item.path for item in self.files if item.adds and not item.before]

    @property
    def removed(self) -> list[Path]:
        """Return the files that have our program and should not."""
        return [item.path for item in (*self.lists, *self.files) if not item.adds]


def launcher(module: str, arguments: str) -> str:
    """Return the lines of Python that call `main` of a module of `_node`; `arguments` are an expression."""
    return _LAUNCHER.format(program=files.PROGRAM_FILE, prefix=PREFIX, module=module, arguments=arguments)


def file_change(io: HostIO, path: Path, after: str | None, mode: int) -> list[FileChange]:
    """Return the change, if any, after which a whole file has this content; None for no file."""
    present = io.read_file(path)
    if present == (None if after is None else after.encode()) or _is_foreign(present):
        return []
    before = "" if present is None else present.decode(errors="replace")
    return [FileChange(path, before, after, after is not None, mode)]


def foreign_problem(io: HostIO, paths: Iterable[Path]) -> str:
    """Return why these files cannot be those of this collection, empty if they can."""
    foreign = [path for path in paths if _is_foreign(io.read_file(path))]
    return f"{foreign[0]}: is not the program of this collection; remove or rename it" if foreign else ""


def _is_foreign(content: bytes | None) -> bool:
    # A line of its own, or the first one of a text in JSON.
    return content is not None and not any(mark + OWN_LINE.encode() in content for mark in (b"\n", b'"'))


def change_engines(io: HostIO, changes: EngineChanges) -> None:
    """Carry out the changes: no list ever names a program that is missing. Raises CommandError."""
    for item in changes.files:
        if item.after is not None:
            io.write_file(item.path, item.after.encode(), item.mode)
    write_lists(io, changes)
    for item in changes.files:
        if item.after is None:
            io.remove_file(item.path)


def write_lists(io: HostIO, changes: EngineChanges) -> None:
    """Write the lists. Raises CommandError."""
    for item in changes.lists:
        io.replace_list(item.path, item.before, item.after or "")
