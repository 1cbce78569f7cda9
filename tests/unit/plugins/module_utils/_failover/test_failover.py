# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The failover of whole fleets on a simulated segment: how long an address is gone, and that two nodes never have it.

The bounds are those of the simulated machine, where a claim takes 15 to 40 ms and a release 8 to 25 ms.
"""

from __future__ import annotations

import random
import statistics

import hypothesis
import pytest
from ansible_collections.netops.egress_ip.plugins.module_utils._dataplane.failover import Limits
from ansible_collections.netops.egress_ip.plugins.module_utils._failover.failover import StateMachine
from ansible_collections.netops.egress_ip.plugins.module_utils._failover.values import (
    Announce,
    Claim,
    Clock,
    Configured,
    Duty,
    FailoverSettings,
    Heard,
    Neighbour,
    Refused,
    Release,
    Taken,
)
from hypothesis import strategies as st
from simulated_segment import CLIENT, GATEWAY, Segment

IP, OTHER = "10.0.0.101", "10.0.0.102"
PLAN = {IP: ("n1", "n2", "n3")}
SEEDS = range(4)
# Answers in a row whose loss is not silence: to the question to the holder, and to two probes to all hosts.
MISSED_AT_MOST = 3


def settled(seed, plan=None, count=3, **settings):
    segment = Segment(plan or PLAN, count, seed, **settings)
    segment.settle()
    assert segment.moves() == 0
    return segment


def gaps(fault, plan=None, count=3):
    """Seconds without the address after a fault, one for each seed; no seed shows two holders."""
    found = []
    for seed in SEEDS:
        segment = settled(seed, plan, count)
        fault(segment)
        segment.run(3)
        assert max(map(segment.overlap, segment.plan)) == 0, seed
        found.append(max(map(segment.gap, segment.plan)))
    return found


def assert_quick(found, median=0.35, worst=0.5):
    assert statistics.median(found) <= median, found
    assert max(found) <= worst, found


# --- The holder fails -------------------------------------------------------------------------------------------------


def test_a_holder_that_loses_power_is_replaced():
    assert_quick(gaps(lambda segment: segment.kill("n1")))


def test_a_holder_that_is_cut_off_lets_go_before_it_is_replaced():
    assert_quick(gaps(lambda segment: segment.split((), ["n1"])))


def test_a_hundred_addresses_move_in_one_batch():
    segment = settled(1, {f"10.0.1.{i}": ("n1", "n2", "n3") for i in range(1, 101)})
    segment.kill("n1")
    segment.run(2)
    assert [len(ips) for _at, ips in segment.nodes["n2"].claims] == [100]
    assert max(map(segment.gap, segment.plan)) <= 0.5


def test_the_second_standby_replaces_two_nodes_that_fail_at_once():
    def fault(segment):
        segment.kill("n1")
        segment.kill("n2")

    assert_quick(gaps(fault, {IP: ("n1", "n2", "n3", "n4")}, 4), 0.6, 0.6)


def test_a_chain_of_failures_with_returns():
    for seed in SEEDS:
        segment = settled(seed)
        for dead, taker in (("n1", "n2"), ("n2", "n3"), ("n3", "n2")):
            segment.clear()
            segment.kill(dead)
            segment.run(2)
            assert (segment.gap(IP) <= 0.5, segment.overlap(IP)) == (True, 0), (seed, dead)
            segment.boot(dead)
            segment.run(3)
            assert segment.holders(IP) == [taker]


@hypothesis.settings(max_examples=40, deadline=None, derandomize=True)
@hypothesis.given(
    seed=st.integers(0, 1000),
    rows=st.lists(st.integers(0, MISSED_AT_MOST), max_size=4),
    last=st.integers(1, MISSED_AT_MOST),
    pause=st.sampled_from([0.0, 0.001, 0.002, 0.003]) | st.floats(0, 0.2),
)
def test_a_holder_of_which_answers_were_lost_is_replaced_as_quickly(seed, rows, last, pause):
    """The standby misses so many answers in a row, then gets one; soon after the last row the holder dies.

    It may die before it has answered another question.
    """
    segment = settled(seed)
    segment.lose_answers("n1", "n2", [*rows, last])
    while segment.fates["n1", "n2"]:
        segment.run(0.001)
    segment.run(pause)
    segment.kill("n1")
    assert segment.moves() == 0
    segment.run(2)
    assert (segment.holders(IP), segment.gap(IP) <= 0.5, segment.overlap(IP)) == (["n2"], True, 0)


# --- Somebody else fails ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("fault", ["kill", "hang", "cut"])
def test_a_failed_standby_moves_nothing(fault):
    for seed in SEEDS:
        segment = settled(seed)
        if fault == "cut":
            segment.split((), ["n2"])
        elif fault == "hang":
            segment.hang("n2", 3)
        else:
            segment.kill("n2")
        segment.run(5)
        segment.reconnect()
        segment.run(5)
        assert (segment.moves(), segment.gap(IP), segment.overlap(IP)) == (0, 0, 0), seed


@pytest.mark.parametrize("apart", [["gateway"], ["n1", "gateway"]], ids=["gateway dies", "holder and gateway"])
def test_no_standby_claims_without_a_witness(apart):
    for seed in SEEDS:
        segment = settled(seed)
        segment.split((), apart)
        segment.run(5)
        segment.reconnect()
        segment.run(5)
        assert (segment.moves(), segment.overlap(IP)) == (0, 0), seed


@pytest.mark.parametrize("holder_dies", [False, True])
@pytest.mark.parametrize("strict", [False, True])
def test_a_gateway_with_another_mac_address_moves_nothing_and_delays_no_takeover(strict, holder_dies):
    """A router that takes over the address of another one, and brings its own MAC address."""
    for seed in SEEDS:
        segment = settled(seed, strict=strict)
        segment.hosts[GATEWAY].mac = "02:00:00:00:01:77"
        if holder_dies:
            segment.run(0.05)
            segment.kill("n1")
        segment.run(3)
        assert (segment.moves(), segment.overlap(IP)) == (int(holder_dies), 0), seed
        assert segment.gap(IP) <= (0.5 if holder_dies else 0), seed


def test_a_program_that_hangs_while_its_kernel_answers_moves_nothing():
    for seed in SEEDS:
        segment = settled(seed)
        segment.hang("n1", 5)
        segment.run(8)
        assert (segment.moves(), segment.gap(IP)) == (0, 0), seed


def test_a_restart_of_the_program_moves_nothing():
    for seed in SEEDS:
        segment = settled(seed)
        for node in segment.nodes.values():
            segment.start(node)
        segment.run(5)
        assert (segment.moves(), segment.gap(IP)) == (0, 0), seed


def test_late_programs_and_lost_frames_move_nothing():
    for seed in range(3):
        segment = settled(seed)
        segment.lateness, segment.loss = (0.0, 0.4), 0.02
        segment.run(60)
        assert (segment.moves(), segment.gap(IP)) == (0, 0), seed


@pytest.mark.parametrize("holder_dies", [False, True])
def test_a_flood_in_which_answers_are_lost_moves_nothing_before_its_end(holder_dies):
    for seed in SEEDS:
        segment = settled(seed)
        segment.flood(3, "n2", "n3")
        segment.run(1)
        if holder_dies:
            segment.kill("n1")
        segment.run(1.99)
        assert segment.moves() == 0, seed
        segment.clear()
        segment.run(2)
        assert (segment.moves(), segment.overlap(IP)) == (int(holder_dies), 0), seed
        assert segment.gap(IP) <= (0.5 if holder_dies else 0), seed


# --- Returns and splits -----------------------------------------------------------------------------------------------


def test_a_dead_node_that_returns_never_answers_for_what_moved():
    for seed in SEEDS:
        segment = settled(seed)
        segment.kill("n1")
        segment.run(2)
        segment.clear()
        segment.boot("n1")
        segment.run(10)
        assert (segment.holders(IP), segment.gap(IP), segment.overlap(IP)) == (["n2"], 0, 0), seed


def test_a_cut_off_node_that_returns_finds_what_it_let_go_with_the_other():
    for seed in SEEDS:
        segment = settled(seed)
        segment.split((), ["n1"])
        segment.run(2)
        segment.reconnect()
        segment.run(5)
        assert (segment.holders(IP), segment.overlap(IP), segment.moves()) == (["n2"], 0, 2), seed


def test_a_holder_that_every_standby_lost_takes_its_address_back():
    segment = settled(1, {IP: ("n1", "n2")}, 2)
    segment.split((), ["n1"], ["n2"])
    segment.run(2)
    segment.kill("n2")
    segment.reconnect()
    segment.run(3)
    assert segment.holders(IP) == ["n1"]


def test_two_sides_that_cannot_see_each_other_have_one_holder_soon_after_they_meet():
    for seed in SEEDS:
        segment = settled(seed)
        segment.split(["n1", "n3"], ["n2", GATEWAY, CLIENT])
        segment.run(3)
        assert segment.holders(IP) == ["n1", "n2"]
        segment.clear()
        segment.reconnect()
        segment.run(5)
        assert (segment.holders(IP), segment.overlap(IP) <= 0.1, segment.gap(IP)) == (["n2"], True, 0), seed


def test_of_many_addresses_each_has_one_holder_soon_after_two_sides_meet():
    segment = settled(1, {f"10.0.1.{i}": ("n1", "n2", "n3") for i in range(1, 41)})
    segment.split(["n1", "n3"], ["n2", GATEWAY, CLIENT])
    segment.run(3)
    segment.clear()
    segment.reconnect()
    segment.run(3)
    assert {name for ip in segment.plan for name in segment.holders(ip)} == {"n2"}
    assert max(map(segment.overlap, segment.plan)) <= 0.15


def test_with_strict_two_sides_never_have_two_holders():
    for seed in SEEDS:
        segment = settled(seed, strict=True)
        segment.split(["n1", "n3"], ["n2", GATEWAY, CLIENT])
        segment.run(3)
        segment.reconnect()
        segment.run(3)
        assert (segment.holders(IP), segment.overlap(IP)) == (["n2"], 0), seed


@pytest.mark.parametrize("clocks_stand_still", [False, True])
def test_a_stunned_virtual_machine_yields(clocks_stand_still):
    for seed in SEEDS:
        segment = settled(seed)
        segment.stun("n1", 2, clocks_stand_still)
        segment.run(10)
        assert (segment.holders(IP), segment.overlap(IP) <= 0.1, segment.gap(IP) <= 0.5) == (["n2"], True, True), seed


@pytest.mark.parametrize("stunned", ["n1", "n2"])
def test_of_two_planned_holders_whose_clocks_stood_still_one_stays(stunned):
    """A run moved the address while its holder was suspended: both nodes hold it by their plans, and no clock tells."""
    other = "n2" if stunned == "n1" else "n1"
    for seed in SEEDS:
        segment = settled(seed, {IP: (stunned, other, "n3")})
        segment.nodes[stunned].old_plan = dict(segment.plan)
        segment.stun(stunned, 6, clocks_stand_still=True)
        segment.run(2)
        # What the other one took over is its own by the new plan.
        segment.plan = {IP: (other, "n3", stunned)}
        segment.nodes[other].taken.clear()
        segment._configure_all()
        segment.run(3)
        assert segment.holders(IP) == [other]
        segment.clear()
        segment.run(20)
        assert len(segment.holders(IP)) == 1, seed
        assert segment.overlap(IP) <= 0.1, seed
        assert segment.gap(IP) <= 0.5, seed


def both_probing(seed, plan, fault):
    """Return a segment whose two first nodes held IP and were paused, or started, at the same time."""
    segment = settled(seed, {IP: plan})
    segment.split([plan[0], *({"n1", "n2", "n3"} - {*plan[:2]})], [plan[1], GATEWAY, CLIENT])
    segment.run(3)
    assert segment.holders(IP) == ["n1", "n2"]
    for name in plan[:2]:
        if fault == "pause":
            segment.stun(name, 1.0)
        else:
            segment.at(segment.now + 1.0, lambda name=name: segment.start(segment.nodes[name]))
    segment.at(segment.now + 0.9999, segment.reconnect)
    segment.run(1.0)
    segment.clear()
    return segment


@pytest.mark.parametrize("plan", [("n1", "n2"), ("n1", "n2", "n3"), ("n2", "n1")])
@pytest.mark.parametrize("fault", ["pause", "start"])
def test_of_two_holders_that_probe_at_the_same_time_one_stays(plan, fault):
    """Each hears the answer of the other one, and both may release."""
    for seed in range(8):
        segment = both_probing(seed, plan, fault)
        segment.run(5)
        assert len(segment.holders(IP)) == 1, seed
        assert (segment.overlap(IP) <= 0.1, segment.gap(IP) <= 1.0) == (True, True), seed


# --- Others that use or probe for the address -------------------------------------------------------------------------


@pytest.mark.parametrize("taker", ["n2", "n3", "n4"])
def test_no_standby_interferes_with_a_planned_move(taker):
    for seed in SEEDS:
        segment = settled(seed, count=4)
        segment.move(IP, "n1", taker)
        segment.run(5)
        claims = sum(len(node.claims) for node in segment.nodes.values())
        assert (claims, segment.overlap(IP), segment.gap(IP) <= 0.3) == (0, 0, True), seed
        assert segment.holders(IP) == [taker]


def test_a_scanner_delays_a_takeover_by_three_seconds_at_most():
    for seed in SEEDS:
        segment = settled(seed)
        segment.scan(IP, 20)
        segment.kill("n1")
        segment.run(6)
        assert (segment.overlap(IP), 3 <= segment.gap(IP) <= 3.5) == (0, True), seed


def test_a_run_that_holds_the_lock_delays_a_takeover():
    segment = settled(1)
    segment.nodes["n2"].locked_until = segment.nodes["n3"].locked_until = segment.now + 2
    segment.kill("n1")
    segment.run(4)
    assert (len(segment.holders(IP)), segment.overlap(IP), segment.gap(IP) < 2.6) == (1, 0, True)


# --- Hard rules -------------------------------------------------------------------------------------------------------


def test_two_addresses_of_one_object_are_never_on_one_node():
    plan = {IP: ("n1", "n2", "n3"), OTHER: ("n2", "n3", "n1")}
    segment = settled(1, plan, owners=dict.fromkeys(plan, "web"))
    segment.kill("n1")
    segment.run(4)
    assert [segment.holders(ip) for ip in plan] == [["n3"], ["n2"]]
    segment.kill("n2")
    segment.run(4)
    assert [segment.holders(ip) for ip in plan] == [["n3"], []]


def test_no_node_exceeds_its_capacity():
    plan = {IP: ("n1", "n2", "n3"), OTHER: ("n1", "n2", "n3")}
    segment = settled(1, plan, limits=Limits(ip=1))
    segment.kill("n1")
    segment.run(4)
    assert sorted(segment.holders(IP) + segment.holders(OTHER)) == ["n2", "n3"]
    segment.kill("n2")
    segment.run(4)
    assert sorted(segment.holders(IP) + segment.holders(OTHER)) == ["n3"]


# --- A holder that hands over -----------------------------------------------------------------------------------------


def test_a_standby_accepts_an_address_from_its_holder_only():
    segment = settled(1, count=4)
    programs = {name: node.program for name, node in segment.nodes.items()}
    assert programs["n2"].accept("n3", [IP]) == ()
    assert programs["n2"].accept("n1", [IP, OTHER]) == (IP,)
    # As long as it has not taken it, nothing is accepted again.
    assert programs["n2"].accept("n1", [IP]) == ()
    assert programs["n3"].accept("n1", [IP]) == (IP,)
    assert programs["n1"].accept("n1", [IP]) == ()
    assert programs["n4"].accept("n1", [IP]) == ()


def test_a_standby_accepts_an_address_again_after_a_refusal():
    segment = settled(1)
    node = segment.nodes["n2"]
    assert node.program.accept("n1", [IP]) == (IP,)
    node.events.append(Refused((IP,)))
    segment.run(0.5)
    assert node.program.accept("n1", [IP]) == (IP,)


@pytest.mark.parametrize(
    ("settings", "accepted"),
    [({}, (IP, OTHER)), ({"owners": {IP: "web", OTHER: "web"}}, (IP,)), ({"limits": Limits(ip=1)}, (IP,))],
)
def test_a_standby_accepts_only_what_the_plan_allows(settings, accepted):
    segment = settled(1, {IP: ("n1", "n2"), OTHER: ("n1", "n2")}, **settings)
    assert segment.nodes["n2"].program.accept("n1", [IP, OTHER]) == accepted


# --- Anything ---------------------------------------------------------------------------------------------------------


def any_plan(chance):
    """Settings of n1, which holds some addresses that it holds, or may hold, by the plan."""
    duties = [Duty(ip, "eth0", chance.choice([("n2", "n3"), ("n1", "n3"), ()])) for ip in (IP, OTHER)]
    return FailoverSettings(
        "n1",
        duties=tuple(each for each in duties if chance.random() < 0.9),
        held={each.egress_ip: "eth0" for each in duties if chance.random() < 0.5},
        macs={"m2": "n2", "m3": "n3"},
        witnesses=(Neighbour("eth0", "10.0.0.254"),),
        own_macs=frozenset(["m1"]),
    )


def any_frame(chance):
    uses = chance.choice([IP, OTHER, "10.0.0.254", ""])
    probes = "" if uses else chance.choice([IP, OTHER])
    return Heard("eth0", chance.choice(["m2", "m3", "mx"]), uses, probes, chance.random() < 0.6)


@pytest.mark.parametrize("seed", range(40))
def test_plans_and_frames_may_come_in_any_order(seed):
    """Nothing is announced or released but what the last plan of the step, or a takeover, gave to this node."""
    chance = random.Random(seed)
    settings, now, reports = any_plan(chance), 0.0, []
    machine = StateMachine(settings, Clock(now, now, now))
    held = set(settings.held)
    for _step in range(300):
        frames = [any_frame(chance) for _frame in range(chance.choice([0, 0, 1, 2, 6]))]
        plans = [any_plan(chance) for _plan in range(chance.choice([0] * 8 + [1, 2]))]
        actions = machine.step(Clock(now, now, now), [*reports, *frames, *map(Configured, plans)])
        held |= {ip for event in reports if isinstance(event, Taken) for ip in event.egress_ips}
        held = set(plans[-1].held) if plans else held
        reports = []
        for action in actions:
            if isinstance(action, Announce):
                assert held.issuperset(action.egress_ips)
            elif isinstance(action, Release):
                assert held.issuperset(action.holders)
                held -= set(action.holders)
            elif isinstance(action, Claim):
                assert held.isdisjoint(action.egress_ips)
                reports.append((Taken if chance.random() < 0.7 else Refused)(action.egress_ips))
        now += chance.choice([0.01, 0.04, 0.06, 0.1, 0.3])


@pytest.mark.parametrize("seed", range(4))
def test_random_faults_never_give_two_holders_and_end_with_one(seed):
    plan = {f"10.0.1.{i}": tuple(f"n{1 + (i + j) % 4}" for j in range(4)) for i in range(6)}
    segment, chance = settled(seed, plan, 4), random.Random(seed)
    segment.loss = 0.01
    for _fault in range(12):
        name = f"n{chance.randint(1, 4)}"
        chance.choice((segment.kill, lambda name: segment.split((), [name]), lambda name: segment.hang(name, 1)))(name)
        segment.run(chance.uniform(0.1, 3))
        segment.reconnect()
        segment.run(chance.uniform(0.5, 3))
        if not segment.nodes[name].powered:
            segment.boot(name)
        segment.run(1)
    segment.run(20)
    assert max(map(segment.overlap, plan)) == 0
    assert {ip: len(segment.holders(ip)) for ip in plan} == dict.fromkeys(plan, 1)


# --- A standby that cannot claim --------------------------------------------------------------------------------------


@pytest.mark.parametrize("after", [0.2, 2.0])
@pytest.mark.parametrize("refusing", [("n2",), ("n2", "n3")])
def test_a_standby_that_can_never_claim_does_not_block_the_next_one(refusing, after):
    plan = {IP: ("n1", "n2", "n3", "n4")}
    for seed in SEEDS[:2]:
        segment = settled(seed, plan, 4, after=after)
        for name in refusing:
            segment.nodes[name].locked_until = float("inf")
        segment.kill("n1")
        segment.run(100 * after)
        assert (segment.holders(IP), segment.overlap(IP)) == (["n4" if len(refusing) > 1 else "n3"], 0), seed
        assert segment.gap(IP) <= 30 * after, seed
