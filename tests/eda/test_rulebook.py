# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The rulebook under the real ansible-rulebook: a test API server is the cluster, and nodes are files with their state.

All between a pod of the API server and the state that a node gets is real. `make eda` runs it.
"""

from __future__ import annotations

import statistics

import pytest
import yaml
from api_server import ADMIN, ApiServer
from api_store import pods
from conftest import ROOT
from running import Rulebook

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


class Cluster(Rulebook):
    """A running rulebook with its cluster."""

    def __init__(self, folder, store):
        super().__init__(folder)
        self.store = store

    def covered(self):
        """Return the addresses of pods in the state that node1 got last."""
        path = self.folder / "node1.json"
        text = path.read_text() if path.exists() else ""
        return {word for word in text.replace('"', " ").replace("/", " ").split() if word.startswith("10.128.9.")}

    def wait_for(self, *addresses):
        """Wait until node1 covers the addresses; return the seconds that it took."""
        return self.wait(lambda: {*addresses} <= self.covered())


@pytest.fixture(scope="module")
def rulebook(tmp_path_factory):
    """The rulebook that follows a cluster, after its first run."""
    folder = tmp_path_factory.mktemp("eda")
    (folder / "api").mkdir()
    with ApiServer(folder / "api").running() as server:
        server.store.add(yaml.safe_load_all((ROOT / "docs/kubernetes/egressip-crd.yaml").read_text()))
        server.store.add(documents())
        kubeconfig = str(server.kubeconfig(folder / "kubeconfig"))
        made = Cluster(folder, server.store)
        made.fleet.variables = {"egress_ip_manifests": [{"kubernetes": {"kubeconfig": kubeconfig}}]}
        with made.running("reconcile", {"egress_ip_kubeconfig": kubeconfig, "egress_ip_interval": 1}):
            server.store.add([pod(1)])
            made.wait_for("10.128.9.1")
            yield made


def test_a_new_pod_is_covered_and_other_pods_cause_no_run(rulebook):
    before, seconds = rulebook.runs(), []
    for number in range(2, 2 + PODS):
        # No pod of a selected namespace.
        rulebook.store.add([pod(number, "other")])
        rulebook.store.add([pod(number)])
        seconds.append(rulebook.wait_for(f"10.128.9.{number}"))
    print(
        f"\nnew pod to the state of its node: median {statistics.median(seconds):.1f} s, {max(seconds):.1f} s at most"
    )
    assert rulebook.runs() - before == PODS


def test_many_pods_at_once_are_at_most_three_runs(rulebook):
    before = rulebook.runs()
    rulebook.store.add([pod(number) for number in range(100, 100 + MANY)])
    rulebook.wait_for(*(f"10.128.9.{number}" for number in range(100, 100 + MANY)))
    assert rulebook.runs() - before <= 3


def test_no_token_is_logged(rulebook):
    assert ADMIN not in rulebook.log.read_text()
