# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The filter's edge. What it plans is tested with _assignment."""

from __future__ import annotations

import pytest
from ansible.errors import AnsibleFilterError
from ansible_collections.netops.egress_ip.plugins.filter.assign import FilterModule

ASSIGN = FilterModule().filters()["assign"]


def test_the_result_is_plain():
    assert ASSIGN([], []) == {
        "egressips": [],
        "assignments": [],
        "unassigned": [],
        "invalid": [],
        "moves": [],
        "load": {},
        "warnings": [],
    }


def test_current_may_be_none():
    assert ASSIGN([], [], None)["assignments"] == []


def test_failures_name_the_filter_and_the_argument():
    with pytest.raises(AnsibleFilterError) as caught:
        ASSIGN([], [], policy="fair")
    assert str(caught.value) == "netops.egress_ip.assign: policy: must be balanced or sticky, not the string 'fair'"


def test_standbys_are_keys_where_failover_is_on():
    assert {*ASSIGN([], [], failover=True)} - {*ASSIGN([], [])} == {"standbys", "without_standby"}


def test_the_last_standbys_must_be_a_list():
    with pytest.raises(AnsibleFilterError) as caught:
        ASSIGN([], [], failover=True, standbys={})
    assert str(caught.value) == "netops.egress_ip.assign: standbys: must be a list, not a mapping"
