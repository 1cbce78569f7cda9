# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Inputs of the solver: random small ones with a brute force over all placements, and larger ones."""

from __future__ import annotations

import itertools
import random
from collections import Counter

from ansible_collections.netops.egress_ip.plugins.module_utils._solver.model import (
    BALANCED,
    STICKY,
    Address,
    NodeLoad,
)
from hypothesis import strategies as st


def keeps_the_rules(addresses, nodes, placement):
    """Return whether a placement is allowed; written independently of the code under test."""
    pairs = [(address, node) for address, node in zip(addresses, placement, strict=True) if node is not None]
    if any(node not in address.nodes for address, node in pairs):
        return False
    if any(count > 1 for count in Counter((address.owner, node) for address, node in pairs).values()):
        return False
    loads = Counter(node for _address, node in pairs)
    of_family = Counter((node, address.family) for address, node in pairs)
    return all(
        (node.free is None or loads[n] <= node.free)
        and all(
            limit is None or of_family[n, family] <= limit
            for family, limit in zip((4, 6), node.free_by_family, strict=True)
        )
        for n, node in enumerate(nodes)
    )


def measure(addresses, nodes, placement):
    """Return what is compared: unassigned addresses, domain overlap, squares, moves, order by name."""
    loads = Counter(placement)
    pairs = [
        (address, node)
        for address, node in zip(addresses, placement, strict=True)
        if address.domains and node is not None
    ]
    domains = Counter((address.owner, address.domains[node]) for address, node in pairs)
    return (
        loads[None],
        sum(count * (count - 1) // 2 for count in domains.values()),
        sum((node.load + loads[n]) ** 2 for n, node in enumerate(nodes)),
        sum(address.held and node not in address.current for address, node in zip(addresses, placement, strict=True)),
        [(node is None, node not in address.current, node) for address, node in zip(addresses, placement, strict=True)],
    )


def brute_force(addresses, nodes, policy, max_moves):
    """Return the best placement of all."""
    every = itertools.product(*[(*address.nodes, None) for address in addresses])
    allowed = [(measure(addresses, nodes, each), each) for each in every if keeps_the_rules(addresses, nodes, each)]
    most = min(measured[:2] for measured, _each in allowed)
    allowed = [pair for pair in allowed if pair[0][:2] == most]
    if policy == STICKY:
        return min(allowed, key=lambda pair: (pair[0][3], pair[0][2], pair[0][4]))[1]
    fewest = min(measured[3] for measured, _each in allowed)
    cap = len(addresses) if max_moves is None else fewest + max_moves
    return min(pair for pair in allowed if pair[0][3] <= cap)[1]


@st.composite
def worlds(draw):
    """Small worlds: up to six addresses, up to four nodes, limits on all and on families, several holders."""
    count = draw(st.integers(1, 4))
    limits = st.none() | st.integers(0, 3)
    nodes = [NodeLoad(draw(st.integers(0, 2)), draw(limits), (draw(limits), draw(limits))) for _index in range(count)]
    numbers = st.integers(0, count - 1)
    addresses = []
    for _index in range(draw(st.integers(0, 6))):
        possible = draw(st.sets(numbers, min_size=1))
        current = draw(st.frozensets(st.sampled_from(sorted(possible)), max_size=2))
        held = bool(current) or draw(st.booleans())
        owner, family = draw(st.integers(0, 3)), draw(st.sampled_from((4, 4, 6)))
        addresses.append(Address(owner, family, tuple(sorted(possible)), current, held))
    return addresses, nodes


@st.composite
def spread_worlds(draw):
    """The same with some owners spread over domains; in half of them an owner's addresses have the same nodes."""
    addresses, nodes = draw(worlds())
    labels = draw(st.lists(st.tuples(*[st.integers(0, 2) for _node in nodes]), min_size=1, max_size=2))
    domains = {owner: draw(st.sampled_from(((), *labels, *labels))) for owner in range(4)}
    first = {address.owner: address.nodes for address in reversed(addresses)} if draw(st.booleans()) else {}
    return [
        address._replace(domains=domains[address.owner], nodes=own, current=address.current.intersection(own))
        for address in addresses
        for own in [first.get(address.owner, address.nodes)]
    ], nodes


POLICIES = st.tuples(st.sampled_from((BALANCED, STICKY)), st.none() | st.integers(0, 3))


def held(*nodes, by, owner=0, family=4):
    return Address(owner, family, nodes, frozenset([by]), True)


def large_world(seed, node_count=60, address_count=600):
    """Several kinds of choices, objects of up to four addresses, limits, holders: too large for a brute force."""
    chance = random.Random(seed)
    node_sets = [tuple(sorted(chance.sample(range(node_count), node_count // 4))) for _index in range(5)] + [
        tuple(range(node_count))
    ]
    limited = seed % 2
    nodes = [
        NodeLoad(
            chance.randint(0, 2), chance.choice([None, 9, 12]) if limited else None, (None, chance.choice([None, 5]))
        )
        for _index in range(node_count)
    ]
    addresses, owner = [], 0
    while len(addresses) < address_count:
        node_set, family = chance.choice(node_sets), chance.choice((4, 4, 6))
        for _index in range(chance.randint(1, 4)):
            current_node = chance.choice(node_set) if chance.random() < 0.6 else None
            addresses.append(
                Address(owner, family, node_set, frozenset([current_node]) - {None}, current_node is not None)
            )
        owner += 1
    return addresses, nodes
