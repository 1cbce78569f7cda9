# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Arguments that are parts of a run's plan: all faults in one line."""

from __future__ import annotations

import pytest
from ansible.errors import AnsibleFilterError
from ansible_collections.netops.egress_ip.plugins.module_utils._common.errors import InvalidError
from ansible_collections.netops.egress_ip.plugins.plugin_utils._filter_input import (
    check_documents,
    check_mappings,
    check_part,
    one_line_errors,
)


def test_all_faults_of_a_part_are_in_one_line():
    with pytest.raises(AnsibleFilterError) as caught, one_line_errors():
        check_part("fleet", {"nodes": {}, "observed": []}, ("nodes", "current"), ("observed",), ("needed",))
    assert str(caught.value) == (
        "fleet.nodes: must be a list, not a mapping; fleet.current: is missing; use egress_ip_plan.fleet;"
        " fleet.observed: must be a mapping, not a list; fleet.needed: is missing; use egress_ip_plan.fleet"
    )


def test_a_complete_part_and_documents():
    check_part("plan", {"moves": [], "load": {}, "needed": None}, ("moves",), ("load",), ("needed",))
    check_documents(["malformed", {}])
    check_mappings("egressips", [{}])


@pytest.mark.parametrize("value", ["x", {}, None])
def test_no_list(value):
    for check in (check_documents, lambda found: check_mappings("egressips", found)):
        with pytest.raises(InvalidError, match="^egressips: must be a list, not "):
            check(value)


def test_a_bug_stays_a_traceback():
    with pytest.raises(ZeroDivisionError), one_line_errors():
        divmod(1, 0)
