# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Each finding of a linter that is ignored has a reason: behind it, or here for rules that are ignored often."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
# Rule -> why it is ignored, wherever it is.
REASONS = {
    "B008": "the default is immutable",
    "B023": "the function is used within the iteration only",
    "B905": "zip(strict=) needs Python 3.10; nodes may have 3.8",
    "E402": "the import needs the path that the lines before it add",
    "N802": "the base class names the method",
    "PLC0415": "each way through the code imports only what it uses",
    "PTH103": "a program that starts for each pod does without pathlib",
    "PTH105": "a program that starts for each pod does without pathlib",
    "PTH106": "a program that starts for each pod does without pathlib",
    "PTH108": "the watch runs all the time and does without pathlib",
    "PTH109": "paths are texts there",
    "PTH110": "the watch runs all the time and does without pathlib",
    "PTH116": "a program that starts for each pod does without pathlib",
    "PTH118": "a program that starts for each pod does without pathlib",
    "PTH120": "a program that starts for each pod does without pathlib",
    "PTH123": "the watch runs all the time and does without pathlib",
    "PTH208": "a program that starts for each pod does without pathlib",
    "rule:indentation": "the document is as the OKD page or kubectl writes it",
    "rule:truthy": "the document is wrong on purpose",
}
# The words of a linter, its rules, and the reason behind them, after a dash or another comment sign.
IGNORE = re.compile(
    r"(?:# noqa: |# type: ignore\[|pylint: disable=|yamllint disable(?:-line)? )"
    r"(?P<rules>[\w:-]+(?:, [\w:-]+)*)\]?(?P<reason>.*)"
)
BLANKET = re.compile(r"# noqa(?!: \w)|# type: ignore(?!\[)|pylint: skip-file|yamllint disable(?:-line)?$|# nosec")
# All but this file, which has the words themselves.
FILES = sorted(
    path
    for folder in ("plugins", "roles", "playbooks", "tests", "extensions", "examples")
    for pattern in ("*.py", "*.yml")
    for path in (ROOT / folder).rglob(pattern)
    if path != Path(__file__).resolve() and "output" not in path.relative_to(ROOT).parts
)


def unexplained(line):
    """Return the rules that a line ignores without a reason."""
    found = IGNORE.search(line)
    if found is None or re.match(r"\s*(?:-|#) \w", found["reason"]):
        return []
    return [rule for rule in found["rules"].split(", ") if rule not in REASONS]


@pytest.mark.parametrize(
    ("line", "rules"),
    [
        ("import x  # noqa: E402", []),
        ("import x  # noqa: E402, F401", ["F401"]),
        ("import x  # noqa: F401 - the plugin registers itself", []),
        ("x = y  # type: ignore[arg-type]", ["arg-type"]),
        ("x = y  # type: ignore[arg-type]  # None has no entry", []),
        ("  # pylint: disable=all", ["all"]),
    ],
)
def test_a_reason_is_behind_the_rule_or_in_the_table(line, rules):
    assert unexplained(line) == rules


def test_every_ignored_finding_has_a_reason():
    lines = [
        (path.relative_to(ROOT), number, line)
        for path in FILES
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1)
    ]
    assert [f"{path}:{number}: {line.strip()}" for path, number, line in lines if unexplained(line)] == []
    assert [f"{path}:{number}: {line.strip()}" for path, number, line in lines if BLANKET.search(line)] == []


def test_ansible_test_ignores_nothing():
    assert list((ROOT / "tests").glob("sanity/ignore*")) == []


@pytest.mark.parametrize("name", [".ansible-lint", ".yamllint", "ruff.toml"])
def test_each_group_of_exceptions_in_a_configuration_has_a_comment(name):
    lines = (ROOT / name).read_text(encoding="utf-8").splitlines()
    group = re.compile(r"(exclude_paths|skip_list|ignore|extend-exclude)\b")
    starts = [number for number, line in enumerate(lines) if group.match(line)]
    assert starts
    for number in starts:
        assert any(lines[each].lstrip().startswith("#") for each in (number - 1, number + 1)), lines[number]
