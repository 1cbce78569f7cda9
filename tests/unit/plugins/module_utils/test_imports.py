# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The import rule of plugins/module_utils: a file imports from its own folder and from the folders listed for it."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

SOURCES = Path(__file__).parents[4] / "plugins/module_utils"
# The folder of a platform has its provider, and only the list of providers imports that.
PLATFORMS = {path.parent.name for path in SOURCES.glob("_*/provider.py")}
ALLOWED = {
    "_common": "",
    "_solver": "",
    "_kubernetes": "_common",
    "_planner": "_kubernetes _solver _common",
    "_analysis": "_reconcile _planner _solver _kubernetes _common",
    "_provider": "",
    **dict.fromkeys(PLATFORMS, "_provider _common"),
    "_reconcile": " ".join(["_planner _kubernetes _dataplane _provider", *sorted(PLATFORMS), "_common"]),
    "_dataplane": "_common",
    "_protocols": "_common",
    "_failover": "_dataplane _common",
    "_host_io": "_dataplane _protocols _common",
    "_node": "_host_io _dataplane _failover _protocols _common",
}
# Modules with side effects, and the folders whose files may import them. Pure code uses constants of `socket`.
IO_MODULES = {"pyVim", "pyVmomi", "subprocess", "os", "tempfile", "fcntl", "ansible", "ansible_collections"}
IO_ALLOWED = {
    **dict.fromkeys(PLATFORMS, {"ansible"}),
    "_host_io": IO_MODULES - {"pyVim", "pyVmomi"},
    "_vsphere": {"pyVim", "pyVmomi", "ansible"},
}


def imports(path: Path) -> Iterator[tuple[str, str]]:
    """Yield (folder of module_utils, "") for each relative import and ("", top-level module) for each other one."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.level:
            module = node.module or node.names[0].name
            yield (path.parent.name if node.level == 1 else module.partition(".")[0]), ""
        elif isinstance(node, ast.ImportFrom):
            yield "", node.module.partition(".")[0]
        elif isinstance(node, ast.Import):
            yield from (("", alias.name.partition(".")[0]) for alias in node.names)


def violations() -> list[str]:
    """Return a line for each import that the rule forbids."""
    found = []
    for path in sorted(SOURCES.rglob("*.py")):
        name, folder = path.relative_to(SOURCES), path.parent.name
        for imported, module in imports(path):
            if imported and imported not in {folder, *ALLOWED[folder].split()}:
                found.append(f"{name}: must not import from {imported}; allowed: {ALLOWED[folder] or 'its own folder'}")
            if module in IO_MODULES - IO_ALLOWED.get(folder, set()):
                found.append(f"{name}: must not import {module}; I/O belongs to _host_io, pyVmomi to _vsphere")
    return found


def test_the_folders_are_those_of_the_rule():
    assert {path.name for path in SOURCES.iterdir() if (path / "__init__.py").exists()} == set(ALLOWED)
    assert not list(SOURCES.glob("*.py"))


def test_every_import_keeps_the_rule():
    assert violations() == []


def test_every_module_has_a_test_file_of_its_name():
    tests = Path(__file__).parent
    modules = [path.relative_to(SOURCES) for path in sorted(SOURCES.rglob("*.py")) if path.name != "__init__.py"]
    assert [str(name) for name in modules if not (tests / name.parent / f"test_{name.name}").exists()] == []


if __name__ == "__main__":
    pytest.exit("\n".join(violations()), returncode=1) if violations() else None
