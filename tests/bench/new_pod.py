# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Measure how long a new pod waits for its egress IP through Event-Driven Ansible: `make bench-eda PODS=10`.

The real ansible-rulebook follows a test API server, and two nodes are files with their state, as in `make eda`. Each
pod starts two seconds after the end of the run for the one before, so that nothing waits for another run. In these
pauses, other programs should not use the processors: their share is part of the output. Fails if the median is more
than 5 s, or if a hundred pods at once need more than three runs.
"""

from __future__ import annotations

import argparse
import os
import shutil
import statistics
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / name) for name in (".build", "tests/eda", "tests/kubernetes", "tests/unit/helpers")]
from followed_cluster import followed_cluster, pod  # noqa: E402

MOST_SECONDS, MANY, MOST_RUNS = 5, 100, 3
# The rulebook ends its own work in the first part of the pause, and the machine is measured in the second.
SETTLE, PAUSE = 0.5, 1.5
# Stands for ansible-playbook and notes when each run starts and ends.
PROGRAM = """\
#!/bin/sh
date +%s.%N >> {folder}/started
{program} "$@"
code=$?
date +%s.%N >> {folder}/ended
exit $code
"""
PARTS = (
    "pod to the start of ansible-playbook",
    "from there to the first question to a node",
    "from there to the state of the node",
    "in all",
)


class Runs:
    """The runs of a rulebook, which find ansible-playbook in the folder `programs`."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.programs = folder, folder / "programs"
        self.programs.mkdir()
        real = shutil.which("ansible-playbook", path=str(Path(sys.executable).parent))
        if real is None:
            sys.exit("ansible-playbook is missing; run: bash tests/ci/bootstrap.sh eda")
        program = self.programs / "ansible-playbook"
        program.write_text(PROGRAM.format(folder=folder, program=real), encoding="utf-8")
        program.chmod(0o755)

    def times(self, name: str) -> list[float]:
        """Return when each run `started` or `ended`."""
        path = self.folder / name
        return [float(word) for word in path.read_text(encoding="utf-8").split()] if path.exists() else []

    def are_over(self) -> bool:
        """Return whether no run is in progress."""
        return len(self.times("started")) == len(self.times("ended"))


def busy_and_all() -> tuple[int, int]:
    """Return the time of all processors so far that was not idle, and all of it."""
    line = Path("/proc/stat").read_text(encoding="utf-8").splitlines()[0]
    ticks = [int(word) for word in line.split()[1:9]]
    return sum(ticks) - ticks[3] - ticks[4], sum(ticks)


def share_of_others(runs: Runs, cluster) -> float:
    """Wait until no run is in progress and pause; return the part of the processors that other programs used."""
    cluster.wait(runs.are_over)
    time.sleep(SETTLE)
    busy, total = busy_and_all()
    time.sleep(PAUSE)
    later_busy, later = busy_and_all()
    return (later_busy - busy) / (later - total)


def measure(number: int, runs: Runs, cluster) -> tuple[float, ...]:
    """Start a pod; return the seconds of each part of the way to the state of its node."""
    count, calls = len(runs.times("started")), (cluster.folder / "calls").stat().st_size
    begun = time.time()
    cluster.store.add([pod(number)])
    cluster.wait(lambda: (cluster.folder / "calls").stat().st_size > calls)
    asked = time.time()
    cluster.wait_for(f"10.128.9.{number}")
    ended, started = time.time(), runs.times("started")[count]
    return started - begun, asked - started, ended - asked, ended - begun


def main() -> int:
    """Print the figures; return 1 if they are worse than promised."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--pods", type=int, default=10, choices=range(1, 101), metavar="1..100")
    count = parser.parse_args().pods
    with tempfile.TemporaryDirectory() as name:
        runs = Runs(Path(name))
        with followed_cluster(Path(name), runs.programs) as cluster:
            shares, seconds = [], []
            for number in range(2, 2 + count):
                shares.append(share_of_others(runs, cluster))
                seconds.append(measure(number, runs, cluster))
            share_of_others(runs, cluster)
            many = cluster.runs_for(range(254 - MANY, 254))
            cluster.wait(runs.are_over)
    print(f"A new pod through Event-Driven Ansible, {count} pods, in seconds; at most {MOST_SECONDS} in the median\n")
    print(f"  {'':44}{'median':>8}{'least':>8}{'most':>8}")
    for part, values in zip(PARTS, zip(*seconds, strict=True), strict=True):
        print(f"  {part:44}{statistics.median(values):8.2f}{min(values):8.2f}{max(values):8.2f}")
    print(f"\n  {MANY} pods at once: {many} runs, at most {MOST_RUNS}")
    print(
        f"  {os.cpu_count()} processors; other programs used {statistics.mean(shares):.0%} of them in the pauses, "
        f"{max(shares):.0%} at most"
    )
    return int(statistics.median(row[-1] for row in seconds) > MOST_SECONDS or many > MOST_RUNS)


if __name__ == "__main__":
    sys.exit(main())
