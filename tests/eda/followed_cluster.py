# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A rulebook that follows a cluster: a test API server, and nodes that are files with their state.

All between a pod of the API server and the state that a node gets is real.
"""

from __future__ import annotations

import contextlib

import yaml
from api_server import ApiServer
from api_store import pods
from conftest import ROOT
from running import Rulebook


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

    def runs_for(self, numbers):
        """Start pods with these numbers at once; return how many runs there are until all are covered."""
        before = self.runs()
        self.store.add([pod(number) for number in numbers])
        self.wait_for(*(f"10.128.9.{number}" for number in numbers))
        return self.runs() - before


@contextlib.contextmanager
def followed_cluster(folder, programs=""):
    """Run the rulebook for a new cluster; yield the cluster when node1 covers the first pod."""
    (folder / "api").mkdir()
    with ApiServer(folder / "api").running() as server:
        server.store.add(yaml.safe_load_all((ROOT / "docs/kubernetes/egressip-crd.yaml").read_text()))
        server.store.add(documents())
        kubeconfig = str(server.kubeconfig(folder / "kubeconfig"))
        made = Cluster(folder, server.store)
        made.fleet.variables = {"egress_ip_manifests": [{"kubernetes": {"kubeconfig": kubeconfig}}]}
        variables = {"egress_ip_kubeconfig": kubeconfig, "egress_ip_interval": 1}
        with made.running("reconcile", variables, programs):
            server.store.add([pod(1)])
            made.wait_for("10.128.9.1")
            yield made
