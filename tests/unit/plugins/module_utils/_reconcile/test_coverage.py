# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Silent mistakes in manifests: selected pods without an egress IP, objects that select no pod."""

from __future__ import annotations

import pytest
from ansible_collections.netops.egress_ip.plugins.module_utils._kubernetes.manifests import read_manifests
from ansible_collections.netops.egress_ip.plugins.module_utils._reconcile.coverage import without_effect
from counted_steps import Counted, comparisons_of, growth

OWN = {"node1": ["192.168.126.21"], "node2": ["192.168.126.22"]}
HOSTS = {"node1", "node2"}
NAMESPACE = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "prod", "labels": {"env": "prod"}}}


def egressip(name="web", **spec):
    spec = {"egressIPs": ["192.168.126.101"], "namespaceSelector": {"matchLabels": {"env": "prod"}}, **spec}
    return {"apiVersion": "k8s.ovn.org/v1", "kind": "EgressIP", "metadata": {"name": name}, "spec": spec}


def pod(name="a", namespace="prod", node="node1", ip="10.88.0.2", **status):
    spec = {"nodeName": node} if node else {}
    metadata = {"name": name, "namespace": namespace}
    status = {"podIPs": [{"ip": ip}] if ip else [], **status}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec, "status": status}


def lines(*documents, selecting=("web",)):
    manifests = read_manifests([{"source": "m", "document": document} for document in documents])
    return without_effect(manifests, selecting, OWN, HOSTS)


def test_the_work_grows_with_the_pods_and_addresses_of_a_node():
    def comparisons(count):
        pods = [pod(f"p{n}", ip=f"10.88.0.{n}") for n in range(count)]
        manifests = read_manifests([{"source": "m", "document": each} for each in (NAMESPACE, egressip(), *pods)])
        own = {"node1": [Counted(f"192.168.1.{n}") for n in range(count)]}
        return comparisons_of(lambda: without_effect(manifests, ["web"], own, HOSTS))

    assert growth(comparisons, 50) < 1.3


def host_network(document):
    document["spec"]["hostNetwork"] = True
    return document


@pytest.mark.parametrize(
    ("document", "reason"),
    [
        (host_network(pod()), "in the host network, which use the address of their node"),
        (pod(node=None), "without spec.nodeName"),
        (pod(node="n1.example.com"), "whose spec.nodeName is not a host of egress_ip_group"),
        (pod(ip=None), "without status.podIPs"),
        (pod(ip="192.168.126.21"), "with an address of their node, such as rootless containers"),
    ],
)
def test_a_selected_pod_without_egress_ip(document, reason):
    assert lines(egressip(), NAMESPACE, document, selecting=()) == [
        f"egressip/web: has no effect on pods {reason}: prod/a"
    ]


@pytest.mark.parametrize(
    "document", [pod(), pod(phase="Succeeded", node=None), pod(phase="Pending", node=None), pod(ip="192.168.126.22")]
)
def test_pods_that_are_no_mistake(document):
    assert lines(egressip(), NAMESPACE, document) == []


def test_many_pods_are_one_line():
    pods = [pod(f"p{number}", ip=None) for number in range(7)]
    assert lines(egressip(), NAMESPACE, *pods) == [
        "egressip/web: has no effect on pods without status.podIPs:"
        " prod/p0, prod/p1, prod/p2, prod/p3, prod/p4 and 2 more"
    ]


def test_an_object_that_selects_nothing():
    broken = egressip("broken", egressIPs=["x"])
    assert lines(egressip(), egressip("db"), broken, NAMESPACE, pod()) == ["egressip/db: selects no pod"]


def test_a_namespace_without_a_document():
    message = "namespace/prod: has pods but no Namespace document, so that no label of it is known"
    assert lines(egressip(), pod()) == [message]
    assert lines(egressip(namespaceSelector={}), pod()) == []
    by_name = {"matchLabels": {"kubernetes.io/metadata.name": "prod"}}
    assert lines(egressip(namespaceSelector=by_name), pod()) == []
