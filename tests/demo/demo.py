# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The picture of the OKD page, on real hosts: plan, reconcile, traffic, hosts that die with and without failover.

Exits with 1 if a connection has a wrong source, an address is on two hosts, or a run fails.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from itertools import dropwhile, pairwise
from pathlib import Path

import show

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests/lab"))
from lab import NODES, PODS, SERVER, Answer, Lab, LabError, Pod, Poll, longest_gap  # noqa: E402
from lab_failover import wait_until_settled  # noqa: E402
from lab_playbook import PlaybookRun, run_playbook  # noqa: E402

MANIFESTS = ROOT / "tests/lab/manifests"
SELECTED = ("namespace1", "namespace2")
EGRESS_IPS = ("192.168.126.10", "192.168.126.102")
LABEL = "k8s.ovn.org/egress-assignable"
SPARE_NODE = "node2"
SPARE = {"apiVersion": "v1", "kind": "Node", "metadata": {"name": SPARE_NODE, "labels": {LABEL: ""}}}
# The longest that a pod may wait for its address, by a run and by a takeover; both are shorter on an idle machine.
RUN_SECONDS, TAKEOVER_SECONDS = 10, 3
COUNT = 5
# Tasks of `reconcile`: the main part of their time.
WORK = {
    "Gather egress IP facts of the node": "the dead node's connection timeout",
    "Apply the egress IP state of the node": "release, probe, claim, data plane, announcements",
}


class Demo:
    """The steps; `faults` collects every deviation."""

    def __init__(self, lab: Lab) -> None:
        self.lab = lab
        self.inventory: Path = lab.write_inventory()
        self.manifests: list = [str(MANIFESTS)]
        self.failover = False
        self.faults: list[str] = []

    def expect(self, right: bool, fault: str) -> bool:
        """Note the fault unless right."""
        if not right:
            self.faults.append(fault)
            show.paragraph(show.paint("bad", f"WRONG: {fault}"))
        return right

    def play(self, name: str) -> PlaybookRun:
        """Run a playbook and show its report; a failure is a fault, shown with the whole output."""
        playbook = f"netops.egress_ip.{name}"
        show.paragraph(f"$ ansible-playbook {playbook} -i {self.inventory.name} -e ...\n")
        variables = {
            "egress_ip_manifests": self.manifests,
            "egress_ip_failover": self.failover,
            # A node of the lab answers slowly where the machine has other work.
            "egress_ip_answer_timeout": 60,
        }
        run = run_playbook(playbook, self.inventory, variables)
        good = self.expect(run.code == 0, f"{name} ended with code {run.code}")
        if not self.expect("[DEPRECATION WARNING]" not in run.output, f"{name} has a deprecation warning") or not good:
            print(run.output)
        for line in run.messages:
            show.paragraph(f"| {line}".rstrip())
        show.paragraph(show.paint("dim", f"({run.seconds:.1f} s)\n"))
        return run

    # -- current state ------------------------------------------------------------------------------------------------

    def running(self) -> list[str]:
        """Names of the nodes that run."""
        states = self.lab.status()
        return [node.name for node in NODES if states[node.name] == "running"]

    def holders(self) -> dict[str, list[str]]:
        """Egress IP -> the running nodes that have it on an interface."""
        found: dict[str, list[str]] = {address: [] for address in EGRESS_IPS}
        for name in self.running():
            for link in json.loads(self.lab.exec(name, "ip", "-j", "-4", "address")):
                for entry in link["addr_info"]:
                    if entry.get("local") in found:
                        found[entry["local"]].append(name)
        return found

    def live_pods(self) -> list[Pod]:
        """The pods of running nodes."""
        running = self.running()
        return [pod for pod in PODS if pod.node in running]

    def connect_all(self) -> dict[str, list[Answer]]:
        """Pod -> answers to its connections."""
        return {pod.key: self.lab.connect(pod.key, COUNT) for pod in self.live_pods()}

    # -- output ------------------------------------------------------------------------------------------------

    def show_lab(self) -> None:
        """Print the hosts and pods before the first run."""
        rows = [
            (
                node.name,
                node.address,
                LABEL if node.assignable else "-",
                ", ".join(pod.key for pod in PODS if pod.node == node.name),
            )
            for node in NODES
        ]
        show.table(
            ("node", "address", "label", "pods"),
            [*rows, ("server", SERVER.address, "", "answers with the source it sees")],
        )
        print(show.paint("dim", "\n" + (MANIFESTS / "egressip.yml").read_text(encoding="utf-8")))

    def show_holders(self) -> None:
        """Who holds which address; two holders are a fault."""
        holders = self.holders()
        good = [
            self.expect(len(names) <= 1, f"{address} is on {' and '.join(names)}") for address, names in holders.items()
        ]
        rows = [(address, ", ".join(names) or "no node is left for it") for address, names in holders.items()]
        show.table(("egress IP", "held by"), rows, good)

    def show_sources(self) -> None:
        """The table of real connections; a wrong source is a fault."""
        held = {address for address, names in self.holders().items() if names}
        own = {node.name: node.address for node in NODES}
        rows, good = [], []
        answers = self.connect_all()
        for pod in self.live_pods():
            wanted = held if pod.namespace in SELECTED else {own[pod.node]}
            seen = {answer.source or answer.error for answer in answers[pod.key]}
            right = bool(wanted) and seen <= wanted
            rows.append((pod.key, pod.node, " ".join(sorted(seen)), "egress IP" if seen <= held else "the node's own"))
            good.append(self.expect(right, f"{pod.key} is seen as {sorted(seen)} instead of {sorted(wanted)}"))
        show.table(("pod", "node", "source seen", ""), rows, good)

    # -- the steps ----------------------------------------------------------------------------------------------------

    def choose_victim(self) -> tuple[str, str, str]:
        """A holder (node, egress IP) other than the spare, and a pod on another node that uses its address."""
        holders = self.holders()
        for key, answers in self.connect_all().items():
            node = next(pod.node for pod in PODS if pod.key == key)
            for address in {answer.source for answer in answers} & set(EGRESS_IPS):
                if holders[address] and holders[address][0] not in (node, SPARE_NODE):
                    return holders[address][0], address, key
        raise LabError("no pod uses an egress IP of another node")

    def take_over(self) -> tuple[str, str]:
        """Kill a holder, start no run, and show the pause that a pod saw; returns the node and the pod."""
        wait_until_settled(self.lab, self.running())
        victim, address, key = self.choose_victim()
        show.paragraph(f"{key} leaves through {victim} as {address}. Power off {victim}, and start no run.\n")
        with self.lab.poll(key, interval=0.02, timeout=0.1) as poll:
            self.wait_for_good(poll)
            self.lab.kill(victim)
            self.wait_for_good(poll)
            answers = poll.answers
        wrong = {one.source for one in answers if one.source} - {address}
        self.expect(not wrong, f"{key} is seen as {sorted(wrong)} during the takeover")
        if self.expect(not answers[-1].error, f"{key} has no connection as {address} after {victim} died"):
            pause = longest_gap(answers)
            show.paragraph(show.paint("strong", f"No run. The pause that {key} saw: {pause:.2f} s\n"))
            self.expect(pause < TAKEOVER_SECONDS, f"the pause is {pause:.1f} s")
        return victim, key

    @staticmethod
    def wait_for_good(poll: Poll) -> None:
        """Wait until the last five connections from now on were good ones, or for longer than a takeover lasts."""
        begin, end = len(poll.answers), time.monotonic() + RUN_SECONDS
        while len(last := poll.answers[begin:][-5:]) < 5 or any(one.error for one in last):
            if time.monotonic() > end:
                return
            time.sleep(0.1)

    def fail_over(self) -> str:
        """Kill a holder, reconcile, and time the gap as a pod sees it; returns the node."""
        victim, address, key = self.choose_victim()
        show.paragraph(f"{key} leaves through {victim} as {address}. Power off {victim}.\n")
        with self.lab.poll(key, timeout=0.5) as poll:
            killed = time.time()
            self.lab.kill(victim)
            run = self.play("reconcile")
            time.sleep(1)
            after = [one for one in poll.answers if one.at > killed]
        # Connections may still succeed between the clock and the kill.
        lost = dropwhile(lambda one: one.source, after)
        good = next((one for one in lost if one.source == address), None)
        if self.expect(good is not None, f"{key} has no connection as {address} after {victim} died"):
            gap = good.at + good.seconds - killed
            self.show_times(run, gap)
            self.expect(gap < RUN_SECONDS, f"the gap is {gap:.1f} s")
        print()
        return victim

    def come_back(self, number: int, victim: str) -> None:
        """Boot a node and reconcile: no address may move."""
        show.heading(number, f"{victim} comes back")
        before = self.holders()
        self.lab.start(victim)
        show.paragraph("Booted. No address may be on two hosts, and none moves, since the load is balanced:\n")
        self.play("reconcile")
        self.show_holders()
        self.expect(self.holders() == before, "an address moved although the load was balanced")

    def hand_over(self, key: str) -> None:
        """Reconcile while a pod goes on connecting, and show the longest pause that it saw."""
        with self.lab.poll(key, interval=0.02, timeout=0.1) as poll:
            time.sleep(0.5)
            self.play("reconcile")
            time.sleep(0.5)
            answers = poll.answers
        good = [one.at for one in answers if one.source in EGRESS_IPS]
        wrong = {one.source for one in answers if one.source} - set(EGRESS_IPS)
        self.expect(not wrong, f"{key} is seen as {sorted(wrong)} during the move")
        if self.expect(len(good) > 1, f"{key} has no connections"):
            pause = max(after - before for before, after in pairwise(good))
            show.paragraph(f"{key} connected {len(good)} times meanwhile. Its longest pause: {pause:.2f} s\n")

    @staticmethod
    def show_times(run: PlaybookRun, gap: float) -> None:
        """Where the seconds between the kill and the first good connection went."""
        show.paragraph(show.paint("strong", f"From the kill to the first good connection: {gap:.1f} s"))
        named = [(name.split(" : ")[-1], seconds) for name, seconds in run.tasks if seconds >= 0.2]
        slow = [(name, f"{seconds:.1f} s", WORK.get(name, "")) for name, seconds in named]
        show.table(("where the run's seconds went", "", ""), [*slow, ("the whole run", f"{run.seconds:.1f} s", "")])

    def run(self) -> None:
        """All steps."""
        self.show_picture()
        self.lose_holders()

    def show_picture(self) -> None:
        """The picture of the OKD page: plan, first run, traffic."""
        show.heading(1, "Three hosts on 192.168.126.0/18, a server outside, and one EgressIP object")
        self.show_lab()
        show.heading(2, "plan: what would happen (nothing is changed)")
        self.play("plan")
        show.heading(3, "reconcile: the first run")
        self.play("reconcile")
        show.heading(4, f"Real connections from every pod, {COUNT} each")
        self.show_sources()
        print()
        self.show_holders()

    def lose_holders(self) -> None:
        """With a spare: a holder dies with failover, one without, and a planned move."""
        show.heading(5, f"{SPARE_NODE} gets the label too: a spare. Failover is switched on, and nothing moves")
        self.manifests, self.failover = [str(MANIFESTS), SPARE], True
        self.play("reconcile")
        self.show_holders()
        show.heading(6, "A holder dies, and the spare takes its address over, without a run")
        victim, key = self.take_over()
        self.show_sources()
        print()
        self.show_holders()
        self.come_back(7, victim)
        show.heading(8, "Without failover: a holder dies, and a run moves its address")
        self.failover = False
        self.play("reconcile")
        victim = self.fail_over()
        self.show_sources()
        print()
        self.show_holders()
        self.come_back(9, victim)
        show.heading(10, f"{SPARE_NODE} gives its label back: one planned move, while the pod goes on")
        self.manifests = [str(MANIFESTS)]
        self.hand_over(key)
        self.show_sources()
        print()
        self.show_holders()
        held = self.holders()
        self.expect(all(len(names) == 1 for names in held.values()), "not every egress IP has one holder at the end")


def main() -> int:
    """Bring the lab up, run the steps, take the lab down (not with --keep); 1 if anything was wrong."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--keep", action="store_true", help="leave the lab up, to look around in it")
    options = parser.parse_args()
    start = time.monotonic()
    lab = Lab()
    try:
        with lab.hold():
            try:
                lab.up(fresh=True)
                demo = Demo(lab)
                demo.run()
            finally:
                if not options.keep:
                    lab.down()
    except LabError as error:
        print(show.paint("bad", f"demo: {error}"), file=sys.stderr)
        return 1
    verdict = "Every source was right." if not demo.faults else f"{len(demo.faults)} things were wrong."
    show.heading(11, f"{verdict} {time.monotonic() - start:.0f} s")
    for fault in demo.faults:
        show.paragraph(show.paint("bad", fault))
    return int(bool(demo.faults))


if __name__ == "__main__":
    sys.exit(main())
