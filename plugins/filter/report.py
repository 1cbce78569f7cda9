# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
name: report
author:
  - The netops.egress_ip authors (@netops)
short_description: Report a plan or the outcome of a run
description:
  - Returns a table of the egress IPs with object, node and state, and the failures, errors and notes.
positional: manifests, fleet, results, check_mode, events
options:
  _input:
    description: A plan, as P(netops.egress_ip.assign#filter) returns it.
    type: dict
    required: true
  manifests:
    description: The manifests, RV(netops.egress_ip.plan#module:manifests).
    type: dict
    required: true
  fleet:
    description: The fleet, RV(netops.egress_ip.plan#module:fleet).
    type: dict
    required: true
  results:
    description: The results of M(netops.egress_ip.node) by node; none before a run.
    type: dict
  check_mode:
    description: Whether the results are of a run in check mode, in which nothing was applied.
    type: bool
    default: false
  events:
    description:
      - Events outside the nodes, a dictionary with any of the following keys.
      - C(withheld), a dictionary of egress IPs that must not be claimed and the reasons.
      - C(fenced) and C(unproven), names of nodes that are fenced, the latter without a proof.
      - C(failures), C(errors) and C(notes), a line each.
    type: dict
    default: {}
seealso:
  - plugin: netops.egress_ip.status
    plugin_type: filter
"""

EXAMPLES = r"""
- name: Print the plan
  ansible.builtin.debug:
    msg: "{{ (run.plan | netops.egress_ip.report(run.manifests, run.fleet)).lines }}"
  vars:
    run: "{{ egress_ip_plan }}"
"""

RETURN = r"""
_value:
  description: The report.
  type: dict
  contains:
    lines:
      description: The table, followed by failures, errors and notes.
      type: list
      elements: str
    failures:
      description: The failures, which fail every run.
      type: list
      elements: str
    errors:
      description: The errors, which fail a strict run.
      type: list
      elements: str
    stats:
      description: The same as data.
      type: dict
"""

from collections.abc import Callable, Mapping
from typing import Any

from ansible_collections.netops.egress_ip.plugins.module_utils._common.errors import Errors
from ansible_collections.netops.egress_ip.plugins.module_utils._common.validation import check_fields, check_mapping
from ansible_collections.netops.egress_ip.plugins.module_utils._reconcile.report import Events, report
from ansible_collections.netops.egress_ip.plugins.plugin_utils._filter_input import (
    check_part,
    one_line_errors,
)

_LISTS = ("assignments", "unassigned", "invalid", "moves", "warnings")


def _report(
    plan: Mapping[str, Any],
    manifests: Mapping[str, Any],
    fleet: Mapping[str, Any],
    results: Mapping[str, Any] | None = None,
    check_mode: bool = False,
    events: object = None,
) -> dict[str, Any]:
    with one_line_errors():
        check_part("plan", plan, _LISTS, ("load",))
        check_part("manifests", manifests, ("invalid", "ignored"))
        check_part("fleet", fleet, ("current", "unavailable", "faulty"), ("observed",))
        errors = Errors()
        given = check_mapping(events or {}, "events", errors)
        check_mapping(results or {}, "results", errors)
        check_fields(given, "events.", tuple(Events.__dataclass_fields__), errors)
        errors.raise_if_any()
        return report(plan, manifests, fleet, results, check_mode, Events(**given)).to_dict()


class FilterModule:
    """Filter plugin."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        """Return the filter by its name."""
        return {"report": _report}
