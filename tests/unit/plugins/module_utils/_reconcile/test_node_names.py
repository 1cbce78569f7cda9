# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The hosts of nodes that documents name differently."""

from __future__ import annotations

import pytest
from ansible_collections.netops.egress_ip.plugins.module_utils._kubernetes.manifests import read_manifests
from ansible_collections.netops.egress_ip.plugins.module_utils._reconcile.node_names import with_host_names

LABEL = {"k8s.ovn.org/egress-assignable": ""}
ALL = {
    "apiVersion": "k8s.ovn.org/v1",
    "kind": "EgressIP",
    "metadata": {"name": "web"},
    "spec": {"egressIPs": ["10.0.0.50"], "namespaceSelector": {}},
}


def host(name, address=None, *own):
    return {"name": name, "address": address, "observed": {"addresses": list(own)}}


def node(name, *addresses, labelled=True):
    """A Node document; ``addresses`` are of type Hostname or, if they begin with a digit, InternalIP."""
    entries = [{"type": "InternalIP" if text[0].isdigit() else "Hostname", "address": text} for text in addresses]
    metadata = {"name": name, "labels": LABEL if labelled else {}}
    return {"apiVersion": "v1", "kind": "Node", "metadata": metadata, "status": {"addresses": entries}}


def pod(node_name):
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "p", "namespace": "x"},
        "spec": {"nodeName": node_name},
        "status": {"podIPs": [{"ip": "10.88.0.2"}]},
    }


def read(*documents):
    return read_manifests([{"source": f"m[{n}]", "document": each} for n, each in enumerate(documents)])


FQDN = "n1.example.com"
MATCHES = [
    ("its name", node("n1"), [host("n1"), host("n2")]),
    ("the short name", node(FQDN), [host("n1"), host("n2")]),
    ("the FQDN in the inventory", node("n1"), [host(FQDN), host("n2")]),
    ("ansible_host is its name", node(FQDN), [host("a", FQDN), host("n1")]),
    ("ansible_host is an internal address", node("x", "10.0.0.1"), [host("a", "10.0.0.1"), host("b", "10.0.0.2")]),
    ("ansible_host is a host name", node("x", "n1.lan"), [host("a", "n1.lan"), host("b")]),
    ("a host name of it", node("x", "a"), [host("a"), host("b")]),
    ("an address of the host", node("x", "10.0.0.1"), [host("a", "jump", "10.0.0.1"), host("b", None, "10.0.0.2")]),
    ("an IPv6 address in another spelling", node("x", "2001:DB8::0:1"), [host("a", None, "2001:db8::1"), host("b")]),
]


@pytest.mark.parametrize(("document", "hosts"), [case[1:] for case in MATCHES], ids=[case[0] for case in MATCHES])
def test_a_node_and_its_pods_are_those_of_the_host(document, hosts):
    manifests, notes = with_host_names(read(ALL, document, pod(document["metadata"]["name"])), hosts)
    assert [each.name for each in manifests.nodes] == [hosts[0]["name"]]
    assert [each.node for each in manifests.pods] == [hosts[0]["name"]]
    assert notes == ()


def test_a_pod_without_a_node_document_is_matched_by_name():
    manifests, notes = with_host_names(read(ALL, pod(FQDN)), [host("n1")])
    assert ([each.node for each in manifests.pods], notes) == (["n1"], ())


@pytest.mark.parametrize(
    ("documents", "hosts", "note"),
    [
        (
            [node(FQDN)],
            [host("n1.lan"), host("n1.dmz")],
            "node/n1.example.com: may be n1.dmz or n1.lan; its labels and pods are ignored",
        ),
        (
            [node("n1.a"), node("n1")],
            [host("n1")],
            "node/n1.a: may be n1 or the host of node/n1; its labels and pods are ignored",
        ),
        (
            [node("z"), node("y"), node("other", labelled=False)],
            [host("n1")],
            "Node documents with the label of egress nodes match no host: y, z",
        ),
    ],
)
def test_what_is_ambiguous_or_unknown_is_a_note(documents, hosts, note):
    manifests = read(*documents)
    named, notes = with_host_names(manifests, hosts)
    assert (named.nodes, named.pods, notes) == (manifests.nodes, manifests.pods, (note,))


def test_nodes_and_pods_of_others_are_no_note():
    documents = [node(name, labelled=False) for name in ("y", "z")]
    assert with_host_names(read(*documents, pod("z")), [host("n1")])[1] == ()


def test_addresses_are_no_short_names():
    """10.0.0.1 and 10.0.0.2 have the same first label."""
    assert with_host_names(read(node("10.0.0.1")), [host("10.0.0.2")])[1] != ()
