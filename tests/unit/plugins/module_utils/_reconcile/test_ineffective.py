# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Silent mistakes: settings without effect, pods with one address."""

from __future__ import annotations

import pytest
from ansible_collections.netops.egress_ip.plugins.module_utils._kubernetes.objects import Pod, read_egressip
from ansible_collections.netops.egress_ip.plugins.module_utils._reconcile.ineffective import ineffective

NODES = [{"labels": {"zone": "a"}}, {"labels": {}}]
PATH = "egressip/web: metadata.annotations['{}']: {}"


def egressip(annotations, *addresses):
    metadata = {"name": "web", "annotations": annotations}
    spec = {"egressIPs": list(addresses or ["10.0.0.1"]), "namespaceSelector": {}}
    return read_egressip({"apiVersion": "k8s.ovn.org/v1", "kind": "EgressIP", "metadata": metadata, "spec": spec})


CASES = [
    ("egress-ip.netops/spread", "rack", "has no effect; no node has the label rack"),
    ("egress-ip.netops/spread", "zone", None),
    (
        "egress-ip.netops/destinations",
        "2001:db8::/32,10.1.0.0/16",
        "2001:db8::/32 has no effect; the object has no IPv6 address",
    ),
    (
        "egress-ip.netops/excluded-destinations",
        "2001:db8::/32",
        "2001:db8::/32 has no effect; the object has no IPv6 address",
    ),
    ("egress-ip.netops/destinations", "10.1.0.0/16", None),
    ("egress-ip.netop/weight", "5", "has no effect; did you mean egress-ip.netops/weight?"),
    ("egressip.netops/pool", "x", "has no effect; did you mean egress-ip.netops/pool?"),
    ("k8s.ovn.org/egressip-mark", "5", None),
    ("kubectl.kubernetes.io/last-applied-configuration", "{}", None),
    ("team", "web", None),
]


@pytest.mark.parametrize(("key", "value", "text"), CASES)
def test_a_setting_without_effect_has_a_line(key, value, text):
    assert ineffective([egressip({key: value})], NODES, ()) == (() if text is None else (PATH.format(key, text),))


def test_destinations_of_both_versions_are_right_for_an_object_of_both():
    annotations = {"egress-ip.netops/destinations": "2001:db8::/32,10.1.0.0/16"}
    assert ineffective([egressip(annotations, "10.0.0.1", "2001:db8::1")], NODES, ()) == ()


def test_an_object_with_errors_has_no_further_line():
    broken = egressip({"egress-ip.netops/spread": "rack", "egress-ip.netops/weight": "x"})
    assert ineffective([broken], NODES, ()) == ()


def test_running_pods_with_one_address_on_a_node():
    pods = [
        Pod("x", "a", {}, "node1", ("10.88.0.2",)),
        Pod("x", "b", {}, "node1", ("10.88.0.2", "10.88.0.3")),
        Pod("x", "elsewhere", {}, "node2", ("10.88.0.2",)),
        Pod("x", "ended", {}, "node1", ("10.88.0.3",), phase="Succeeded"),
    ]
    assert ineffective((), NODES, pods) == ("pod/x/a and pod/x/b on node1 have the same address 10.88.0.2",)
