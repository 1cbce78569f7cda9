# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The filter's edge. The explanation is tested with _analysis.explain."""

from __future__ import annotations

import pytest
from ansible.errors import AnsibleFilterError
from ansible_collections.netops.egress_ip.plugins.filter.explain import FilterModule
from planner_documents import egressip, fleet

EXPLAIN = FilterModule().filters()["explain"]
FLEET = fleet({"10.0.0.1": "n1"})
WEB = egressip("web", "10.0.0.1")


def test_an_address_with_its_nodes():
    made = EXPLAIN([WEB, "malformed"], FLEET, "10.0.0.1")
    assert (made["names"], made["held_by"]) == (["web"], ["n1"])
    assert [(each["node"], each["can"]) for each in made["nodes"]] == [("n1", "holds"), ("n2", "yes")]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("x", FLEET, "10.0.0.1"), "egressips: must be a list, not the string 'x'"),
        (([], None, "10.0.0.1"), "fleet: must be a mapping, not null"),
        (([], {**FLEET, "nodes": 5}, "10.0.0.1"), "fleet.nodes: must be a list, not the integer 5"),
        (
            ([], {"nodes": [], "current": [], "unavailable": []}, "10.0.0.1"),
            "fleet.observed: is missing; use egress_ip_plan.fleet",
        ),
        (([], FLEET, 5), "egress_ip_explain: must be a string, not the integer 5; put it in quotes"),
        (([], FLEET, "10.0.0.1", "fair"), "policy: must be balanced or sticky, not the string 'fair'"),
    ],
)
def test_a_wrong_argument_is_one_line(arguments, message):
    with pytest.raises(AnsibleFilterError) as caught:
        EXPLAIN(*arguments)
    assert str(caught.value) == message
