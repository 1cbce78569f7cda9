# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The CRD of docs/kubernetes/: its schema accepts every EgressIP that the collection accepts."""

from __future__ import annotations

import re

import crd_schema
import pytest
import yaml
from ansible_collections.netops.egress_ip.plugins.module_utils._kubernetes.objects import ASSIGNABLE, read_egressip
from cluster_manifests import ROOT, documents_of

(CRD,) = documents_of("egressip-crd.yaml")
SCHEMA = CRD["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
FENCE = re.compile(r"^```yaml\n(.*?)^```", re.MULTILINE | re.DOTALL)


def _shown():
    """Return {place: EgressIP} of all examples in documents, the lab and the golden folders."""
    texts = {}
    for path in (*ROOT.glob("*.md"), *ROOT.glob("docs/*.md")):
        for number, text in enumerate(FENCE.findall(path.read_text(encoding="utf-8"))):
            texts[f"{path.name}[{number}]"] = text
    for pattern in ("tests/lab/manifests/**/*.y*ml", "tests/unit/golden/*/*/*.yml"):
        texts |= {str(path.relative_to(ROOT)): path.read_text(encoding="utf-8") for path in ROOT.glob(pattern)}
    found = {}
    for place, text in texts.items():
        try:
            documents = [each for document in yaml.safe_load_all(text) for each in _unrolled(document)]
        except (yaml.YAMLError, ValueError):
            continue
        found |= {f"{place}#{n}": each for n, each in enumerate(documents) if each.get("kind") == "EgressIP"}
    return found


def _unrolled(document):
    listed = document if isinstance(document, list) else [document]
    return [each for each in listed if isinstance(each, dict)]


SHOWN = {place: document for place, document in _shown().items() if not read_egressip(document).errors}


def test_there_are_examples():
    assert len(SHOWN) > 5


@pytest.mark.parametrize("place", SHOWN)
def test_the_schema_accepts_valid_objects(place):
    document = {key: SHOWN[place][key] for key in SHOWN[place] if key != "status"}
    complete = crd_schema.complete(document, SCHEMA)
    assert crd_schema.faults(complete, SCHEMA) == ""
    # Nothing is pruned: the cluster keeps what the collection reads.
    read = read_egressip({**complete, "metadata": document["metadata"]})
    assert (read.errors, read) == ((), read_egressip(document))


def test_the_schema_is_structural():
    assert crd_schema.structural_faults(SCHEMA) == []


def test_the_default_is_that_of_the_collection():
    default = SCHEMA["properties"]["spec"]["properties"]["egressNodeSelector"]["default"]
    assert default == ASSIGNABLE.to_dict()
