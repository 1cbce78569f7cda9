# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Containers of engines in a run: from the answers of nodes to states, errors and mistakes."""

from __future__ import annotations

import copy

import pytest
from ansible_collections.netops.egress_ip.plugins.module_utils._dataplane.node_state import NodeState
from ansible_collections.netops.egress_ip.plugins.module_utils._kubernetes.engine_sources import EngineSource
from ansible_collections.netops.egress_ip.plugins.module_utils._kubernetes.manifests import read_manifests
from ansible_collections.netops.egress_ip.plugins.module_utils._reconcile.run_plan import RunSettings, plan_run
from node_answers import answer

A = "192.168.126.101"
PODMAN = (EngineSource("podman"),)
WEB, NAMESPACE = "10.89.7.0/24", "egress-ip.netops/namespace"


def egressip(name="shop", address=A, **selector):
    selector = selector or {"podSelector": {"matchLabels": {"app": name}}}
    spec = {"egressIPs": [address], "namespaceSelector": {}, **selector}
    return {"apiVersion": "k8s.ovn.org/v1", "kind": "EgressIP", "metadata": {"name": name}, "spec": spec}


def namespace(name="web", **annotations):
    metadata = {"name": name, "annotations": {f"egress-ip.netops/{key}": value for key, value in annotations.items()}}
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": metadata}


def found(name, *addresses, **labels):
    return {"name": name, "labels": labels, "addresses": [*addresses]}


def podman(*containers, problem="", kept=()):
    return {"engine": "podman", "found": [*containers], "problem": problem, "kept": [*kept]}


def network(*cidrs, name="podman:web"):
    return {"network": name, "namespace": "", "cidrs": [*cidrs], "problem": ""}


def host(number, *answers, **facts):
    observed = answer(number, containers=[*answers], **facts)
    labels = {"k8s.ovn.org/egress-assignable": ""}
    return {"name": f"node{number}", "labels": labels, "networks": None, "observed": observed}


def run(hosts, *documents, sources=PODMAN):
    manifests = read_manifests([{"source": "m.yml", "document": document} for document in documents]).to_dict()
    manifests["engines"] = [source.to_dict() for source in sources]
    inputs = copy.deepcopy((hosts, manifests))
    made = plan_run(hosts, manifests, RunSettings()).to_dict()
    assert (hosts, manifests) == inputs
    for state in made["rollout"].get("states", {}).values():
        assert NodeState.from_dict(state).to_dict() == state
    return made


def pods(made, node="node1"):
    return {
        pod["address"]: (pod.get("engine", ""), *pod["egressips"]) for pod in made["rollout"]["states"][node]["pods"]
    }


def errors(made):
    return made["manifests"]["network_errors"]


def names(made):
    found = [(pod["metadata"], pod["spec"]["nodeName"]) for pod in made["manifests"]["pods"]]
    return [(node, f"{metadata['namespace']}/{metadata['name']}") for metadata, node in found]


def test_a_container_is_selected_by_its_labels_on_its_own_node():
    both = [
        host(1, podman(found("shop", "10.88.0.2", app="shop"))),
        host(2, podman(found("db", "10.88.0.2", app="db"))),
    ]
    made = run(both, egressip())
    assert (pods(made), pods(made, "node2")) == ({"10.88.0.2": ("podman", "shop")}, {})
    assert names(made) == [("node1", "default/shop.node1"), ("node2", "default/db.node2")]
    assert (errors(made), made["mistakes"]) == ([], [])


def test_the_addresses_of_containers_change_no_other_node():
    made = run([host(1, podman(found("shop", "10.88.0.2", "8.8.8.8", app="shop"))), host(2, podman())], egressip())
    assert made["rollout"]["states"]["node2"]["excluded"] == []
    assert made["mistakes"] == []


@pytest.mark.parametrize("key", ["failed", "unreachable"])
def test_a_node_without_an_answer(key):
    silent = {**host(2), "observed": {key: True, "msg": "no route"}}
    made = run([host(1, podman()), silent], egressip())
    assert [*made["rollout"]["states"]] == ["node1"]


def test_an_answer_without_the_engine_does_not_say_that_nothing_runs():
    made = run([host(1, podman(found("shop", "10.88.0.2", app="shop"))), host(2)], egressip())
    (faulty,) = made["fleet"]["faulty"]
    text = "gives no answer about podman; run netops.egress_ip.node_info with the engines of the manifests"
    assert faulty == {"name": "node2", "reason": text}


def test_an_engine_that_cannot_be_read_keeps_its_pods_on_record():
    kept = [{"address": "10.88.0.2", "egressips": ["shop"]}, {"address": "10.88.0.3", "egressips": ["gone"]}]
    made = run([host(1, podman(problem="it hangs", kept=kept)), host(2, podman())], egressip())
    assert pods(made) == {"10.88.0.2": ("podman", "shop"), "10.88.0.3": ("podman",)}
    assert errors(made) == ["node1: podman cannot be read: it hangs; its 2 pods on record stay"]
    assert made["mistakes"] == []


def test_a_run_with_a_broken_engine_changes_nothing():
    """The state on record and the one that the run makes are equal."""
    made = run([host(1, podman(found("shop", "10.88.0.2", app="shop"))), host(2, podman())], egressip())
    states = {name: NodeState.from_dict(state) for name, state in made["rollout"]["states"].items()}
    kept = [{"address": "10.88.0.2", "egressips": ["shop"]}]
    held = {name: [item.egress_ip for item in state.held] for name, state in states.items()}
    after = [
        host(1, podman(problem="it hangs", kept=kept), digest=states["node1"].digest(), **_held(held["node1"])),
        host(2, podman(), digest=states["node2"].digest(), **_held(held["node2"])),
    ]
    assert run(after, egressip())["rollout"]["differing"] == []


def _held(addresses):
    return {"held": [{"egressIP": ip, "interface": "eth0"} for ip in addresses]}


def test_a_container_belongs_to_the_namespace_of_its_network():
    web = namespace(networks="podman:web")
    shop = egressip(namespaceSelector={"matchLabels": {"kubernetes.io/metadata.name": "web"}})
    shop["spec"]["podSelector"] = {"matchLabels": {"app": "shop"}}
    containers = found("shop", "10.89.7.2", app="shop"), found("db", "10.89.7.3"), found("out", "10.88.0.9", app="shop")
    made = run([host(1, podman(*containers), named_networks=[network(WEB)]), host(2, podman())], web, shop)
    # The other containers are known pods, which no object selects.
    assert pods(made) == {"10.89.7.2": ("podman", "shop"), "10.89.7.3": ("podman",), "10.88.0.9": ("podman",)}
    assert [name for _node, name in names(made)] == ["web/shop.node1", "web/db.node1", "default/out.node1"]


def test_a_container_that_follows_its_network_has_no_entry():
    """Another container may get the address before the next run."""
    web = namespace(networks="podman:web")
    facts = {"named_networks": [network(WEB)]}
    made = run([host(1, podman(found("shop", "10.89.7.2")), **facts), host(2, podman())], web, egressip(podSelector={}))
    assert pods(made) == {}
    assert made["rollout"]["states"]["node1"]["networks"][0]["egressips"] == ["shop"]


POD = {
    "apiVersion": "v1",
    "kind": "Pod",
    "metadata": {"name": "p", "namespace": "web", "labels": {"app": "shop"}},
    "spec": {"nodeName": "node1"},
    "status": {"podIPs": [{"ip": "10.88.0.2"}]},
}


def test_a_document_replaces_the_container_with_its_address():
    made = run([host(1, podman(found("db", "10.88.0.2"))), host(2, podman())], egressip(), POD)
    assert pods(made) == {"10.88.0.2": ("", "shop")}
    assert names(made) == [("node1", "web/p")]


def test_a_label_chooses_only_a_namespace_that_the_source_lists():
    db = egressip(namespaceSelector={"matchLabels": {"kubernetes.io/metadata.name": "db"}})
    forger = found("forger", "10.88.0.2", **{NAMESPACE: "db"})
    hosts = [host(1, podman(forger)), host(2, podman())]
    made = run(hosts, db)
    assert (pods(made), made["manifests"]["pods"]) == ({}, [])
    text = f"no pods, since `namespaces` of this source lacks the namespace in their label {NAMESPACE}"
    assert errors(made) == [f"node1: podman: {text}: forger ('db')"]
    made = run(hosts, db, sources=[EngineSource("podman", "web", ("db",))])
    assert (pods(made), errors(made)) == ({"10.88.0.2": ("podman", "shop")}, [])


def test_a_label_of_the_network_s_namespace_is_no_permission():
    web = namespace(networks="podman:web")
    facts = {"named_networks": [network(WEB)]}
    made = run(
        [host(1, podman(found("a", "10.89.7.2", **{NAMESPACE: "db"})), **facts), host(2, podman())], web, egressip()
    )
    assert pods(made) == {}
    assert len(errors(made)) == 1


def test_the_errors_of_one_node_do_not_fill_the_report():
    both = [found(name, *(f"10.88.1.{number}" for number in range(50))) for name in ("a", "b")]
    made = run([host(1, podman(*both)), host(2, podman(found("c", A)))], egressip())
    assert errors(made)[-2:] == [
        "node1: has 30 more errors of containers",
        f"node2: podman:c has {A}, a node's address or an egress IP; it is no pod",
    ]
    assert len(errors(made)) == 22


@pytest.mark.parametrize(
    ("addresses", "error"),
    [
        (["192.168.126.22"], "podman:a has 192.168.126.22, a node's address or an egress IP; it is no pod"),
        ([A], f"podman:a has {A}, a node's address or an egress IP; it is no pod"),
        (["10.88.0.7"], "podman:a and podman:b have the same address 10.88.0.7; neither is a pod"),
    ],
)
def test_addresses_that_no_single_container_has(addresses, error):
    both = found("a", *addresses, app="shop"), found("b", "10.88.0.7", app="shop")
    made = run([host(1, podman(*both)), host(2, podman())], egressip())
    assert pods(made).keys() == {"10.88.0.7"} - {*addresses}
    assert errors(made) == [f"node1: {error}"]


def test_a_network_of_two_namespaces_has_no_pods():
    """Its packets are dropped."""
    documents = namespace(networks="podman:web"), namespace("db", networks=WEB)
    facts = {"named_networks": [network(WEB), network(WEB, name=WEB)]}
    made = run(
        [host(1, podman(found("a", "10.89.7.2", app="shop")), **facts), host(2, podman())], *documents, egressip()
    )
    assert pods(made) == {}


def test_labels_that_kubernetes_does_not_know_are_ignored():
    labels = {"app": "shop", "org.opencontainers.image.url": "https://example.com", "A B": "c", "x": ""}
    made = run([host(1, podman(found("a_B..c", "10.88.0.2", **labels))), host(2, podman())], egressip())
    (pod,) = made["manifests"]["pods"]
    assert pod["metadata"]["labels"] == {"app": "shop", "x": ""}
    assert pod["metadata"]["name"] == "a-b-c.node1"


def test_containers_with_similar_names_are_different_pods():
    made = run(
        [host(1, podman(found("a_b", "10.88.0.2", app="shop"), found("a-b", "10.88.0.3", app="shop")))], egressip()
    )
    assert pods(made).keys() == {"10.88.0.2", "10.88.0.3"}


FORWARD = {"family": "ip", "table": "filter", "chain": "FORWARD"}


@pytest.mark.parametrize(
    ("name", "more", "labels", "chain", "reported"),
    [
        ("podman:web", (), {}, {}, False),
        ("podman:web", (), {"k8s.ovn.org/egress-assignable": ""}, {}, True),
        ("podman:web", (), {}, {"family": "inet", "table": "firewalld", "chain": "filter_FORWARD"}, True),
        ("interface:br9", (), {}, {}, True),
        (WEB, (), {}, {}, True),
        ("docker:web", ("10.9.9.9",), {}, {}, True),
    ],
)
def test_a_filter_of_forwarded_packets_is_no_problem_for_the_networks_of_engines(name, more, labels, chain, reported):
    """Engines accept the packets of their networks; the holder needs an exception for those of the tunnel."""
    filters = {"forward_filters": [{**FORWARD, **chain}], "named_networks": [network(WEB, name=name)]}
    hosts = [host(1, podman()), {**host(2, podman(found("shop", "10.89.7.2")), **filters), "labels": labels}]
    documents = [{**POD, "spec": {"nodeName": "node2"}, "status": {"podIPs": [{"ip": ip}]}} for ip in more]
    made = run(hosts, namespace(networks=name), egressip(podSelector={}), *documents)
    assert any("drops forwarded packets" in line for line in made["mistakes"]) == reported


@pytest.mark.parametrize(
    "answers",
    [
        5,
        [5],
        [{"engine": "podman", "found": [], "problem": ""}],
        [{**podman(), "found": [{"name": "a", "labels": [], "addresses": []}]}],
        [{**podman(), "found": [{"name": "a", "labels": {"a": 5}, "addresses": []}]}],
        [{**podman(), "found": [{"name": "a", "labels": {}, "addresses": ["10.0.0.300"]}]}],
        [{**podman(), "kept": [{"address": "10.0.0.3", "egressips": ["A} b"]}]}],
    ],
)
def test_a_node_with_a_malformed_answer_is_set_aside(answers):
    made = run([host(1, podman()), {**host(2), "observed": answer(2, containers=answers)}], egressip())
    assert [each["name"] for each in made["fleet"]["faulty"]] == ["node2"]


def started(name, space, *addresses, **labels):
    return {**found(name, *addresses, **labels), "namespace": space}


def following(number, *answers, **facts):
    return {
        **host(number, *answers, **facts),
        "follow": ["podman"],
        "follow_kubeconfig": "/etc/kubernetes/kubelet.conf",
    }


def test_a_container_that_chose_its_namespace_when_it_started():
    """Its node has given it a class, so the state has no entry, which another container could inherit."""
    of_podman = podman(found("shop", "10.88.0.2", app="db"), found("db", "10.88.0.3", app="shop"))
    own = [started("0123456789ab", "web", "10.88.0.2", "fd00::2", app="shop")]
    known = following(1, of_podman, followed_pods=own)
    for sources, others in ((PODMAN, {"10.88.0.3": ("podman", "shop")}), ((), {})):
        made = run([known], egressip(), namespace(), sources=sources)
        assert pods(made) == others
        assert names(made)[0] == ("node1", "web/0123456789ab.node1")
        assert (errors(made), made["mistakes"]) == ([], [])


def test_of_containers_that_share_a_network_the_last_one_counts():
    """As on its node. All containers of a pod of Podman should have the annotation."""
    first = started("first", "web", "10.88.0.2", "10.88.0.9", app="shop")
    own = [first, started("second", "web", "10.88.0.2", app="db"), started("third", "db", "10.88.0.2", app="db")]
    made = run([following(1, podman(), followed_pods=own)], egressip(podSelector={}), namespace())
    assert names(made) == [("node1", "web/first.node1"), ("node1", "db/third.node1")]
    assert (errors(made), made["mistakes"]) == ([], [])


def test_the_namespace_of_such_a_container_needs_no_permission():
    """Root of the host chose it, and not the author of a label."""
    made = run([following(1, podman(), followed_pods=[started("a", "db", "10.88.0.2")])], egressip(podSelector={}))
    assert names(made) == [("node1", "db/a.node1")]
    assert errors(made) == []


def test_a_node_that_no_longer_follows_gets_entries_for_what_its_engine_reports():
    """It dismisses all classes with the new state, so an address without an entry would be that of no pod."""
    own = [started("0123456789ab", "web", "10.88.0.2", app="db")]
    known = host(1, podman(found("shop", "10.88.0.2", app="shop")), followed_pods=own)
    for each in (known, {**known, "follow": []}):
        made = run([each], egressip(), namespace())
        assert pods(made) == {"10.88.0.2": ("podman", "shop")}
        assert names(made) == [("node1", "default/shop.node1")]
