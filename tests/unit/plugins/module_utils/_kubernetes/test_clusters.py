# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The settings of clusters, what is read from them, and the names of their objects."""

from __future__ import annotations

import copy

import pytest
from ansible_collections.netops.egress_ip.plugins.module_utils._common.errors import InvalidError
from ansible_collections.netops.egress_ip.plugins.module_utils._kubernetes.clusters import (
    KINDS,
    Cluster,
    check_names,
    document_of,
    list_requests,
    own_name,
    read_cluster,
)
from ansible_collections.netops.egress_ip.plugins.module_utils._kubernetes.manifests import read_manifests, select_pods
from ansible_collections.netops.egress_ip.plugins.module_utils._reconcile.node_names import with_host_names
from hypothesis import given
from hypothesis import strategies as st

PATH = "manifests[0].kubernetes"
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=10,
)
FIELDS = (
    "metadata",
    "spec",
    "status",
    "name",
    "namespace",
    "labels",
    "annotations",
    "namespaceSelector",
    "matchLabels",
)
ITEMS = st.recursive(JSON, lambda inner: st.dictionaries(st.sampled_from(FIELDS), inner, max_size=5), max_leaves=20)


def faults(value):
    """Return the errors of settings."""
    with pytest.raises(InvalidError) as raised:
        read_cluster(value, PATH)
    return [error.removeprefix(f"{PATH}") for error in raised.value.errors]


def egressip(name="web", **spec):
    """Return an EgressIP as a server sends it."""
    metadata = {"name": name, "uid": "5", "resourceVersion": "7", "managedFields": [{}]}
    return {"metadata": metadata, "spec": {"egressIPs": ["192.0.2.1"], "namespaceSelector": {}, **spec}}


def read(*documents):
    """Return the Manifests of documents."""
    return read_manifests({"source": f"d[{n}]", "document": document} for n, document in enumerate(documents))


def test_all_settings_are_optional():
    cluster = read_cluster({}, PATH)
    assert cluster == Cluster(PATH)
    assert (cluster.kinds, cluster.timeout, cluster.verify) == (KINDS, 10, True)


def test_settings():
    written = {"name": "prod", "kubeconfig": "a.yml", "context": "c", "namespaces": ["a", "b", "a"], "timeout": "2.5"}
    assert read_cluster({**written, "kinds": ["Pod", "Namespace"]}, PATH) == Cluster(
        PATH, "prod", "a.yml", "c", namespaces=("a", "b"), kinds=("Namespace", "Pod"), timeout=2.5
    )


@pytest.mark.parametrize(
    ("value", "errors"),
    [
        (None, [": must be a mapping, not null"]),
        ({"kubeconfg": "a"}, [".kubeconfg: unknown field; did you mean kubeconfig?"]),
        ({"name": "Prod.1"}, [".name: must be a lower-case DNS label, not 'Prod.1'"]),
        ({"name": 5}, [".name: must be a string, not the integer 5; put it in quotes"]),
        ({"namespaces": "a"}, [".namespaces: must be a list, not the string 'a'"]),
        ({"namespaces": ["a/b"]}, [".namespaces[0]: must be the name of a namespace, not 'a/b'"]),
        ({"kinds": []}, [".kinds: is empty; leave it out to read all kinds"]),
        ({"kinds": ["pod"]}, [".kinds[0]: 'pod' is not a kind that is read; did you mean Pod?"]),
        (
            {"kinds": [[]]},
            [".kinds[0]: a list is not a kind that is read; expected one of EgressIP, Namespace, Pod, Node"],
        ),
        ({"timeout": 0}, [".timeout: must be a number of seconds above 0 and at most 600, not the integer 0"]),
        ({"timeout": True}, [".timeout: must be a number of seconds above 0 and at most 600, not the boolean true"]),
        ({"timeout": "nan"}, [".timeout: must be a number of seconds above 0 and at most 600, not 'nan'"]),
        ({"host": "https://a", "kubeconfig": "b"}, [".host: must not be combined with kubeconfig; remove one of them"]),
        ({"ca_cert": "a"}, [".ca_cert: has no effect without host; a kubeconfig file has its own"]),
    ],
)
def test_malformed_settings(value, errors):
    assert faults(value) == errors


@pytest.mark.parametrize("key", ["api_key", "token", "password", "username"])
def test_a_secret_in_a_variable_is_refused_and_not_shown(key):
    (error,) = faults({key: "s3cret"})
    assert error.startswith(f".{key}: secrets are not accepted in variables; use kubeconfig, token_file, or")
    assert "s3cret" not in error


def test_the_token_is_not_in_the_text_of_a_cluster():
    assert "s3cret" not in repr(Cluster(PATH).with_environment({"K8S_AUTH_API_KEY": "s3cret"}))


def test_the_environment_names_a_cluster_as_awx_does():
    environment = {"K8S_AUTH_HOST": "https://a:6443", "K8S_AUTH_API_KEY": "t", "K8S_AUTH_SSL_CA_CERT": "/ca"}
    found = Cluster(PATH).with_environment({**environment, "K8S_AUTH_VERIFY_SSL": "True"})
    assert found == Cluster(PATH, host="https://a:6443", token="t", ca_cert="/ca")
    assert not Cluster(PATH).with_environment({**environment, "K8S_AUTH_VERIFY_SSL": "False"}).verify


@pytest.mark.parametrize("named", [{"host": "https://b"}, {"kubeconfig": "b"}, {"context": "b"}])
def test_a_source_that_names_a_cluster_gets_no_token_of_another(named):
    cluster = Cluster(PATH, **named)
    assert cluster.with_environment({"K8S_AUTH_API_KEY": "t", "K8S_AUTH_VERIFY_SSL": "no"}) == cluster


def test_several_clusters_need_different_names():
    check_names([Cluster("a")])
    check_names([Cluster("a", "x"), Cluster("b", "y")])
    with pytest.raises(InvalidError) as raised:
        check_names([Cluster("a", "x"), Cluster("b", "x"), Cluster("c")])
    assert raised.value.errors == (
        "b.name: 'x' is the name in a too; each cluster needs its own",
        "c.name: is missing; each of several clusters needs a name of its own",
    )


def test_what_is_read():
    assert [request.path for request in list_requests(Cluster(PATH))] == [
        "/apis/k8s.ovn.org/v1/egressips",
        "/api/v1/namespaces",
        "/api/v1/pods",
        "/api/v1/nodes",
    ]
    found = list_requests(Cluster(PATH, namespaces=("a", "b"), kinds=("Namespace", "Pod")))
    assert [(request.path, request.is_object) for request in found] == [
        ("/api/v1/namespaces/a", True),
        ("/api/v1/namespaces/b", True),
        ("/api/v1/namespaces/a/pods", False),
        ("/api/v1/namespaces/b/pods", False),
    ]


def test_documents_have_only_the_fields_in_use():
    pod = {"metadata": {"name": "p", "uid": "1"}, "spec": {"nodeName": "n", "containers": []}, "status": {"phase": "x"}}
    assert document_of(pod, "Pod") == {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "p"},
        "spec": {"nodeName": "n"},
        "status": {"phase": "x"},
    }
    item = egressip(podSelector={"matchLabels": {"app": "web"}})
    item["metadata"]["annotations"] = {"kubectl.kubernetes.io/last-applied-configuration": "{}", "a": "b"}
    assert document_of(item, "EgressIP") == {
        "apiVersion": "k8s.ovn.org/v1",
        "kind": "EgressIP",
        "metadata": {"name": "web", "annotations": {"a": "b"}},
        "spec": item["spec"],
    }


def test_objects_of_two_clusters_do_not_meet():
    """The same names, labels and pods in both clusters: each EgressIP selects the pods of its own cluster."""
    namespace = {"metadata": {"name": "default", "labels": {"env": "x"}}}
    pod = {"metadata": {"name": "p", "namespace": "default"}, "spec": {"nodeName": "node1"}}
    documents = []
    for number, cluster in enumerate(("prod", "test")):
        item = egressip(egressIPs=[f"192.0.2.{number}"])
        running = {**pod, "status": {"podIPs": [{"ip": f"10.0.0.{number}"}]}}
        kinds = ((item, "EgressIP"), (namespace, "Namespace"), (running, "Pod"))
        documents += [document_of(copy.deepcopy(each), kind, cluster) for each, kind in kinds]
    manifests = read(*documents)
    assert (manifests.invalid, manifests.ignored, manifests.broken) == ((), (), ())
    selected = select_pods(manifests.egressips, manifests.pods, manifests.namespaces)
    assert [(each.pod.namespace, each.pod.pod_ips, each.egressips) for each in selected] == [
        ("prod.default", ("10.0.0.0",), ("prod.web",)),
        ("test.default", ("10.0.0.1",), ("test.web",)),
    ]
    # The name that Kubernetes writes into the labels is the one in the cluster.
    assert {each.labels["kubernetes.io/metadata.name"] for each in manifests.namespaces} == {"default"}
    assert read(*(each.to_dict() for each in manifests.namespaces)).namespaces == manifests.namespaces


def test_an_object_cannot_select_the_namespaces_of_another_cluster():
    item = egressip(namespaceSelector={"matchLabels": {"egress-ip.netops/cluster": "test"}})
    (found,) = read(document_of(item, "EgressIP", "prod")).egressips
    assert found.namespace_selector.match_labels == (("egress-ip.netops/cluster", "prod"),)


def test_a_dotted_namespace_without_its_cluster_stays_an_error():
    (entry,) = read({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "prod.default"}}).invalid
    assert "must be a lower-case DNS label" in entry["errors"][0]


def test_nodes_of_two_clusters_with_one_name_stay_apart():
    """Each pod is on the host of its own cluster's node, by the node's address."""
    documents = []
    for number, cluster in enumerate(("prod", "test")):
        addresses = [{"type": "InternalIP", "address": f"192.0.2.{number}"}, {"type": "Hostname", "address": "worker1"}]
        node = {"metadata": {"name": "worker1", "labels": None}, "status": {"addresses": addresses}}
        pod = {"metadata": {"name": f"p{number}"}, "spec": {"nodeName": "worker1"}}
        pod["status"] = {"podIPs": [{"ip": "10.0.0.1"}]}
        documents += [document_of(node, "Node", cluster), document_of(pod, "Pod", cluster)]
    manifests = read(*documents)
    assert (manifests.invalid, manifests.ignored) == ((), ())
    hosts = [{"name": f"host{n}", "address": f"192.0.2.{n}", "observed": None} for n in range(2)]
    named, notes = with_host_names(manifests, hosts)
    assert (notes, {pod.name: pod.node for pod in named.pods}) == ((), {"p0": "host0", "p1": "host1"})
    assert [node.labels for node in named.nodes] == [
        {"egress-ip.netops/cluster": "prod"},
        {"egress-ip.netops/cluster": "test"},
    ]
    # Without an address, nothing says which of the two the host is: it gets the pods of neither.
    named, notes = with_host_names(manifests, [{"name": "worker1", "address": None, "observed": None}])
    assert {pod.node for pod in named.pods} == {"worker1.prod", "worker1.test"}
    assert len(notes) == 2


def test_a_pod_without_a_node_object_is_on_the_host_of_that_short_name():
    pod = document_of(
        {"metadata": {"name": "p"}, "spec": {"nodeName": "worker1"}, "status": {"podIP": "10.0.0.1"}}, "Pod", "a"
    )
    named, _notes = with_host_names(read(pod), [{"name": "worker1", "address": None, "observed": None}])
    assert named.pods[0].node == "worker1"


def test_the_status_of_a_named_cluster_names_no_inventory_hosts():
    item = {**egressip(), "status": {"items": [{"node": "worker1", "egressIP": "192.0.2.1"}]}}
    assert read(document_of(item, "EgressIP", "prod")).egressips[0].assignments == ()
    assert read(document_of(item, "EgressIP")).egressips[0].assignments == (("192.0.2.1", "worker1"),)


@pytest.mark.parametrize(("name", "cluster", "own"), [("web", "", "web"), ("a.web", "a", "web"), ("ab.web", "a", None)])
def test_own_name(name, cluster, own):
    assert own_name(name, cluster) == own


@given(item=ITEMS, kind=st.sampled_from(KINDS), cluster=st.sampled_from(["", "prod"]))
def test_malformed_items_are_read_or_reported(item, kind, cluster):
    before = copy.deepcopy(item)
    manifests = read(document_of(item, kind, cluster))
    assert item == before
    count = sum(map(len, (manifests.egressips, manifests.namespaces, manifests.pods, manifests.nodes)))
    assert count + len(manifests.invalid) == 1 or item is None
