# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The values of a plan, and their dicts."""

from __future__ import annotations

import json

from ansible_collections.netops.egress_ip.plugins.module_utils._planner.plan import (
    REBALANCE,
    Assignment,
    Gap,
    Move,
    Plan,
    Unassigned,
    Weighted,
)
from hypothesis import given
from hypothesis import strategies as st

TEXTS = st.text(max_size=5)
COUNTS = st.integers(0, 99)
LOADS = st.dictionaries(TEXTS, COUNTS, max_size=3)
PLANS = st.builds(
    Plan,
    egressips=st.just(({"kind": "EgressIP"},)),
    assignments=st.tuples(st.builds(Assignment, TEXTS, TEXTS, TEXTS, TEXTS)),
    unassigned=st.tuples(st.builds(Unassigned, TEXTS, TEXTS, TEXTS, TEXTS)),
    invalid=st.just(({"name": "a", "errors": ["b"]},)),
    moves=st.tuples(st.builds(Move, TEXTS, TEXTS, TEXTS, TEXTS)),
    load=LOADS,
    warnings=st.tuples(TEXTS),
    weighted=st.none() | st.builds(Weighted, LOADS, COUNTS, COUNTS, st.booleans()),
    gap=st.none() | st.builds(Gap, st.sampled_from(("unassigned", "overlap", "squares", "moves")), COUNTS, COUNTS),
)


@given(PLANS)
def test_a_plan_is_its_dict(plan):
    value = json.loads(json.dumps(plan.to_dict()))
    assert value == plan.to_dict()
    assert Plan.from_dict(value) == plan
    assert ("weighted" in value, "gap" in value) == (plan.weighted is not None, plan.gap is not None)
    assert value.get("proven", True) == (plan.gap is None)


def test_a_move_names_both_nodes():
    made = Move("10.0.0.1", "n1", "n2", REBALANCE).to_dict()
    assert made == {"egressIP": "10.0.0.1", "from": "n1", "to": "n2", "reason": "Rebalance"}


def test_the_leveled_load_is_that_of_the_weights_if_there_are_any():
    assert Plan(load={"n1": 2}).leveled_load == {"n1": 2}
    assert Plan(load={"n1": 2}, weighted=Weighted({"n1": 9}, 81, 81, True)).leveled_load == {"n1": 9}
