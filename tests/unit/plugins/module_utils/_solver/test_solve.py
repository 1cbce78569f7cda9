# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The core against a brute force over all placements of small worlds."""

from __future__ import annotations

import itertools
import random
from collections import Counter

import pytest
from ansible_collections.netops.egress_ip.plugins.module_utils._solver.min_cost_flow import minimize_cost
from ansible_collections.netops.egress_ip.plugins.module_utils._solver.model import weights
from ansible_collections.netops.egress_ip.plugins.module_utils._solver.packing import Packing
from ansible_collections.netops.egress_ip.plugins.module_utils._solver.solve import (
    BALANCED,
    STICKY,
    Address,
    Node,
    solve,
)
from hypothesis import example, given, settings
from hypothesis import strategies as st


def keeps_the_rules(addresses, nodes, placement):
    """Tell whether a placement is allowed; written without a look at the code under test."""
    pairs = [(address, node) for address, node in zip(addresses, placement, strict=True) if node is not None]
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
    """Return what is compared: without place, domain overlap, squares, moves, order by name."""
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
    nodes = [Node(draw(st.integers(0, 2)), draw(limits), (draw(limits), draw(limits))) for _index in range(count)]
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


# Two moves in a chain (0 to 1, 1 to 2) are worth making, one alone is not: no price on moves separates them.
CHAIN = (
    [held(0, 1, by=0, owner=n) for n in range(3)] + [held(1, 2, by=1, owner=3), held(1, by=1, owner=4)],
    [Node(), Node(), Node()],
)
# Both families of both objects would like the first node, which limits one of them.
CROSSING = (
    [Address(owner, family, (0, 1)) for owner in (0, 1) for family in (4, 6)],
    [Node(0, None, (1, None)), Node(0, 3, (None, 1))],
)


@settings(max_examples=400)
@example(CHAIN, (BALANCED, 1))
@example(CHAIN, (BALANCED, 2))
@example(CROSSING, (BALANCED, None))
@given(worlds(), POLICIES)
def test_the_placement_is_the_best_of_all(world, how):
    addresses, nodes = world
    policy, max_moves = how
    placement = solve(addresses, nodes, policy, max_moves)
    assert placement.nodes == brute_force(addresses, nodes, policy, max_moves)


# Two zones: one of an owner's addresses has to leave the zone that both are in, though nothing may move for balance.
BROKEN_SPREAD = (
    [held(0, 1, 2, 3, by=0)._replace(domains=(0, 0, 1, 1)), held(0, 1, 2, 3, by=1)._replace(domains=(0, 0, 1, 1))],
    [Node(), Node(), Node(3), Node(3)],
)
# The second address has no node but in the zone of the first, and the first none but where it is: no flow tells.
MEETING = (
    [Address(0, 4, (0, 1), domains=(0, 0, 1)), Address(0, 4, (1, 2), domains=(0, 0, 1))],
    [Node(), Node(), Node(5)],
)


@settings(max_examples=400)
@example(BROKEN_SPREAD, (BALANCED, 0))
@example(BROKEN_SPREAD, (STICKY, None))
@example(MEETING, (BALANCED, None))
@given(spread_worlds(), POLICIES)
def test_spread_comes_before_load_and_moves(world, how):
    addresses, nodes = world
    assert solve(addresses, nodes, *how).nodes == brute_force(addresses, nodes, *how)


def test_what_the_cap_forbids_may_need_more_moves():
    """All places but one can be had for two moves, the last one not at all; so none may move at all."""
    addresses = [held(0, 1, 2, by=0, owner=n)._replace(domains=(0, 1, 2)) for n in (0, 0, 1)]
    nodes = [Node(0, 1), Node(0, 1), Node(0, 0)]
    assert solve(addresses, nodes, BALANCED, 0).nodes == brute_force(addresses, nodes, BALANCED, 0)


@given(spread_worlds(), POLICIES)
def test_the_best_spread_stays(world, how):
    test_the_best_placement_stays.hypothesis.inner_test(world, how)


@given(worlds(), st.integers(0, 3))
def test_moves_for_balance_keep_their_cap(world, max_moves):
    addresses, nodes = world
    placement = solve(addresses, nodes, BALANCED, max_moves)
    fewest = measure(addresses, nodes, brute_force(addresses, nodes, STICKY, None))[3]
    assert placement.for_balance == measure(addresses, nodes, placement.nodes)[3] - fewest <= max_moves


@given(worlds(), POLICIES)
def test_the_best_placement_stays(world, how):
    addresses, nodes = world
    best = solve(addresses, nodes, *how).nodes
    again = [
        address._replace(current=frozenset([node]) - {None}, held=node is not None)
        for address, node in zip(addresses, best, strict=True)
    ]
    assert solve(again, nodes, *how).nodes == best


@pytest.mark.parametrize(("address_count", "node_count", "per_object"), [(50, 10, 5), (300, 3, 1), (300, 3, 3)])
@pytest.mark.parametrize("max_moves", [None, 5])
def test_full_size_worlds_are_flat_and_keep_the_rules(address_count, node_count, per_object, max_moves):
    addresses = [held(*range(node_count), by=n % (node_count - 1), owner=n // per_object) for n in range(address_count)]
    nodes = [Node() for _index in range(node_count)]
    placement = solve(addresses, nodes, BALANCED, max_moves)
    assert keeps_the_rules(addresses, nodes, placement.nodes)
    loads = Counter(placement.nodes)
    if max_moves is None:
        assert max(loads.values()) - min(loads[n] for n in range(node_count)) <= 1
    else:
        assert placement.for_balance <= max_moves


def residual_steps(packing):
    """Yield (point, point, cost) for every step that a packing allows, as a plain flow: no search to be trusted.

    Points: ("node", n), ("arc", n), ("slot", key), ("address", n) and "sink"; the flow goes address, slot, arc, node.
    """
    everywhere = range(packing.unassigned + 1)
    occupied = set(packing.node_of)
    taken = {(address.owner, packing.arc(n, packing.node_of[n])) for n, address in enumerate(packing.addresses)}
    for node in everywhere:
        if node in occupied:
            yield "sink", ("node", node), -packing.last_price(node)
        if not packing.is_full(node):
            yield ("node", node), "sink", packing.next_price(node)
    for arc, limit in packing.arc_limit.items():
        node = ("node", packing.node_of_arc[arc])
        if packing.arc_count[arc] < limit:
            yield ("arc", arc), node, 0
        if packing.arc_count[arc]:
            yield node, ("arc", arc), 0
    for group in packing.groups:
        yield from group_steps(packing, group, taken)
    for number in sorted({*range(len(packing.addresses))} - {*packing.group_of}):
        for node in (*packing.choices[packing.kind[number]], packing.unassigned):
            arc = packing.arc(number, node)
            way_in = ("node", node) if arc == node else ("arc", arc)
            if node != packing.unassigned:
                key = packing.addresses[number].owner, arc
                slot = "slot", key
                yield (way_in, slot, 0) if key in taken else (slot, way_in, 0)
                way_in = slot
            price = packing.price(number, node)
            if packing.node_of[number] == node:
                yield way_in, ("address", number), -price
            else:
                yield ("address", number), way_in, price


def group_steps(packing, group, taken):
    """Yield the residual arcs of one spread group: members to domains, at a cost for each but the first, and to
    slots."""
    first, owner = group.members[0], packing.addresses[group.members[0]].owner
    used = [packing.node_of[one] for one in group.members]
    own, inside = ("group", group.number), Counter(group.domains[node] for node in used if node != packing.unassigned)
    for domain in {group.domains[node] for node in group.nodes}:
        vertex, count = ("domain", group.number, domain), inside[domain] + group.taken.get(domain, 0)
        yield own, vertex, packing.overlap_cost * count
        if inside[domain]:
            yield vertex, own, -packing.overlap_cost * (count - 1)
    for node in (*group.nodes, packing.unassigned):
        arc, price = packing.arc(first, node), packing.price(first, node)
        way_in = ("node", node) if arc == node else ("arc", arc)
        vertex = own
        if node != packing.unassigned:
            slot, vertex = ("slot", (owner, arc)), ("domain", group.number, group.domains[node])
            yield (way_in, slot, 0) if slot[1] in taken else (slot, way_in, 0)
            way_in = slot
        if node in used:
            yield way_in, vertex, -price
        if node not in used or node == packing.unassigned:
            yield vertex, way_in, price


def has_improving_cycle(packing):
    """Tell whether some cycle of steps makes a packing cheaper: the method of Bellman and Ford, round by round."""
    steps = sorted(set(residual_steps(packing)), key=repr)
    cost = {point: 0 for step in steps for point in step[:2]}
    for _round in range(len(cost) + 1):
        changed = False
        for start, end, price in steps:
            if cost[start] + price < cost[end]:
                cost[end] = cost[start] + price
                changed = True
        if not changed:
            return False
    return True


def minimized(addresses, nodes, policy=BALANCED):
    """Return the packing that the planner takes for cheapest."""
    packing = Packing(addresses, nodes, *weights(addresses, nodes, policy))
    minimize_cost(packing)
    return packing


@settings(max_examples=300)
@given(worlds(), st.sampled_from((BALANCED, STICKY)))
def test_certificate_of_small_worlds(world, policy):
    assert not has_improving_cycle(minimized(*world, policy))


@settings(max_examples=300)
@given(spread_worlds(), st.sampled_from((BALANCED, STICKY)))
def test_certificate_of_small_worlds_with_spread(world, policy):
    assert not has_improving_cycle(minimized(*world, policy))


@given(worlds())
def test_the_certificate_sees_what_could_be_better(world):
    packing = Packing(*world, *weights(*world, BALANCED))
    for address in range(len(world[0])):
        packing.enter(address, packing.unassigned)
    before = [n for n, address in enumerate(world[0]) if any(packing.fits(n, node) for node in address.nodes)]
    assert has_improving_cycle(packing) or not before


def large_world(seed, node_count=60, address_count=600):
    """Several kinds of choices, objects of up to four addresses, limits, holders: too large for a brute force."""
    chance = random.Random(seed)
    node_sets = [tuple(sorted(chance.sample(range(node_count), node_count // 4))) for _index in range(5)] + [
        tuple(range(node_count))
    ]
    limited = seed % 2
    nodes = [
        Node(chance.randint(0, 2), chance.choice([None, 9, 12]) if limited else None, (None, chance.choice([None, 5])))
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


@pytest.mark.parametrize("policy", [BALANCED, STICKY])
@pytest.mark.parametrize("seed", range(4))
def test_certificate_of_large_worlds(seed, policy):
    addresses, nodes = large_world(seed)
    packing = minimized(addresses, nodes, policy)
    placed = tuple(None if node == packing.unassigned else node for node in packing.node_of)
    assert keeps_the_rules(addresses, nodes, placed)
    assert not has_improving_cycle(packing)
    # The order by name changes neither of the objective.
    assert measure(addresses, nodes, solve(addresses, nodes, policy).nodes)[:4] == measure(addresses, nodes, placed)[:4]


def spread_over_zones(addresses, node_count, share):
    """The same addresses, those of some owners spread over three zones."""
    domains = tuple(node % 3 for node in range(node_count))
    return [address._replace(domains=domains) if address.owner % share == 0 else address for address in addresses]


@pytest.mark.parametrize("policy", [BALANCED, STICKY])
@pytest.mark.parametrize("share", [1, 3])
@pytest.mark.parametrize("seed", range(3))
def test_certificate_of_large_worlds_with_spread(seed, share, policy):
    addresses, nodes = large_world(seed)
    addresses = spread_over_zones(addresses, len(nodes), share)
    packing = minimized(addresses, nodes, policy)
    assert keeps_the_rules(addresses, nodes, packing.placement())
    assert not has_improving_cycle(packing)
    best = solve(addresses, nodes, policy).nodes
    assert keeps_the_rules(addresses, nodes, best)
    assert measure(addresses, nodes, best)[:2] >= measure(addresses, nodes, packing.placement())[:2]


@pytest.mark.parametrize("move", [1, 2])
@pytest.mark.parametrize("seed", range(3))
def test_certificate_of_a_cap_on_large_worlds(seed, move):
    """What costs least when a move costs so many squares is the flattest for its number of moves, so a cap finds it."""
    addresses, nodes = large_world(seed)
    packing = Packing(addresses, nodes, 1, move)
    minimize_cost(packing)
    assert not has_improving_cycle(packing)
    missing, overlap, squares, moves = measure(addresses, nodes, packing.placement())[:4]
    cap = moves - measure(addresses, nodes, solve(addresses, nodes, STICKY).nodes)[3]
    capped = solve(addresses, nodes, BALANCED, cap)
    assert keeps_the_rules(addresses, nodes, capped.nodes)
    assert measure(addresses, nodes, capped.nodes)[:3] == (missing, overlap, squares)
    assert capped.for_balance <= cap


def test_certificate_of_a_larger_world():
    addresses, nodes = large_world(1, node_count=150, address_count=1500)
    packing = minimized(addresses, nodes)
    assert not has_improving_cycle(packing)
    assert (
        measure(addresses, nodes, solve(addresses, nodes).nodes)[:4]
        == measure(addresses, nodes, packing.placement())[:4]
    )


LIMITS = st.none() | st.integers(0, 3)
NEW_NODES = st.builds(Node, st.integers(0, 3), LIMITS, st.tuples(LIMITS, LIMITS))


@settings(max_examples=300)
@given(worlds(), NEW_NODES)
def test_a_node_that_joins_takes_no_more_than_its_share(world, node):
    """Unless the node where an address was is full now, or has another one of its owner."""
    addresses, nodes = world
    before, new = solve(addresses, nodes).nodes, len(nodes)
    joined = [
        Address(address.owner, address.family, (*address.nodes, new), frozenset([was]) - {None}, was is not None)
        for address, was in zip(addresses, before, strict=True)
    ]
    nodes = [*nodes, node]
    after = solve(joined, nodes).nodes
    loads = [node.load + after.count(number) for number, node in enumerate(nodes)]
    for number, (was, now) in enumerate(zip(before, after, strict=True)):
        back = tuple(was if n == number else other for n, other in enumerate(after))
        if now == new and was is not None and keeps_the_rules(joined, nodes, back):
            assert loads[new] <= loads[was] + 1


def tight_world(seed, node_count=8, objects=12):
    """Objects of both families and nodes that limit both: what a flow cannot tell."""
    chance = random.Random(seed)
    nodes = [
        Node(0, chance.choice([None, 8]), (chance.randint(3, 4), chance.randint(3, 4))) for _index in range(node_count)
    ]
    addresses = []
    for owner in range(objects):
        for family in (4, 4, 6, 6):
            possible = tuple(sorted(chance.sample(range(node_count), chance.randint(node_count // 2, node_count))))
            current = frozenset([chance.choice(possible)] if chance.random() < 0.5 else [])
            addresses.append(Address(owner, family, possible, current, bool(current)))
    return addresses, nodes


@pytest.mark.parametrize("max_moves", [None, 3])
@pytest.mark.parametrize("seed", range(6))
def test_crossing_families_find_an_answer(seed, max_moves):
    addresses, nodes = tight_world(seed)
    placement = solve(addresses, nodes, BALANCED, max_moves).nodes
    assert keeps_the_rules(addresses, nodes, placement)
    # No plan is better than the best one of a flow, which leaves the rule out.
    free = minimized(addresses, nodes).placement()
    assert measure(addresses, nodes, placement)[:3] >= measure(addresses, nodes, free)[:3]


def test_a_cap_on_moves_at_full_size():
    node_count, address_count = 100, 1000
    addresses = [held(*range(node_count), by=1 + n % (node_count - 1), owner=n // 3) for n in range(address_count)]
    before = Counter(next(iter(address.current)) for address in addresses)
    for max_moves in (1, 4, 9):
        placement = solve(addresses, [Node() for _index in range(node_count)], BALANCED, max_moves)
        assert placement.for_balance == max_moves
        # Each move brings one from a node that holds most to the one that is empty.
        most = sorted(before.values())[-max_moves:]
        squares = sum(load * load for load in before.values()) + max_moves**2 - sum(2 * load - 1 for load in most)
        assert measure(addresses, [Node() for _index in range(node_count)], placement.nodes)[2] == squares


@given(worlds(), POLICIES, st.randoms(use_true_random=False))
def test_worlds_of_one_kind_are_the_same_world(world, how, chance):
    """Which object has which number does not matter, as long as the order of the addresses is the same."""
    addresses, nodes = world
    numbers = chance.sample(range(100), 4)
    again = [address._replace(owner=numbers[address.owner]) for address in addresses]
    assert solve(again, nodes, *how) == solve(addresses, nodes, *how)
