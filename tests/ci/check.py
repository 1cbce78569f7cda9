# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Run the checks of the collection, group by group: check.py lint unit kernel integration images molecule soak.

Each check is a command; its output is shown as it comes, under a heading. A check that fails does not stop the others.
At the end: the slowest tests, the time of each check, and the relevant lines of those that failed.
Tests in a lab wait for hosts to boot and for the network half of the time. So two labs run side by side, the machine's
and a second one: each takes the next scenario, or the soak, when it has ended one. All other checks run beside them in
lanes and at a lower priority: the tests in the labs measure gaps in traffic. Each line then begins with the name of its
check. The group `long` has the tests that the group `molecule` runs with fewer repetitions.
tests/ci/bootstrap.sh has prepared the environments and the collection's tree before.
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

from ansible_test_home import make_home
from tree import BUILD, ROOT, TREE

# Of the output of a check: how many lines are kept, how many of a failed one are shown again, how many slow tests.
KEPT_LINES = 20000
SHOWN_LINES = 12
SHOWN_TESTS = 20
# How much less of the processors a check gets that runs beside the tests in the lab.
NICE = ("nice", "-n", "10")
FAILURE = re.compile(r"(FAILED|ERROR:?|fatal:|lab:|error:|SUBFAIL\w*) ")
# As pytest lists them with --durations.
DURATION = re.compile(r"(?P<seconds>\d+\.\d+)s (?P<phase>setup|call|teardown) +(?P<file>\S+?)::(?P<test>.+)")
# The commands that run now. After a signal they are ended, and no other one is started.
RUNNING: set[subprocess.Popen] = set()
STOPPING = threading.Event()
VENV = BUILD / "venv"
# Molecule's scenarios, the longest first: this order lets both labs end at about the same time. With the images of the
# hosts other than the usual one: other releases of Debian, and one with container engines. The first two have the usual
# one, which is there, so that the others are built meanwhile.
SCENARIOS: dict[str, dict[str, str]] = {
    "faults": {},
    "default": {},
    "containers": {"EGRESS_IP_LAB_VARIANT": "containers"},
    "debian11": {"EGRESS_IP_LAB_SUITE": "bullseye"},
    "debian13": {"EGRESS_IP_LAB_SUITE": "trixie"},
}
# Scenario -> its folder with tests that have the mark `repeats`.
REPEATED = {"faults": "../default/tests", "containers": "tests"}
# The machine's own lab has no name. More than two at once on two processors would make the tests that measure gaps in
# traffic unreliable. `make lab-clean` removes both.
SECOND_LAB = "second"
LABS = ("", SECOND_LAB)
# Seconds of random faults, and the seed that repeats them; `make soak` takes others.
SOAK = ("--duration", "180", "--seed", "1")
# Manifests as users write them, with several documents in a file and with typing errors on purpose.
TEST_INPUT = (
    "docs/kubernetes/",
    "tests/integration/targets/lookup_manifests/files/",
    "tests/lab/manifests/",
    "tests/unit/golden/",
)
# Words for ansible-test, here and in noxfile.py.
SANITY = ("sanity", "--local", "--color", "no", *(word for folder in TEST_INPUT for word in ("--exclude", folder)))
INTEGRATION = ("integration", "--local", "--allow-root", "--allow-destructive", "--color", "no")


@dataclass(frozen=True)
class Check:
    """One command, run in `cwd` with the tools of `venv` first in PATH."""

    name: str
    argv: tuple[str, ...]
    cwd: Path = ROOT
    venv: Path = VENV
    environment: dict[str, str] = field(default_factory=dict)
    # Keeps its priority when others run beside it.
    first: bool = False

    def run(self, beside: bool = False) -> Outcome:
        """Run the command and print its output; `beside` others: at a lower priority, each line with the name."""
        environment = {
            **os.environ,
            "PATH": f"{self.venv / 'bin'}:{os.environ['PATH']}",
            "ANSIBLE_COLLECTIONS_PATH": str(BUILD),
            "PYTHONPATH": "",
            "PYTHONUNBUFFERED": "1",
            "NO_COLOR": "1",
            **self.environment,
        }
        prefix = f"{self.name} | " if beside else ""
        print_line(f"\n=== {self.name}")
        lines: deque[str] = deque(maxlen=KEPT_LINES)
        start = time.monotonic()
        with subprocess.Popen(
            (*(NICE if beside and not self.first else ()), *self.argv),
            cwd=self.cwd,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            encoding="utf-8",
            errors="replace",
        ) as command:
            RUNNING.add(command)
            if STOPPING.is_set():
                command.terminate()
            for line in command.stdout:
                lines.append(line.rstrip())
                print_line(prefix + lines[-1])
            RUNNING.discard(command)
            _pid, status, usage = os.wait4(command.pid, 0)
            command.returncode = os.waitstatus_to_exitcode(status)
        seconds = time.monotonic() - start
        outcome = Outcome(self, command.returncode == 0, seconds, usage.ru_utime + usage.ru_stime, tuple(lines))
        print_line(f"--- {outcome}")
        return outcome


@dataclass(frozen=True)
class Outcome:
    """How a check ended: seconds on the clock, seconds of processor time (without the lab's hosts), and its output."""

    check: Check
    passed: bool
    seconds: float
    processor_seconds: float
    lines: tuple[str, ...]

    def __str__(self) -> str:
        verdict = "passed" if self.passed else "FAILED"
        return (
            f"{self.check.name}: {verdict} in {self.seconds:.1f} s ({self.processor_seconds:.1f} s of processor time)"
        )

    def reasons(self) -> list[str]:
        """The lines that show what failed, as the tools write them, else the last ones."""
        marked = [line for line in self.lines if FAILURE.match(line)]
        return list(marked or self.lines)[-SHOWN_LINES:]

    def durations(self) -> list[tuple[float, str]]:
        """Seconds and name of the slow tests that pytest has listed."""
        found = filter(None, map(DURATION.match, self.lines))
        return [
            (
                float(match["seconds"]),
                f"{Path(match['file']).name}::{match['test']} ({match['phase']}, {self.check.name})",
            )
            for match in found
        ]


Lane = Callable[[], Iterator[Check]]
# The checks that run in a lab, given its name.
LabWork = Callable[[str], Iterator[Check]]


def print_line(line: str) -> None:
    """Print a line at once, in one write, for checks run side by side."""
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def python_version(venv: Path) -> str:
    """`3.11` for a virtual environment with Python 3.11."""
    words = "import sys; print('%d.%d' % sys.version_info[:2])"
    return subprocess.run([venv / "bin/python", "-c", words], capture_output=True, text=True, check=True).stdout.strip()


def ansible_test(name: str, *words: str, venv: Path = VENV) -> Check:
    """An ansible-test command on this machine, with a home of its own."""
    home = {"HOME": str(make_home(BUILD / "home", venv)), "LC_ALL": "C.UTF-8"}
    return Check(name, ("ansible-test", *words, "--python", python_version(venv)), TREE, venv, home)


def lint() -> Iterator[Check]:
    """Formats, style, Ansible's own rules, documentation, and the tarball."""
    yield Check("ruff check", ("ruff", "check", "."))
    yield Check("ruff format", ("ruff", "format", "--check", "."))
    yield Check("mypy", ("mypy", "--no-error-summary"))
    package = ("--config-file", str(ROOT / "mypy.ini"), "--package", "ansible_collections.netops.egress_ip.plugins")
    yield Check("mypy, imports of plugins", ("mypy", "--no-error-summary", *package), BUILD)
    yield Check("yamllint", ("yamllint", "--strict", "."))
    # The code that runs on a node runs on Python 3.8 or newer.
    sent = [name for name in ("plugins/module_utils", "plugins/modules") if (ROOT / name).is_dir()]
    yield Check("Python 3.8 on the nodes", ("vermin", "-t=3.8-", "--no-tips", "--violations", *sent))
    yield Check("ansible-lint", ("ansible-lint", "--nocolor", "--offline", "--strict", "--profile", "production"), TREE)
    yield ansible_test("ansible-test sanity", *SANITY)
    docs = ("antsibull-docs", "lint-collection-docs", "--plugin-docs", "--validate-collection-refs", "all", ".")
    yield Check("collection documentation", docs, TREE)
    yield Check("documentation as web pages", ("python", str(ROOT / "tests/ci/build_docs.py")))
    yield Check("changelog", ("antsibull-changelog", "lint"), TREE)
    yield Check("licences", ("reuse", "lint", "--lines"))
    yield Check("build, install, ansible-doc, Galaxy's import", ("python", str(ROOT / "tests/ci/tarball.py")), TREE)


def unit() -> Iterator[Check]:
    """Unit tests, one more at once than there are processors: some wait for hosts in network namespaces."""
    at_once = ("-n", str((os.cpu_count() or 1) + 1), "--dist", "worksteal")
    options = ("-q", "-p", "no:cacheprovider", f"--durations={SHOWN_TESTS}")
    words = ("python", "-m", "pytest", *options, *at_once, "tests/unit")
    path = {"PYTHONPATH": str(BUILD)}
    yield Check("unit tests", words, TREE, VENV, path)


def kernel() -> Iterator[Check]:
    """Tests that need features of Debian's kernel."""
    yield Check("VRFs and the encrypted tunnel on Debian's kernel", ("python", str(ROOT / "tests/kernel/vm.py")))


def integration() -> Iterator[Check]:
    """Integration tests on this machine."""
    yield ansible_test("integration tests", *INTEGRATION)
    words = ("python", "-m", "pytest", "-q", "-p", "no:cacheprovider", "tests/awx")
    yield Check("configuration of AWX", words, TREE, VENV, {"PYTHONPATH": str(BUILD)})


def in_lab(name: str, *words: str, lab: str, cwd: Path = ROOT) -> Check:
    """A command in a lab that no other process uses meanwhile: the machine's, or the one named `lab`."""
    hold = ("python", str(ROOT / "tests/lab/lab.py"), "hold", "--")
    environment = {"EGRESS_IP_LAB_NAME": lab} if lab else {}
    return Check(name, (*hold, *words), cwd, environment=environment, first=True)


def image(name: str, used: bool = False) -> Iterator[Check]:
    """The image of a scenario, which is `used` at once; tests/ci/bootstrap.sh has built the usual one.

    Images are built outside of the second lab, which has no way to a Debian mirror. Who needs an image that is being
    built waits for it.
    """
    if SCENARIOS[name]:
        words = ("python", str(ROOT / "tests/lab/lab.py"), "image")
        yield Check(f"image of {name}", words, environment=SCENARIOS[name], first=used)


def images() -> Iterator[Check]:
    """All images, in the order in which scenarios need them."""
    for name in SCENARIOS:
        yield from image(name)


def scenario(name: str, lab: str) -> Iterator[Check]:
    """A Molecule scenario, after its image."""
    yield from image(name, used=True)
    yield in_lab(f"molecule {name}", "molecule", "test", "--scenario-name", name, lab=lab, cwd=TREE / "extensions")


def repeated(name: str, lab: str) -> Iterator[Check]:
    """The tests of a scenario that `make molecule` runs with fewer repetitions, with all of them."""
    yield from image(name, used=True)
    words = ("python", "-m", "pytest", "-v", "-p", "no:cacheprovider", f"--durations={SHOWN_TESTS}", "-m", "repeats")
    check = in_lab(f"long {name}", *words, REPEATED[name], lab=lab, cwd=TREE / "extensions/molecule" / name)
    yield replace(check, environment={**check.environment, **SCENARIOS[name], "EGRESS_IP_LAB_LONG": "1"})
    yield from removal(lab)


def soak(lab: str) -> Iterator[Check]:
    """Random faults."""
    yield in_lab("soak", "python", str(ROOT / "tests/soak/soak.py"), *SOAK, lab=lab)
    yield from removal(lab)


def removal(lab: str) -> Iterator[Check]:
    """The end of the machine's own lab; a named one ends with the command that holds it."""
    if not lab:
        yield Check("removal of the lab", ("python", str(ROOT / "tests/lab/lab.py"), "down"))


GROUPS: dict[str, Lane] = {
    "lint": lint,
    "unit": unit,
    "kernel": kernel,
    "integration": integration,
    "images": images,
}
# Groups that follow one another, in lanes side by side. Two commands of ansible-test at once would share its folders.
# The unit tests come last: they alone use all processors when the labs have ended.
LANES = (("images",), ("lint", "integration"), ("kernel", "unit"))
LAB_GROUPS: dict[str, tuple[LabWork, ...]] = {
    "molecule": tuple(partial(scenario, name) for name in SCENARIOS),
    "soak": (soak,),
    "long": tuple(partial(repeated, name) for name in REPEATED),
}


def in_turn(lanes: Iterable[Lane]) -> Iterator[Check]:
    """The checks of these lanes, one lane after the other."""
    for lane in lanes:
        yield from lane()


def in_one_lab(first: LabWork, waiting: deque[LabWork], lab: str) -> Iterator[Check]:
    """The checks of one lab: the first ones, and whenever these have ended, the next ones that wait for a lab."""
    work = first
    while True:
        yield from work(lab)
        try:
            work = waiting.popleft()
        except IndexError:
            return


def run_lane(checks: Iterable[Check], beside: bool) -> list[Outcome]:
    """Run checks, one after the other; `beside` others."""
    return [check.run(beside) for check in checks if not STOPPING.is_set()]


def run_groups(groups: Iterable[str]) -> list[Outcome]:
    """Run the groups named: the lanes of what needs no lab, beside one lane for each lab."""
    named = list(groups)
    plain = {group: GROUPS[group] for group in named if group not in LAB_GROUPS}
    waiting = deque(work for group in named for work in LAB_GROUPS.get(group, ()))
    lanes = [in_turn(plain[group] for group in lane if group in plain) for lane in LANES if plain.keys() & {*lane}]
    lanes += [in_one_lab(waiting.popleft(), waiting, lab) for lab in LABS[: len(waiting)]]
    with ThreadPoolExecutor(len(lanes)) as pool:
        try:
            ended = list(pool.map(lambda lane: run_lane(lane, len(lanes) > 1), lanes))
        except (KeyboardInterrupt, SystemExit):
            STOPPING.set()
            for command in list(RUNNING):
                command.terminate()
            raise
    return [outcome for outcomes in ended for outcome in outcomes]


def main() -> int:
    """Run the groups named on the command line; 1 if a check failed."""
    start = time.monotonic()
    outcomes = run_groups(sys.argv[1:])
    slowest = sorted((item for outcome in outcomes for item in outcome.durations()), reverse=True)[:SHOWN_TESTS]
    if slowest:
        print_line(f"\n=== The slowest {len(slowest)} tests")
    for seconds, test in slowest:
        print_line(f"{seconds:8.1f} s  {test}")
    print_line(f"\n=== {time.monotonic() - start:.0f} s")
    for outcome in outcomes:
        print_line(str(outcome))
    failed = [outcome for outcome in outcomes if not outcome.passed]
    for outcome in failed:
        print_line("\n".join([f"failed: {outcome.check.name}", *(f"  {line[:300]}" for line in outcome.reasons())]))
    print_line(f"{len(outcomes) - len(failed)} passed, {len(failed)} failed")
    return int(bool(failed))


def exit_on_signal() -> None:
    """Let SIGTERM end this process as an exception does."""
    signal.signal(signal.SIGTERM, lambda *_signal: sys.exit(128 + signal.SIGTERM))


if __name__ == "__main__":
    exit_on_signal()
    sys.exit(main())
