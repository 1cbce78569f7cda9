# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Inputs of the solver with different weights: random small ones, and larger ones."""

from __future__ import annotations

import random
from collections import Counter

from ansible_collections.netops.egress_ip.plugins.module_utils._solver.model import Address, NodeLoad
from hypothesis import strategies as st


def measure(addresses, nodes, placement):
    """Return what is compared: unassigned addresses, domain overlap, squares, moves."""
    loads = [node.load for node in nodes]
    overlap, seen = 0, Counter()
    for address, node in zip(addresses, placement, strict=True):
        if node is not None:
            loads[node] += address.weight
            if address.domains:
                overlap += seen[address.owner, address.domains[node]]
                seen[address.owner, address.domains[node]] += 1
    moves = sum(
        address.held and node not in address.current for address, node in zip(addresses, placement, strict=True)
    )
    return list(placement).count(None), overlap, sum(load * load for load in loads), moves


@st.composite
def worlds(draw, addresses=6, nodes=4):
    """Small worlds with limits on all and on families, several holders, owners of a weight each, some spread."""
    count = draw(st.integers(1, nodes))
    limits = st.none() | st.integers(0, 3)
    listed = [NodeLoad(draw(st.integers(0, 5)), draw(limits), (draw(limits), draw(limits))) for _index in range(count)]
    numbers = st.integers(0, count - 1)
    domains = [draw(st.sampled_from(((), tuple(draw(numbers) for _node in listed)))) for _owner in range(addresses)]
    weights = [draw(st.integers(1, 9)) for _owner in range(addresses)]
    found = []
    for _index in range(draw(st.integers(1, addresses))):
        possible = draw(st.sets(numbers, min_size=1))
        current = draw(st.frozensets(st.sampled_from(sorted(possible)), max_size=2))
        held = bool(current) or draw(st.booleans())
        owner, family = draw(st.integers(0, addresses - 1)), draw(st.sampled_from((4, 4, 6)))
        rest = {"domains": domains[owner], "weight": weights[owner]}
        found.append(Address(owner, family, tuple(sorted(possible)), current, held, **rest))
    return found, listed


def as_it_is(addresses, placement):
    return [
        address._replace(current=frozenset(() if node is None else (node,)), held=node is not None)
        for address, node in zip(addresses, placement, strict=True)
    ]


def large_world(seed, count=60, nodes=8):
    """Addresses of all rules at once, too many for an exhaustive search."""
    chance = random.Random(seed)
    listed = [
        NodeLoad(chance.randint(0, 9), chance.choice((None, 9)), (None, chance.choice((None, 3))))
        for _node in range(nodes)
    ]
    kinds = [tuple(range(nodes)), tuple(range(0, nodes, 2)), tuple(range(nodes // 2, nodes))]
    zones = tuple(number % 3 for number in range(nodes))
    found, owner = [], 0
    while len(found) < count:
        kind, weight, domains = (
            chance.choice(kinds),
            chance.choice((1, 1, chance.randint(1, 100))),
            chance.choice(((), zones)),
        )
        for _index in range(chance.randint(1, 3)):
            current = frozenset(chance.sample(kind, chance.randint(0, 1)))
            family = chance.choice((4, 4, 6))
            found.append(Address(owner, family, kind, current, bool(current), domains, weight=weight))
        owner += 1
    return found, listed
