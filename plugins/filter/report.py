# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
name: report
author:
  - The netops.egress_ip authors (@netops)
short_description: Tell a person what a plan means or what a run did
description:
  - Returns one table of every egress IP with its object, node and state, and what was not placed, is broken or failed.
positional: manifests, fleet, results, check_mode, besides
options:
  _input:
    description: A plan, as P(netops.egress_ip.assign#filter) returns it.
    type: dict
    required: true
  manifests:
    description: What the lookup P(netops.egress_ip.manifests#lookup) returned.
    type: dict
    required: true
  fleet:
    description: What the filter P(netops.egress_ip.fleet#filter) returned.
    type: dict
    required: true
  results:
    description: The result of M(netops.egress_ip.node) by node; none before anything was applied.
    type: dict
  check_mode:
    description: Whether the results are of a run in check mode, in which nothing was applied.
    type: bool
    default: false
  besides:
    description:
      - What happened elsewhere, every key optional.
      - C(withheld) {egress IP - why nobody may claim it}, C(fenced) (names of nodes), C(failures) and C(notes) (lines).
    type: dict
    default: {}
seealso:
  - plugin: netops.egress_ip.status
    plugin_type: filter
"""

EXAMPLES = r"""
- name: Print the plan
  ansible.builtin.debug:
    msg: "{{ (egress_ip_plan | netops.egress_ip.report(egress_ip_read, egress_ip_fleet)).lines }}"
"""

RETURN = r"""
_value:
  description: The report.
  type: dict
  contains:
    lines:
      description: The table and what follows it.
      type: list
      elements: str
    failures:
      description: What fails a run in any case.
      type: list
      elements: str
    complaints:
      description: What fails a strict run.
      type: list
      elements: str
    stats:
      description: The same as data.
      type: dict
"""

from ansible_collections.netops.egress_ip.plugins.module_utils._reconcile.report import report


def _report(plan, manifests, fleet, results=None, check_mode=False, besides=None):
    return report(plan, manifests, fleet, results, check_mode, besides).to_dict()


class FilterModule:
    """Filter plugin."""

    def filters(self):
        """Return the filter by its name."""
        return {"report": _report}
