# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
name: explain
author:
  - The netops.egress_ip authors (@netops)
short_description: Say which nodes could hold an egress IP, and why others cannot
description:
  - Takes one egress IP and says of each node whether it holds it, could hold it, or why it cannot.
  - Of a node that could hold it, it says what it costs to have it there. That is the number of egress IPs that go to
    another node, itself among them, and how the sum of squares of the nodes' loads changes. Both compare with the
    plan of the fewest moves, in which the address may be anywhere. No other egress IP loses its place for it.
    Where objects have weights, a load is the sum of its egress IPs' weights.
  - Each node that could hold it is a plan of its own. With more than 500 000 egress IPs in these plans together, only
    the nodes with most room are tried.
positional: fleet, egress_ip, policy, max_moves
options:
  _input:
    description: EgressIP documents.
    type: list
    elements: dict
    required: true
  fleet:
    description: What the filter P(netops.egress_ip.fleet#filter) returned.
    type: dict
    required: true
  egress_ip:
    description: The egress IP. It may be in no manifest; then the answer is for an object that asks for it alone.
    type: str
    required: true
  policy:
    description: As of P(netops.egress_ip.assign#filter), to say what the next run does.
    type: str
    choices: [balanced, sticky]
    default: balanced
  max_moves:
    description: As of P(netops.egress_ip.assign#filter), to say what the next run does.
    type: int
seealso:
  - plugin: netops.egress_ip.assign
    plugin_type: filter
"""

EXAMPLES = r"""
- name: Ask about an egress IP
  ansible.builtin.debug:
    msg: "{{ (egress_ip_read.egressips | netops.egress_ip.explain(egress_ip_fleet, '192.168.126.10')).lines }}"
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
      description: The objects that ask for it, of which the first has it.
      type: list
      elements: str
      sample: [egressips-prod]
    errors:
      description: What is wrong with these objects.
      type: list
      elements: str
      sample: []
    heldBy:
      description: The nodes that hold it now.
      type: list
      elements: str
      sample: [node1]
    nextRun:
      description: What the next run does with it.
      type: str
      sample: the next run leaves it there
    nodes:
      description: What is said of each node.
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
          description: What is in the way, and what else would have to move.
          type: list
          elements: str
          sample: [192.168.126.102 of the same object is there, 192.168.126.102 would go from node3 to node1]
        moves:
          description: How many egress IPs would go to another node; none unless RV(_value.nodes[].can) is V(yes).
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
    lines:
      description: The same for a person.
      type: list
      elements: str
"""

from ansible.errors import AnsibleFilterError
from ansible_collections.netops.egress_ip.plugins.module_utils._analysis.explain import explain
from ansible_collections.netops.egress_ip.plugins.module_utils._common.errors import EgressIPError
from ansible_collections.netops.egress_ip.plugins.module_utils._planner.requests import read_requests


def _explain(egressips, fleet, egress_ip, policy="balanced", max_moves=None):
    try:
        return explain(egress_ip, read_requests(egressips, {}), fleet, policy, max_moves).to_dict()
    except EgressIPError as error:
        raise AnsibleFilterError(str(error)) from error


class FilterModule:
    """Filter plugin."""

    def filters(self):
        """Return the filter by its name."""
        return {"explain": _explain}
