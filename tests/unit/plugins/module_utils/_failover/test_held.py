# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""When a holder releases, and when it announces: rules 5 and 6 of the failover."""

from __future__ import annotations

import itertools
from dataclasses import replace

import pytest
from ansible_collections.netops.egress_ip.plugins.module_utils._failover.held import Holding
from ansible_collections.netops.egress_ip.plugins.module_utils._failover.neighbours import Neighbours
from ansible_collections.netops.egress_ip.plugins.module_utils._failover.values import (
    Announce,
    Ask,
    Clock,
    Duty,
    FailoverSettings,
    Heard,
    Neighbour,
    Note,
    Release,
    Resolve,
    Timing,
)

A = "10.0.0.101"
WITNESS = Neighbour("eth0", "10.0.0.254")


class Holder:
    """Node n1, which holds A by plan, or node n2, which took it over; the witness answers unless it is told not to."""

    def __init__(self, name="n1", taken=False, former="", order=("n2", "n3"), **settings):
        others = {f"n{i}": (Neighbour("eth0", f"10.0.0.{i}"),) for i in (1, 2, 3) if f"n{i}" != name}
        self.neighbours = Neighbours(FailoverSettings(name, peers=others, witnesses=(WITNESS,), **settings), 0.0)
        self.holding = Holding(name, Timing.of(0.2), self.neighbours)
        self.now = self.judged = 0.0
        self.holding.add(Duty(A, "eth0", order), 0.0, taken, former)
        for other in others:
            self.hear(Heard("eth0", f"m{other[1:]}", f"10.0.0.{other[1:]}"))

    def hear(self, heard):
        self.neighbours.hear(self.now, heard)
        self.holding.hear(self.now, heard)

    def decide(self, now=None):
        self.holding.sent(self.judged)
        self.now = self.judged = self.now if now is None else now
        return self.holding.decide(Clock(self.now, self.now, self.now))

    def beats(self, count, witness):
        """Let beats pass; returns what was done in them."""
        done = []
        for _beat in range(count):
            done += self.decide(self.now + 0.041)
            if witness:
                self.hear(Heard("eth0", "mr", WITNESS.address, direct=True))
        return done


def releases(actions):
    return [action.holders for action in actions if isinstance(action, Release)]


# --- Rule 5: cut off --------------------------------------------------------------------------------------------------


def test_a_connected_holder_only_asks_its_witness():
    assert set(Holder().beats(10, witness=True)) == {
        Resolve("eth0", WITNESS.address),
        Resolve("eth0", WITNESS.address, "mr"),
    }


def test_a_holder_asks_witnesses_of_its_ip_version_and_all_as_soon_as_nothing_was_heard():
    holder, both = Holder(), (WITNESS, Neighbour("eth0", "2001:db8::254"))
    holder.neighbours.configure(replace(holder.neighbours.settings, witnesses=both, strict=True))
    assert holder.beats(3, witness=True)[-1:] == [Resolve("eth0", WITNESS.address, "mr")]
    done = []
    for _beat in range(20):
        # Only the other one answers.
        done += holder.beats(1, witness=False)
        if Resolve("eth0", both[1].address) in done[-4:] or Resolve("eth0", both[1].address, "m6") in done[-4:]:
            holder.hear(Heard("eth0", "m6", both[1].address, direct=True))
    assert {Resolve("eth0", both[1].address), Resolve("eth0", both[1].address, "m6")} & set(done)
    assert releases(done) == []


def test_a_holder_without_a_connection_lets_go_after_three_beats_if_a_standby_was_alive():
    holder = Holder()
    holder.beats(3, witness=True)
    holder.hear(Heard("eth0", "m2", "", A))
    # The window in which the standby was heard is not over yet.
    assert releases(holder.beats(4, witness=False)) == [{A: ""}]


def test_a_holder_without_a_connection_keeps_its_address_if_no_standby_was_alive():
    holder = Holder()
    holder.hear(Heard("eth0", "m2", "", A))
    holder.beats(150, witness=True)
    assert releases(holder.beats(20, witness=False)) == []


def test_a_planned_holder_is_a_standby_of_what_another_node_took():
    holder = Holder("n2", taken=True)
    holder.beats(3, witness=True)
    holder.hear(Heard("eth0", "m1", "", A))
    assert releases(holder.beats(4, witness=False)) == [{A: ""}]


@pytest.mark.parametrize("strict", [False, True])
def test_another_node_is_a_connection_unless_strict(strict):
    holder = Holder(strict=strict)
    done = []
    for _beat in range(10):
        done += holder.beats(1, witness=False)
        holder.hear(Heard("eth0", "m2", "", A))
    assert releases(done) == ([{A: ""}] if strict else [])


def test_all_nodes_are_asked_before_a_holder_lets_go():
    holder = Holder()
    done = holder.beats(3, witness=False)
    assert {Resolve("eth0", "10.0.0.2"), Resolve("eth0", "10.0.0.3")} <= set(done)


def test_a_holder_that_is_connected_again_announces_at_once():
    holder = Holder()
    holder.beats(5, witness=False)
    holder.hear(Heard("eth0", "mr", WITNESS.address, direct=True))
    assert Announce((A,)) in holder.beats(1, witness=True)


def test_a_holder_announces_when_a_standby_is_back():
    holder = Holder()
    holder.hear(Heard("eth0", "m2", "", A))
    holder.beats(20, witness=True)
    holder.hear(Heard("eth0", "m2", "", A))
    assert Announce((A,)) in holder.decide()


def test_a_holder_asks_for_all_that_a_standby_that_is_back_may_have():
    """It may have taken them over: they do not wait for each other."""
    holder, ips = Holder(), [f"10.0.1.{i}" for i in range(100)]
    for ip in ips:
        holder.holding.add(Duty(ip, "eth0", ("n2", "n3")), 0.0)
    holder.holding.add(Duty("10.0.2.1", "eth0", ("n3",)), 0.0)
    holder.hear(Heard("eth0", "m2", "", A))
    assert not holder.holding.awaits_answers(0.0)
    holder.beats(20, witness=True)
    holder.hear(Heard("eth0", "m2", "", A))
    assert [each.address for each in holder.decide() if isinstance(each, Ask)] == [A, *ips]
    holder.holding.sent(holder.now)
    assert holder.holding.awaits_answers(holder.now)
    for ip in ips:
        holder.hear(Heard("eth0", "m2", ip, direct=True))
    assert releases(holder.decide()) == [dict.fromkeys(ips, "m2")]
    assert releases(holder.beats(20, witness=True)) == []
    assert not holder.holding.awaits_answers(holder.now)


# --- Rule 5: two hosts answer -----------------------------------------------------------------------------------------


def test_the_planned_holder_asks_the_wire_and_yields_to_the_node_that_answers():
    holder = Holder()
    holder.hear(Heard("eth0", "m2", A))
    assert Ask("eth0", A) in holder.decide()
    holder.hear(Heard("eth0", "m2", A, direct=True))
    holder.hear(Heard("eth0", "m2", A, direct=True))
    assert releases(holder.decide()) == [{A: "m2"}]


def test_a_frame_without_an_answer_moves_nothing():
    holder = Holder()
    holder.hear(Heard("eth0", "m2", A))
    assert releases(holder.beats(20, witness=True)) == []


@pytest.mark.parametrize(("name", "other", "yields"), [("n2", "m1", False), ("n2", "m3", False), ("n3", "m2", True)])
def test_a_node_that_took_an_address_yields_only_to_an_earlier_standby(name, other, yields):
    holder = Holder(name, taken=True)
    for _frame in range(2):
        holder.hear(Heard("eth0", other, A))
    done = holder.decide()
    assert (releases(done), Announce((A,)) in done) == ([{A: other}] if yields else [], not yields)


def test_a_foreign_host_is_reported_once_and_moves_nothing():
    holder = Holder()
    done = []
    for _frame in range(3):
        holder.hear(Heard("eth0", "mx", A))
        done += holder.decide()
    assert [each for each in done if isinstance(each, Note)] == [
        Note(f"{A} is in conflict: mx, which is not a node, also answers for it")
    ]
    assert releases(done) == []


def test_a_node_that_took_an_address_asks_its_former_holder():
    holder = Holder("n2", taken=True, former="m1")
    assert Ask("eth0", A, "m1") in holder.decide()


def test_a_taken_address_is_announced_again_after_more_than_a_second():
    holder = Holder("n2", taken=True)
    done = [(holder.now, each) for _beat in range(100) for each in holder.beats(1, witness=True)]
    assert [round(at, 1) for at, each in done if isinstance(each, Announce)] == [1.1, 3.0]


# --- Rule 6: after a pause --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("other", ["m2", "m3", "mx"])
def test_after_a_pause_a_holder_yields_to_any_host_that_answers(other):
    for holder in (Holder(), Holder("n2", taken=True)):
        holder.holding.probe_all(0.0)
        assert Ask("eth0", A) in holder.decide()
        if other != f"m{holder.holding.name[1:]}":
            holder.hear(Heard("eth0", other, A, direct=True))
            assert releases(holder.decide()) == [{A: other}]


def test_after_a_pause_and_silence_a_holder_keeps_its_address():
    holder = Holder()
    holder.holding.probe_all(0.0)
    assert releases(holder.beats(20, witness=True)) == []


def test_many_foreign_hosts_are_reported_once_a_second():
    holder = Holder()
    done = []
    for frame in range(100):
        holder.hear(Heard("eth0", f"mx{frame % 2}", A))
        done += holder.decide(frame * 0.02)
    assert len([each for each in done if isinstance(each, Note)]) == 2


def test_what_many_answers_take_away_is_released_in_one_step():
    """Each release takes the lock, two transactions and a record, however many addresses it has."""
    holder, ips = Holder(), [f"10.0.1.{i}" for i in range(100)]
    for ip in ips:
        holder.holding.add(Duty(ip, "eth0", ("n2", "n3")), 0.0)
    holder.holding.probe_all(0.0)
    holder.decide()
    for ip in ips:
        holder.hear(Heard("eth0", "m2" if ip != ips[0] else "mx", ip, direct=True))
    done = holder.decide()
    assert done[:2] == [
        Release({ips[0]: "mx"}, "mx answered while this node was away"),
        Release(dict.fromkeys(ips[1:], "m2"), "n2 answered while this node was away"),
    ]
    assert releases(done[2:]) == []


def test_an_address_that_leaves_is_not_announced():
    """In the same step: a standby is back, the announcement after a takeover is due, and another host answers."""
    holder = Holder("n3", taken=True)
    holder.holding.probe_all(0.0)
    holder.decide()
    holder.now = 1.2
    holder.holding.sent(1.2)
    holder.hear(Heard("eth0", "m1", "", A))
    holder.hear(Heard("eth0", "m2", A, direct=True))
    done = holder.decide()
    assert releases(done) == [{A: "m2"}]
    assert [each for each in done if isinstance(each, Announce)] == []


@pytest.mark.parametrize("answers", [True, False])
def test_an_address_that_a_run_took_away_is_neither_released_nor_announced(answers):
    """In the same step: a standby answers or is back, and the record is without the address."""
    holder = Holder()
    holder.hear(Heard("eth0", "m2", "", A))
    holder.beats(20, witness=True)
    if answers:
        holder.holding.probe_all(holder.now)
    holder.hear(Heard("eth0", "m2", *((A, "") if answers else ("", A)), direct=True))
    holder.holding.remove(A)
    assert [each for each in holder.decide() if isinstance(each, (Announce, Release))] == []


@pytest.mark.parametrize("pause", [False, True])
def test_an_answer_counts_from_when_its_question_was_sent(pause):
    """With many actions in one step, that may be long after the step began."""
    holder = Holder()
    if pause:
        holder.holding.probe_all(0.0)
    else:
        holder.hear(Heard("eth0", "m2", A))
    assert Ask("eth0", A) in holder.decide()
    holder.now, holder.judged = 1.05, 1.0
    holder.holding.sent(1.0)
    holder.hear(Heard("eth0", "m2", A, direct=True))
    assert releases(holder.decide()) == [{A: "m2"}]


ORDERS = list(itertools.permutations(("n1", "n2", "n3")))


def yields(name, other, order, taken):
    """Whether a node yields to another one, by a plan with this order, the planned holder last."""
    holder = Holder(name, taken, order=order[:-1])
    for _frame in range(2):
        holder.hear(Heard("eth0", f"m{other[1:]}", A))
    return bool(releases(holder.decide()))


@pytest.mark.parametrize("order", ORDERS)
def test_of_two_nodes_with_one_plan_exactly_one_yields(order):
    for one, other in itertools.combinations(order, 2):
        assert yields(one, other, order, True) != yields(other, one, order, True)
        if other == order[-1]:
            assert not yields(one, other, order, True)
            assert yields(other, one, order, False)


def test_of_two_standbys_with_different_plans_exactly_one_yields():
    """Each may have the first turn by its own plan."""
    for first, second in itertools.product(ORDERS, ORDERS):
        one, other = first[0], second[0]
        if one != other and one in second[:-1] and other in first[:-1]:
            assert yields(one, other, first, True) != yields(other, one, second, True)
