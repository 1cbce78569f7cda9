# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""EgressIP documents.

golden/egressip/CASE holds document.yml and errors.yml, or egressip.yml and, if the status has unreadable entries,
notes.yml.
"""

from __future__ import annotations

import copy
import json

import pytest
from ansible_collections.netops.egress_ip.plugins.module_utils._common.errors import InvalidError
from ansible_collections.netops.egress_ip.plugins.module_utils._kubernetes import objects
from ansible_collections.netops.egress_ip.plugins.module_utils._kubernetes.objects import (
    Pod,
    parse_egressip,
    parse_namespace,
    parse_node,
    parse_pod,
)
from hypothesis import given
from hypothesis import strategies as st

PARSERS = [parse_egressip, parse_namespace, parse_pod, parse_node]
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text() | st.dates(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text() | st.integers(), inner),
    max_leaves=5,
)
DOCUMENTS = st.dictionaries(
    st.sampled_from(["apiVersion", "kind", "metadata", "spec", "status"]),
    VALUES
    | st.dictionaries(
        st.sampled_from(
            [
                "name",
                "labels",
                "namespace",
                "egressIPs",
                "namespaceSelector",
                "podSelector",
                "items",
                "podIPs",
                "podCIDRs",
            ]
        ),
        VALUES,
    ),
)


@pytest.mark.parametrize("weight", ["0", "101", "-1", "1.5", "", "ten", 5, None, "\u0663", "1" * 5000])
def test_a_weight_is_a_number_in_quotes(weight):
    metadata = {"name": "web", "annotations": {"egress-ip.netops/weight": weight}}
    document = {"apiVersion": "k8s.ovn.org/v1", "kind": "EgressIP", "metadata": metadata}
    with pytest.raises(InvalidError) as caught:
        parse_egressip({**document, "spec": {"egressIPs": ["10.0.0.1"], "namespaceSelector": {}}})
    (error,) = caught.value.errors
    assert error.startswith("egressip/web: metadata.annotations['egress-ip.netops/weight']: ")


@pytest.mark.golden("egressip")
def test_parse_egressip(golden):
    (document,) = golden["document"]
    before = copy.deepcopy(document)
    if "errors" in golden:
        with pytest.raises(InvalidError) as caught:
            parse_egressip(document, "document.yml[0]")
        golden.check("errors.yml", list(caught.value.errors))
    else:
        egressip = parse_egressip(document, "document.yml[0]")
        golden.check("egressip.yml", egressip.to_dict())
        assert list(egressip.notes) == golden.get("notes", [[]])[0]
        assert parse_egressip(egressip.to_dict()) == egressip
    assert document == before


@pytest.mark.parametrize("parse", PARSERS)
@given(document=DOCUMENTS | VALUES)
def test_no_document_makes_a_traceback(parse, document):
    with pytest.raises(InvalidError) as caught:
        parse(document, "web.yml[2]")
    assert len(set(caught.value.errors)) == len(caught.value.errors)


TEXT = st.sampled_from(["a", "web-1", "Pod", "v1", "", " ", "A b", "\u00e9", "\u201ca\u201d", "x" * 64, "10.0.0.1"])
ODD = TEXT | st.none() | st.booleans() | st.integers() | st.lists(TEXT, max_size=1)


def of(**usual):
    """Return mappings whose values are mostly as usual; of those with the usual keys one may be missing."""
    some = st.fixed_dictionaries({}, optional={key: value | ODD for key, value in usual.items()})
    return st.fixed_dictionaries(usual) | some | ODD


IPS = st.lists(of(ip=st.sampled_from(["10.88.0.2", "fd00::1", "FD00:0::1", "10.88.0.02", "10.0.0.0/8"])), max_size=3)
LABELS = st.dictionaries(TEXT | st.just("app"), TEXT | ODD, max_size=2)
POD_METADATA = of(name=TEXT | st.just("web"), namespace=TEXT, labels=LABELS)
PODS = of(
    apiVersion=st.just("v1"),
    kind=st.just("Pod"),
    metadata=POD_METADATA,
    spec=of(nodeName=TEXT, hostNetwork=st.booleans()) | of(nodeName=TEXT),
    status=of(phase=st.just("Running") | TEXT, podIPs=IPS),
)


def parsed_pod(parse, document):
    try:
        return parse(document, "pod")
    except InvalidError as error:
        return error.errors


@given(document=PODS)
def test_the_usual_form_of_a_pod_is_read_as_any_other_one(document):
    quick = objects.common_pod(document)
    assert quick is None or quick == parsed_pod(objects._any_pod, document)
    assert parsed_pod(parse_pod, document) == parsed_pod(objects._any_pod, document)


def test_a_pod_of_a_cluster_has_the_usual_form():
    status = {"phase": "Running", "podIP": "10.88.0.2", "podIPs": [{"ip": "10.88.0.2"}, {"ip": "FD00::1"}]}
    metadata = {"name": "web-1", "namespace": "shop", "labels": {"app": "web"}, "uid": "1"}
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": {"nodeName": "n1"}, "status": status}
    made = objects.common_pod(pod)
    assert made == Pod("shop", "web-1", {"app": "web"}, "n1", ("10.88.0.2", "fd00::1"), phase="Running")
    assert Pod.of_row(json.loads(json.dumps(made))) == made


def test_errors_without_a_source_name_the_kind():
    with pytest.raises(InvalidError, match="^egressip: apiVersion: is missing"):
        parse_egressip({})
