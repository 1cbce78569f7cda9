# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The filter's edge. The status is tested with _reconcile.report."""

from __future__ import annotations

import pytest
from ansible.errors import AnsibleFilterError
from ansible_collections.netops.egress_ip.plugins.filter.status import FilterModule
from planner_documents import current, egressip

STATUS = FilterModule().filters()["status"]
FLEET = {"current": current({"10.0.0.1": "n1"})}


def test_the_holders_are_the_status():
    (document,) = STATUS([egressip("web", "10.0.0.1", "10.0.0.2")], FLEET)
    assert document["status"] == {"assignments": [{"node": "n1", "egressIP": "10.0.0.1"}]}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (({}, FLEET), "egressips: must be a list, not a mapping"),
        (([{}, None], FLEET), "egressips[1]: must be a mapping, not null"),
        (([], []), "fleet: must be a mapping, not a list"),
        (([], {}), "fleet.current: is missing; use egress_ip_plan.fleet"),
    ],
)
def test_a_wrong_argument_is_one_line(arguments, message):
    with pytest.raises(AnsibleFilterError) as caught:
        STATUS(*arguments)
    assert str(caught.value) == message
