# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""kubectl reads the test API server as it reads a real one, with the CRD of docs/kubernetes/."""

from __future__ import annotations

import contextlib
import itertools
import json
import ssl
from urllib.parse import urlencode
from urllib.request import Request, urlopen

import pytest
from api_server import ADMIN
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
    # The server ends the watch after a second.
    cluster.fault("watch=", lambda handler: handler.query.update(timeoutSeconds="1"))
    assert kubectl("get", "pods", "--watch-only") == ""


@contextlib.contextmanager
def watched(cluster, **query):
    """Watch the pods by a plain client; yield an iterator of (type, object)."""
    words = urlencode({"watch": 1, "timeoutSeconds": 60, **query})
    request = Request(f"{cluster.url}/api/v1/pods?{words}", headers={"Authorization": f"Bearer {ADMIN}"})
    with urlopen(request, context=ssl.create_default_context(cafile=str(cluster.ca)), timeout=60) as answer:
        yield ((event["type"], event["object"]) for event in map(json.loads, answer))


def test_a_watch_has_all_changes_after_a_version_and_bookmarks(cluster):
    (first, second) = pods(2)
    cluster.store.add([first])
    version = cluster.store.version
    cluster.bookmark_seconds = 0.1
    cluster.store.add([second, NAMESPACE])
    with watched(cluster, resourceVersion=version, allowWatchBookmarks="true") as events:
        kind, found = next(events)
        assert (kind, found["metadata"]["name"]) == ("ADDED", "web-1")
        kind, found = next(events)
        # The version of a change that the watch does not show.
        assert (kind, found["metadata"]) == ("BOOKMARK", {"resourceVersion": str(cluster.store.version)})
        cluster.store.add([{**first, "status": {"phase": "Failed"}}])
        cluster.store.delete(cluster.store.of_kind("v1", "Pod"), "default", "web-1")
        changes = (event for event in events if event[0] != "BOOKMARK")
        assert [(kind, found["metadata"]["name"]) for kind, found in itertools.islice(changes, 2)] == [
            ("MODIFIED", "web-0"),
            ("DELETED", "web-1"),
        ]


def test_a_watch_from_a_forgotten_version_ends_with_gone(cluster):
    cluster.store.add(pods(2))
    version = cluster.store.version
    cluster.store.add(pods(3))
    cluster.store.compact()
    with watched(cluster, resourceVersion=version) as events:
        ((kind, found),) = events
    assert (kind, found["code"], found["reason"]) == ("ERROR", 410, "Expired")


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
