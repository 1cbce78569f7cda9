# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The filter's edge. The headroom is tested with _analysis.headroom."""

from __future__ import annotations

import pytest
from ansible.errors import AnsibleFilterError
from ansible_collections.netops.egress_ip.plugins.filter.headroom import FilterModule
from planner_documents import current, egressip, in_zone

HEADROOM = FilterModule().filters()["headroom"]
AFTER = {
    "egressips": [egressip("web", "10.0.0.1")],
    "owners": {},
    "nodes": [in_zone(1, "a"), in_zone(2, "b")],
    "current": current({"10.0.0.1": "n1"}),
    "answering": ["n1", "n2"],
    "needed": 2,
}


def test_the_loss_of_a_node_with_the_needed_number_of_nodes():
    (loss,) = HEADROOM(AFTER, "rack")["losses"]
    assert (loss["nodes"], loss["unassigned"], loss["stops"]) == (["n1"], [], True)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (([], "zone"), "fleet_after: must be a mapping, not a list"),
        (({**AFTER, "nodes": 5}, "zone"), "fleet_after.nodes: must be a list, not the integer 5"),
        (
            ({key: value for key, value in AFTER.items() if key != "needed"}, "zone"),
            "fleet_after.needed: is missing; use fleet_after of the filter netops.egress_ip.what_if",
        ),
        ((AFTER, 5), "egress_ip_headroom_label: must be a string, not the integer 5; put it in quotes"),
    ],
)
def test_a_wrong_argument_is_one_line(arguments, message):
    with pytest.raises(AnsibleFilterError) as caught:
        HEADROOM(*arguments)
    assert str(caught.value) == message
