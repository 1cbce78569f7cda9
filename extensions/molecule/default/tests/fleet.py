# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The lab as the tests use it: run a playbook, read the nodes from outside, compare two snapshots.

Nothing here relies on results of the collection, except for the reports that are under test.
"""

from __future__ import annotations

import copy
import difflib
import json
import os
import re
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar

import yaml

ROOT = Path(__file__).resolve().parents[4]
sys.path[:0] = [str(ROOT / "tests/lab"), str(ROOT / "tests/unit/helpers")]
# A clone has the collection's copy below .build; the copy itself is in ansible_collections.
sys.path[:0] = [str(ROOT.parents[2]), str(ROOT / ".build")]

from ansible_collections.netops.egress_ip.plugins.module_utils._common.text_fields import (  # noqa: E402
    with_facts_as_values,
)
from direct import answers, apply, digest, install, recorded, remove  # noqa: E402
from forked_ansible import ansible_playbook, stop  # noqa: E402
from lab import Background, Lab  # noqa: E402
from lab_topology import NODES, PODS, SERVER  # noqa: E402

LABEL = "k8s.ovn.org/egress-assignable"
NODE_NAMES = tuple(node.name for node in NODES)
ADDRESS = {node.name: node.address for node in NODES}
ADDRESS6 = {node.name: node.address6 for node in NODES}
POD_ADDRESS = {pod.key: pod.address for pod in PODS}
MAC = {host.name: host.mac for host in (*NODES, SERVER)}
MANIFESTS = ROOT / "tests/lab/manifests"
DOCUMENTS = tuple(
    document for path in sorted(MANIFESTS.glob("*.yml")) for document in yaml.safe_load_all(path.read_text("utf-8"))
)
PROD = next(document for document in DOCUMENTS if document["kind"] == "EgressIP")
# The two egress IPs of the OKD page.
FIRST, SECOND = PROD["spec"]["egressIPs"]
EXCLUDED = ["10.88.0.0/16"]
ASSIGNABLE = {"egress_ip_labels": {LABEL: ""}}
NOT_ASSIGNABLE = {"egress_ip_labels": {}}
ALL_ASSIGNABLE = dict.fromkeys(NODE_NAMES, ASSIGNABLE)
NODE_MODULE = "netops.egress_ip.node"
INFO_MODULE = "netops.egress_ip.node_info"
# `make long` repeats more.
LONG = "EGRESS_IP_LAB_LONG" in os.environ
WATCH, WATCH_TIMER = "netops-egress-ip-watch.service", "netops-egress-ip-watch.timer"
# A shell script. A watch that runs already would repair what a test breaks.
STOP_WATCH = f"""
systemctl stop {WATCH_TIMER}
while [ "$(systemctl show -P ActiveState {WATCH})" = activating ]; do sleep 0.1; done
"""

# Everything that a run could write, in two parts. Learned neighbours, link-local addresses, timers, counters, also of
# the addresses that a bridge has learned, and the random address of the tunnel device change by themselves; rules of
# one priority have no order that counts.
SETTINGS = r"""
exec 2>&1
echo "## addresses"; ip -d address show
echo "## rules"; ip -d rule show | sort -V; ip -6 -d rule show | sort -V
echo "## routes"; ip -d route show table all
echo "## policies"; ip -o xfrm policy | sort
echo "## neighbours"; ip -d neighbour show nud permanent
echo "## nftables"; nft --stateless list ruleset
echo "## sysctls"; sysctl net.ipv4 net.ipv6.conf net.bridge
"""
FILES = r"""
echo "## units"; find /{etc,run,usr/lib}/systemd/system -printf '%p %l\n' | sort
echo "## files"
find /etc /usr/local /var/lib /opt -path /var/lib/systemd -prune -o -type d -printf '%p %M %u\n' | sort
find /etc /usr/local /var/lib /opt -path /var/lib/systemd -prune -o ! -type d -printf '%p %M %u %T@ %l\n' | sort
find /etc /usr/local /var/lib /opt -path /var/lib/systemd -prune -o -type f -print0 | sort -z | xargs -0 sha256sum
"""
SNAPSHOT = SETTINGS + FILES
# While the watch probes for IPv6 addresses, its interface receives all multicast frames.
RUNNING_VALUES = re.compile(
    r"(?:\w+_timer|packets|bytes|expires) +[\d.]+(?:sec)?|.*fe80::.*\n|link/ether 0a:\S+|allmulti \d+|fdb_n_learned \d+"
)


@dataclass(frozen=True)
class Run:
    """One run of a playbook: exit code, seconds, output, and the result of each task on each host."""

    code: int
    seconds: float
    output: str
    records: list[dict] = field(repr=False)

    def results(self, action: str) -> list[tuple[str, dict]]:
        """(host, result) of each call of a module; facts that are one text are values again."""
        of_action = [each for each in self.records if each["action"] == action]
        return [(each["host"], {**with_facts_as_values(each["result"])}) for each in of_action]

    def of_task(self, name: str) -> list[tuple[str, dict]]:
        """(host, result) of each time that a task of this name ran and was not skipped."""
        return [(each["host"], each["result"]) for each in self.records if each["task"].endswith(f": {name}")]

    def changed(self) -> list[str]:
        """Hosts for which a task reported a change."""
        return sorted({each["host"] for each in self.records if each["result"].get("changed")})

    def failed(self) -> list[str]:
        """Messages of the tasks that failed."""
        return [str(each["result"].get("msg")) for each in self.records if each["status"] == "failed"]

    def report(self) -> str:
        """The report at the end."""
        reports = [result["msg"] for _host, result in self.of_task("Report")]
        return "\n".join(reports[-1]) if reports else ""

    def conflicts(self) -> list[dict]:
        """Conflicts that the nodes reported."""
        return [item for _host, result in self.results(NODE_MODULE) for item in result.get("conflicts") or ()]


class Fleet:
    """The lab with the collection on it."""

    # Of each run of a playbook, for the summary: runs take most of the time of these tests.
    run_seconds: ClassVar[list[float]] = []

    def __init__(self, lab: Lab) -> None:
        self.lab = lab
        # Options of a run as JSON -> {node: how its state after the run is applied again}.
        self._states: dict[str, dict[str, dict]] = {}
        # Options of a run as JSON -> for each run that changed nothing, {node: its answer}.
        self._settled: dict[str, list[dict[str, dict]]] = {}

    # -- runs ---------------------------------------------------------------------------------------------------------

    def inventory(self, hosts: dict[str, dict | None] | None = None) -> dict:
        """The lab's inventory with other host variables, {host: {name: value}}, or without hosts, {host: None}."""
        inventory = yaml.safe_load(self.lab.write_inventory().read_text("utf-8"))
        known = inventory["all"]["children"]["egress_ip_nodes"]["hosts"]
        for name, variables in (hosts or {}).items():
            if variables is None:
                del known[name]
            else:
                known[name].update(variables)
        return inventory

    def run(self, playbook: str = "reconcile", *words: str, hosts: dict | None = None, **variables: object) -> Run:
        """Run a playbook of the collection; `words` are options for ansible-playbook. Default: the lab's manifests."""
        common = {"egress_ip_manifests": str(MANIFESTS), "egress_ip_excluded_cidrs": EXCLUDED}
        # A node of the lab answers slowly where the machine has other work.
        variables = {**common, "egress_ip_answer_timeout": 60, **variables}
        with tempfile.TemporaryDirectory() as folder:
            inventory, record = Path(folder, "inventory.yml"), Path(folder, "record")
            inventory.write_text(json.dumps(self.inventory(hosts)), encoding="utf-8")
            record.touch()
            environment = {
                **os.environ,
                "ANSIBLE_CALLBACK_PLUGINS": str(Path(__file__).parent / "callbacks"),
                "ANSIBLE_CALLBACKS_ENABLED": "record",
                "ANSIBLE_NOCOLOR": "1",
                "EGRESS_IP_TEST_RECORD": str(record),
            }
            name = playbook if playbook.startswith("/") else f"netops.egress_ip.{playbook}"
            argv = [name, "-i", str(inventory), *words, "--extra-vars", json.dumps(variables)]
            start = time.monotonic()
            done = ansible_playbook(argv, Path.cwd(), environment, merged=True)
            seconds = time.monotonic() - start
            self.run_seconds.append(seconds)
            records = [json.loads(line) for line in record.read_text("utf-8").splitlines()]
        run = Run(done.returncode, seconds, done.stdout, records)
        # For pytest, which shows it when the test fails.
        print(f"--- {' '.join((name, *words))}: {run.code} in {seconds:.1f} s\n{run.output}")
        return run

    @staticmethod
    def end_runs() -> None:
        """End the processes that fork for runs, of all fleets."""
        stop()

    def good(self, *words: object, **options: object) -> Run:
        """Run a playbook that must succeed."""
        run = self.run(*words, **options)
        assert run.code == 0, run.output
        return run

    def bad(self, *words: object, **options: object) -> Run:
        """Run a playbook that must fail."""
        run = self.run(*words, **options)
        assert run.code != 0, run.output
        return run

    def install_program(self) -> None:
        """Put on the nodes what they need for anything that is done directly."""
        install(self.lab, *NODE_NAMES)

    def arrange(self, **options: object) -> None:
        """Make the nodes what a run with these options makes of nodes after a run without options.

        The first time it is these runs; after that the nodes get the states of then directly. What cannot be done
        directly is left to the runs, which fail the test if they cannot do it either.
        """
        key = json.dumps(options, sort_keys=True)
        if key in self._states:
            problem = apply(self.lab, self._states[key])
            print(f"--- arranged directly: {problem or 'done'}")
            if not problem:
                return
        if options:
            self.arrange()
        self.good(**options)
        self._states[key] = self.applied()

    def changes(self, **options: object) -> list[str]:
        """Return the hosts that a run with these options changes; it must not fail.

        A plan depends on the options and on the answers of the nodes alone. So no run is needed where the answers are
        those with which an earlier run with these options changed nothing.
        """
        key, found = json.dumps(options, sort_keys=True), answers(self.lab, *NODE_NAMES)
        settled = self._settled.setdefault(key, [])
        if found in settled:
            print("--- the nodes answer as they did to a run that changed nothing")
            return []
        run = self.good(**options)
        assert run.failed() == []
        if not run.changed():
            settled.append(found)
        return run.changed()

    def applied(self) -> dict[str, dict]:
        """Return {node: how the state that was applied last is applied again}."""
        return recorded(self.lab, *NODE_NAMES)

    def differing(self, applied: dict[str, dict]) -> list[str]:
        """Return the nodes that a run with the states of then would change, by their answers to it."""
        found = answers(self.lab, *applied)
        return [name for name, own in applied.items() if found[name]["drift"] or found[name]["digest"] != digest(own)]

    def apply(self, applied: dict[str, dict]) -> None:
        """Apply the states of then, as a run does on the nodes that differ."""
        problem = apply(self.lab, applied)
        assert not problem, problem

    def clear(self) -> None:
        """Make the nodes bare."""
        problem = remove(self.lab, *NODE_NAMES)
        print(f"--- cleared directly: {problem or 'done'}")
        if problem:
            self.good("remove")

    def states(self, **variables: object) -> list[dict]:
        """The states that a run would apply to the nodes."""
        run = self.good("reconcile", "--check", **variables)
        ((_host, made),) = run.results("netops.egress_ip.plan")
        rollout = made["rollout"]
        return [{**rollout["shared"], **own} for own in rollout["states"].values()]

    def module(self, name: str, module: str, **arguments: object) -> dict:
        """Run one module on one node, without the playbooks; returns its result."""
        playbook = [{"hosts": name, "gather_facts": False, "tasks": [{"name": "Try", module: arguments}]}]
        with tempfile.NamedTemporaryFile("w", suffix=".yml") as file:
            file.write(json.dumps(playbook))
            file.flush()
            ((_host, result),) = self.run(file.name).results(module)
        return result

    # -- reading ------------------------------------------------------------------------------------------------------

    @staticmethod
    def mac_of(name: str) -> str:
        """The MAC address of a host's eth0."""
        return MAC[name]

    def running(self) -> list[str]:
        """Names of the nodes that run."""
        return [name for name in self.lab.running() if name in NODE_NAMES]

    def addresses(self, name: str) -> set[str]:
        """IPv4 addresses on a node's eth0."""
        (interface,) = json.loads(self.lab.exec(name, "ip", "-j", "-4", "address", "show", "dev", "eth0")) or [{}]
        return {item["local"] for item in interface.get("addr_info", ())}

    def addresses_of_both(self, name: str) -> set[str]:
        """Addresses of both IP versions on a node's eth0, without link-local ones."""
        (interface,) = json.loads(self.lab.exec(name, "ip", "-j", "address", "show", "dev", "eth0"))
        return {item["local"] for item in interface["addr_info"] if item["scope"] == "global"}

    def holders(self) -> dict[str, list[str]]:
        """{egress IP: nodes that have it}: every IPv4 address on eth0 except the nodes' own."""
        return self._holders(self.addresses)

    def holders_of_both(self) -> dict[str, list[str]]:
        """The same of both IP versions."""
        return self._holders(self.addresses_of_both)

    def _holders(self, read: Callable[[str], set[str]]) -> dict[str, list[str]]:
        found: dict[str, list[str]] = {}
        for name, addresses in self._on_each(read):
            for address in sorted(addresses - {ADDRESS[name], ADDRESS6[name]}):
                found.setdefault(address, []).append(name)
        return found

    def _on_each(self, read: Callable) -> list[tuple]:
        """[(name, what `read(name)` returns)] of the running nodes."""
        names = self.running()
        with ThreadPoolExecutor() as pool:
            return list(zip(names, pool.map(read, names), strict=True))

    def wait_for_two_looks(self, *names: str) -> None:
        """Wait until the watch of these nodes has ended twice, so that one of its runs began after this call."""
        ends: dict[str, set] = {name: set() for name in names}
        words = ("systemctl", "show", "--value", "--property", "ExecMainExitTimestampMonotonic", WATCH)

        def have_looked() -> bool:
            for name in names:
                ends[name].add(int(self.lab.exec(name, *words)))
            # While it runs, it is 0.
            return all(len(found - {0}) > 2 for found in ends.values())

        wait_for("two runs of the watch", have_looked)

    def run_watch(self, name: str) -> None:
        """Let the watch of a node run now, and wait for a run of it that began after this call."""
        self.run_unit(name, WATCH)

    def run_unit(self, name: str, unit: str) -> None:
        """Let a unit of a node that a timer starts run now, and wait for a run of it that began after this call."""
        # The first start may join a run that began before, and that has failed by what the test did to the node since.
        # systemd limits the starts of a unit in ten seconds.
        self.lab.exec(name, "systemctl", "reset-failed", unit)
        self.lab.exec(name, "systemctl", "start", unit, check=False)
        self.lab.exec(name, "systemctl", "start", unit)

    def journal(self, name: str, *words: str) -> str:
        """What the journal of a node has, with all that was logged before this call."""
        self.lab.exec(name, "journalctl", "--sync")
        return self.lab.exec(name, "journalctl", "--quiet", *words)

    def sources(self, pod: str, count: int = 3) -> set[str | None]:
        """Sources that the server saw of some connections of a pod; None for a connection that failed."""
        return {answer.source for answer in self.lab.connect(pod, count=count)}

    def sources_of_both(self, pod: str, count: int = 2, timeout: float = 2.0) -> set[str | None]:
        """The same of connections by both IP versions."""
        ends = (SERVER.address, SERVER.address6)
        return {each.source for end in ends for each in self.lab.connect(pod, count, timeout, host=end)}

    def snapshot(self) -> dict[str, str]:
        """Everything that a run could write on the running nodes, as text."""
        return dict(self._on_each(lambda name: self.read_state(name, SNAPSHOT)))

    def read_state(self, name: str, script: str) -> str:
        """Output of a script that only reads, on a node, without values that change by themselves."""
        text = ""
        # udev gives an interface that is made without a MAC address another one, on a busy machine a moment later.
        script = f"udevadm settle --timeout=60\n{script}"
        # podman 4 now and then loses the end of a long output.
        while not text.endswith("## end\n"):
            text = self.lab.exec(name, "bash", "-c", f"{script}\necho '## end'")
        return RUNNING_VALUES.sub("", text)


def assert_same(before: dict[str, str], after: dict[str, str]) -> None:
    """Assert that two snapshots are equal; the message shows the differences."""
    lines = [
        f"{name}: {line}"
        for name in sorted({*before, *after})
        for line in difflib.unified_diff(
            before.get(name, "").splitlines(), after.get(name, "").splitlines(), "before", "after", lineterm="", n=0
        )
    ]
    assert not lines, "\n".join(lines[:40])


def manifests(*egressips: dict) -> list[dict]:
    """The lab's manifests with these EgressIP objects instead of its own."""
    return [*copy.deepcopy([d for d in DOCUMENTS if d["kind"] != "EgressIP"]), *egressips]


def dual_stack(*egressips: dict) -> list[dict]:
    """The lab's manifests with these objects, and an IPv6 address for every pod."""
    documents = copy.deepcopy([document for document in DOCUMENTS if document["kind"] != "EgressIP"])
    address6 = {pod.key: pod.address6 for pod in PODS}
    for document in documents:
        if document["kind"] == "Pod":
            metadata = document["metadata"]
            document["status"]["podIPs"].append({"ip": address6[f"{metadata['namespace']}/{metadata['name']}"]})
    return [*documents, *egressips]


def egressip(name: str, *egress_ips: str, namespaces: dict | None = None, pods: dict | None = None) -> dict:
    """An EgressIP document; selectors are matchLabels."""
    spec: dict = {"egressIPs": list(egress_ips), "namespaceSelector": {"matchLabels": namespaces or {"env": "prod"}}}
    if pods is not None:
        spec["podSelector"] = {"matchLabels": pods}
    return {"apiVersion": "k8s.ovn.org/v1", "kind": "EgressIP", "metadata": {"name": name}, "spec": spec}


# An object for each IP version: each of the two nodes of the page holds an address of both.
FIRST6, SECOND6 = "fd00:126::10", "fd00:126::102"
BOTH_VERSIONS = {
    "egress_ip_manifests": dual_stack(egressip("four", FIRST, SECOND), egressip("six", FIRST6, SECOND6)),
    "egress_ip_excluded_cidrs": [*EXCLUDED, "fd00:88::/64"],
}


def frames(capture: Background) -> list[str]:
    """End the capture; returns its lines that show a packet."""
    return [line for line in capture.stop() if " > " in line]


def wait_for(what: str, ready, seconds: float = 180.0) -> None:
    """Wait until `ready()` is true; fails with `what` after `seconds`, by default more than a busy machine needs."""
    end = time.monotonic() + seconds
    while not ready():
        assert time.monotonic() < end, f"{what}: not after {seconds} s"
        time.sleep(0.2)


def within(seconds: float, measure: Callable[[], float], tries: int = 3) -> None:
    """Assert that a duration is below `seconds`. Other work of the machine lengthens it, so the shortest counts."""
    measured: list[float] = []
    while not measured or measured[-1] >= seconds:
        assert len(measured) < tries, f"not below {seconds} s: {measured}"
        measured.append(measure())
