# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""kubectl reads the test API server as it reads a real one, with the CRD of docs/kubernetes/."""

from __future__ import annotations

import json

import pytest
from api_store import pods
from cluster_manifests import MANIFESTS, documents_of

EGRESSIP = {
    "apiVersion": "k8s.ovn.org/v1",
    "kind": "EgressIP",
    "metadata": {"name": "egressips-prod"},
    "spec": {
        "egressIPs": ["192.168.126.10", "192.168.126.102"],
        "namespaceSelector": {"matchLabels": {"env": "prod"}},
    },
}
STATUS = {"items": [{"node": "node1", "egressIP": "192.168.126.10"}, {"node": "node3", "egressIP": "192.168.126.102"}]}
NAMESPACE = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "default"}}


def create(kubectl, document):
    """Create an object by kubectl and return what the server made of it."""
    made = kubectl("create", "--validate=false", "-o", "json", "-f", "-", text=json.dumps(document))
    return json.loads(made)


def test_kubectl_applies_the_crd_and_shows_who_holds_what(kubectl):
    kubectl("create", "--validate=false", "-f", str(MANIFESTS / "egressip-crd.yaml"))
    made = create(kubectl, {**EGRESSIP, "status": STATUS})
    default = {"matchExpressions": [{"key": "k8s.ovn.org/egress-assignable", "operator": "Exists"}]}
    assert made["spec"] == {**EGRESSIP["spec"], "egressNodeSelector": default}
    assert "status" not in made
    patch = json.dumps({"status": STATUS})
    kubectl("patch", "eip", "egressips-prod", "--subresource=status", "--type=merge", "-p", patch)
    header, row = kubectl("get", "eip").splitlines()
    assert header.split() == ["NAME", "EGRESSIPS", "ASSIGNMENTS", "AGE"]
    assert row.split()[:2] == ["egressips-prod", '["192.168.126.10","192.168.126.102"]']
    assert row.split()[2] == json.dumps([dict(sorted(item.items())) for item in STATUS["items"]], separators=(",", ":"))
    assert json.loads(kubectl("get", "egressips", "-o", "json"))["items"][0]["status"] == STATUS


def test_the_status_is_changed_only_there(cluster, kubectl):
    create(kubectl, EGRESSIP)
    kubectl(
        "patch", "eip", "egressips-prod", "--subresource=status", "--type=merge", "-p", json.dumps({"status": STATUS})
    )
    changed = {"spec": {"egressIPs": ["192.168.126.11"]}, "status": {"items": []}}
    kubectl("patch", "eip", "egressips-prod", "--type=merge", "-p", json.dumps(changed))
    (found,) = json.loads(kubectl("get", "eip", "-o", "json"))["items"]
    assert (found["spec"]["egressIPs"], found["status"]) == (["192.168.126.11"], STATUS)


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        ({"namespaceSelector": {}}, "'egressIPs' is a required property"),
        ({"egressIPs": ["192.0.2.1"]}, "'namespaceSelector' is a required property"),
        ({"egressIPs": "192.0.2.1", "namespaceSelector": {}}, "is not of type 'array'"),
        (
            {"egressIPs": [], "namespaceSelector": {"matchExpressions": [{"key": "a", "operator": "in"}]}},
            "'in' is not one of",
        ),
    ],
)
def test_the_schema_refuses_malformed_objects(cluster, kubectl, spec, words):
    with pytest.raises(AssertionError, match=words):
        create(kubectl, {**EGRESSIP, "spec": spec})


def test_kubectl_pages_watches_and_deletes(cluster, kubectl):
    cluster.store.add([NAMESPACE, *pods(1200)])
    assert len(kubectl("get", "pods", "-o", "name").split()) == 1200
    assert sum("continue=" in path for path in cluster.requests) == 2
    assert kubectl("get", "pods", "--field-selector=spec.nodeName=node2", "-o", "name") == ""
    kubectl("delete", "pod", "web-7", "--wait=false")
    assert "web-7 " not in kubectl("get", "pods")
    shown = kubectl("get", "pods", "--watch-only", "--request-timeout=1s")
    assert shown == ""


def test_kubectl_reads_events_and_versions(cluster, kubectl):
    involved = {"kind": "EgressIP", "apiVersion": "k8s.ovn.org/v1", "name": "web"}
    event = {"apiVersion": "v1", "kind": "Event", "metadata": {"generateName": "web.", "namespace": "default"}}
    cluster.store.create(
        cluster.store.of_kind("v1", "Event"),
        "default",
        {**event, "involvedObject": involved, "reason": "EgressIPMoved", "message": "moved", "type": "Normal"},
    )
    assert "EgressIPMoved" in kubectl("get", "events")
    assert "v1.32" in kubectl("version")
    assert "egressips" in kubectl("api-resources", "--no-headers=true")


def test_the_manifests_for_a_cluster_name_one_user():
    reader, writer = documents_of("rbac.yaml"), documents_of("rbac-status.yaml")
    bindings = [each for each in (*reader, *writer) if each["kind"].endswith("Binding")]
    roles = {(each["kind"], each["metadata"]["name"]) for each in (*reader, *writer) if each["kind"].endswith("Role")}
    assert {(each["roleRef"]["kind"], each["roleRef"]["name"]) for each in bindings} == roles
    account = {"kind": "ServiceAccount", "name": "egress-ip", "namespace": "kube-system"}
    assert all(each["subjects"] == [account] for each in bindings)
    assert {verb for role in reader if "rules" in role for rule in role["rules"] for verb in rule["verbs"]} == {"list"}
