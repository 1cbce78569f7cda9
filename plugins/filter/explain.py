# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
name: explain
author:
  - The netops.egress_ip authors (@netops)
short_description: Explain which nodes can hold an egress IP
description:
  - Returns for each node whether it holds the egress IP, could hold it, or why it cannot.
  - For a node that could hold it, the result has the cost. That is the number of egress IPs that move to another node,
    including itself, and the change of the sum of squares of the nodes' loads. Both compare with the plan of the
    fewest moves, in which the address may be on any node. No other egress IP becomes unassigned for it.
    Where objects have weights, a load is the sum of the weights of its egress IPs.
  - Each node that could hold it needs a plan. With more than 500 000 egress IPs in these plans together, only the nodes
    with the most free capacity are tried.
  - Only a run limits the time of a search (C(egress_ip_plan_seconds)). This filter has no time limit, and some inputs,
    such as limits for one family that matter, can take minutes.
positional: fleet, egress_ip, policy, max_moves
options:
  _input:
    description: EgressIP documents.
    type: list
    elements: dict
    required: true
  fleet:
    description: The fleet, RV(netops.egress_ip.plan#module:fleet).
    type: dict
    required: true
  egress_ip:
    description: The egress IP. If no manifest has it, the answer is for a new object with this address alone.
    type: str
    required: true
  policy:
    description: As in P(netops.egress_ip.assign#filter), to predict the next run.
    type: str
    choices: [balanced, sticky]
    default: balanced
  max_moves:
    description: As in P(netops.egress_ip.assign#filter), to predict the next run.
    type: int
seealso:
  - plugin: netops.egress_ip.assign
    plugin_type: filter
"""

EXAMPLES = r"""
- name: Explain the placement of an egress IP
  ansible.builtin.debug:
    msg: "{{ (run.manifests.egressips | netops.egress_ip.explain(run.fleet, '192.168.126.10')).lines }}"
  vars:
    run: "{{ egress_ip_plan }}"
"""

RETURN = r"""
_value:
  description: The explanation.
  type: dict
  contains:
    egressIP:
      description: The address in RFC 5952 form.
      type: str
      sample: 192.168.126.10
    names:
      description: The objects that request it, of which the first has it.
      type: list
      elements: str
      sample: [egressips-prod]
    errors:
      description: Errors of these objects.
      type: list
      elements: str
      sample: []
    held_by:
      description: The nodes that hold it now.
      type: list
      elements: str
      sample: [node1]
    next_run:
      description: The effect of the next run on it.
      type: str
      sample: the next run leaves it there
    nodes:
      description: The result for each node.
      type: list
      elements: dict
      contains:
        node:
          description: Name of the node.
          type: str
          sample: node3
        can:
          description: V(holds), V(yes), V(no), or V(not tried).
          type: str
          sample: "yes"
        why:
          description: The constraints that prevent it, and the other egress IPs that would have to move.
          type: list
          elements: str
          sample: [192.168.126.102 of the same object is there, 192.168.126.102 would go from node3 to node1]
        moves:
          description: How many egress IPs would move to another node; none unless RV(_value.nodes[].can) is V(yes).
          type: int
          sample: 2
        before:
          description: How even the load is without it, as C(squares), C(highest), C(lowest).
          type: dict
          sample: {squares: 2, highest: 1, lowest: 1}
        after:
          description: How even the load is with it.
          type: dict
          sample: {squares: 2, highest: 1, lowest: 1}
    standbys:
      description: Where a state with failover was applied, the nodes that may hold it as planned, the holder last.
      type: list
      elements: str
      sample: [node2, node3, node1]
    lines:
      description: The result as lines for a person.
      type: list
      elements: str
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ansible_collections.netops.egress_ip.plugins.module_utils._analysis.explain import explain
from ansible_collections.netops.egress_ip.plugins.module_utils._planner.requests import read_requests
from ansible_collections.netops.egress_ip.plugins.plugin_utils._filter_input import (
    check_documents,
    check_part,
    one_line_errors,
)


def _explain(
    egressips: Sequence[Any],
    fleet: Mapping[str, Any],
    egress_ip: object,
    policy: str = "balanced",
    max_moves: int | None = None,
) -> dict[str, Any]:
    with one_line_errors():
        check_documents(egressips)
        check_part("fleet", fleet, ("nodes", "current", "unavailable"), ("observed",))
        return explain(egress_ip, read_requests(egressips, {}), fleet, policy, max_moves).to_dict()


class FilterModule:
    """Filter plugin."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        """Return the filter by its name."""
        return {"explain": _explain}
