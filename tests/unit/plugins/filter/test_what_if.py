# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The filter's edge. The simulation is tested with _analysis.what_if."""

from __future__ import annotations

import pytest
from ansible.errors import AnsibleFilterError
from ansible_collections.netops.egress_ip.plugins.filter.what_if import FilterModule
from ansible_collections.netops.egress_ip.plugins.module_utils._planner.assign import assign
from planner_documents import egressip, fleet

WHAT_IF = FilterModule().filters()["what_if"]
FLEET = fleet({"10.0.0.1": "n1"})
WEB = egressip("web", "10.0.0.1")
PLAN = assign([WEB], FLEET["nodes"], FLEET["current"]).to_dict()


def test_a_node_that_is_down():
    made = WHAT_IF(PLAN, [WEB, "malformed"], FLEET, {"down": ["n1"]})
    assert made["scenario"] == ["n1 is down"]
    assert [(each["from"], each["to"]) for each in made["changes"]] == [("n1", "n2")]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((None, [], FLEET, {}), "plan: must be a mapping, not null"),
        (({**PLAN, "moves": {}}, [], FLEET, {}), "plan.moves: must be a list, not a mapping"),
        ((PLAN, {}, FLEET, {}), "egressips: must be a list, not a mapping"),
        ((PLAN, [], {"nodes": []}, {}), "fleet.observed: is missing; use egress_ip_plan.fleet"),
        ((PLAN, [], FLEET, 5), "egress_ip_what_if: must be a mapping, not the integer 5"),
        ((PLAN, [], FLEET, {"down": ["n9"]}), "egress_ip_what_if.down[0]: there is no node 'n9'"),
        ((PLAN, [], FLEET, {}, "fair"), "policy: must be balanced or sticky, not the string 'fair'"),
        (
            (PLAN, [], FLEET, {}, "balanced", None, "x"),
            "egress_ip_min_available: must be a number or a percentage like 50%, not the string 'x'",
        ),
    ],
)
def test_a_wrong_argument_is_one_line(arguments, message):
    with pytest.raises(AnsibleFilterError) as caught:
        WHAT_IF(*arguments)
    assert str(caught.value).partition("; did you mean")[0] == message
