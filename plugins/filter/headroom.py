# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
name: headroom
author:
  - The netops.egress_ip authors (@netops)
short_description: Check whether every egress IP has a node after a loss
description:
  - Simulates the loss of each node that holds egress IPs, and then of each failure domain, and returns the egress IPs
    that would be unassigned.
  - Their number is exact. Where there is a choice, the addresses are those of the plan with the fewest moves.
  - Only a run limits the time of a search (C(egress_ip_plan_seconds)). This filter has no time limit, and some inputs,
    such as limits for one family that matter, can take minutes.
positional: label
options:
  _input:
    description: The C(fleet_after) that P(netops.egress_ip.what_if#filter) returned.
    type: dict
    required: true
  label:
    description: The label of nodes whose values are failure domains.
    type: str
    required: true
seealso:
  - plugin: netops.egress_ip.what_if
    plugin_type: filter
"""

EXAMPLES = r"""
- name: Show the headroom
  ansible.builtin.debug:
    msg: "{{ (answer.fleet_after | netops.egress_ip.headroom('topology.kubernetes.io/zone')).lines }}"
  vars:
    run: "{{ egress_ip_plan }}"
    answer: "{{ run.plan | netops.egress_ip.what_if(run.manifests.egressips, run.fleet, {}) }}"
"""

RETURN = r"""
_value:
  description: The headroom.
  type: dict
  contains:
    losses:
      description: The effect of each loss.
      type: list
      elements: dict
      contains:
        label:
          description: The label, none for a single node.
          type: str
          sample: topology.kubernetes.io/zone
        domain:
          description: Value of the label, none for a single node.
          type: str
          sample: zone-a
        nodes:
          description: The nodes that are lost.
          type: list
          elements: str
          sample: [node1, node2]
        holding:
          description: How many egress IPs they hold.
          type: int
          sample: 2
        unassigned:
          description: The egress IPs that would be unassigned, as P(netops.egress_ip.assign#filter) returns them.
          type: list
          elements: dict
        stops:
          description: Whether too few nodes are left for a run.
          type: bool
    outside:
      description: Nodes that hold egress IPs and lack the label, if others have it.
      type: list
      elements: str
    unassigned:
      description: The egress IPs that are unassigned before any loss.
      type: list
      elements: dict
    lines:
      description: The result as lines for a person.
      type: list
      elements: str
"""

from collections.abc import Callable, Mapping
from typing import Any

from ansible_collections.netops.egress_ip.plugins.module_utils._analysis.headroom import headroom
from ansible_collections.netops.egress_ip.plugins.module_utils._analysis.scenario import FleetAfter
from ansible_collections.netops.egress_ip.plugins.plugin_utils._filter_input import (
    check_part,
    one_line_errors,
)

_LISTS = ("egressips", "nodes", "current", "answering")


def _headroom(fleet_after: Mapping[str, Any], label: str) -> dict[str, Any]:
    with one_line_errors():
        check_part("fleet_after", fleet_after, _LISTS, ("owners",), ("needed",))
        return headroom(FleetAfter.from_dict(fleet_after), label).to_dict()


class FilterModule:
    """Filter plugin."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        """Return the filter by its name."""
        return {"headroom": _headroom}
