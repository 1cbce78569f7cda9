# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Measure the collection in the lab against simple playbooks, as ratios of the same run.

- A `reconcile` that changes nothing, against a playbook with one `ping` task: below 2.0.
- The first apply of 300 egress IPs on 3 hosts, against a playbook that loops over addresses and pods: 25 times faster.

All with Ansible as it comes; our playbooks turn ssh pipelining on by themselves.
Exits with 1 if a ratio misses its bound.
"""

from __future__ import annotations

import ipaddress
import json
import statistics
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests/lab"))
from lab import NODES, Lab, LabError, state_dir  # noqa: E402
from lab_playbook import PlaybookRun, run_playbook  # noqa: E402

HERE = Path(__file__).resolve().parent
EGRESS_IPS = 300
FIRST_ADDRESS = ipaddress.IPv4Address("192.168.100.1")
FIRST_POD = ipaddress.IPv4Address("10.88.1.1")
REPEATS = 5
FIRST_REPEATS = 3
NO_CHANGE_BOUND = 2.0
FIRST_APPLY_BOUND = 25.0


def documents(count: int) -> list[dict]:
    """`count` EgressIP objects of one address, each with a namespace and a pod, and all nodes labelled."""
    found = [
        {
            "apiVersion": "v1",
            "kind": "Node",
            "metadata": {"name": node.name, "labels": {"k8s.ovn.org/egress-assignable": ""}},
        }
        for node in NODES
    ]
    for index in range(count):
        name = f"bench-{index:03}"
        selector = {"matchLabels": {"kubernetes.io/metadata.name": name}}
        found += [
            {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}},
            {
                "apiVersion": "k8s.ovn.org/v1",
                "kind": "EgressIP",
                "metadata": {"name": name},
                "spec": {"egressIPs": [str(FIRST_ADDRESS + index)], "namespaceSelector": selector},
            },
            {
                "apiVersion": "v1",
                "kind": "Pod",
                "metadata": {"name": "pod", "namespace": name},
                "spec": {"nodeName": NODES[index % len(NODES)].name},
                "status": {"podIPs": [{"ip": str(FIRST_POD + index // len(NODES))}]},
            },
        ]
    return found


def by_hand(count: int) -> dict[str, list[dict[str, str]]]:
    """Node -> its share of addresses and pods, for the playbook that loops."""
    return {
        node.name: [
            {"address": str(FIRST_ADDRESS + index), "pod": str(FIRST_POD + index // len(NODES))}
            for index in range(place, count, len(NODES))
        ]
        for place, node in enumerate(NODES)
    }


class Bench:
    """The measurements; each resets what the one before left."""

    def __init__(self, lab: Lab) -> None:
        self.lab = lab
        self.inventory = lab.write_inventory()
        self.manifests = state_dir() / "bench.json"

    def play(self, playbook: str, **variables: object) -> PlaybookRun:
        """Run a playbook; LabError with its output when it fails."""
        run = run_playbook(playbook, self.inventory, variables)
        if run.code != 0:
            raise LabError(f"{playbook} ended with code {run.code}:\n{run.output}")
        return run

    def reconcile(self, count: int) -> PlaybookRun:
        """Run `reconcile` for that many egress IPs."""
        content = {"apiVersion": "v1", "kind": "List", "items": documents(count)}
        self.manifests.write_text(json.dumps(content), encoding="utf-8")
        return self.play("netops.egress_ip.reconcile", egress_ip_manifests=[str(self.manifests)])

    def no_change(self) -> float:
        """Seconds of a `reconcile` without change over those of a ping; both as medians, taken in turns."""
        self.reconcile(len(NODES))
        pings, runs = [], []
        for _repeat in range(REPEATS):
            pings.append(self.play(str(HERE / "ping.yml")).seconds)
            runs.append(self.reconcile(len(NODES)).seconds)
        ping, run = statistics.median(pings), statistics.median(runs)
        print(f"no change: reconcile {run:.2f} s, ping {ping:.2f} s", flush=True)
        return run / ping

    def first_apply(self) -> float:
        """Seconds of the playbook that loops over those of the first `reconcile`, a median, on fresh hosts each.

        The machine has quicker and slower minutes, so half of the runs come before the loops and half after.
        """
        runs = [self._first() for _repeat in range(FIRST_REPEATS)]
        self.lab.up(fresh=True)
        hand = self.play(str(HERE / "by_hand.yml"), shares=by_hand(EGRESS_IPS)).seconds
        runs += [self._first() for _repeat in range(FIRST_REPEATS)]
        ours = statistics.median(run.seconds for run in runs)
        for name, seconds in min(runs, key=lambda run: abs(run.seconds - ours)).tasks:
            print(f"  {seconds:5.2f} s  {name}", flush=True)
        shown = " ".join(f"{run.seconds:.2f}" for run in runs)
        print(f"first apply of {EGRESS_IPS} egress IPs: reconcile {shown} s, loops {hand:.2f} s", flush=True)
        return hand / ours

    def _first(self) -> PlaybookRun:
        self.lab.up(fresh=True)
        return self.reconcile(EGRESS_IPS)

    def run(self) -> bool:
        """All measurements; True if every ratio keeps its bound."""
        no_change, first_apply = self.no_change(), self.first_apply()
        print(f"reconcile without change : ping = {no_change:.2f} (bound: below {NO_CHANGE_BOUND})")
        print(f"loops : first reconcile = {first_apply:.1f} (bound: at least {FIRST_APPLY_BOUND})")
        return no_change < NO_CHANGE_BOUND and first_apply >= FIRST_APPLY_BOUND


def main() -> int:
    """Measure on a fresh lab and remove it; 1 if a bound is missed."""
    lab = Lab()
    try:
        with lab.hold():
            lab.up(fresh=True)
            try:
                return int(not Bench(lab).run())
            finally:
                lab.down()
    except LabError as error:
        print(f"bench: {error}", file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
