# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is read from documents, and the pods that they select.

golden/manifests/CASE holds documents.yml and manifests.yml, golden/select_pods/CASE documents.yml and selected.yml.
"""

from __future__ import annotations

import copy
import random

import pytest
from ansible_collections.netops.egress_ip.plugins.filter.select_pods import FilterModule
from ansible_collections.netops.egress_ip.plugins.module_utils._kubernetes.manifests import (
    Manifests,
    read_manifests,
    select_pods,
)

SELECT_PODS = FilterModule().filters()["select_pods"]


def read(documents):
    """Read parsed documents as those of one file."""
    return read_manifests(
        [{"source": f"documents.yml[{index}]", "document": document} for index, document in enumerate(documents)]
    )


@pytest.mark.golden("manifests")
def test_read_manifests(golden):
    before = copy.deepcopy(golden["documents"])
    golden.check("manifests.yml", read(golden["documents"]).to_dict())
    assert golden["documents"] == before


@pytest.mark.golden("manifests")
def test_sound_documents_are_read_again_unchanged(golden):
    manifests = read(golden["documents"])
    assert [egressip.document for egressip in manifests.egressips] == manifests.to_dict()["egressips"]
    assert Manifests.from_dict(manifests.to_dict()) == manifests
    again = read([document for kind in ("namespaces", "pods", "nodes") for document in manifests.to_dict()[kind]])
    assert (again.namespaces, again.pods, again.nodes) == (manifests.namespaces, manifests.pods, manifests.nodes)
    assert not again.invalid


@pytest.mark.golden("select_pods")
def test_select_pods(golden):
    manifests = read(golden["documents"])
    selected = select_pods(manifests.egressips, manifests.pods, manifests.namespaces)
    assert [each.to_dict() for each in selected] == golden["selected"][0]


@pytest.mark.golden("select_pods")
def test_select_pods_whatever_the_order(golden):
    shuffled = list(golden["documents"])
    random.Random(1).shuffle(shuffled)
    manifests = read(shuffled)
    selected = select_pods(manifests.egressips, manifests.pods, manifests.namespaces)
    assert [each.to_dict() for each in selected] == golden["selected"][0]


def test_keys_and_integers_of_any_kind_have_an_error_with_a_path():
    labels = {("a", "b"): "c", 5: 16**5000}
    manifests = read([{"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "a", "labels": labels}}])
    egressip = {"apiVersion": "k8s.ovn.org/v1", "kind": "EgressIP", "metadata": {"name": "a"}, ("x",): 16**5000}
    (broken,) = read([{**egressip, "spec": {"egressIPs": [16**5000], "namespaceSelector": {}}}]).egressips
    assert [error.partition(": ")[0] for error in manifests.invalid[0]["errors"]] == ["pod/default/a"] * 3
    assert broken.errors == (
        "egressip/a: a list: unknown field; a field name must be a string, not a list",
        "egressip/a: spec.egressIPs[0]: must be a string, not a huge integer; put it in quotes",
    )


def test_select_pods_reads_documents_that_nobody_checked():
    egressip = {
        "apiVersion": "k8s.ovn.org/v1",
        "kind": "EgressIP",
        "metadata": {"name": "all"},
        "spec": {"egressIPs": ["192.168.126.10"], "namespaceSelector": {}},
    }
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "a"},
        "spec": {"nodeName": "node1"},
        "status": {"podIP": "10.88.0.5"},
    }
    broken = [None, {}, "text", {"kind": "Pod", "metadata": {"name": 5}}]
    selected = SELECT_PODS([*broken, egressip, egressip], [*broken, pod, pod], broken)
    assert selected == [
        {"namespace": "default", "pod": "a", "node": "node1", "podIPs": ["10.88.0.5"], "egressips": ["all"]}
    ]
