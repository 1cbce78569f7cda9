# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
name: what_if
author:
  - The netops.egress_ip authors (@netops)
short_description: Simulate a run with changed nodes or objects
description:
  - Takes the plan of a run and assumed changes after it, and returns the effect of these changes. Nothing is changed.
  - Only a run limits the time of a search (C(egress_ip_plan_seconds)). This filter has no time limit, and some inputs,
    such as limits for one family that matter, can take minutes.
positional: egressips, fleet, changes, policy, max_moves, min_available
options:
  _input:
    description: A plan, as P(netops.egress_ip.assign#filter) returns it.
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
  changes:
    description: The changes to simulate. An empty dictionary changes nothing.
    type: dict
    required: true
    suboptions:
      down:
        description: Names of nodes that do not answer.
        type: list
        elements: str
      drain:
        description: Names of nodes that are drained. With any of them, nothing moves for balance, as in a drain.
        type: list
        elements: str
      nodes:
        description:
          - Changes of nodes by name. A node of a new name is added.
          - Each has any of C(labels) (a dictionary, added to those of the node), C(remove_labels) (a list of
            keys), C(capacity), and C(networks). The last two are as P(netops.egress_ip.assign#filter) takes them, and
            replace those of the node. A new node needs C(networks).
        type: dict
      egressips:
        description:
          - Changes of EgressIP objects by name. An object of a new name is added.
          - Each has any of C(egressIPs) (a list, in place of the object's) and C(annotations) (a dictionary, added to
            those of the object; null removes one).
        type: dict
      removed_egressips:
        description: Names of EgressIP objects that are deleted.
        type: list
        elements: str
  policy:
    description: As in P(netops.egress_ip.assign#filter).
    type: str
    choices: [balanced, sticky]
    default: balanced
  max_moves:
    description: As in P(netops.egress_ip.assign#filter).
    type: int
  min_available:
    description: As in M(netops.egress_ip.plan). With fewer nodes that answer a run would stop and move nothing.
    type: raw
    default: 50%
seealso:
  - plugin: netops.egress_ip.assign
    plugin_type: filter
  - plugin: netops.egress_ip.headroom
    plugin_type: filter
"""

EXAMPLES = r"""
- name: Simulate that node2 fails and that node1 holds at most two egress IPs
  ansible.builtin.debug:
    msg: "{{ (run.plan | netops.egress_ip.what_if(run.manifests.egressips, run.fleet, changes)).lines }}"
  vars:
    run: "{{ egress_ip_plan }}"
    changes:
      down: [node2]
      nodes:
        node1:
          capacity: 2
"""

RETURN = r"""
_value:
  description: The result of the simulation.
  type: dict
  contains:
    scenario:
      description: The simulated changes, a sentence each.
      type: list
      elements: str
      sample: [node2 is down]
    changes:
      description:
        - The egress IPs that would be on another node, C(from) the one C(to) the other, or with another object. One
          that has no node before or after has null there.
        - Reasons are those of moves, those of addresses without node, V(New), V(NoLongerWanted), and V(OtherObject) for
          one that goes to another object on its node.
      type: list
      elements: dict
      sample:
        - {name: web, egressIP: 192.168.126.10, from: node2, to: node1, reason: NodeNotReady, message: ""}
    unassigned:
      description: The egress IPs that would have no node, as P(netops.egress_ip.assign#filter) returns them.
      type: list
      elements: dict
    load:
      description: Number of egress IPs of each node, before and after; null where there is no such node.
      type: dict
      sample: {node1: {before: 1, after: 2}, node2: {before: 1, after: 0}}
    evenness:
      description:
        - How even the load is, before and after. C(highest) and C(lowest) are of the nodes that may hold something.
        - Where objects have weights, a load is the sum of its egress IPs' weights here and in RV(_value.lines).
      type: dict
      sample: {before: {squares: 2, highest: 1, lowest: 1}, after: {squares: 4, highest: 2, lowest: 2}}
    fleet_after:
      description: The simulated fleet after its run, for P(netops.egress_ip.headroom#filter).
      type: dict
    lines:
      description: The result as lines for a person.
      type: list
      elements: str
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ansible_collections.netops.egress_ip.plugins.module_utils._analysis.what_if import RunOptions, what_if
from ansible_collections.netops.egress_ip.plugins.module_utils._planner.requests import read_requests
from ansible_collections.netops.egress_ip.plugins.plugin_utils._filter_input import (
    check_documents,
    check_part,
    one_line_errors,
)

_LISTS = ("egressips", "assignments", "unassigned", "invalid", "moves", "warnings")


def _what_if(
    plan: Mapping[str, Any],
    egressips: Sequence[Any],
    fleet: Mapping[str, Any],
    changes: object,
    policy: str = "balanced",
    max_moves: int | None = None,
    min_available: object = "50%",
) -> dict[str, Any]:
    with one_line_errors():
        check_part("plan", plan, _LISTS, ("load",))
        check_documents(egressips)
        check_part("fleet", fleet, ("nodes",), ("observed",))
        options = RunOptions(policy, max_moves, min_available)
        return what_if(plan, read_requests(egressips, {}), fleet, changes, options).to_dict()


class FilterModule:
    """Filter plugin."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        """Return the filter by its name."""
        return {"what_if": _what_if}
