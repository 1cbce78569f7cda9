# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Run the checks of the collection, group by group: python tests/ci/check.py lint unit kernel integration molecule.

Each check is a command with a heading and its time. A failed one does not stop the others; what failed is told again
at the end.
tests/ci/bootstrap.sh has prepared the environments and the collection's tree before.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from ansible_test_home import make_home
from tree import ROOT, TREE

BUILD = ROOT / ".build"
# Of a failed check's output: so many lines are looked through, so many are shown again at the end.
KEPT_LINES = 20000
SHOWN_LINES = 12
VENV = BUILD / "venv"
# Manifests as people write them, with several documents in a file and with typing errors on purpose.
TEST_INPUT = (
    "tests/integration/targets/lookup_manifests/files/",
    "tests/lab/manifests/",
    "tests/unit/golden/",
)


@dataclass(frozen=True)
class Check:
    """One command, run in `cwd` with the tools of `venv` first in PATH."""

    name: str
    argv: tuple[str, ...]
    cwd: Path = ROOT
    venv: Path = VENV
    environment: dict[str, str] = field(default_factory=dict)

    def run(self) -> list[str] | None:
        """Run the command with its output on ours; None if it succeeded, else the lines that tell what is wrong."""
        environment = {
            **os.environ,
            "PATH": f"{self.venv / 'bin'}:{os.environ['PATH']}",
            "ANSIBLE_COLLECTIONS_PATH": str(BUILD),
            "PYTHONPATH": "",
            "PYTHONUNBUFFERED": "1",
            "NO_COLOR": "1",
            **self.environment,
        }
        lines: deque[str] = deque(maxlen=KEPT_LINES)
        with subprocess.Popen(
            self.argv,
            cwd=self.cwd,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            encoding="utf-8",
            errors="replace",
        ) as command:
            for line in command.stdout:
                print(line, end="", flush=True)
                lines.append(line.rstrip())
        return None if command.returncode == 0 else telling(lines)


def telling(lines: Iterable[str]) -> list[str]:
    """The lines that tell what failed, as the tools write them, else the last ones."""
    marked = [line for line in lines if re.match(r"(FAILED|ERROR:?|fatal:|lab:|error:|SUBFAIL\w*) ", line)]
    return list(marked or lines)[-SHOWN_LINES:]


def python_version(venv: Path) -> str:
    """`3.11` for a virtual environment with Python 3.11."""
    words = "import sys; print('%d.%d' % sys.version_info[:2])"
    return subprocess.run([venv / "bin/python", "-c", words], capture_output=True, text=True, check=True).stdout.strip()


def ansible_test(name: str, *words: str, venv: Path = VENV) -> Check:
    """An ansible-test command on this machine, with a home of its own."""
    home = {"HOME": str(make_home(BUILD / "home")), "LC_ALL": "C.UTF-8"}
    return Check(name, ("ansible-test", *words, "--python", python_version(venv)), TREE, venv, home)


def lint() -> Iterator[Check]:
    """Formats, style, Ansible's own rules, documentation, and the tarball."""
    yield Check("ruff check", ("ruff", "check", "."))
    yield Check("ruff format", ("ruff", "format", "--check", "."))
    yield Check("mypy", ("mypy", "--no-error-summary"))
    yield Check("yamllint", ("yamllint", "--strict", "."))
    # What is sent to a node runs there, on Python 3.8 or newer.
    sent = [name for name in ("plugins/module_utils", "plugins/modules") if (ROOT / name).is_dir()]
    yield Check("Python 3.8 on the nodes", ("vermin", "-t=3.8-", "--no-tips", "--violations", *sent))
    yield Check("ansible-lint", ("ansible-lint", "--nocolor", "--offline", "--strict", "--profile", "production"), TREE)
    exclude = [word for folder in TEST_INPUT for word in ("--exclude", folder)]
    yield ansible_test("ansible-test sanity", "sanity", "--local", "--color", "no", *exclude)
    docs = ("antsibull-docs", "lint-collection-docs", "--plugin-docs", "--validate-collection-refs", "all", ".")
    yield Check("collection documentation", docs, TREE)
    yield Check("changelog", ("antsibull-changelog", "lint"), TREE)
    yield Check("build, install, ansible-doc", ("python", str(ROOT / "tests/ci/tarball.py")), TREE)


def unit() -> Iterator[Check]:
    """Unit tests, as many at once as there are processors."""
    at_once = ("-n", "auto", "--dist", "worksteal")
    words = ("python", "-m", "pytest", "-q", "-p", "no:cacheprovider", *at_once, "tests/unit")
    path = {"PYTHONPATH": str(BUILD)}
    yield Check("unit tests", words, TREE, VENV, path)


def kernel() -> Iterator[Check]:
    """What needs a kernel with everything that Debian's has."""
    yield Check("VRFs on Debian's kernel", ("python", str(ROOT / "tests/kernel/vm.py")))


def integration() -> Iterator[Check]:
    """Integration tests on this machine."""
    words = ("integration", "--local", "--allow-root", "--allow-destructive", "--color", "no")
    yield ansible_test("integration tests", *words)


def molecule() -> Iterator[Check]:
    """Every Molecule scenario, one after the other, in the lab that they have for themselves."""
    hold = ("python", str(ROOT / "tests/lab/lab.py"), "hold", "--")
    yield Check("molecule", (*hold, "molecule", "test", "--all"), TREE / "extensions")


GROUPS = {"lint": lint, "unit": unit, "kernel": kernel, "integration": integration, "molecule": molecule}


def run_check(check: Check) -> list[str] | None:
    """Run one check under a heading; None if it passed, else the lines that tell what is wrong."""
    print(f"\n=== {check.name}", flush=True)
    start = time.monotonic()
    reason = check.run()
    verdict = "passed" if reason is None else "FAILED"
    print(f"--- {check.name}: {verdict} in {time.monotonic() - start:.1f} s", flush=True)
    return reason


def main() -> int:
    """Run the groups named on the command line; 1 if a check failed."""
    start = time.monotonic()
    results = {check.name: run_check(check) for group in sys.argv[1:] for check in GROUPS[group]()}
    failed = {name: reason for name, reason in results.items() if reason is not None}
    print(f"\n=== {time.monotonic() - start:.0f} s")
    for name, reason in failed.items():
        print(f"failed: {name}", *(f"  {line[:300]}" for line in reason), sep="\n")
    print(f"{len(results) - len(failed)} passed, {len(failed)} failed")
    return int(bool(failed))


if __name__ == "__main__":
    sys.exit(main())
