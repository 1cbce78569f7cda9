# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The rulebook under the real ansible-rulebook: a test API server is the cluster, and nodes are files with their state.

All between a pod of the API server and the state that a node gets is real. `make eda` runs it.
"""

from __future__ import annotations

import os
import shutil
import statistics
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "tests/kubernetes"), str(ROOT / "tests/unit/helpers")]

from api_server import ADMIN, ApiServer  # noqa: E402
from api_store import pods  # noqa: E402
from playbook_fleet import PlaybookFleet  # noqa: E402

# For one step; a machine may be busy.
LONG = 300
PODS = 5
MANY = 100


def pod(number, place="shop"):
    """Return a pod on node1 with an address of its own."""
    (made,) = pods(1, place)
    made["metadata"] |= {"name": f"pod-{number}", "labels": {"app": "web"}}
    made["status"] |= {"podIP": f"10.128.9.{number}", "podIPs": [{"ip": f"10.128.9.{number}"}]}
    return made


def documents():
    """Return a namespace with an EgressIP for its pods `app: web`, and another one without."""
    names = [{"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}} for name in ("shop", "other")]
    spec = {
        "egressIPs": ["10.0.99.1"],
        "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "shop"}},
        "podSelector": {"matchLabels": {"app": "web"}},
    }
    return [*names, {"apiVersion": "k8s.ovn.org/v1", "kind": "EgressIP", "metadata": {"name": "web"}, "spec": spec}]


class Rulebook:
    """A running rulebook with its cluster and fleet."""

    def __init__(self, folder, store):
        self.fleet = PlaybookFleet(folder, 2)
        self.store, self.folder, self.log = store, folder, folder / "rulebook.log"

    def covered(self):
        """Return the addresses of pods in the state that node1 got last."""
        path = self.folder / "node1.json"
        text = path.read_text() if path.exists() else ""
        return {word for word in text.replace('"', " ").replace("/", " ").split() if word.startswith("10.128.9.")}

    def wait(self, *addresses):
        """Wait until node1 covers the addresses; return the seconds that it took."""
        started = time.monotonic()
        while not {*addresses} <= self.covered():
            assert time.monotonic() - started < LONG, self.log.read_text()
            time.sleep(0.02)
        return time.monotonic() - started

    def runs(self):
        """Return the number of runs so far, each of which observes both nodes once."""
        return (self.folder / "calls").read_text().count('"observed"') // self.fleet.count


@pytest.fixture(scope="module")
def rulebook(tmp_path_factory):
    """Start ansible-rulebook as docs/eda.md does."""
    assert shutil.which("java"), "java is missing; run: apt-get install default-jre-headless"
    folder = tmp_path_factory.mktemp("eda")
    (folder / "api").mkdir()
    with ApiServer(folder / "api").running() as server:
        server.store.add(yaml.safe_load_all((ROOT / "docs/kubernetes/egressip-crd.yaml").read_text()))
        server.store.add(documents())
        kubeconfig = str(server.kubeconfig(folder / "kubeconfig"))
        made = Rulebook(folder, server.store)
        made.fleet.variables = {"egress_ip_manifests": [{"kubernetes": {"kubeconfig": kubeconfig}}]}
        inventory, variables = folder / "inventory.yml", folder / "variables.yml"
        inventory.write_text(yaml.safe_dump(made.fleet.inventory()))
        variables.write_text(yaml.safe_dump({"egress_ip_kubeconfig": kubeconfig, "egress_ip_interval": 1}))
        program = str(Path(sys.executable).with_name("ansible-rulebook"))
        words = ["--rulebook", "netops.egress_ip.reconcile", "-i", str(inventory), "--vars", str(variables), "-vv"]
        own = {
            "ANSIBLE_COLLECTIONS_PATH": str(made.fleet.collections),
            "EGRESS_IP_TEST_FOLDER": str(folder),
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
            "PYTHONPATH": "",
        }
        with made.log.open("w") as log:
            process = subprocess.Popen(
                [program, *words], cwd=folder, env={**os.environ, **own}, stdout=log, stderr=subprocess.STDOUT
            )
        try:
            server.store.add([pod(1)])
            made.wait("10.128.9.1")
            yield made
        finally:
            process.terminate()
            process.wait()


def test_a_new_pod_is_covered_and_other_pods_cause_no_run(rulebook):
    before, seconds = rulebook.runs(), []
    for number in range(2, 2 + PODS):
        # No pod of a selected namespace.
        rulebook.store.add([pod(number, "other")])
        rulebook.store.add([pod(number)])
        seconds.append(rulebook.wait(f"10.128.9.{number}"))
    print(
        f"\nnew pod to the state of its node: median {statistics.median(seconds):.1f} s, {max(seconds):.1f} s at most"
    )
    assert rulebook.runs() - before == PODS


def test_many_pods_at_once_are_at_most_three_runs(rulebook):
    before = rulebook.runs()
    rulebook.store.add([pod(number) for number in range(100, 100 + MANY)])
    rulebook.wait(*(f"10.128.9.{number}" for number in range(100, 100 + MANY)))
    assert rulebook.runs() - before <= 3


def test_no_token_is_logged(rulebook):
    assert ADMIN not in rulebook.log.read_text()
