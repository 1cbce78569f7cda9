# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Measure what a client sees of faults and of planned moves: the table of docs/faults.md.

A pod connects to the server again and again, at least every 0.08 s. The gap is the time from the
last good connection before the first failed one to the next good one; one with a wrong source is none.
Each fault happens five times, those with failover twenty times; failover.py measures more of these.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests/lab"))
from lab import NODES, Answer, Lab, LabError, Poll, find_host, longest_gap  # noqa: E402
from lab_failover import wait_until_settled  # noqa: E402
from lab_playbook import run_playbook  # noqa: E402

TIMES, TIMES_WITH_FAILOVER = 5, 20
EGRESS_IP = "192.168.126.10"
LABEL = "k8s.ovn.org/egress-assignable"
# Its node holds nothing.
POD, PODS_NODE = "namespace1/pod2", "node2"
EVERYTHING_BACK = 13
# Two looks of the watch.
MENDED = 8


class Faults:
    """A lab in which one object has one egress IP, which node1 or node3 holds."""

    def __init__(self, lab: Lab) -> None:
        self.lab = lab
        self.inventory = lab.write_inventory()
        manifests = ROOT / "tests/lab/manifests"
        egressip = {
            "apiVersion": "k8s.ovn.org/v1",
            "kind": "EgressIP",
            "metadata": {"name": "one"},
            "spec": {"egressIPs": [EGRESS_IP], "namespaceSelector": {"matchLabels": {"env": "prod"}}},
        }
        self.manifests = [str(manifests / "namespaces.yml"), str(manifests / "pods.yml"), egressip]
        self.without_link = self.without_address = ""
        self.failover = False

    def run(self, playbook: str = "reconcile", **variables: object) -> None:
        """Run one of our playbooks; LabError with its output when it fails."""
        common = {
            "egress_ip_manifests": self.manifests,
            "egress_ip_excluded_cidrs": ["10.88.0.0/16"],
            "egress_ip_failover": self.failover,
        }
        run = run_playbook(f"netops.egress_ip.{playbook}", self.inventory, {**common, **variables})
        if run.code != 0:
            raise LabError(f"{playbook} ended with code {run.code}:\n{run.output}")

    def holder(self) -> str:
        """The node with the address."""
        for node in NODES:
            if self.lab.status()[node.name] == "running":
                (link,) = json.loads(self.lab.exec(node.name, "ip", "-j", "address", "show", "dev", "eth0"))
                if EGRESS_IP in [item["local"] for item in link["addr_info"]]:
                    return node.name
        raise LabError("no node has the address")

    def gap(self, fault: Callable[[], None]) -> float:
        """Seconds without a good connection around a fault, up to the first good ones after it."""
        with self._poll() as poll:
            self._wait_for_good(poll, 0)
            fault()
            self._wait_for_good(poll, len(poll.answers))
            return longest_gap([replace(each, error=each.error or self._fault_of(each)) for each in poll.answers])

    def _poll(self) -> Poll:
        return self.lab.poll(POD, interval=0.02, timeout=0.06)

    @staticmethod
    def _fault_of(answer: Answer) -> str | None:
        return None if answer.source == EGRESS_IP else f"came from {answer.source}"

    @staticmethod
    def _wait_for_good(poll: Poll, after: int) -> None:
        """Wait until the last five connections were good ones, all of them made after the first `after`."""
        end = time.monotonic() + EVERYTHING_BACK
        while [answer.source for answer in poll.answers[after:]][-5:] != [EGRESS_IP] * 5:
            if time.monotonic() > end:
                raise LabError(f"no good connections within {EVERYTHING_BACK} s")
            time.sleep(0.2)

    # -- what happens -------------------------------------------------------------------------------------------------

    def drain(self) -> None:
        """A planned move."""
        self.run("drain", egress_ip_drain_nodes=[self.holder()])

    def kill(self) -> None:
        """The holder loses its power; a run begins at once."""
        self.kill_alone()
        self.run()

    def kill_alone(self) -> None:
        """The holder loses its power, and no run comes."""
        self.lab.kill(self.holder())

    def cycle(self) -> None:
        """The holder loses its power and boots, and no run comes."""
        name = self.holder()
        self.lab.kill(name)
        self.lab.start(name)

    def reboot(self) -> None:
        """The holder reboots in order, and no run comes."""
        self.lab.reboot(self.holder())

    def cut(self) -> None:
        """The holder loses its link; a run begins at once."""
        self.without_link = self.holder()
        self.lab.cut(self.without_link)
        self.run()

    def plug(self) -> None:
        """A node gets its link back, and still has the address, which has moved."""
        self.lab.plug(self.without_link)
        self.without_link = ""
        time.sleep(MENDED)

    def lose_address(self) -> None:
        """The holder loses the address at which its tunnel ends; a run begins when it has given up the egress IP."""
        name = self.without_address = self.holder()
        self.lab.exec(name, "ip", "address", "delete", f"{find_host(name).address}/18", "dev", "eth0")
        end = time.monotonic() + EVERYTHING_BACK
        while EGRESS_IP in self.lab.exec(name, "ip", "address", "show", "dev", "eth0"):
            if time.monotonic() > end:
                raise LabError(f"{name} keeps {EGRESS_IP}")
            time.sleep(0.2)
        self.run()

    def darkness(self) -> float:
        """All nodes lose their power and boot, and no run comes; seconds until a pod that is back has an answer."""
        start = time.time()
        for node in NODES:
            self.lab.kill(node.name)
        self.lab.up()
        # Which waits until the pods are there.
        self.lab.exec(PODS_NODE, "systemctl", "start", "lab-pods.service")
        with self._poll() as poll:
            self._wait_for_good(poll, 0)
            return next(answer.at for answer in poll.answers if answer.source == EGRESS_IP) - start

    def on(self, node: Callable[[], str], script: str) -> Callable[[], None]:
        """A change by another program on a node, measured until the node has repaired itself."""

        def do() -> None:
            self.lab.exec(node(), "sh", "-ec", script)
            time.sleep(MENDED)

        return do

    def begin(self, *, after: Callable[[], None] | None = None) -> None:
        """Bring everything into order, and then into the state in which the fault happens."""
        if self.without_link:
            self.plug()
        if self.without_address:
            self.lab.reboot(self.without_address)
            self.without_address = ""
        self.lab.up()
        self.run()
        if self.failover:
            wait_until_settled(self.lab, [node.name for node in NODES if node.assignable])
        if after:
            after()

    def measure(self, times: int, times_with_failover: int) -> dict[str, list[float]]:
        """{fault: gaps}."""
        gaps = self._measure(self._faults(), times)
        self.failover = True
        return {**gaps, **self._measure(self._faults_with_failover(), times_with_failover)}

    def _faults_with_failover(self) -> dict[str, Callable]:
        """{fault: how it happens}, in a fleet with failover."""
        return {
            "failover: holder loses power, no run": self.kill_alone,
            "failover: holder reboots in order, no run": self.reboot,
            "failover: planned move (`drain`)": self.drain,
        }

    def _faults(self) -> dict[str, Callable]:
        """{fault: how it happens}, in a fleet without failover."""
        pods_again = "/usr/bin/python3 /opt/lab/lab_pods.py"
        flush = f"nft flush ruleset; {pods_again}"
        return {
            "planned move (`drain`, or a label taken away)": self.drain,
            "holder loses power, a run begins at once": self.kill,
            "holder loses power and boots, no run": self.cycle,
            "holder reboots in order, no run": self.reboot,
            "all nodes lose power and boot, no run": self.darkness,
            "holder loses its own address, a run begins when it has given up": self.lose_address,
            "holder loses its link, a run begins at once": self.cut,
            "it gets its link back, its address has moved": self.plug,
            "`nft flush ruleset` on the holder": self.on(self.holder, flush),
            "`nft flush ruleset` on the pod's node": self.on(lambda: PODS_NODE, flush),
            "address deleted on the holder": self.on(self.holder, f"ip address delete {EGRESS_IP}/32 dev eth0"),
            "rules deleted on the holder": self.on(self.holder, "ip rule flush protocol 225"),
            "tunnel device deleted on the holder": self.on(self.holder, "ip link delete egress0"),
        }

    def _measure(self, faults: dict[str, Callable], times: int) -> dict[str, list[float]]:
        gaps: dict[str, list[float]] = {}
        for name, fault in faults.items() if times else ():
            for _time in range(times):
                self.begin(after=self.cut if fault == self.plug else None)
                # With all nodes the pod goes too, and its connections tell of no gap.
                gaps.setdefault(name, []).append(fault() if fault == self.darkness else self.gap(fault))
            print(f"{name}: {' '.join(f'{gap:.2f}' for gap in gaps[name])}", flush=True)
        return gaps


def main() -> int:
    """Measure on a fresh lab and remove it; 1 if something cannot be measured."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--times", type=int, default=TIMES, help="without failover")
    parser.add_argument("--times-with-failover", type=int, default=TIMES_WITH_FAILOVER)
    options = parser.parse_args()
    lab = Lab()
    try:
        with lab.hold():
            lab.up(fresh=True)
            with contextlib.ExitStack() as stack:
                stack.callback(lab.down)
                gaps = Faults(lab).measure(options.times, options.times_with_failover)
    except LabError as error:
        print(f"faults: {error}", file=sys.stderr)
        return 1
    print("\n| What happens | Median | Worst |\n|---|---|---|")
    for name, found in gaps.items():
        print(f"| {name} | {statistics.median(found):.1f} s | {max(found):.1f} s |")
    return 0


if __name__ == "__main__":
    sys.exit(main())
