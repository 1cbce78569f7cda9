# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The core against a brute force over all placements of small worlds."""

from __future__ import annotations

import itertools
import random
from collections import Counter

import pytest
from ansible_collections.netops.egress_ip.plugins.module_utils._solver.min_cost_flow import settle
from ansible_collections.netops.egress_ip.plugins.module_utils._solver.model import weights
from ansible_collections.netops.egress_ip.plugins.module_utils._solver.packing import Packing
from ansible_collections.netops.egress_ip.plugins.module_utils._solver.solve import BALANCED, STICKY, Item, Room, place
from hypothesis import example, given, settings
from hypothesis import strategies as st


def keeps_the_rules(items, rooms, placement):
    """Tell whether a placement is allowed; written without a look at the code under test."""
    pairs = [(item, room) for item, room in zip(items, placement, strict=True) if room is not None]
    if any(count > 1 for count in Counter((item.group, room) for item, room in pairs).values()):
        return False
    loads = Counter(room for _item, room in pairs)
    of_family = Counter((room, item.family) for item, room in pairs)
    return all(
        (room.free is None or loads[n] <= room.free)
        and all(
            limit is None or of_family[n, family] <= limit
            for family, limit in zip((4, 6), room.free_by_family, strict=True)
        )
        for n, room in enumerate(rooms)
    )


def measure(items, rooms, placement):
    """Return what is compared: without place, crowding, squares, moves, order by name."""
    loads = Counter(placement)
    pairs = [(item, room) for item, room in zip(items, placement, strict=True) if item.domains and room is not None]
    domains = Counter((item.group, item.domains[room]) for item, room in pairs)
    return (
        loads[None],
        sum(count - 1 for count in domains.values()),
        sum((room.load + loads[n]) ** 2 for n, room in enumerate(rooms)),
        sum(item.held and room not in item.holders for item, room in zip(items, placement, strict=True)),
        [(room is None, room not in item.holders, room) for item, room in zip(items, placement, strict=True)],
    )


def brute_force(items, rooms, policy, max_moves):
    """Return the best placement of all."""
    every = itertools.product(*[(*item.rooms, None) for item in items])
    allowed = [(measure(items, rooms, each), each) for each in every if keeps_the_rules(items, rooms, each)]
    most = min(measured[:2] for measured, _each in allowed)
    allowed = [pair for pair in allowed if pair[0][:2] == most]
    if policy == STICKY:
        return min(allowed, key=lambda pair: (pair[0][3], pair[0][2], pair[0][4]))[1]
    fewest = min(measured[3] for measured, _each in allowed)
    cap = len(items) if max_moves is None else fewest + max_moves
    return min(pair for pair in allowed if pair[0][3] <= cap)[1]


@st.composite
def worlds(draw):
    """Small worlds: up to six items, up to four rooms, limits on all and on families, several holders."""
    count = draw(st.integers(1, 4))
    limits = st.none() | st.integers(0, 3)
    rooms = [Room(draw(st.integers(0, 2)), draw(limits), (draw(limits), draw(limits))) for _index in range(count)]
    numbers = st.integers(0, count - 1)
    items = []
    for _index in range(draw(st.integers(0, 6))):
        possible = draw(st.sets(numbers, min_size=1))
        holders = draw(st.frozensets(st.sampled_from(sorted(possible)), max_size=2))
        held = bool(holders) or draw(st.booleans())
        group, family = draw(st.integers(0, 3)), draw(st.sampled_from((4, 4, 6)))
        items.append(Item(group, family, tuple(sorted(possible)), holders, held))
    return items, rooms


@st.composite
def spread_worlds(draw):
    """The same with some groups spread over domains; in half of them a group's items have the same rooms."""
    items, rooms = draw(worlds())
    labels = draw(st.lists(st.tuples(*[st.integers(0, 2) for _room in rooms]), min_size=1, max_size=2))
    domains = {group: draw(st.sampled_from(((), *labels, *labels))) for group in range(4)}
    first = {item.group: item.rooms for item in reversed(items)} if draw(st.booleans()) else {}
    return [
        item._replace(domains=domains[item.group], rooms=own, holders=item.holders.intersection(own))
        for item in items
        for own in [first.get(item.group, item.rooms)]
    ], rooms


POLICIES = st.tuples(st.sampled_from((BALANCED, STICKY)), st.none() | st.integers(0, 3))


def held(*rooms, by, group=0, family=4):
    return Item(group, family, rooms, frozenset([by]), True)


# Two moves in a chain (0 to 1, 1 to 2) are worth making, one alone is not: no price on moves separates them.
CHAIN = (
    [held(0, 1, by=0, group=n) for n in range(3)] + [held(1, 2, by=1, group=3), held(1, by=1, group=4)],
    [Room(), Room(), Room()],
)
# Both families of both objects would like the first room, which limits one of them.
CROSSING = (
    [Item(group, family, (0, 1)) for group in (0, 1) for family in (4, 6)],
    [Room(0, None, (1, None)), Room(0, 3, (None, 1))],
)


@settings(max_examples=3000)
@example(CHAIN, (BALANCED, 1))
@example(CHAIN, (BALANCED, 2))
@example(CROSSING, (BALANCED, None))
@given(worlds(), POLICIES)
def test_the_placement_is_the_best_of_all(world, how):
    items, rooms = world
    policy, max_moves = how
    placement = place(items, rooms, policy, max_moves)
    assert placement.rooms == brute_force(items, rooms, policy, max_moves)


# Two zones: one of a group's addresses has to leave the zone that both are in, though nothing may move for balance.
BROKEN_SPREAD = (
    [held(0, 1, 2, 3, by=0)._replace(domains=(0, 0, 1, 1)), held(0, 1, 2, 3, by=1)._replace(domains=(0, 0, 1, 1))],
    [Room(), Room(), Room(3), Room(3)],
)
# The second address has no node but in the zone of the first, and the first none but where it is: no flow tells.
MEETING = (
    [Item(0, 4, (0, 1), domains=(0, 0, 1)), Item(0, 4, (1, 2), domains=(0, 0, 1))],
    [Room(), Room(), Room(5)],
)


@settings(max_examples=3000)
@example(BROKEN_SPREAD, (BALANCED, 0))
@example(BROKEN_SPREAD, (STICKY, None))
@example(MEETING, (BALANCED, None))
@given(spread_worlds(), POLICIES)
def test_spread_comes_before_load_and_moves(world, how):
    items, rooms = world
    assert place(items, rooms, *how).rooms == brute_force(items, rooms, *how)


def test_what_the_cap_forbids_may_have_to_be_done_for_more_moves():
    """All places but one can be had for two moves, the last one not at all; so none may move at all."""
    items = [held(0, 1, 2, by=0, group=n)._replace(domains=(0, 1, 2)) for n in (0, 0, 1)]
    rooms = [Room(0, 1), Room(0, 1), Room(0, 0)]
    assert place(items, rooms, BALANCED, 0).rooms == brute_force(items, rooms, BALANCED, 0)


@given(spread_worlds(), POLICIES)
def test_the_best_spread_stays(world, how):
    test_the_best_placement_stays.hypothesis.inner_test(world, how)


@given(worlds(), st.integers(0, 3))
def test_moves_for_balance_keep_their_cap(world, max_moves):
    items, rooms = world
    placement = place(items, rooms, BALANCED, max_moves)
    fewest = measure(items, rooms, brute_force(items, rooms, STICKY, None))[3]
    assert placement.for_balance == measure(items, rooms, placement.rooms)[3] - fewest <= max_moves


@given(worlds(), POLICIES)
def test_the_best_placement_stays(world, how):
    items, rooms = world
    best = place(items, rooms, *how).rooms
    again = [
        item._replace(holders=frozenset([room]) - {None}, held=room is not None)
        for item, room in zip(items, best, strict=True)
    ]
    assert place(again, rooms, *how).rooms == best


@pytest.mark.parametrize(("addresses", "nodes", "per_object"), [(50, 10, 5), (300, 3, 1), (300, 3, 3)])
@pytest.mark.parametrize("max_moves", [None, 5])
def test_full_size_worlds_are_flat_and_keep_the_rules(addresses, nodes, per_object, max_moves):
    items = [held(*range(nodes), by=n % (nodes - 1), group=n // per_object) for n in range(addresses)]
    rooms = [Room() for _index in range(nodes)]
    placement = place(items, rooms, BALANCED, max_moves)
    assert keeps_the_rules(items, rooms, placement.rooms)
    loads = Counter(placement.rooms)
    if max_moves is None:
        assert max(loads.values()) - min(loads[n] for n in range(nodes)) <= 1
    else:
        assert placement.for_balance <= max_moves


def residual_steps(packing):
    """Yield (point, point, cost) for every step that a packing allows, as a plain flow: no search to be trusted.

    Points: ("room", n), ("door", n), ("slot", key), ("item", n) and "balance"; the flow goes item, slot, door, room.
    """
    everywhere = range(packing.nowhere + 1)
    occupied = set(packing.where)
    taken = {(item.group, packing.door(n, packing.where[n])) for n, item in enumerate(packing.items)}
    for room in everywhere:
        if room in occupied:
            yield "balance", ("room", room), -packing.last_price(room)
        if not packing.is_full(room):
            yield ("room", room), "balance", packing.next_price(room)
    for door, limit in packing.door_limit.items():
        room = ("room", packing.room_of[door])
        if packing.door_count[door] < limit:
            yield ("door", door), room, 0
        if packing.door_count[door]:
            yield room, ("door", door), 0
    for team in packing.teams:
        yield from team_steps(packing, team, taken)
    for number in sorted({*range(len(packing.items))} - {*packing.team_of}):
        for room in (*packing.choices[packing.kind[number]], packing.nowhere):
            door = packing.door(number, room)
            way_in = ("room", room) if door == room else ("door", door)
            if room != packing.nowhere:
                key = packing.items[number].group, door
                slot = "slot", key
                yield (way_in, slot, 0) if key in taken else (slot, way_in, 0)
                way_in = slot
            price = packing.price(number, room)
            if packing.where[number] == room:
                yield way_in, ("item", number), -price
            else:
                yield ("item", number), way_in, price


def team_steps(packing, team, taken):
    """Yield the steps of one team: from its members into domains, at a price for each but the first, and into slots."""
    first, group = team.members[0], packing.items[team.members[0]].group
    where = [packing.where[one] for one in team.members]
    own, inside = ("team", team.number), Counter(team.domains[room] for room in where if room != packing.nowhere)
    for domain in {team.domains[room] for room in team.rooms}:
        pool, count = ("pool", team.number, domain), inside[domain] + (domain in team.taken)
        yield own, pool, packing.crowd if count else 0
        if inside[domain]:
            yield pool, own, -packing.crowd if count > 1 else 0
    for room in (*team.rooms, packing.nowhere):
        door, price = packing.door(first, room), packing.price(first, room)
        way_in = ("room", room) if door == room else ("door", door)
        pool = own
        if room != packing.nowhere:
            slot, pool = ("slot", (group, door)), ("pool", team.number, team.domains[room])
            yield (way_in, slot, 0) if slot[1] in taken else (slot, way_in, 0)
            way_in = slot
        if room in where:
            yield way_in, pool, -price
        if room not in where or room == packing.nowhere:
            yield pool, way_in, price


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


def settled(items, rooms, policy=BALANCED):
    """Return the packing that the planner takes for cheapest."""
    packing = Packing(items, rooms, *weights(items, rooms, policy))
    settle(packing)
    return packing


@settings(max_examples=300)
@given(worlds(), st.sampled_from((BALANCED, STICKY)))
def test_certificate_of_small_worlds(world, policy):
    assert not has_improving_cycle(settled(*world, policy))


@settings(max_examples=300)
@given(spread_worlds(), st.sampled_from((BALANCED, STICKY)))
def test_certificate_of_small_worlds_with_spread(world, policy):
    assert not has_improving_cycle(settled(*world, policy))


@given(worlds())
def test_the_certificate_sees_what_could_be_better(world):
    packing = Packing(*world, *weights(*world, BALANCED))
    for item in range(len(world[0])):
        packing.enter(item, packing.nowhere)
    before = [n for n, item in enumerate(world[0]) if any(packing.fits(n, room) for room in item.rooms)]
    assert has_improving_cycle(packing) or not before


def large_world(seed, nodes=60, addresses=600):
    """Several kinds of choices, objects of up to four addresses, limits, holders: too large for a brute force."""
    chance = random.Random(seed)
    pools = [tuple(sorted(chance.sample(range(nodes), nodes // 4))) for _index in range(5)] + [tuple(range(nodes))]
    limited = seed % 2
    rooms = [
        Room(chance.randint(0, 2), chance.choice([None, 9, 12]) if limited else None, (None, chance.choice([None, 5])))
        for _index in range(nodes)
    ]
    items, group = [], 0
    while len(items) < addresses:
        pool, family = chance.choice(pools), chance.choice((4, 4, 6))
        for _index in range(chance.randint(1, 4)):
            home = chance.choice(pool) if chance.random() < 0.6 else None
            items.append(Item(group, family, pool, frozenset([home]) - {None}, home is not None))
        group += 1
    return items, rooms


@pytest.mark.parametrize("policy", [BALANCED, STICKY])
@pytest.mark.parametrize("seed", range(4))
def test_certificate_of_large_worlds(seed, policy):
    items, rooms = large_world(seed)
    packing = settled(items, rooms, policy)
    placed = tuple(None if room == packing.nowhere else room for room in packing.where)
    assert keeps_the_rules(items, rooms, placed)
    assert not has_improving_cycle(packing)
    # The order by name changes neither of the aims.
    assert measure(items, rooms, place(items, rooms, policy).rooms)[:4] == measure(items, rooms, placed)[:4]


def spread_over_zones(items, nodes, share):
    """The same items, those of some groups spread over three zones."""
    domains = tuple(node % 3 for node in range(nodes))
    return [item._replace(domains=domains) if item.group % share == 0 else item for item in items]


@pytest.mark.parametrize("policy", [BALANCED, STICKY])
@pytest.mark.parametrize("share", [1, 3])
@pytest.mark.parametrize("seed", range(3))
def test_certificate_of_large_worlds_with_spread(seed, share, policy):
    items, rooms = large_world(seed)
    items = spread_over_zones(items, len(rooms), share)
    packing = settled(items, rooms, policy)
    assert keeps_the_rules(items, rooms, packing.placement())
    assert not has_improving_cycle(packing)
    best = place(items, rooms, policy).rooms
    assert keeps_the_rules(items, rooms, best)
    assert measure(items, rooms, best)[:2] >= measure(items, rooms, packing.placement())[:2]


@pytest.mark.parametrize("move", [1, 2])
@pytest.mark.parametrize("seed", range(3))
def test_certificate_of_a_cap_on_large_worlds(seed, move):
    """What costs least when a move costs so many squares is the flattest for its number of moves, so a cap finds it."""
    items, rooms = large_world(seed)
    packing = Packing(items, rooms, 1, move)
    settle(packing)
    assert not has_improving_cycle(packing)
    missing, crowding, squares, moves = measure(items, rooms, packing.placement())[:4]
    cap = moves - measure(items, rooms, place(items, rooms, STICKY).rooms)[3]
    capped = place(items, rooms, BALANCED, cap)
    assert keeps_the_rules(items, rooms, capped.rooms)
    assert measure(items, rooms, capped.rooms)[:3] == (missing, crowding, squares)
    assert capped.for_balance <= cap


def test_certificate_of_a_larger_world():
    items, rooms = large_world(1, nodes=150, addresses=1500)
    packing = settled(items, rooms)
    assert not has_improving_cycle(packing)
    assert measure(items, rooms, place(items, rooms).rooms)[:4] == measure(items, rooms, packing.placement())[:4]


LIMITS = st.none() | st.integers(0, 3)
NEW_ROOMS = st.builds(Room, st.integers(0, 3), LIMITS, st.tuples(LIMITS, LIMITS))


@settings(max_examples=300)
@given(worlds(), NEW_ROOMS)
def test_a_room_that_joins_takes_no_more_than_its_share(world, room):
    """Unless the room where an item was is full now, or has another one of its group."""
    items, rooms = world
    before, new = place(items, rooms).rooms, len(rooms)
    joined = [
        Item(item.group, item.family, (*item.rooms, new), frozenset([was]) - {None}, was is not None)
        for item, was in zip(items, before, strict=True)
    ]
    rooms = [*rooms, room]
    after = place(joined, rooms).rooms
    loads = [room.load + after.count(number) for number, room in enumerate(rooms)]
    for number, (was, now) in enumerate(zip(before, after, strict=True)):
        back = tuple(was if n == number else other for n, other in enumerate(after))
        if now == new and was is not None and keeps_the_rules(joined, rooms, back):
            assert loads[new] <= loads[was] + 1


def tight_world(seed, nodes=8, objects=12):
    """Objects of both families and nodes that limit both: what a flow cannot tell."""
    chance = random.Random(seed)
    rooms = [Room(0, chance.choice([None, 8]), (chance.randint(3, 4), chance.randint(3, 4))) for _index in range(nodes)]
    items = []
    for group in range(objects):
        for family in (4, 4, 6, 6):
            possible = tuple(sorted(chance.sample(range(nodes), chance.randint(nodes // 2, nodes))))
            holders = frozenset([chance.choice(possible)] if chance.random() < 0.5 else [])
            items.append(Item(group, family, possible, holders, bool(holders)))
    return items, rooms


@pytest.mark.parametrize("max_moves", [None, 3])
@pytest.mark.parametrize("seed", range(6))
def test_crossing_families_find_an_answer(seed, max_moves):
    items, rooms = tight_world(seed)
    placement = place(items, rooms, BALANCED, max_moves).rooms
    assert keeps_the_rules(items, rooms, placement)
    # No plan is better than the best one of a flow, which leaves the rule out.
    free = settled(items, rooms).placement()
    assert measure(items, rooms, placement)[:3] >= measure(items, rooms, free)[:3]


def test_a_cap_on_moves_at_full_size():
    nodes, addresses = 100, 1000
    items = [held(*range(nodes), by=1 + n % (nodes - 1), group=n // 3) for n in range(addresses)]
    before = Counter(next(iter(item.holders)) for item in items)
    for max_moves in (1, 4, 9):
        placement = place(items, [Room() for _index in range(nodes)], BALANCED, max_moves)
        assert placement.for_balance == max_moves
        # Each move brings one from a node that holds most to the one that is empty.
        most = sorted(before.values())[-max_moves:]
        squares = sum(load * load for load in before.values()) + max_moves**2 - sum(2 * load - 1 for load in most)
        assert measure(items, [Room() for _index in range(nodes)], placement.rooms)[2] == squares


@given(worlds(), POLICIES, st.randoms(use_true_random=False))
def test_worlds_of_one_kind_are_the_same_world(world, how, chance):
    """Which object has which number does not matter, as long as the order of the items is the same."""
    items, rooms = world
    numbers = chance.sample(range(100), 4)
    again = [item._replace(group=numbers[item.group]) for item in items]
    assert place(again, rooms, *how) == place(items, rooms, *how)
