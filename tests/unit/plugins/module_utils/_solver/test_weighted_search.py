# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Items of different weight: small worlds against a brute force, larger ones by what holds of every plan."""

from __future__ import annotations

import itertools
import random
from collections import Counter

import pytest
from ansible_collections.netops.egress_ip.plugins.module_utils._solver.solve import BALANCED, STICKY, Item, Room, place
from ansible_collections.netops.egress_ip.plugins.module_utils._solver.weighted_bound import at_least
from hypothesis import assume, given, settings
from hypothesis import strategies as st


def keeps_the_rules(items, rooms, placement):
    """Tell whether a placement is allowed; written without a look at the code under test."""
    pairs = [(item, room) for item, room in zip(items, placement, strict=True) if room is not None]
    if any(room not in item.rooms for item, room in pairs):
        return False
    if any(count > 1 for count in Counter((item.group, room) for item, room in pairs).values()):
        return False
    count, of_family = Counter(room for _item, room in pairs), Counter((room, item.family) for item, room in pairs)
    return all(
        limit is None or found <= limit
        for number, room in enumerate(rooms)
        for limit, found in (
            (room.free, count[number]),
            (room.free_by_family[0], of_family[number, 4]),
            (room.free_by_family[1], of_family[number, 6]),
        )
    )


def measure(items, rooms, placement):
    """Return what is compared: without place, crowding, squares, moves."""
    loads = [room.load for room in rooms]
    crowding, seen = 0, Counter()
    for item, room in zip(items, placement, strict=True):
        if room is not None:
            loads[room] += item.weight
            if item.domains:
                crowding += seen[item.group, item.domains[room]] > 0
                seen[item.group, item.domains[room]] += 1
    moves = sum(item.held and room not in item.holders for item, room in zip(items, placement, strict=True))
    return list(placement).count(None), crowding, sum(load * load for load in loads), moves


def by_policy(measured, policy):
    outside, crowding, squares, moves = measured
    return (outside, crowding, moves, squares) if policy == STICKY else measured


def least(items, rooms, policy, max_moves):
    """Return the measure of the best placement; who has a room does not hang on weights."""
    calm = place([item._replace(weight=1) for item in items], rooms, STICKY).rooms
    every = itertools.product(
        *[item.rooms if room is not None else (None,) for item, room in zip(items, calm, strict=True)]
    )
    allowed = [measure(items, rooms, each) for each in every if keeps_the_rules(items, rooms, each)]
    most = min(each[:2] for each in allowed)
    allowed = [each for each in allowed if each[:2] == most]
    fewest = min(each[3] for each in allowed)
    if policy == BALANCED and max_moves is not None:
        allowed = [each for each in allowed if each[3] <= fewest + max_moves]
    return min(allowed, key=lambda each: by_policy(each, policy))


@st.composite
def worlds(draw, items=6, rooms=4):
    """Small worlds with limits on all and on families, several holders, groups of a weight each, some spread."""
    count = draw(st.integers(1, rooms))
    limits = st.none() | st.integers(0, 3)
    listed = [Room(draw(st.integers(0, 5)), draw(limits), (draw(limits), draw(limits))) for _index in range(count)]
    numbers = st.integers(0, count - 1)
    domains = [draw(st.sampled_from(((), tuple(draw(numbers) for _room in listed)))) for _group in range(items)]
    weights = [draw(st.integers(1, 9)) for _group in range(items)]
    found = []
    for _index in range(draw(st.integers(1, items))):
        possible = draw(st.sets(numbers, min_size=1))
        holders = draw(st.frozensets(st.sampled_from(sorted(possible)), max_size=2))
        held = bool(holders) or draw(st.booleans())
        group, family = draw(st.integers(0, items - 1)), draw(st.sampled_from((4, 4, 6)))
        rest = {"domains": domains[group], "weight": weights[group]}
        found.append(Item(group, family, tuple(sorted(possible)), holders, held, **rest))
    return found, listed


POLICIES = st.tuples(st.sampled_from((BALANCED, STICKY)), st.none() | st.integers(0, 3))


@settings(max_examples=1000)
@given(worlds(), POLICIES)
def test_small_worlds_have_the_best_placement_of_all(world, how):
    items, rooms = world
    assume(len({item.weight for item in items}) > 1)
    placement = place(items, rooms, *how)
    assert keeps_the_rules(items, rooms, placement.rooms)
    assert measure(items, rooms, placement.rooms) == least(items, rooms, *how)
    assert placement.proven


@given(worlds(items=8, rooms=6), POLICIES)
def test_of_eight_items_the_best_placement_is_known(world, how):
    items, rooms = world
    assert place(items, rooms, *how).proven


def as_it_is(items, placement):
    return [
        item._replace(holders=frozenset(() if room is None else (room,)), held=room is not None)
        for item, room in zip(items, placement, strict=True)
    ]


@given(worlds(), st.sampled_from((BALANCED, STICKY)))
def test_a_plan_applied_to_itself_moves_nothing(world, policy):
    items, rooms = world
    placement = place(items, rooms, policy).rooms
    assert place(as_it_is(items, placement), rooms, policy).rooms == placement


@settings(max_examples=300)
@given(worlds(), POLICIES)
def test_the_bound_is_not_above_the_best(world, how):
    items, rooms = world
    best = place(items, rooms, *how).rooms
    seated = [item for item, room in zip(items, best, strict=True) if room is not None]
    best = [room for room in best if room is not None]
    _outside, _crowding, squares, moves = measure(seated, rooms, best)
    for most_moves in (moves, len(items)):
        if most_moves == moves or how == (BALANCED, None):
            assert at_least(seated, rooms, best, most_moves) <= squares


def large_world(seed, count=60, rooms=8):
    """Items of all rules at once, too many to be searched through."""
    chance = random.Random(seed)
    listed = [
        Room(chance.randint(0, 9), chance.choice((None, 9)), (None, chance.choice((None, 3)))) for _room in range(rooms)
    ]
    kinds = [tuple(range(rooms)), tuple(range(0, rooms, 2)), tuple(range(rooms // 2, rooms))]
    zones = tuple(number % 3 for number in range(rooms))
    found, group = [], 0
    while len(found) < count:
        kind, weight, domains = (
            chance.choice(kinds),
            chance.choice((1, 1, chance.randint(1, 100))),
            chance.choice(((), zones)),
        )
        for _index in range(chance.randint(1, 3)):
            holders = frozenset(chance.sample(kind, chance.randint(0, 1)))
            family = chance.choice((4, 4, 6))
            found.append(Item(group, family, kind, holders, bool(holders), domains, weight=weight))
        group += 1
    return found, listed


@pytest.mark.parametrize("policy", [BALANCED, STICKY])
@pytest.mark.parametrize("seed", range(20))
def test_large_worlds_keep_the_rules_and_stay(seed, policy):
    items, rooms = large_world(seed)
    placement = place(items, rooms, policy)
    calm = place([item._replace(weight=1) for item in items], rooms, STICKY)
    assert keeps_the_rules(items, rooms, placement.rooms)
    outside, crowding, squares, moves = measure(items, rooms, placement.rooms)
    calm_outside, calm_crowding, calm_squares, fewest = measure(items, rooms, calm.rooms)
    assert (outside, crowding) == (calm_outside, calm_crowding)
    assert squares <= calm_squares
    assert placement.at_least is None or placement.at_least < squares
    assert placement.for_balance == moves - fewest
    assert place(as_it_is(items, placement.rooms), rooms, policy).rooms == placement.rooms


def test_two_of_one_group_that_hold_one_room_do_not_meet_again():
    """A change of places of these two is tried, and taken back."""
    chance = random.Random(3)
    for _world in range(30):
        rooms = [Room(13, 5), Room(0, 5), Room()]
        weights = [chance.randint(1, 50) for _group in range(12)]
        items = [Item(n // 2, 4, (0, 1, 2), frozenset([0]), True, weight=weights[n // 2]) for n in range(24)]
        placement = place(items, rooms, BALANCED).rooms
        assert keeps_the_rules(items, rooms, placement)
        assert place(as_it_is(items, placement), rooms, BALANCED).rooms == placement


@pytest.mark.parametrize("policy", [BALANCED, STICKY])
def test_nobody_loses_his_room_to_a_lighter_one(policy):
    items = [Item(0, 4, (0,), frozenset([0]), True, weight=50), Item(1, 4, (0,), weight=1)]
    assert place(items, [Room(free=1)], policy).rooms == (0, None)


@pytest.mark.parametrize("policy", [BALANCED, STICKY])
def test_equal_weights_are_as_none(policy):
    items, rooms = large_world(0)
    plain = [item._replace(weight=1) for item in items]
    heavy = [room._replace(load=3 * room.load) for room in rooms]
    assert place([item._replace(weight=3) for item in items], heavy, policy) == place(plain, rooms, policy)


@pytest.mark.parametrize("max_moves", [0, 1, 5])
@pytest.mark.parametrize("seed", range(5))
def test_moves_for_balance_keep_their_cap(seed, max_moves):
    placement = place(*large_world(seed), BALANCED, max_moves)
    assert placement.for_balance <= max_moves
