# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Documents, nodes and holders for tests of the planner."""

from __future__ import annotations

LABEL = "k8s.ovn.org/egress-assignable"


def egressip(name, *addresses, **more):
    return {
        "apiVersion": "k8s.ovn.org/v1",
        "kind": "EgressIP",
        "metadata": {"name": name},
        "spec": {"egressIPs": list(addresses), "namespaceSelector": {}},
        **more,
    }


def node(number, **more):
    return {
        "name": f"n{number}",
        "labels": {LABEL: ""},
        "networks": [{"interface": "eth0", "addresses": [f"10.0.0.{200 + number}/24"]}],
        **more,
    }


def fleet(held):
    """Return the fleet, as filters take it, of n1 and n2, which answer; ``held`` as for `current`."""
    observed = {"n1": {}, "n2": {}}
    return {
        "nodes": [node(1), node(2)],
        "current": current(held),
        "unavailable": [],
        "faulty": [],
        "observed": observed,
    }


def holdings(plan):
    """Return {address: node}."""
    return {each.egress_ip: each.node for each in plan.assignments}


def current(held):
    """Return ``current`` of {address: node or nodes}."""
    return [
        {"egressIP": address, "node": one}
        for address, nodes in held.items()
        for one in (nodes if isinstance(nodes, list) else [nodes])
    ]


ZONE = "topology.kubernetes.io/zone"


def spread(name, *addresses, over=ZONE):
    document = egressip(name, *addresses)
    document["metadata"]["annotations"] = {"egress-ip.netops/spread": over}
    return document


def in_zone(number, zone, **more):
    return node(number, labels={LABEL: "", ZONE: zone}, **more)
