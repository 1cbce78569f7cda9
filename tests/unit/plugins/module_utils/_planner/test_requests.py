# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The objects that request an address and the nodes that hold it."""

from __future__ import annotations

from types import MappingProxyType

import pytest
from ansible_collections.netops.egress_ip.plugins.module_utils._planner.requests import (
    claimants,
    read_current,
    read_requests,
)


def egressip(name, *addresses, status=()):
    return {
        "apiVersion": "k8s.ovn.org/v1",
        "kind": "EgressIP",
        "metadata": {"name": name},
        "spec": {"egressIPs": list(addresses), "namespaceSelector": {}},
        "status": {"items": [{"egressIP": address, "node": node} for address, node in status]},
    }


def test_requests_are_in_order_and_addresses_canonical():
    requests = read_requests([egressip("b", "10.0.0.10", "2001:DB8:0::1", "10.0.0.9"), egressip("a", "10.0.0.1")])
    assert [(each.name, each.egress_ips) for each in requests.egressips] == [
        ("a", ("10.0.0.1",)),
        ("b", ("10.0.0.10", "2001:db8::1", "10.0.0.9")),
    ]


def test_of_a_broken_object_what_can_be_read_counts():
    document = egressip("a", "10.0.0.1", "nonsense", 5, status=[("10.0.0.2", "n1"), ("x", "n1"), ("10.0.0.3", 7)])
    (egress_ip,) = read_requests([document]).egressips
    assert (egress_ip.egress_ips, egress_ip.assignments) == (("10.0.0.1",), (("10.0.0.2", "n1"),))
    assert (len(egress_ip.errors), len(egress_ip.notes)) == (2, 2)


def test_current_wins_over_the_status():
    requests = read_requests([egressip("a", "10.0.0.1", "10.0.0.2", status=[("10.0.0.1", "n1"), ("10.0.0.2", "n1")])])
    current = [{"egressIP": "10.0.0.1", "node": "n2"}, {"egressIP": "10.0.0.1", "node": "n1", "name": "a"}]
    assert read_current(current, requests.egressips) == {
        "10.0.0.1": (("n1", "a"), ("n2", None)),
        "10.0.0.2": (("n1", "a"),),
    }


BROKEN = egressip("0", "10.0.0.1", "nonsense")
CLAIMS = [
    ("first by name", [egressip("b", "10.0.0.1"), egressip("a", "10.0.0.1")], [], ["a", "b"]),
    ("named by the holder", [egressip("a", "10.0.0.1"), egressip("b", "10.0.0.1")], [("n1", "b")], ["b", "a"]),
    (
        "in its status",
        [egressip("a", "10.0.0.1"), egressip("b", "10.0.0.1", status=[("10.0.0.1", "n1")])],
        [("n1", None)],
        ["b", "a"],
    ),
    ("broken and holding nothing", [BROKEN, egressip("a", "10.0.0.1")], [], ["a"]),
    ("broken, perhaps the holder", [BROKEN, egressip("a", "10.0.0.1")], [("n1", None)], ["0", "a"]),
    ("broken, another one holds", [BROKEN, egressip("a", "10.0.0.1")], [("n1", "a")], ["a"]),
    ("held by a deleted object", [egressip("b", "10.0.0.1"), egressip("a", "10.0.0.1")], [("n1", "gone")], ["a", "b"]),
]


@pytest.mark.parametrize(
    ("documents", "held", "names"), [case[1:] for case in CLAIMS], ids=[case[0] for case in CLAIMS]
)
def test_who_keeps_an_address(documents, held, names):
    requests = read_requests(documents)
    current = [{"egressIP": "10.0.0.1", "node": node, "name": name} for node, name in held]
    claims = claimants(requests, read_current(current, requests.egressips))
    assert [request.name for request in claims["10.0.0.1"]] == names


def test_current_may_hold_what_a_template_engine_makes_of_texts():
    class Text(str):
        __slots__ = ()

    entry = MappingProxyType({"egressIP": Text("10.0.0.1"), "node": Text("n1"), "name": Text("a")})
    (((address, ((node, name),)),),) = [read_current([entry], ()).items()]
    assert [type(text) for text in (address, node, name)] == [str, str, str]
