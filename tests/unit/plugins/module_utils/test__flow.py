# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The cheapest flow against all flows of small nets."""

from __future__ import annotations

import itertools

from ansible_collections.netops.egress_ip.plugins.module_utils._flow import Gate, cheapest_flow
from hypothesis import given
from hypothesis import strategies as st


def cost_of(gates, routes, entered):
    """Return what a choice of gates costs, or None when a gate would be over its capacity."""
    passed = [0] * len(gates)
    for entry in entered:
        gate = entry
        while gate is not None:
            passed[gate] += 1
            gate = gates[gate].parent
    if any(gate.capacity is not None and count > gate.capacity for gate, count in zip(gates, passed, strict=True)):
        return None
    total = sum(routes[item][gate] for item, gate in enumerate(entered))
    for gate, count in zip(gates, passed, strict=True):
        if gate.parent is None:
            total += gate.weight * sum(2 * (gate.load + k) + 1 for k in range(count))
    return total


@st.composite
def nets(draw):
    """Up to three last gates, up to three before them, and items that enter at any of them or at the open one."""
    costs = st.integers(0, 12)
    capacities = st.none() | st.integers(0, 3)
    gates = [Gate()]
    for _index in range(draw(st.integers(1, 3))):
        gates.append(Gate(draw(capacities), None, draw(st.integers(0, 2)), draw(st.integers(0, 3))))
    last = len(gates)
    for _index in range(draw(st.integers(0, 3))):
        gates.append(Gate(draw(capacities), draw(st.integers(1, last - 1))))
    routes = []
    for _index in range(draw(st.integers(0, 5))):
        entries = draw(st.sets(st.integers(1, len(gates) - 1), max_size=3))
        routes.append({0: draw(st.integers(10, 40)), **{gate: draw(costs) for gate in sorted(entries)}})
    return gates, routes


@given(nets())
def test_no_flow_is_cheaper(net):
    gates, routes = net
    every = (cost_of(gates, routes, entered) for entered in itertools.product(*routes))
    least = min(cost for cost in every if cost is not None)
    assert cost_of(gates, routes, cheapest_flow(gates, routes)) == least
