# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
name: fleet
author:
  - The netops.egress_ip authors (@netops)
short_description: Put together what the nodes answered
description:
  - Takes the variables of the hosts, with the result of M(netops.egress_ip.node_info) of each, and returns what a plan
    is made from.
  - A node that cannot be reached or gives no answer is not available; the others' records still tell its addresses.
  - What must stop a run before anything is changed is listed under C(stop). That is a host with a problem, or too few
    nodes that answer.
positional: nodes
options:
  _input:
    description:
      - The variables of each host. Used are C(inventory_hostname), C(egress_ip_observed) (the registered result of
        M(netops.egress_ip.node_info)), C(egress_ip_labels), C(egress_ip_capacity), C(egress_ip_drain).
    type: list
    elements: dict
    required: true
  nodes:
    description: Node documents; their labels go to the hosts of the same name.
    type: list
    elements: dict
    default: []
seealso:
  - plugin: netops.egress_ip.assign
    plugin_type: filter
"""

EXAMPLES = r"""
- name: See who takes part
  ansible.builtin.debug:
    msg: "{{ groups.egress_ip_nodes | map('extract', hostvars) | netops.egress_ip.fleet }}"
"""

RETURN = r"""
_value:
  description: The fleet.
  type: dict
  contains:
    nodes:
      description: The nodes as P(netops.egress_ip.assign#filter) takes them.
      type: list
      elements: dict
    current:
      description: Who holds what, as P(netops.egress_ip.assign#filter) takes it.
      type: list
      elements: dict
      sample: [{egressIP: 192.168.126.10, node: node1}]
    members:
      description: All nodes with their addresses, those out of reach as the others remember them.
      type: list
      elements: dict
    observed:
      description: What each node answered.
      type: dict
    unavailable:
      description: The nodes that gave no answer, and why.
      type: list
      elements: dict
      sample: [{name: node2, reason: "cannot be reached: timed out"}]
    recalled:
      description: What nodes have of objects whose manifests are broken.
      type: dict
    generation:
      description: The newest generation on any node.
      type: int
      sample: 4
    stop:
      description: Why the run must not go on; empty when it may.
      type: list
      elements: str
"""

from ansible.errors import AnsibleFilterError
from ansible_collections.netops.egress_ip.plugins.module_utils._common.errors import EgressIPError
from ansible_collections.netops.egress_ip.plugins.module_utils._kubernetes.manifests import valid
from ansible_collections.netops.egress_ip.plugins.module_utils._kubernetes.objects import parse_node
from ansible_collections.netops.egress_ip.plugins.module_utils._reconcile.fleet import observe_fleet
from ansible_collections.netops.egress_ip.plugins.plugin_utils._variables import host_of


def _fleet(hostvars, nodes=()):
    try:
        return observe_fleet([host_of(variables) for variables in hostvars], valid(parse_node, nodes)).to_dict()
    except (EgressIPError, TypeError) as error:
        raise AnsibleFilterError(str(error)) from error


class FilterModule:
    """Filter plugin."""

    def filters(self):
        """Return the filter by its name."""
        return {"fleet": _fleet}
