# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The plugin for pods that start between runs: its program, and its place in a list of plugins (CNI). PRIVATE.

Kubelets and daemons write the list again, and then our entry is gone: the watch and each run put it back.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from pathlib import Path
from typing import NamedTuple

from .._common.errors import ConflictError
from .._dataplane.conflist import TYPE, has_entry, read_chain, with_entry, without_entry
from .._host_io import files
from .._host_io.cni_files import LISTS, PROGRAM_FOLDERS, ListFile
from .._host_io.host_io import HostIO
from .._host_io.plugin_sources import PREFIX

# The zip file comes after Python's own folders, because reading its directory takes time, and the end skips the cleanup
# of all modules: both together take a seventh of a start.
_PROGRAM = """\
#!{python} -IS
# Written by the Ansible collection netops.egress_ip.
import os
import sys
program = "{program}"
folder = f"{prefix}{{os.stat(program).st_mtime_ns}}"
sys.path += [folder, program]
from netops_egress_ip._node.cni import main
status = main(os.environ, sys.stdin.buffer.read())
if not os.path.isdir(folder):
    from netops_egress_ip._host_io.plugin_sources import keep_sources
    keep_sources(program, folder)
sys.stdout.flush()
sys.stderr.flush()
os._exit(status)
"""
_MODE = 0o755
# A program without this line belongs to another, and stays as it is.
_OWN_LINE = _PROGRAM.splitlines()[1].encode()


class Change(NamedTuple):
    """A file to change: its content before, and after; None for a file that is removed."""

    path: Path
    before: str
    after: str | None

    @property
    def adds(self) -> bool:
        """Return whether the plugin is added, and not removed."""
        return self.after is not None and (self.path.name == TYPE or has_entry(self.after))


class CniChanges(NamedTuple):
    """The lists and programs to change, and why the plugin cannot be in a list, empty if it can."""

    lists: tuple[Change, ...] = ()
    programs: tuple[Change, ...] = ()
    problem: str = ""

    @property
    def added(self) -> list[Path]:
        """Return the files that lack the plugin, or have another program."""
        return [item.path for item in (*self.lists, *self.programs) if item.adds]

    @property
    def missing(self) -> list[Path]:
        """Return the programs that do not exist: a list that names one lets no pod start."""
        return [item.path for item in self.programs if item.adds and not item.before]

    @property
    def removed(self) -> list[Path]:
        """Return the files that have the plugin and should not."""
        return [item.path for item in (*self.lists, *self.programs) if not item.adds]


class _Used(NamedTuple):
    """The list that runtimes use, and the folders with the program of its first plugin; or why it cannot have ours."""

    path: Path | None = None
    folders: Sequence[Path] = ()
    problem: str = ""


def cni_changes(io: HostIO, follows: bool) -> CniChanges:
    """Return the changes after which the plugin is in the list that runtimes use, or nowhere."""
    lists = io.list_files()
    used = _used(io, lists) if follows else _Used()
    changes = [_change(item, item.path == used.path) for item in lists if not item.problem]
    return CniChanges(tuple(each for each in changes if each), tuple(_programs(io, used.folders)), used.problem)


def _used(io: HostIO, lists: Sequence[ListFile]) -> _Used:
    first = next(iter(lists), None)
    if first is None:
        return _Used(problem=f"{LISTS}: has no list of network plugins")
    if first.problem:
        return _Used(problem=f"{first.path}: {first.problem}")
    if first.path.suffix != ".conflist":
        return _Used(problem=f"{first.path}: is used by the runtime, and is not a list of plugins (.conflist)")
    try:
        main = read_chain(first.text, str(first.path)).main
    except ConflictError as error:
        return _Used(problem=str(error))
    folders = io.program_folders(main)
    if not folders:
        known = ", ".join(map(str, PROGRAM_FOLDERS))
        return _Used(problem=f"{first.path}: the program of {main} is in none of {known}")
    return _with_programs(io, first.path, folders)


def _with_programs(io: HostIO, path: Path, folders: Sequence[Path]) -> _Used:
    foreign = [program for program in (folder / TYPE for folder in folders) if _is_foreign(io.read_file(program))]
    if foreign:
        return _Used(problem=f"{foreign[0]}: is not the program of this collection; remove or rename it")
    return _Used(path, folders)


def _change(item: ListFile, wanted: bool) -> Change | None:
    path = str(item.path)
    if not wanted and not has_entry(item.text):
        return None
    after = with_entry(item.text, path) if wanted else without_entry(item.text, path)
    return Change(item.path, item.text, after) if after != item.text else None


def _programs(io: HostIO, folders: Collection[Path]) -> list[Change]:
    text = _PROGRAM.format(python=io.interpreter(), program=files.PROGRAM_FILE, prefix=PREFIX)
    changes = []
    for folder in PROGRAM_FOLDERS:
        path = folder / TYPE
        present, after = io.read_file(path), text if folder in folders else None
        if present != (None if after is None else after.encode()) and not _is_foreign(present):
            changes.append(Change(path, "" if present is None else present.decode(errors="replace"), after))
    return changes


def _is_foreign(program: bytes | None) -> bool:
    return program is not None and program.splitlines()[1:2] != [_OWN_LINE]


def change_plugin(io: HostIO, changes: CniChanges) -> None:
    """Carry out the changes: no list ever names a program that is missing. Raises CommandError."""
    for item in changes.programs:
        if item.after is not None:
            io.write_file(item.path, item.after.encode(), _MODE)
    write_lists(io, changes)
    for item in changes.programs:
        if item.after is None:
            io.remove_file(item.path)


def write_lists(io: HostIO, changes: CniChanges) -> None:
    """Write the lists. Raises CommandError."""
    for item in changes.lists:
        io.replace_list(item.path, item.before, item.after or "")
