# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The program of a node: it runs by itself, on the oldest Python too, and is the same bytes every time."""

from __future__ import annotations

import ast
import os.path
import runpy
import subprocess
import sys
import types
import zipfile
from pathlib import Path

import pytest
from ansible_collections.netops.egress_ip.plugins.module_utils._host_io import pod_notes
from ansible_collections.netops.egress_ip.plugins.module_utils._node import zipapp

SOURCES = Path(zipapp.__file__).parents[1]


@pytest.fixture
def program(tmp_path):
    path = tmp_path / "node.pyz"
    path.write_bytes(zipapp.make())
    return path


def run(*words):
    return subprocess.run([sys.executable, "-I", *words], capture_output=True, text=True, check=False)


def test_the_same_sources_give_the_same_bytes():
    assert zipapp.make() == zipapp.make()


def test_every_module_that_a_module_imports_is_in_the_program():
    names = set(zipapp._names())
    for name in names:
        tree = ast.parse((SOURCES / name).read_text(encoding="utf-8"), feature_version=(3, 8))
        relative = [node for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) and node.level]
        folder, _slash, _file = name.partition("/")
        for node in relative:
            package, _dot, module = (node.module or "").partition(".")
            if node.level == 1:
                package, module = folder, package
            modules = [module] if module else [alias.name for alias in node.names]
            assert {f"{package}/{module}.py" for module in modules} <= names, name


def test_the_program_runs_by_itself(program):
    code = (
        f"import sys; sys.path.insert(0, {str(program)!r}); from netops_egress_ip._node import execute;"
        "print(execute.ANNOUNCE_AGAIN)"
    )
    done = run("-c", code)
    assert (done.returncode, done.stdout.strip()) == (0, "2")


@pytest.mark.parametrize("is_unpacked", [False, True])
def test_the_program_makes_itself_again(program, tmp_path, is_unpacked):
    """Out of the folder in which the module `node` keeps it compiled, too."""
    place = tmp_path / "unpacked" if is_unpacked else program
    if is_unpacked:
        with zipfile.ZipFile(program) as archive:
            archive.extractall(place)
    code = (
        f"import sys; sys.path.insert(0, {str(place)!r}); from netops_egress_ip._node import zipapp;"
        f"assert zipapp.FOLDER == {str(place)!r}; sys.stdout.buffer.write(zipapp.make())"
    )
    for _call in range(2):
        done = subprocess.run([sys.executable, "-I", "-c", code], capture_output=True, check=True)
        assert done.stdout == program.read_bytes()
    assert is_unpacked == bool([*tmp_path.glob("unpacked/netops_egress_ip/_node/__pycache__/zipapp.*")])


def evaluated_generics(tree):
    """Return the lines that subscript, outside annotations, what only Python 3.9 can subscript."""
    imported = [n for n in ast.walk(tree) if isinstance(n, ast.ImportFrom) and n.module == "collections.abc"]
    generics = {alias.name for node in imported for alias in node.names} | {"dict", "list", "tuple", "set", "frozenset"}
    annotations = [getattr(n, key, None) for n in ast.walk(tree) for key in ("annotation", "returns")]
    texts = {id(part) for annotation in annotations if annotation for part in ast.walk(annotation)}
    found = [n for n in ast.walk(tree) if isinstance(n, ast.Subscript) and id(n) not in texts]
    return [n.lineno for n in found if isinstance(n.value, ast.Name) and n.value.id in generics]


def test_types_are_evaluated_only_where_the_oldest_python_can():
    sample = "from collections.abc import Mapping\nX = Mapping[str, int]\nY: dict[str, int]"
    assert evaluated_generics(ast.parse(sample)) == [2]
    lines = {name: evaluated_generics(ast.parse((SOURCES / name).read_text())) for name in zipapp._names()}
    assert {name: found for name, found in lines.items() if found} == {}


def loaded(program, module):
    """The modules of the program that are loaded after an import of one of them."""
    code = (
        f"import sys; sys.path.insert(0, {str(program)!r}); import netops_egress_ip._node.{module};"
        "print(*(name for name in sys.modules if name.startswith('netops_egress_ip.')))"
    )
    return {name.partition(".")[2] for name in run("-c", code).stdout.split()}


def test_only_the_program_that_follows_loads_the_failover(program):
    assert "_node.service" in loaded(program, "service")
    assert not [name for name in loaded(program, "service") if "_failover." in name or name.endswith(".follow")]


@pytest.mark.parametrize(
    ("idle", "order"), [(True, ["retry_closed", "renew"]), (False, ["watch", "retry_closed", "renew"])]
)
def test_the_watch_does_its_work_first_and_renews_its_note_after_the_labels(monkeypatch, tmp_path, idle, order):
    """Else a slow API server or name server makes the node count as away."""
    done = []
    (tmp_path / "main.py").write_text(zipapp._MAIN)
    monkeypatch.setattr(sys, "argv", ["node.pyz", "watch"])
    monkeypatch.setattr(os.path, "exists", lambda path: path == pod_notes.CLOSED_FILE)
    fakes = {
        "_host_io": {},
        "_host_io.watch": {"has_nothing_to_do": lambda _command: idle, "renew": lambda: done.append("renew")},
        "_host_io.host_io": {"HostIO": object},
        "_node": {},
        "_node.pod_admission": {"retry_closed": lambda: done.append("retry_closed")},
        "_node.service": {"main": lambda _io, words: done.extend(words) or 3},
    }
    for name, items in fakes.items():
        module = types.ModuleType(name)
        vars(module).update(items)
        monkeypatch.setitem(sys.modules, f"netops_egress_ip.{name}", module)
    monkeypatch.setitem(sys.modules, "netops_egress_ip", types.ModuleType("netops_egress_ip"))
    sys.modules["netops_egress_ip._host_io"].watch = sys.modules["netops_egress_ip._host_io.watch"]
    with pytest.raises(SystemExit) as raised:
        runpy.run_path(str(tmp_path / "main.py"))
    assert (done, raised.value.code) == (order, 0 if idle else 3)


# The hand-over of a run, what only the facts of a node have, what only the watch reads, and what only pods need. The
# program that follows reads the networks of Podman, and no network or user by its name: `networks` is not loaded.
UNNEEDED = {
    "_host_io.host_users",
    "_host_io.handover_session",
    "_host_io.address_times",
    "_host_io.docker_socket",
    "_host_io.cni_files",
    "_host_io.hook_files",
    "_host_io.containers",
    "_host_io.pod_labels",
    "_host_io.pod_connections",
    "_host_io.plugin_sources",
    "_host_io.process_network",
}


def test_the_program_that_follows_loads_at_its_start_what_it_needs(program):
    """A run may replace the file meanwhile."""
    needed = {f"_host_io.{path.stem}" for path in SOURCES.glob("_host_io/[a-z]*.py")} - UNNEEDED
    found = loaded(program, "follow")
    assert needed - found == set()
    assert "_node.networks" not in found
