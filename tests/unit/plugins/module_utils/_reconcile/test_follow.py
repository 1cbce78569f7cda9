# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The rules for pods that start between runs: from manifests and host variables to the states of nodes."""

from __future__ import annotations

import copy

import pytest
from ansible_collections.netops.egress_ip.plugins.module_utils._dataplane.node_state import NodeState
from ansible_collections.netops.egress_ip.plugins.module_utils._kubernetes.manifests import read_manifests
from ansible_collections.netops.egress_ip.plugins.module_utils._reconcile.report import report
from ansible_collections.netops.egress_ip.plugins.module_utils._reconcile.run_plan import RunSettings, plan_run
from node_answers import answer

LABELS = {"k8s.ovn.org/egress-assignable": ""}
CONFIG = "/etc/kubernetes/kubelet.conf"


def egressip(name, address, namespaces, **spec):
    spec = {"egressIPs": [address], "namespaceSelector": namespaces, **spec}
    return {"apiVersion": "k8s.ovn.org/v1", "kind": "EgressIP", "metadata": {"name": name}, "spec": spec}


def namespace(name, **labels):
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": labels}}


def pod(name, space, node, address, **labels):
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "namespace": space, "labels": labels},
        "spec": {"nodeName": node},
        "status": {"podIPs": [{"ip": address}]},
    }


def host(number, follow=("kubernetes",), kubeconfig=CONFIG, **facts):
    observed = answer(number, **facts)
    follow = {"follow": list(follow), "follow_kubeconfig": kubeconfig}
    return {"name": f"node{number}", "labels": LABELS, **follow, "observed": observed}


def run(hosts, *documents, **options):
    manifests = read_manifests([{"source": "m.yml", "document": document} for document in documents]).to_dict()
    inputs = copy.deepcopy((hosts, manifests))
    made = plan_run(hosts, manifests, RunSettings(), options).to_dict()
    assert inputs == (hosts, manifests)
    for state in made["rollout"]["states"].values():
        assert NodeState.from_dict(state).to_dict() == state
    return made


def rules(made, node="node1"):
    namespaces = made["rollout"]["states"][node]["follow"]["namespaces"]
    return {item["name"]: [tuple(rule.values()) for rule in item["rules"]] for item in namespaces}


WEB = egressip("web", "192.168.126.101", {"matchLabels": {"env": "prod"}})
DB = egressip("db", "192.168.126.102", {}, podSelector={"matchLabels": {"app": "db"}})
OF_DB = ("db", {"matchLabels": {"app": "db"}})
DOCUMENTS = (WEB, DB, namespace("shop", env="prod"), namespace("test"))


def test_only_nodes_that_follow_pods_have_rules():
    made = run([host(1), host(2, follow=[])], *DOCUMENTS)
    assert rules(made) == {"shop": [OF_DB, ("web",)], "test": [OF_DB]}
    assert made["rollout"]["states"]["node1"]["follow"]["kubeconfig"] == CONFIG
    assert "follow" not in made["rollout"]["states"]["node2"]


def test_an_empty_pod_selector_needs_no_labels():
    every = egressip("web", "192.168.126.101", {}, podSelector={})
    assert rules(run([host(1)], every, namespace("shop"))) == {"shop": [("web",)]}


def test_a_namespace_that_an_object_names_need_not_exist_yet():
    named = egressip("web", "192.168.126.101", {"matchLabels": {"kubernetes.io/metadata.name": "new"}})
    assert rules(run([host(1)], named)) == {"new": [("web",)]}


@pytest.mark.parametrize("name", ["Shop", "a_b", "a.b", "a" * 63])
def test_a_selector_may_name_a_namespace_that_cannot_exist(name):
    """The value of a label has more characters than the name of a namespace. `run` reads the states as nodes do."""
    named = egressip("web", "192.168.126.101", {"matchLabels": {"kubernetes.io/metadata.name": name}})
    expected = {name: [("web",)]} if name.islower() and name.isalnum() else {}
    assert rules(run([host(1)], named)) == expected


@pytest.mark.parametrize("name", ["Shop_A", "a_b"])
def test_a_pod_may_name_a_namespace_that_cannot_exist(name):
    made = run([host(1)], WEB, namespace("shop", env="prod"), pod("a", name, "node1", "10.88.0.5"))
    assert rules(made) == {"shop": [("web",)]}


def test_a_broken_object_has_no_rules():
    broken = egressip("web", "192.168.126.300", {})
    assert rules(run([host(1)], broken, DB, namespace("shop"))) == {"shop": [OF_DB]}


def test_a_broken_object_keeps_its_rules_on_record():
    """A new pod of it must not leave with the address of its node."""
    broken = egressip("web", "192.168.126.300", {})
    namespaces = [{"name": "shop", "podSelector": {}}, {"name": "test", "podSelector": {"matchLabels": {"a": "b"}}}]
    recalled = {"name": "web", "egressIPs": ["192.168.126.101"], "pods": [], "namespaces": namespaces}
    made = run([host(1, recalled=[recalled]), host(2)], broken, DB, namespace("shop"))
    assert rules(made) == {"shop": [OF_DB, ("web",)], "test": [("web", {"matchLabels": {"a": "b"}})]}
    assert rules(made, "node2") == {"shop": [OF_DB]}


def test_known_pods_have_their_names_where_pods_are_followed():
    pods = [pod("a", "shop", "node1", "10.88.0.5"), pod("b", "test", "node1", "10.88.0.6")]
    pods += [pod("c", "shop", "node2", "10.88.0.5"), pod("d", "test", "node2", "10.88.0.6")]
    states = run([host(1), host(2, follow=[])], *DOCUMENTS, *pods)["rollout"]["states"]
    assert states["node1"]["pods"] == [
        {"address": "10.88.0.5", "egressips": ["web"], "pod": "shop/a"},
        {"address": "10.88.0.6", "egressips": [], "pod": "test/b"},
    ]
    assert states["node2"]["pods"] == [{"address": "10.88.0.5", "egressips": ["web"]}]


def test_a_node_has_the_namespaces_of_its_cluster():
    cluster = "egress-ip.netops/cluster"
    node = {"apiVersion": "v1", "kind": "Node", "metadata": {"name": "node1", "labels": {cluster: "prod"}}}
    spaces = [namespace(f"{name}.shop", **{"env": "prod", cluster: name}) for name in ("prod", "test")]
    own = [namespace("file", env="prod"), pod("a", "prod.shop", "node1", "10.88.0.5")]
    made = run([host(1), host(2)], WEB, node, *spaces, *own)
    assert rules(made) == {"shop": [("web",)]}
    assert made["rollout"]["states"]["node1"]["pods"][0]["pod"] == "shop/a"
    assert rules(made, "node2") == {"file": [("web",)]}


def test_a_host_that_is_no_node_of_a_named_cluster_is_reported():
    """All namespaces are those of a cluster, and the host follows none of them."""
    cluster = "egress-ip.netops/cluster"
    node = {"apiVersion": "v1", "kind": "Node", "metadata": {"name": "node1", "labels": {cluster: "prod"}}}
    shop = namespace("prod.shop", env="prod", **{cluster: "prod"})
    hosts = [host(1), host(2), host(3, follow=[])]
    line = (
        "{}: egress_ip_follow: no Node of a cluster matches, so no namespace is followed;"
        " read the kind Node, or set ansible_host to its address"
    )
    assert line.format("node2") in run(hosts, WEB, node, shop)["mistakes"]
    assert line.format("node1, node2") in run(hosts, WEB, shop)["mistakes"]
    for documents in ((WEB, node, shop, namespace("file")), (WEB,), (WEB, namespace("shop"))):
        assert not [text for text in run(hosts, *documents)["mistakes"] if "egress_ip_follow" in text]


def test_a_node_that_cannot_follow_its_pods_is_an_error_of_the_report():
    problem = "/etc/cni/net.d: has no list of network plugins"
    made = run([host(1), *(host(number, follow_problem=problem) for number in (2, 3))], *DOCUMENTS)
    assert made["manifests"]["network_errors"] == [f"node2, node3: egress_ip_follow: {problem}"]
    assert ["follow" in state for state in made["rollout"]["states"].values()] == [True, True, True]
    shown = report(made["plan"], made["manifests"], made["fleet"])
    assert shown.errors == tuple(made["manifests"]["network_errors"])
