# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Fleets for simulations: documents, nodes, and the filter what_if applied to the plan of their next run."""

from __future__ import annotations

from ansible_collections.netops.egress_ip.plugins.filter.what_if import FilterModule as WhatIf
from ansible_collections.netops.egress_ip.plugins.module_utils._planner.assign import assign
from hypothesis import strategies as st

LABEL = "k8s.ovn.org/egress-assignable"
WHAT_IF = WhatIf().filters()["what_if"]


def egressip(name, *addresses):
    spec = {"egressIPs": list(addresses), "namespaceSelector": {}}
    return {"apiVersion": "k8s.ovn.org/v1", "kind": "EgressIP", "metadata": {"name": name}, "spec": spec}


def node(number, **more):
    networks = [{"interface": "eth0", "addresses": [f"10.0.0.{200 + number}/24"]}]
    return {"name": f"n{number}", "labels": {LABEL: ""}, "ready": True, "networks": networks, "capacity": None, **more}


def fleet(nodes, current=()):
    return {"nodes": nodes, "current": list(current), "observed": {each["name"]: {} for each in nodes}}


def simulate(changes, documents, seen, **options):
    """Ask about the fleet as its next run makes it."""
    plan = assign(documents, seen["nodes"], seen["current"]).to_dict()
    return WHAT_IF(plan, documents, seen, changes, **options)


@st.composite
def fleets(draw):
    """Nodes in zones, some of them full or unfit, and objects of several addresses."""
    nodes = [
        node(
            n,
            ready=draw(st.sampled_from((True, True, False))),
            labels=draw(
                st.sampled_from(({LABEL: "", "zone": "a"}, {LABEL: "", "zone": "b"}, {LABEL: ""}, {"zone": "a"}))
            ),
            capacity=draw(st.none() | st.integers(0, 2)),
        )
        for n in range(draw(st.integers(1, 4)))
    ]
    tails = iter(range(1, 20))
    objects = [
        egressip(f"e{n}", *(f"10.0.0.{next(tails)}" for _address in range(draw(st.integers(1, 3)))))
        for n in range(draw(st.integers(0, 3)))
    ]
    return objects, nodes
