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
from ansible_collections.netops.egress_ip.plugins.module_utils._kubernetes.manifests import read_manifests, select_pods


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
    again = read([*manifests.namespaces, *manifests.pods, *manifests.nodes])
    assert (again.namespaces, again.pods, again.nodes) == (manifests.namespaces, manifests.pods, manifests.nodes)
    assert not again.invalid


@pytest.mark.golden("select_pods")
def test_select_pods(golden):
    manifests = read(golden["documents"])
    assert select_pods(manifests.egressips, manifests.pods, manifests.namespaces) == golden["selected"][0]


@pytest.mark.golden("select_pods")
def test_select_pods_whatever_the_order(golden):
    shuffled = list(golden["documents"])
    random.Random(1).shuffle(shuffled)
    manifests = read(shuffled)
    assert select_pods(manifests.egressips, manifests.pods, manifests.namespaces) == golden["selected"][0]


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
    selected = select_pods([*broken, egressip, egressip], [*broken, pod, pod], broken)
    assert selected == [
        {"namespace": "default", "pod": "a", "node": "node1", "podIPs": ["10.88.0.5"], "egressips": ["all"]}
    ]
