# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Changes of objects that need a run, and those that need none."""

from __future__ import annotations

import pytest
from ansible_collections.netops.egress_ip.plugins.module_utils._kubernetes.changes import KnownObjects
from ansible_collections.netops.egress_ip.plugins.module_utils._kubernetes.clusters import document_of
from hypothesis import given
from hypothesis import strategies as st

PODS, NAMES, OBJECTS, NODES = "/api/v1/pods", "/api/v1/namespaces", "/apis/k8s.ovn.org/v1/egressips", "/api/v1/nodes"


def pod(name="web-1", place="shop", address="10.0.0.1", phase="Running", node="node1", **labels):
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"namespace": place, "name": name, "labels": labels or {"app": "web"}},
        "spec": {"nodeName": node},
        "status": {"phase": phase, "podIPs": [{"ip": address}] if address else []},
    }


def namespace(name, **labels):
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": labels}}


def egressip(status=None, **labels):
    spec = {"egressIPs": ["192.0.2.1"], "podSelector": {"matchLabels": {"app": "web"}}}
    spec["namespaceSelector"] = {"matchLabels": labels or {"env": "prod"}}
    made = {"apiVersion": "k8s.ovn.org/v1", "kind": "EgressIP", "metadata": {"name": "web"}, "spec": spec}
    return {**made, "status": status} if status else made


def node(**labels):
    return {"apiVersion": "v1", "kind": "Node", "metadata": {"name": "node1", "labels": labels}}


@pytest.fixture
def known():
    """Return objects after the first lists: an EgressIP for `app: web` in namespaces `env: prod`, and one pod."""
    made = KnownObjects()
    # In the worst order.
    lists = {PODS: [pod()], NAMES: [namespace("shop", env="prod"), namespace("other")], OBJECTS: [egressip()]}
    for place, documents in {**lists, NODES: [node()]}.items():
        assert made.replace(place, documents) == []
    return made


# {case: (place, document, whether it is deleted, the objects whose change needs a run)}
CASES = {
    "a new pod": (PODS, pod("web-2", address="10.0.0.2"), False, ["Pod shop/web-2"]),
    "a pod without an address yet": (PODS, pod("web-2", address=""), False, []),
    "a pod that nobody selects": (PODS, pod("api-1", app="api"), False, []),
    "a pod of another namespace": (PODS, pod(place="other"), False, []),
    "a pod of an unknown namespace": (PODS, pod(place="new"), False, []),
    "the same pod": (PODS, pod(), False, []),
    "a label without effect": (PODS, pod(app="web", version="2"), False, []),
    "a label that ends the selection": (PODS, pod(app="api"), False, ["Pod shop/web-1"]),
    "a pod with another address": (PODS, pod(address="10.0.0.9"), False, ["Pod shop/web-1"]),
    "a pod on another node": (PODS, pod(node="node2"), False, ["Pod shop/web-1"]),
    "a finished pod": (PODS, pod(phase="Succeeded"), False, ["Pod shop/web-1"]),
    "a deleted pod": (PODS, pod(), True, ["Pod shop/web-1"]),
    "a deleted pod that is not known": (PODS, pod("gone"), True, []),
    "a malformed pod": (PODS, pod("web-2", address="10.0.0"), False, []),
    "no object": (PODS, ["pod"], False, []),
    "a namespace that is selected": (NAMES, namespace("other", env="prod"), False, ["Namespace other"]),
    "a namespace that is no longer selected": (NAMES, namespace("shop"), False, ["Namespace shop"]),
    "a namespace that nobody selects": (NAMES, namespace("other", env="test"), False, []),
    "a deleted namespace": (NAMES, namespace("shop", env="prod"), True, ["Namespace shop"]),
    "the status of an EgressIP": (OBJECTS, egressip({"items": [{"node": "node1"}]}), False, []),
    "the selector of an EgressIP": (OBJECTS, egressip(env="test"), False, ["EgressIP web"]),
    "a deleted EgressIP": (OBJECTS, egressip(), True, ["EgressIP web"]),
    "a broken EgressIP": (OBJECTS, {**egressip(), "spec": 5}, False, ["EgressIP web"]),
    "the labels of a node": (NODES, node(zone="a"), False, ["Node node1"]),
    "the heartbeat of a node": (NODES, node(), False, []),
}


@pytest.mark.parametrize("case", CASES)
def test_one_change(known, case):
    place, document, is_deleted, expected = CASES[case]
    assert known.change(place, document, is_deleted) == expected
    # The same again is no change.
    assert known.change(place, document, is_deleted) == []


def test_a_new_list_has_the_difference_only(known):
    assert known.replace(PODS, [pod(), pod("web-2", address="10.0.0.2"), pod("x", app="api")]) == ["Pod shop/web-2"]
    assert known.replace(PODS, [pod("web-2", address="10.0.0.2")]) == ["Pod shop/web-1"]
    assert known.replace(PODS, [pod("web-2", address="10.0.0.2")]) == []


def test_the_first_pod_after_an_empty_list_is_a_change():
    made = KnownObjects()
    for place, documents in ((NAMES, [namespace("shop", env="prod")]), (OBJECTS, [egressip()]), (PODS, [])):
        assert made.replace(place, documents) == []
    assert made.change(PODS, pod(), is_deleted=False) == ["Pod shop/web-1"]


def test_lists_of_different_places_do_not_replace_each_other():
    made = KnownObjects()
    for place, document in ((NAMES, namespace("shop", env="prod")), (OBJECTS, egressip())):
        made.replace(place, [document])
    first, second = "/api/v1/namespaces/shop/pods", "/api/v1/namespaces/x/pods"
    made.replace(first, [pod()])
    made.replace(second, [])
    assert made.replace(second, []) == []
    assert made.change(first, pod(), is_deleted=True) == ["Pod shop/web-1"]


def test_an_egressip_whose_selector_changes_selects_other_pods(known):
    known.change(OBJECTS, egressip(env="test"), is_deleted=False)
    assert known.change(PODS, pod("web-2"), is_deleted=False) == []
    known.change(NAMES, namespace("shop", env="test"), is_deleted=False)
    assert known.change(PODS, pod("web-3"), is_deleted=False) == ["Pod shop/web-3"]


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.sampled_from(["", "x", "web", "10.0.0.1"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["name", "labels", "x"]), inner),
    max_leaves=8,
)
METADATA = JSON | st.fixed_dictionaries(
    {"name": st.just("web") | JSON},
    optional={"namespace": JSON, "labels": JSON, "annotations": JSON},
)
SPEC = JSON | st.fixed_dictionaries(
    {}, optional=dict.fromkeys(("nodeName", "egressIPs", "namespaceSelector", "podSelector", "hostNetwork"), JSON)
)
STATUS = JSON | st.fixed_dictionaries({}, optional=dict.fromkeys(("podIPs", "podIP", "phase", "addresses"), JSON))
ITEMS = JSON | st.fixed_dictionaries({}, optional={"metadata": METADATA, "spec": SPEC, "status": STATUS, "kind": JSON})


@given(st.lists(st.tuples(st.sampled_from([PODS, NAMES, OBJECTS, NODES]), ITEMS, st.booleans(), st.booleans())))
def test_whatever_a_server_sends_is_no_traceback(changes):
    kinds = {PODS: "Pod", NAMES: "Namespace", OBJECTS: "EgressIP", NODES: "Node"}
    made = KnownObjects()
    for place, item, is_deleted, is_list in changes:
        document = document_of(item, kinds[place], "prod" if is_deleted else "")
        found = made.replace(place, [document]) if is_list else made.change(place, document, is_deleted)
        assert all(isinstance(name, str) for name in found)
