# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Random faults on the lab's hosts, with failover, for a bounded time: soak.py --duration SECONDS --seed NUMBER.

All pods connect to the server all the time. The server asks the network every 20 ms who has the egress IPs, and a
capture between the hosts records packets that do not come from an egress IP. In each round one or two faults
happen, and perhaps runs: one, two at once as from two controllers, or one that is killed. Then everything is brought
back and a run follows. Exits with 1 after a violation:

- a packet of a selected pod's connection with a source that is no egress IP of its object
- two hosts that answer for one egress IP for longer than `TOGETHER` seconds
- after the run of a round: an egress IP without exactly one holder, two addresses of one object on a node, a pod
  without connections, a second run that changes something
"""

from __future__ import annotations

import argparse
import contextlib
import functools
import json
import os
import random
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests/lab"))
import lab_namespace  # noqa: E402
from lab import NODES, PODS, SERVER, SERVER_PORT, Lab, LabError, Poll, Remote, find_pod  # noqa: E402
from lab_answers import probe_repeatedly, two_answers  # noqa: E402
from lab_playbook import PlaybookRun, playbook_command, run_playbook  # noqa: E402

NAMES = tuple(node.name for node in NODES)
# The egress IPs of each object, and the namespace that it selects.
OBJECTS = {
    "one": ("namespace1", ("192.168.126.10", "fd00:126::10")),
    "two": ("namespace2", ("192.168.126.102",)),
}
EGRESS_IPS = tuple(ip for _namespace, ips in OBJECTS.values() for ip in ips)
# A split ends with two answers for 0.1 s; the rest is for a busy machine, on which a node may be late.
TOGETHER = 1.0
# In the report of a run that plans while a node is about to take an address over.
LOST_RACE = "or took it over during the run; run again"
# Time for a fault alone, and for connections after a run.
SHORTEST, LONGEST, PATIENCE = 0.3, 4.0, 30.0
CHANGED = re.compile(r"^(\S+) +: .*\bchanged=(\d+)", re.MULTILINE)
# A reset of a node's own kernel has the first hop limit. While an address moves, its old holder may pass on what a
# server sends to a node that has forgotten the connection already; the server ignores a reset from that node.
OWN_RESET = "(ip[8] = 64 and ip[9] = 6 and tcp[13] & 4 != 0) or (ip6[6] = 6 and ip6[7] = 64 and ip6[53] & 4 != 0)"
EVIDENCE = """
ip -oneline address show dev eth0
ip rule; ip -6 rule
cat /var/lib/netops-egress-ip/state.json; echo
journalctl --no-pager --output short-precise --lines 60 --unit 'netops-egress-ip-*'
"""
PODS_AGAIN = "/usr/bin/python3 /opt/lab/lab_pods.py"
SCRIPTS = {
    "flush": f"nft flush ruleset; {PODS_AGAIN}",
    "delete rules": "ip rule flush protocol 225; ip -6 rule flush protocol 225",
    "delete addresses": " ; ".join(
        f"ip address delete {ip}/{128 if ':' in ip else 32} dev eth0 2>/dev/null || true" for ip in EGRESS_IPS
    ),
    "delete tunnel": "ip link delete egress0 2>/dev/null || true",
}


def manifests() -> list:
    """The lab's namespaces and pods, with IPv6 addresses, and the two objects; all nodes may hold addresses."""
    label = {"k8s.ovn.org/egress-assignable": ""}
    nodes = [{"apiVersion": "v1", "kind": "Node", "metadata": {"name": name, "labels": label}} for name in NAMES]
    namespaces = [
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": {"name": name}}}
        for name in sorted({pod.namespace for pod in PODS})
    ]
    pods = [
        {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": pod.name, "namespace": pod.namespace},
            "spec": {"nodeName": pod.node},
            "status": {"phase": "Running", "podIPs": [{"ip": pod.address}, {"ip": pod.address6}]},
        }
        for pod in PODS
    ]
    egressips = [
        {
            "apiVersion": "k8s.ovn.org/v1",
            "kind": "EgressIP",
            "metadata": {"name": name},
            "spec": {"egressIPs": list(ips), "namespaceSelector": {"matchLabels": {"name": namespace}}},
        }
        for name, (namespace, ips) in OBJECTS.items()
    ]
    return [*nodes, *namespaces, *pods, *egressips]


def allowed(pod: str, version: int) -> set[str]:
    """The sources that the server may see of a pod: egress IPs of its object, or the address of its node."""
    for namespace, ips in OBJECTS.values():
        if pod.startswith(f"{namespace}/"):
            return {ip for ip in ips if (":" in ip) == (version == 6)}
    return {next(node.address for node in NODES if node.name == find_pod(pod).node)}


class Traffic:
    """Connections of all pods, in the background; a poll ends with its host, and begins again in `resume`."""

    def __init__(self, lab: Lab) -> None:
        self.lab = lab
        self.polls: dict[tuple[str, int], Poll] = {}
        self._read: dict[tuple[str, int], int] = {}
        self.kinds = [(pod.key, 4) for pod in PODS]
        self.kinds += [(pod.key, 6) for pod in PODS if pod.namespace == OBJECTS["one"][0]]

    def resume(self) -> list[str]:
        """Start the polls that do not run; returns what was wrong with the answers of those that had ended."""
        ended = [kind for kind in self.kinds if kind not in self.polls or not self.polls[kind].runs()]
        wrong = [fault for kind in ended for fault in self.wrong_sources(kind)]
        for pod, version in ended:
            self._stop((pod, version))
            # What is not selected sends UDP, so that the capture of TCP shows nothing of it.
            udp = len(allowed(pod, 4) & {*EGRESS_IPS}) == 0
            host = SERVER.address6 if version == 6 else SERVER.address
            self.polls[pod, version] = self.lab.poll(pod, interval=0.1, timeout=0.5, host=host, udp=udp)
            self._read[pod, version] = 0
        return wrong

    def _stop(self, kind: tuple[str, int]) -> None:
        if kind in self.polls:
            self.polls.pop(kind).stop()

    def close(self) -> None:
        """End all polls."""
        for kind in self.kinds:
            self._stop(kind)

    def wrong_sources(self, *kinds: tuple[str, int]) -> list[str]:
        """What is wrong with the answers of these polls, by default of all, since the last call."""
        found = []
        for pod, version in [kind for kind in kinds or self.kinds if kind in self.polls]:
            answers = self.polls[pod, version].answers[self._read[pod, version] :]
            self._read[pod, version] += len(answers)
            wrong = {each.source for each in answers if each.source} - allowed(pod, version)
            found += [f"{pod} is seen as {', '.join(sorted(wrong))}"] if wrong else []
        return found

    def silent(self) -> list[str]:
        """The pods without a good connection in their last ones."""
        last = {kind: poll.answers[-3:] for kind, poll in self.polls.items()}
        return [f"{pod} (IPv{version})" for (pod, version), seen in last.items() if not any(a.source for a in seen)]


class Soak:
    """The lab with failover, what happens to it, and what is wrong."""

    def __init__(self, lab: Lab, seed: int) -> None:
        self.lab, self.random, self.violations = lab, random.Random(seed), list[str]()
        self.inventory = lab.write_inventory()
        self.variables = {
            "egress_ip_manifests": manifests(),
            "egress_ip_excluded_cidrs": ["10.88.0.0/16", "fd00:88::/64"],
            "egress_ip_failover": True,
            "egress_ip_answer_timeout": 60,
        }
        self.start = time.monotonic()
        self.repairs: list[tuple[str, Callable[[], None]]] = []

    def log(self, text: str) -> None:
        """Print a line with the time since the start."""
        print(f"{time.monotonic() - self.start:6.1f} s  {text}", flush=True)

    def expect(self, right: bool, fault: str) -> None:
        """Note a violation unless right."""
        if not right:
            self.violations.append(fault)
            self.log(f"VIOLATION: {fault}")

    def show_evidence(self) -> None:
        """Print what the nodes log, before the lab is removed."""
        for name in self.lab.running():
            if name in NAMES:
                print(f"== {name}\n{self.lab.exec(name, 'sh', '-c', EVIDENCE, check=False)}")

    # -- faults -------------------------------------------------------------------------------------------------------

    def kill(self, name: str) -> None:
        """The node loses its power, and boots later."""
        self.lab.kill(name)
        self.repairs.append((f"boot {name}", lambda: self.lab.start(name)))

    def pause(self, name: str) -> None:
        """All processes of the node stop, and its kernel answers."""
        self.lab.pause(name)
        self.repairs.append((f"go on with {name}", lambda: self.lab.unpause(name)))

    def stun(self, name: str) -> None:
        """All processes of the node stop, and nothing answers."""
        self.cut(name)
        self.pause(name)

    def cut(self, name: str) -> None:
        """The node's cable is pulled."""
        self.lab.cut(name)
        self.repairs.append((f"plug {name}", lambda: self.lab.plug(name)))

    def reboot(self, name: str) -> None:
        """The node reboots in order."""
        self.lab.reboot(name)

    def restart(self, name: str) -> None:
        """The program that takes addresses over is killed; systemd starts it again."""
        self.lab.exec(name, "systemctl", "kill", "--signal=KILL", "netops-egress-ip-follow.service", check=False)

    def script(self, words: str, name: str) -> None:
        """Another program changes the node."""
        self.lab.exec(name, "sh", "-c", SCRIPTS[words])

    def faults(self) -> dict[str, Callable[[str], None]]:
        """{what happens: how}."""
        named = (self.kill, self.pause, self.stun, self.cut, self.reboot, self.restart)
        return {
            **{each.__name__: each for each in named},
            **{words: functools.partial(self.script, words) for words in SCRIPTS},
        }

    def repair(self) -> None:
        """Bring back what the faults took away, the last fault first."""
        while self.repairs:
            words, action = self.repairs.pop()
            self.log(words)
            action()

    # -- runs ---------------------------------------------------------------------------------------------------------

    def reconcile(self) -> PlaybookRun:
        """One run."""
        return run_playbook("netops.egress_ip.reconcile", self.inventory, self.variables)

    def run_once(self) -> None:
        """A run in the middle of it all, which may fail."""
        self.log(f"a run ended with code {self.reconcile().code}")

    def run_two(self) -> None:
        """Two controllers at once."""
        with ThreadPoolExecutor() as pool:
            codes = [each.code for each in pool.map(lambda _number: self.reconcile(), range(2))]
        self.log(f"two runs at once ended with codes {codes}")

    def run_and_kill(self) -> None:
        """A run whose processes are killed in the middle."""
        seconds = self.random.uniform(0.5, 5)
        argv, environment = playbook_command("netops.egress_ip.reconcile", self.inventory, self.variables)
        quiet = {"stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        with subprocess.Popen(argv, env=environment, start_new_session=True, **quiet) as process:
            time.sleep(seconds)
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
        self.log(f"a run was killed after {seconds:.1f} s")

    # -- a round ------------------------------------------------------------------------------------------------------

    def happen(self) -> None:
        """One or two faults, and perhaps runs."""
        faults = self.faults()
        for name in self.random.sample(NAMES, self.random.choice((1, 1, 2))):
            words = self.random.choice(sorted(faults))
            self.log(f"{words} {name}")
            faults[words](name)
            time.sleep(self.random.uniform(SHORTEST, LONGEST) / 2)
        self.random.choice((lambda: None, lambda: None, self.run_once, self.run_two, self.run_and_kill))()
        time.sleep(self.random.uniform(SHORTEST, LONGEST))

    def check(self, traffic: Traffic) -> None:
        """The run after the faults, and what must be true after it."""
        first = self.reconcile()
        if LOST_RACE in first.output:
            self.log("a node took an address over during the run: once more")
            first = self.reconcile()
        self.expect(first.code == 0, f"the run after the faults ended with code {first.code}:\n{first.output}")
        for fault in traffic.resume():
            self.expect(False, fault)
        end = time.monotonic() + PATIENCE
        time.sleep(1)
        # Asked once more, a pod could have lost a connection since.
        while (silent := traffic.silent()) and time.monotonic() < end:
            time.sleep(0.5)
        self.expect(not silent, f"no connections after the run: {', '.join(silent)}")
        self.check_holders()
        second = self.reconcile()
        self.expect(second.code == 0, f"the second run ended with code {second.code}:\n{second.output}")
        changed = {name: count for name, count in CHANGED.findall(second.output) if count != "0"}
        self.expect(not changed, f"the second run changed {changed}:\n{second.output}")

    def check_holders(self) -> None:
        """Each egress IP has one holder, and no node has two addresses of one object."""
        holders: dict[str, list[str]] = {ip: [] for ip in EGRESS_IPS}
        for name in NAMES:
            (link,) = json.loads(self.lab.exec(name, "ip", "-j", "address", "show", "dev", "eth0"))
            for item in link["addr_info"]:
                if item["local"] in holders:
                    holders[item["local"]].append(name)
        self.log(", ".join(f"{ip} on {' and '.join(names) or 'no node'}" for ip, names in holders.items()))
        for ip, names in holders.items():
            self.expect(len(names) == 1, f"{ip} is on {' and '.join(names) or 'no node'} after a run")
        for name, (_namespace, ips) in OBJECTS.items():
            nodes = [node for ip in ips for node in holders[ip]]
            self.expect(len({*nodes}) == len(nodes), f"two addresses of {name} are on one node")

    def round(self, traffic: Traffic) -> None:
        """Faults, the way back, and the run."""
        self.happen()
        self.repair()
        self.check(traffic)
        for fault in traffic.wrong_sources():
            self.expect(False, fault)

    def go(self, duration: float) -> int:
        """Rounds until the time is over; returns their number."""
        first = self.reconcile()
        self.expect(first.code == 0, f"the first run ended with code {first.code}:\n{first.output}")
        rounds = 0
        with contextlib.ExitStack() as stack:
            traffic = Traffic(self.lab)
            stack.callback(traffic.close)
            wire = stack.enter_context(self.capture())
            answers = stack.enter_context(probe_repeatedly(self.lab, EGRESS_IPS))
            traffic.resume()
            self.start = time.monotonic()
            while time.monotonic() < self.start + duration and not self.violations:
                rounds += 1
                self.log(f"-- round {rounds}")
                self.round(traffic)
            if self.violations:
                self.show_evidence()
            frames = [line for line in wire.stop() if " > " in line]
            self.expect(not frames, "connections without an egress IP:\n" + "\n".join(frames[:20]))
            for each in two_answers(answers.stop()):
                text = f"{' and '.join(each.hosts)} answer for {each.address} for {each.seconds:.2f} s"
                self.expect(each.seconds <= TOGETHER, text)
        return rounds

    def capture(self) -> Remote:
        """Record packets of selected pods' connections that have another source than an egress IP, with hop limits."""
        words = " or ".join(f"src host {ip}" for ip in EGRESS_IPS)
        # Not by its port alone: the kernel may choose the same port for a connection's own source.
        to_server = f"(dst host {SERVER.address} or dst host {SERVER.address6}) and dst port {SERVER_PORT}"
        return self.lab.capture("-v", f"tcp and {to_server} and not ({words}) and not ({OWN_RESET})")


@contextlib.contextmanager
def fresh_lab() -> Iterator[Lab]:
    """The lab for this process, removed at the end."""
    lab = Lab()
    with lab.hold(), contextlib.ExitStack() as stack:
        stack.callback(lab.down)
        lab.up(fresh=True)
        yield lab


def main() -> int:
    """Soak for some seconds; 1 after a violation."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--duration", type=float, default=180, help="seconds; the last round ends after them")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    lab_namespace.enter()
    try:
        with fresh_lab() as lab:
            soak = Soak(lab, options.seed)
            rounds = soak.go(options.duration)
    except LabError as error:
        print(f"soak: {error}", file=sys.stderr)
        return 1
    print(f"{rounds} rounds with seed {options.seed}, {len(soak.violations)} violations")
    return int(bool(soak.violations))


if __name__ == "__main__":
    sys.exit(main())
