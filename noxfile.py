# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The tests on each version of ansible-core and Python of tests/matrix.txt.

Sessions of a version, such as `nox -s quick-2.21-3.13`:

    quick        tests of the plugins and modules, and the playbooks against hosts on this machine; needs root
    units        all unit tests
    sanity       ansible-test sanity
    integration  ansible-test integration on this machine; needs root
    demo         the demo on the hosts of the lab; needs root, and `make prepare-lab` before

Session `node-3.8` runs the code of a node on an old Python. antsibull-nox.toml has further sessions.
A version of Python that this machine lacks is skipped; those of pyenv are found too.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterable
from pathlib import Path

import antsibull_nox
import nox

ROOT = Path(__file__).parent
sys.path.insert(0, str(ROOT / "tests/ci"))

import ansible_test_home  # noqa: E402
import check  # noqa: E402
import matrix  # noqa: E402
import tree  # noqa: E402

nox.needs_version = ">=2025.2.9"
nox.options.envdir = ".build/nox"
nox.options.reuse_venv = "yes"

# pyenv offers the interpreters of these versions only.
if shutil.which("pyenv"):
    versions = subprocess.run(["pyenv", "versions", "--bare"], stdout=subprocess.PIPE, text=True, check=True).stdout
    os.environ.setdefault("PYENV_VERSION", ":".join(versions.split()))

antsibull_nox.load_antsibull_nox_toml()


NODE_PYTHONS = ("3.8", "3.9", "3.10", "3.11", "3.12", "3.13")


def run_pytest(session: nox.Session, *words: str) -> None:
    """Run tests of the collection's copy. For deprecation warnings of ansible-core see tests/unit/conftest.py."""
    tree.copy_tree()
    with session.chdir(tree.TREE):
        environment = {"PYTHONPATH": str(tree.BUILD), "ANSIBLE_COLLECTIONS_PATH": str(tree.BUILD)}
        session.run("python", "-m", "pytest", "-q", "-p", "no:cacheprovider", *words, env=environment)


def quick(session: nox.Session, core: str) -> None:
    """Tests of the plugins and modules, and the playbooks against hosts on this machine."""
    session.install(*matrix.requirements(core, matrix.UNIT_TOOLS))
    run_pytest(session, *(session.posargs or matrix.QUICK_TESTS))


def units(session: nox.Session, core: str) -> None:
    """All unit tests."""
    session.install(*matrix.requirements(core, matrix.UNIT_TOOLS))
    run_pytest(session, "-n", "auto", "--dist", "worksteal", *(session.posargs or ["tests/unit"]))


def run_ansible_test(session: nox.Session, core: str, tools: Iterable[str], *words: str) -> None:
    """Run a command of ansible-test, with a home of its own, in the collection's copy."""
    session.install(*matrix.requirements(core, tools))
    tree.copy_tree()
    home = ansible_test_home.make_home(Path(session.create_tmp(), "home"), Path(session.virtualenv.location))
    environment = {"HOME": str(home), "LC_ALL": "C.UTF-8", "PYTHONPATH": ""}
    with session.chdir(tree.TREE):
        session.run("ansible-test", *words, "--python", session.python, *session.posargs, env=environment)


def sanity(session: nox.Session, core: str) -> None:
    """ansible-test sanity, without containers."""
    run_ansible_test(session, core, matrix.SANITY_TOOLS, *check.SANITY)


def integration(session: nox.Session, core: str) -> None:
    """ansible-test integration on this machine."""
    run_ansible_test(session, core, (), *check.INTEGRATION)


def demo(session: nox.Session, core: str) -> None:
    """The picture of the README on the hosts of the lab, with hosts that die."""
    session.install(*matrix.requirements(core, ()))
    tree.copy_tree()
    session.run("python", "tests/demo/demo.py", *session.posargs, env={"PYTHONPATH": ""})


def add(function: Callable[[nox.Session, str], None], row: matrix.Row) -> None:
    """Add the sessions of a function for one version of ansible-core."""

    @nox.session(name=f"{function.__name__}-{row.minor}", python=list(row.pythons), default=function is quick)
    def run(session: nox.Session) -> None:
        function(session, row.core)

    run.__doc__ = function.__doc__


for each in matrix.rows():
    for kind in (quick, units, sanity, integration, demo):
        add(kind, each)


# Without pip, which current releases of virtualenv do not have for 3.8.
@nox.session(python=NODE_PYTHONS, default=False, venv_params=["--no-seed"])
def node(session: nox.Session) -> None:
    """The code of a node on each Python that nodes may have."""
    tree.copy_tree()
    session.run("python", "tests/ci/node_code.py")
