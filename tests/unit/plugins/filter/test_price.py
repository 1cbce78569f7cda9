# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The filter's edge. The cost of balance is tested with _analysis.balance_cost."""

from __future__ import annotations

import pytest
from ansible.errors import AnsibleFilterError
from ansible_collections.netops.egress_ip.plugins.filter.price import FilterModule
from ansible_collections.netops.egress_ip.plugins.module_utils._planner.assign import assign
from planner_documents import current, egressip, node

PRICE = FilterModule().filters()["price"]
FLEET = {"nodes": [node(1), node(2)], "current": current({"10.0.0.1": "n1", "10.0.0.2": "n1"})}
DOCUMENTS = [egressip("a", "10.0.0.1"), egressip("b", "10.0.0.2")]
PLAN = assign(DOCUMENTS, FLEET["nodes"], FLEET["current"]).to_dict()


def test_the_offers_of_a_fleet_that_one_move_balances():
    made = PRICE(PLAN, [*DOCUMENTS, "malformed"], FLEET)
    assert [(offer["moves"], offer["squares"]) for offer in made["offers"]] == [(0, 4), (1, 2)]


def test_a_malformed_node_does_not_stop_the_others():
    assert PRICE(PLAN, DOCUMENTS, {**FLEET, "nodes": [{}, *FLEET["nodes"]]})["offers"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("x", DOCUMENTS, FLEET), "plan: must be a mapping, not the string 'x'"),
        (({"moves": []}, DOCUMENTS, FLEET), "plan.load: is missing; use egress_ip_plan.plan"),
        ((PLAN, None, FLEET), "egressips: must be a list, not null"),
        ((PLAN, DOCUMENTS, {"nodes": []}), "fleet.current: is missing; use egress_ip_plan.fleet"),
    ],
)
def test_a_wrong_argument_is_one_line(arguments, message):
    with pytest.raises(AnsibleFilterError) as caught:
        PRICE(*arguments)
    assert str(caught.value) == message
