# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
name: price
author:
  - The netops.egress_ip authors (@netops)
short_description: Calculate how many moves balance costs
description:
  - Returns the flattest load for each number of moves that are made only for balance, from none to as many as needed.
  - A number of moves is left out where the numbers below and above it save at least as much for each move.
  - Where objects have weights, loads are sums of weights. The offers are then for some numbers of moves, each as
    flat as the planner finds it.
  - Only a run limits the time of a search (C(egress_ip_plan_seconds)). This filter has no time limit, and some inputs,
    such as limits for one family that matter, can take minutes.
positional: egressips, fleet
options:
  _input:
    description: A plan, as P(netops.egress_ip.assign#filter) returns it. Its moves are among the offers.
    type: dict
    required: true
  egressips:
    description: The EgressIP documents of the plan.
    type: list
    elements: dict
    required: true
  fleet:
    description: The fleet, RV(netops.egress_ip.plan#module:fleet).
    type: dict
    required: true
seealso:
  - plugin: netops.egress_ip.assign
    plugin_type: filter
"""

EXAMPLES = r"""
- name: Show how many moves balance costs
  ansible.builtin.debug:
    msg: "{{ (run.plan | netops.egress_ip.price(run.manifests.egressips, run.fleet)).lines }}"
  vars:
    run: "{{ egress_ip_plan }}"
"""

RETURN = r"""
_value:
  description: The price.
  type: dict
  contains:
    offers:
      description: The possible loads and their costs.
      type: list
      elements: dict
      contains:
        moves:
          description: How many moves are made only for balance.
          type: int
          sample: 2
        squares:
          description: The sum of squares of the nodes' loads.
          type: int
          sample: 17
        highest:
          description: The highest load of the nodes that may hold something.
          type: int
          sample: 3
        lowest:
          description: The lowest of these loads.
          type: int
          sample: 2
    run:
      description: The plan in the same form.
      type: dict
    lines:
      description: The result as lines for a person.
      type: list
      elements: str
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ansible_collections.netops.egress_ip.plugins.module_utils._analysis.balance_cost import price_of
from ansible_collections.netops.egress_ip.plugins.module_utils._planner.requests import read_requests
from ansible_collections.netops.egress_ip.plugins.plugin_utils._filter_input import (
    check_documents,
    check_part,
    one_line_errors,
)


def _price(plan: Mapping[str, Any], egressips: Sequence[Any], fleet: Mapping[str, Any]) -> dict[str, Any]:
    with one_line_errors():
        check_part("plan", plan, ("moves",), ("load",))
        check_documents(egressips)
        check_part("fleet", fleet, ("nodes", "current"))
        return price_of(plan, read_requests(egressips, {}), fleet).to_dict()


class FilterModule:
    """Filter plugin."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        """Return the filter by its name."""
        return {"price": _price}
