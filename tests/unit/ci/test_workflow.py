# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The workflow of the forge runs all checks, and each line of the matrix."""

from __future__ import annotations

import ast
import re
import sys
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[3]
sys.path.insert(0, str(ROOT / "tests/ci"))

import matrix  # noqa: E402

JOBS = yaml.safe_load((ROOT / ".github/workflows/ci.yml").read_text(encoding="utf-8"))["jobs"]
NOXFILE = (ROOT / "noxfile.py").read_text(encoding="utf-8")


def commands(job):
    """Return the commands of a job as one text."""
    return "\n".join(step["run"] for step in JOBS[job]["steps"] if "run" in step)


def test_each_version_of_the_matrix_has_a_job():
    jobs = [(job["ansible"], job["python"]) for job in JOBS["versions"]["strategy"]["matrix"]["include"]]
    assert jobs == [(row.minor, python) for row in matrix.rows() for python in row.pythons]


def test_a_job_of_a_version_runs_each_kind_of_session():
    """The session `quick` is a part of `units`."""
    (kinds,) = re.findall(r"^    for kind in \((.+)\):$", NOXFILE, re.MULTILINE)
    sessions = re.findall(r'"(\w+)-\$VERSION"', commands("versions"))
    assert {"quick", *sessions} == {*kinds.split(", ")}
    assert all(name.startswith("tests/unit/") for name in matrix.QUICK_TESTS)


def test_the_job_of_nodes_has_each_python_of_a_node():
    pythons = ast.literal_eval(re.findall(r"^NODE_PYTHONS = (.+)$", NOXFILE, re.MULTILINE)[0])
    (given,) = [step["with"]["python-version"] for step in JOBS["nodes"]["steps"] if "with" in step]
    assert tuple(given.split()) == pythons


@pytest.mark.parametrize("job", JOBS)
def test_the_targets_of_make_exist(job):
    targets = re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)
    used = [word for words in re.findall(r"\bmake ((?:[a-z-]+ ?)+)", commands(job)) for word in words.split()]
    assert used
    assert {*used} - {*targets} == set()
