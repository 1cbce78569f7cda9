# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The list of checks: output of checks side by side, slowest tests, failures."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
from functools import partial
from pathlib import Path

import pytest
import yaml

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
    labs = (
        lambda lab: [a_check("lab", f"raise SystemExit({int(failing)})")],
        lambda lab: [a_check("image", "print('seen')"), a_check("last", "print('seen')")],
    )
    quick = a_check("quick", "print('1.00s call     tests/test_one.py::test_one')")
    monkeypatch.setattr(check, "GROUPS", {"unit": lambda: [quick]})
    monkeypatch.setattr(check, "LAB_GROUPS", {"molecule": labs})
    monkeypatch.setattr(sys, "argv", ["check.py", "unit", "molecule"])
    assert check.main() == code
    output = capfd.readouterr().out
    assert "     1.0 s  test_one.py::test_one (call, quick)\n" in output
    assert "last | seen\n" in output
    assert output.endswith(f"{4 - failing} passed, {int(failing)} failed\n")
    assert ("failed: lab\n" in output) == failing


def test_two_labs_share_their_work_beside_all_that_needs_none(monkeypatch):
    """Each lab takes the next work when it has ended one, so one slow scenario does not hold the others up."""
    began, ended = [], threading.Event()

    def work(name, wait=lambda: None):
        def checks(lab):
            began.append((name, lab))
            wait()
            yield a_check(name, "")

        return checks

    def until_the_rest_began():
        assert ended.wait(timeout=60)

    works = (work("slow", until_the_rest_began), work("quick"), work("other"), work("end", ended.set))
    monkeypatch.setattr(check, "GROUPS", {name: partial(iter, [a_check(name, "")]) for name in ("lint", "unit")})
    monkeypatch.setattr(check, "LAB_GROUPS", {"molecule": works[:3], "soak": works[3:]})
    monkeypatch.setattr(check, "run_lane", lambda checks, beside: [(item.name, beside) for item in checks])
    assert sorted(check.run_groups(["lint", "unit", "molecule", "soak"])) == sorted(
        (name, True) for name in ("lint", "unit", "slow", "quick", "other", "end")
    )
    machines_own, second = check.LABS
    assert sorted(began) == sorted([("slow", machines_own), ("quick", second), ("other", second), ("end", second)])
    assert check.run_groups(["lint"]) == [("lint", False)]


def test_every_group_without_a_lab_is_in_one_lane(monkeypatch):
    assert sorted(group for lane in check.LANES for group in lane) == sorted(check.GROUPS)
    groups = {name: partial(iter, [a_check(name, "")]) for name in check.GROUPS}
    monkeypatch.setattr(check, "GROUPS", groups)
    monkeypatch.setattr(check, "run_lane", lambda checks, beside: [[item.name for item in checks]])
    assert check.run_groups(["integration", "lint", "kernel"]) == [["lint", "integration"], ["kernel"]]


def test_an_unknown_group_is_refused():
    with pytest.raises(KeyError, match="molecules"):
        check.run_groups(["molecules"])


def test_every_scenario_runs_and_its_image_is_built_outside_of_the_second_lab():
    folder = check.ROOT / "extensions/molecule"
    assert {path.parent.name for path in folder.glob("*/molecule.yml")} == {*check.SCENARIOS}
    for name, image in check.SCENARIOS.items():
        text = (folder / name / "molecule.yml").read_text(encoding="utf-8")
        assert all(f"{variable}: {value}\n" in text for variable, value in image.items())
        *images, last = check.scenario(name, check.SECOND_LAB)
        assert [(item.argv[-1], item.environment) for item in images] == ([("image", image)] if image else [])
        assert last.name == f"molecule {name}"
    assert [item.environment for item in check.images()] == list(filter(None, check.SCENARIOS.values()))
    works = [work for works in check.LAB_GROUPS.values() for work in works]
    assert len(works) == len(check.SCENARIOS) + 1 + len(check.REPEATED)
    for lab in check.LABS:
        held = [item for work in works for item in work(lab) if "hold" in item.argv]
        assert [item.environment.get("EGRESS_IP_LAB_NAME", "") for item in held] == [lab] * len(works)
    assert ["down" in item.argv for item in check.soak("")] == [False, True]
    clean = (check.ROOT / "Makefile").read_text(encoding="utf-8").split("lab-clean:")[1]
    assert f"EGRESS_IP_LAB_NAME={check.SECOND_LAB} $(LAB) down" in clean


def test_the_scenarios_default_and_faults_run_every_test_once():
    texts = [(check.ROOT / f"extensions/molecule/{name}/molecule.yml").read_text() for name in ("default", "faults")]
    selections = [yaml.safe_load(text)["verifier"]["env"]["PYTEST_ADDOPTS"] for text in texts]
    assert selections == ['-m "not faults"', "-m faults"]


def test_the_tests_that_repeat_less_in_the_scenarios_run_whole_in_the_group_long():
    marked = {}
    for path in sorted((check.ROOT / "extensions/molecule").glob("*/tests/*.py")):
        if "@pytest.mark.repeats" in path.read_text():
            marked.setdefault(path.parent, []).append(path.name)
    folders = {(check.ROOT / "extensions/molecule" / name / words).resolve() for name, words in check.REPEATED.items()}
    assert folders == {*marked}
    for name in check.REPEATED:
        *_image, last, _removal = check.repeated(name, "")
        assert last.argv[-3:] == ("-m", "repeats", check.REPEATED[name])
        assert last.environment == {**check.SCENARIOS[name], "EGRESS_IP_LAB_LONG": "1"}


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
check.LAB_GROUPS = {{"molecule": (lambda lab: checks, lambda lab: checks)}}
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
