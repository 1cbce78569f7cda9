# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The changes of a simulation: malformed ones are refused with their paths."""

from __future__ import annotations

import pytest
from ansible.errors import AnsibleFilterError
from simulated_fleet import LABEL, egressip, fleet, node, simulate

REFUSED = [
    (None, "egress_ip_what_if: must be a mapping, not null"),
    (["n1"], "egress_ip_what_if: must be a mapping, not a list"),
    ({"dwon": ["n1"]}, "egress_ip_what_if.dwon: unknown field; did you mean down?"),
    ({"down": "n1"}, "egress_ip_what_if.down: must be a list, not the string 'n1'"),
    ({"down": ["n1", "N2"]}, "egress_ip_what_if.down[1]: there is no node 'N2'; did you mean n2?"),
    ({"drain": [7]}, "egress_ip_what_if.drain[0]: must be a string, not the integer 7; put it in quotes"),
    ({"nodes": ["n1"]}, "egress_ip_what_if.nodes: must be a mapping, not a list"),
    ({"nodes": {"n1": {"label": {}}}}, "egress_ip_what_if.nodes.n1.label: unknown field; did you mean labels?"),
    (
        {"nodes": {"n1": {"labels": "zone"}}},
        "egress_ip_what_if.nodes.n1.labels: must be a mapping, not the string 'zone'",
    ),
    (
        {"nodes": {"n1": {"remove_labels": "zone"}}},
        "egress_ip_what_if.nodes.n1.remove_labels: must be a list, not the string 'zone'",
    ),
    (
        {"nodes": {"n1": {"remove_labels": [LABEL, "k8s.ovn.org/egress-asignable"]}}},
        "egress_ip_what_if.nodes.n1.remove_labels[1]: there is no label of n1 'k8s.ovn.org/egress-asignable'; did you"
        " mean k8s.ovn.org/egress-assignable?",
    ),
    (
        {"nodes": {"n1": {"capacity": -1}}},
        "egress_ip_what_if.nodes.n1.capacity: must be an integer of 0 or more, or left out for no limit, not the"
        " integer -1",
    ),
    (
        {"nodes": {"n9": {"labels": {}}}},
        "egress_ip_what_if.nodes.n9.networks: is missing; there is no node of this name, and a new one needs them",
    ),
    (
        {"nodes": {"n9": {"networks": [{"interface": "eth0", "addresses": ["10.0.0.9"]}]}}},
        "egress_ip_what_if.nodes.n9.networks[0].addresses[0]: '10.0.0.9' has no prefix length; write an address with a"
        " prefix length",
    ),
    (
        {"egressips": {"a": {"egressIPs": ["10.0.0.300"]}}},
        "egress_ip_what_if.egressips.a.egressIPs[0]: '10.0.0.300' is not an IPv4 or IPv6 address",
    ),
    (
        {"egressips": {"a": {"egressIP": []}}},
        "egress_ip_what_if.egressips.a.egressIP: unknown field; did you mean egressIPs?",
    ),
    ({"egressips": {"b": {}}}, "egress_ip_what_if.egressips.b.egressIPs: is missing"),
    (
        {"egressips": {"a": {"annotations": []}}},
        "egress_ip_what_if.egressips.a.annotations: must be a mapping, not a list",
    ),
    (
        {"egressips": {"a": {"annotations": {"egress-ip.netops/pool": "prod"}}}},
        "egress_ip_what_if.egressips.a.annotations['egress-ip.netops/pool']: cannot be simulated; write the addresses"
        " under egressIPs",
    ),
    (
        {"egressips": {"a": {"annotations": {"egress-ip.netops/node-selector": "a b"}}}},
        "egress_ip_what_if.egressips.a.annotations['egress-ip.netops/node-selector'][0]: 'a b' is not a valid"
        " requirement; write key, !key, key=value, key!=value, key in (a,b) or key notin (a,b)",
    ),
    ({"removed_egressips": ["b"]}, "egress_ip_what_if.removed_egressips[0]: there is no EgressIP 'b'"),
    (
        {"removed_egressips": ["a"], "egressips": {"a": {}}},
        "egress_ip_what_if.egressips.a: is among removed_egressips too",
    ),
]


@pytest.mark.parametrize(("changes", "message"), REFUSED)
def test_changes_that_cannot_be_simulated_are_refused_with_their_path(changes, message):
    with pytest.raises(AnsibleFilterError) as caught:
        simulate(changes, [egressip("a", "10.0.0.1")], fleet([node(1), node(2)]))
    assert str(caught.value) == message


def test_every_error_is_named():
    with pytest.raises(AnsibleFilterError) as caught:
        simulate({"down": ["x"], "drain": ["y"]}, [], fleet([node(1)]))
    assert [text.split(":")[0] for text in str(caught.value).split("; ")] == [
        "egress_ip_what_if.down[0]",
        "egress_ip_what_if.drain[0]",
    ]


def test_a_node_that_is_named_twice_is_listed_once():
    answer = simulate({"down": ["n1", "n1"], "drain": ["n2", "n2"]}, [], fleet([node(1), node(2)]))
    assert answer["scenario"] == ["n1 is down", "n2 is drained"]
