# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The filter's edge. The report is tested with _reconcile.report."""

from __future__ import annotations

import pytest
from ansible.errors import AnsibleFilterError
from ansible_collections.netops.egress_ip.plugins.filter.report import FilterModule

REPORT = FilterModule().filters()["report"]
PLAN = {
    "assignments": [{"name": "web", "egressIP": "10.0.0.1", "node": "n1", "interface": "eth0"}],
    "unassigned": [],
    "invalid": [],
    "moves": [],
    "load": {"n1": 1},
    "warnings": [],
}
MANIFESTS = {"invalid": [], "ignored": []}
RESULTS = {"n1": {"changed": True, "claimed": ["10.0.0.1"]}}
FLEET = {"current": [], "unavailable": [], "faulty": [], "observed": {}}


def test_a_plan_and_the_notes_of_a_run():
    made = REPORT(PLAN, MANIFESTS, FLEET, RESULTS, False, {"notes": ["note"]})
    assert made["lines"][1].split() == ["10.0.0.1", "web", "n1", "claimed"]
    assert made["lines"][-1] == "  note"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (([], MANIFESTS, FLEET), "plan: must be a mapping, not a list"),
        (({**PLAN, "load": []}, MANIFESTS, FLEET), "plan.load: must be a mapping, not a list"),
        ((PLAN, {"invalid": []}, FLEET), "manifests.ignored: is missing; use egress_ip_plan.manifests"),
        ((PLAN, MANIFESTS, {**FLEET, "current": {}}), "fleet.current: must be a list, not a mapping"),
        ((PLAN, MANIFESTS, FLEET, 5), "results: must be a mapping, not the integer 5"),
        ((PLAN, MANIFESTS, FLEET, {}, False, 5), "events: must be a mapping, not the integer 5"),
        ((PLAN, MANIFESTS, FLEET, {}, False, {"note": []}), "events.note: unknown field; did you mean notes?"),
    ],
)
def test_a_wrong_argument_is_one_line(arguments, message):
    with pytest.raises(AnsibleFilterError) as caught:
        REPORT(*arguments)
    assert str(caught.value) == message
