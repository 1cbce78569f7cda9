# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Measure the controller with fleets of hosts that do not exist: a `reconcile` without change against one `ping` task.

The connection plugin `recorded` answers for the hosts at once, so the controller alone is measured. Prints a table, and
exits with 1 if a bound is missed. `scale.py --sizes 100` measures one size.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from time import monotonic

from recorded_fleet import Size, environment, write

HERE = Path(__file__).resolve().parent
SIZES = (100, 300, 1000)
RECONCILE = "netops.egress_ip.reconcile"
FORKS = 50
REPEATS = 3
MOST_TIMES_PING = 1.5
MOST_BYTES_TIMES_PING = 1.5
MOST_MEGABYTES = 1536
# Of the processor time per node, from one size to the next.
MOST_GROWTH = 1.2
SAMPLE_SECONDS = 0.2


class ScaleError(Exception):
    """A run failed, or changed something."""


@dataclass(frozen=True)
class Measured:
    """One run: its duration, the time of its processors, its largest memory, and the bytes to and from each node."""

    seconds: float
    processor_seconds: float
    megabytes: float
    bytes_per_node: float


def processes_below(number: int) -> list[int]:
    """Return a process and all below it."""
    found = [number]
    for each in found:
        with contextlib.suppress(OSError):
            found += map(int, Path(f"/proc/{each}/task/{each}/children").read_text(encoding="ascii").split())
    return found


def kilobytes_of(number: int) -> int:
    """Return the memory of a process; what several processes share counts once among them."""
    with contextlib.suppress(OSError):
        for line in Path(f"/proc/{number}/smaps_rollup").read_text(encoding="ascii").splitlines():
            if line.startswith("Pss:"):
                return int(line.split()[1])
    return 0


def measure(folder: Path, size: Size, playbook: str, with_memory: bool = False) -> Measured:
    """Run a playbook on the fleet in the folder. Raises ScaleError if it fails or changes something.

    The kernel counts the memory page by page, which takes processor time from the run.
    """
    (folder / "traffic").unlink(missing_ok=True)
    before, started = resource.getrusage(resource.RUSAGE_CHILDREN), monotonic()
    words = ["ansible-playbook", "-i", str(folder / "inventory.json"), playbook]
    with (folder / "output").open("w+b") as output:
        process = subprocess.Popen(
            words, env=environment(FORKS), stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT
        )
        with _sampled(process.pid) if with_memory else contextlib.nullcontext([0]) as peak:
            code = process.wait()
        seconds = monotonic() - started
    text = (folder / "output").read_text(encoding="utf-8", errors="replace")
    if code or "changed: [" in text:
        raise ScaleError(f"{playbook} ended with code {code}:\n{text[-3000:]}")
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    used = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    traffic = [line.split() for line in (folder / "traffic").read_text(encoding="utf-8").splitlines()]
    moved = sum(int(sent) + int(received) for _host, sent, received in traffic)
    return Measured(seconds, used, peak[0] / 1024, moved / size.nodes)


@contextlib.contextmanager
def _sampled(number: int) -> Iterator[list[int]]:
    """Yield a list whose entry is the largest memory in kB so far of a process and all below it."""
    peak, done = [0], threading.Event()

    def sample() -> None:
        while not done.wait(SAMPLE_SECONDS):
            peak[0] = max(peak[0], sum(map(kilobytes_of, processes_below(number))))

    sampler = threading.Thread(target=sample)
    sampler.start()
    try:
        yield peak
    finally:
        done.set()
        sampler.join()


def median(runs: list[Measured]) -> Measured:
    """Return the medians of each value."""
    return Measured(*(statistics.median(values) for values in zip(*(vars(run).values() for run in runs), strict=True)))


def compare(size: Size, repeats: int) -> tuple[Measured, Measured]:
    """Return the medians of a ping and of a reconcile without change, taken in turns; the memory is of one more run."""
    with tempfile.TemporaryDirectory(prefix="egress-ip-scale-") as name:
        folder = Path(name)
        write(folder, size)
        pings, runs = [], []
        for _repeat in range(repeats):
            pings.append(measure(folder, size, str(HERE / "ping.yml")))
            runs.append(measure(folder, size, RECONCILE))
        memory = measure(folder, size, RECONCILE, with_memory=True).megabytes
    return median(pings), replace(median(runs), megabytes=memory)


def missed(rows: list[tuple[Size, Measured, Measured]]) -> list[str]:
    """Return a line for each bound that is missed."""
    found = []
    for size, ping, run in rows:
        for what, value, bound in (
            ("times the seconds of a ping", run.seconds / ping.seconds, MOST_TIMES_PING),
            ("times the bytes of a ping", run.bytes_per_node / ping.bytes_per_node, MOST_BYTES_TIMES_PING),
            ("MB of memory", run.megabytes, MOST_MEGABYTES),
        ):
            if value > bound:
                found.append(f"{size.nodes} nodes: {value:.2f} {what}, not at most {bound}")
    for (small, _ping, few), (large, _other, many) in zip(rows, rows[1:], strict=False):
        growth = (many.processor_seconds / large.nodes) / (few.processor_seconds / small.nodes)
        if growth > MOST_GROWTH:
            found.append(f"{small.nodes} to {large.nodes} nodes: {growth:.2f} times the time per node")
    return found


def main() -> int:
    """Measure all sizes; 1 if a bound is missed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", type=int, nargs="+", default=SIZES, help="numbers of nodes")
    parser.add_argument("--repeats", type=int, default=REPEATS, help="runs of each kind, of which the median counts")
    options = parser.parse_args()
    print(f"A reconcile without change against one ping, {FORKS} forks, {os.cpu_count()} processors")
    print("p s: seconds of the processors; kB/node: sent and received; MB: largest memory of all processes")
    print(
        "nodes  egress IPs    pods | ping: s   p s   kB/node | reconcile: s   p s   kB/node    MB | times", flush=True
    )
    rows = []
    try:
        for nodes in options.sizes:
            size = Size(nodes)
            ping, run = compare(size, options.repeats)
            rows.append((size, ping, run))
            print(
                f"{nodes:5} {size.addresses:11} {size.pods:7} | {ping.seconds:7.1f} {ping.processor_seconds:5.1f}"
                f" {ping.bytes_per_node / 1e3:9.1f} | {run.seconds:12.1f} {run.processor_seconds:5.1f}"
                f" {run.bytes_per_node / 1e3:9.1f} {run.megabytes:5.0f} | {run.seconds / ping.seconds:5.2f}",
                flush=True,
            )
    except ScaleError as error:
        print(f"scale: {error}", file=sys.stderr)
        return 1
    faults = missed(rows)
    for line in faults:
        print(f"missed: {line}")
    return int(bool(faults))


if __name__ == "__main__":
    sys.exit(main())
