# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The list of checks: output of checks side by side, slowest tests, failures."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "ci"))

import check  # noqa: E402

PYTEST = """\
=== slowest durations ===
12.50s call     tests/test_one.py::test_slow[a b]
0.75s setup    tests/test_one.py::test_slow[a b]
FAILED tests/test_one.py::test_slow[a b] - assert 1 == 2
1 failed in 13.25s
"""


def a_check(name, script, **options):
    return check.Check(name, (sys.executable, "-c", script), Path.cwd(), **options)


def test_a_failed_check_shows_the_lines_of_the_failure_and_the_slow_tests():
    outcome = a_check("unit", f"print({PYTEST!r}); raise SystemExit(1)").run()
    assert not outcome.passed
    assert outcome.reasons() == ["FAILED tests/test_one.py::test_slow[a b] - assert 1 == 2"]
    assert outcome.durations() == [
        (12.5, "test_one.py::test_slow[a b] (call, unit)"),
        (0.75, "test_one.py::test_slow[a b] (setup, unit)"),
    ]


def test_a_failed_check_without_known_words_shows_its_last_lines():
    outcome = a_check("build", "print(*range(100), sep='\\n'); raise SystemExit(2)").run()
    assert outcome.reasons() == [str(number) for number in range(88, 100)]


def test_processor_time_is_that_of_the_command():
    outcome = a_check("busy", "import time\nwhile time.process_time() < 0.3: pass").run()
    assert outcome.passed
    assert outcome.processor_seconds > 0.25
    assert str(outcome).startswith("busy: passed in ")


@pytest.mark.parametrize(("first", "lower"), [(False, 10), (True, 0)])
def test_beside_others_a_check_has_lower_priority_and_its_name_in_each_line(capfd, first, lower):
    script = "import os; print('priority', os.nice(0))"
    usual = a_check("usual", script).run().lines[0].split()[1]
    outcome = a_check("beside", script, first=first).run(beside=True)
    assert outcome.lines == (f"priority {min(19, int(usual) + lower)}",)
    assert f"beside | priority {min(19, int(usual) + lower)}\n" in capfd.readouterr().out


@pytest.mark.parametrize(("failing", "code"), [(False, 0), (True, 1)])
def test_groups_run_and_one_failure_fails_all(monkeypatch, capfd, failing, code):
    groups = {
        "unit": (lambda: [a_check("quick", "print('1.00s call     tests/test_one.py::test_one')")],),
        "molecule": (
            lambda: [a_check("lab", f"raise SystemExit({int(failing)})")],
            lambda: [a_check("first", "print('seen')"), a_check("last", "print('seen')")],
        ),
    }
    monkeypatch.setattr(check, "GROUPS", groups)
    monkeypatch.setattr(check, "BESIDE", groups["molecule"][:1])
    monkeypatch.setattr(sys, "argv", ["check.py", "unit", "molecule"])
    assert check.main() == code
    output = capfd.readouterr().out
    assert "     1.0 s  test_one.py::test_one (call, quick)\n" in output
    assert "last | seen\n" in output
    assert output.endswith(f"{4 - failing} passed, {int(failing)} failed\n")
    assert ("failed: lab\n" in output) == failing


def test_the_scenario_with_all_tests_runs_beside_the_others_which_follow_one_another(monkeypatch):
    ran = []
    monkeypatch.setattr(check, "run_lane", lambda lanes, beside: ran.append((list(lanes), beside)) or [])
    check.run_groups(["lint", "unit", "molecule", "soak"])
    assert sorted(ran, key=lambda item: len(item[0])) == [
        ([check.default_scenario], True),
        ([check.lint, check.unit, check.other_scenarios, check.soak], True),
    ]


def test_the_other_scenarios_run_in_the_second_lab_once_their_images_are_built_outside():
    checks = list(check.other_scenarios())
    images = [item for item in checks if item.argv[-1] == "image"]
    scenarios = checks[len(images) :]
    assert checks[: len(images)] == images
    assert [item.environment for item in images] == [{variable: value} for variable, value in check.OTHER_IMAGES]
    assert not any("EGRESS_IP_LAB_NAME" in item.environment for item in images)
    assert [item.name for item in scenarios] == ["molecule containers", "molecule debian11", "molecule debian13"]
    assert {item.environment["EGRESS_IP_LAB_NAME"] for item in [*scenarios, *check.soak()]} == {check.SECOND_LAB}
    assert "EGRESS_IP_LAB_NAME" not in next(check.default_scenario()).environment
    clean = (check.ROOT / "Makefile").read_text(encoding="utf-8").split("lab-clean:")[1]
    assert f"EGRESS_IP_LAB_NAME={check.SECOND_LAB} $(LAB) down" in clean


WAITS = """
import signal, sys, time
signal.signal(signal.SIGTERM, lambda *_signal: sys.exit(print("ended")))
print("begun")
time.sleep(60)
"""
STOPPED = """
import sys
sys.path.insert(0, {folder!r})
import check
checks = [check.Check(str(number), (sys.executable, "-uc", {waits!r})) for number in range(2)]
check.GROUPS = {{"molecule": (lambda: checks, lambda: checks)}}
check.BESIDE = check.GROUPS["molecule"][:1]
sys.argv = ["check.py", "molecule"]
check.exit_on_signal()
sys.exit(check.main())
"""


def test_a_signal_ends_the_checks_that_run_and_starts_no_other():
    script = STOPPED.format(folder=str(Path(check.__file__).parent), waits=WAITS)
    with subprocess.Popen([sys.executable, "-uc", script], stdout=subprocess.PIPE, text=True) as process:
        lines = []
        while sum("begun" in line for line in lines) < 2:
            lines.append(process.stdout.readline())
            assert lines[-1], lines
        process.terminate()
        lines += process.stdout.readlines()
    assert process.returncode == 128 + signal.SIGTERM
    assert sum("ended" in line for line in lines) == 2
    assert sum("=== " in line for line in lines) == 2
