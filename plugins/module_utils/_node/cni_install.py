# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The plugin for pods that start between runs: its program, and its place in a list of plugins (CNI). PRIVATE.

Kubelets and daemons write the list again without our entry: the watch and each run restore it.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from pathlib import Path
from typing import NamedTuple

from .._common.errors import ConflictError
from .._dataplane.conflist import TYPE, has_entry, read_chain, with_entry, without_entry
from .._host_io.cni_files import LISTS, PROGRAM_FOLDERS, ListFile
from .._host_io.host_io import HostIO
from .engine_changes import OWN_LINE, EngineChanges, FileChange, file_change, foreign_problem, launcher

_PROGRAM = """\
#!{python} -IS
{own_line}
import os
import sys
"""
_MODE = 0o755


class _Used(NamedTuple):
    """The list that runtimes use, and the folders with the program of its first plugin; or why it cannot have ours."""

    path: Path | None = None
    folders: Sequence[Path] = ()
    problem: str = ""


def cni_changes(io: HostIO, follows: bool) -> EngineChanges:
    """Return the changes after which the plugin is in the list that runtimes use, or nowhere."""
    lists = io.list_files()
    used = _used(io, lists) if follows else _Used()
    changes = [_change(item, item.path == used.path) for item in lists if not item.problem]
    return EngineChanges(tuple(each for each in changes if each), tuple(_programs(io, used.folders)), used.problem)


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
    problem = foreign_problem(io, [folder / TYPE for folder in folders])
    return _Used(problem=problem) if problem else _Used(first.path, folders)


def _change(item: ListFile, wanted: bool) -> FileChange | None:
    path = str(item.path)
    if not wanted and not has_entry(item.text):
        return None
    after = with_entry(item.text, path) if wanted else without_entry(item.text, path)
    return FileChange(item.path, item.text, after, has_entry(after)) if after != item.text else None


def _programs(io: HostIO, folders: Collection[Path]) -> list[FileChange]:
    text = program(io.interpreter())
    return [
        change
        for folder in PROGRAM_FOLDERS
        for change in file_change(io, folder / TYPE, text if folder in folders else None, _MODE)
    ]


def program(python: str) -> str:
    """Return the plugin that a runtime starts."""
    return _PROGRAM.format(python=python, own_line=OWN_LINE) + launcher("cni", "os.environ, sys.stdin.buffer.read()")
