# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
name: node_state
author:
  - The netops.egress_ip authors (@netops)
short_description: Say what each node must be for a plan to be true
description:
  - Turns a plan into the state of each node that answered, and tells which nodes differ from it.
positional: manifests, fleet
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
  excluded:
    description: Networks in CIDR notation to which traffic keeps its source.
    type: list
    elements: str
    default: []
  options:
    description:
      - Names and numbers of the data plane. C(tunnel_device), C(tunnel_port), C(tunnel_vni), C(mark_mask),
        C(rule_priority), C(table_base), C(unassigned).
    type: dict
    default: {}
  withheld:
    description: Egress IPs that nobody may claim in this run.
    type: list
    elements: str
    default: []
seealso:
  - module: netops.egress_ip.node
"""

EXAMPLES = r"""
- name: Compute the states
  ansible.builtin.set_fact:
    egress_ip_rollout: "{{ egress_ip_plan | netops.egress_ip.node_state(egress_ip_read, egress_ip_fleet) }}"
"""

RETURN = r"""
_value:
  description: The states.
  type: dict
  contains:
    states:
      description: The state of each node, by its name, for M(netops.egress_ip.node).
      type: dict
    differing:
      description: The nodes that differ from their state.
      type: list
      elements: str
      sample: [node1]
    releasing:
      description: The egress IPs that nodes must give up, and who takes them, for M(netops.egress_ip.node).
      type: list
      elements: dict
      sample: [{egressIP: 192.168.126.10, from: node1, to: node2}]
    following:
      description:
        - The egress IPs whose tunnel may end at another node once that has claimed them, for
          P(netops.egress_ip.follow#filter).
      type: list
      elements: dict
      sample: [{egressIP: 172.30.0.10, node: node1, endpoint: 192.168.126.21}]
"""

from ansible.errors import AnsibleFilterError
from ansible_collections.netops.egress_ip.plugins.module_utils._common.errors import EgressIPError
from ansible_collections.netops.egress_ip.plugins.module_utils._kubernetes.manifests import Manifests
from ansible_collections.netops.egress_ip.plugins.module_utils._reconcile.rollout import follow, roll_out


def _node_state(plan, manifests, fleet, excluded=(), options=None, withheld=()):
    try:
        return roll_out(plan, Manifests.from_dict(manifests), fleet, excluded, options, withheld).to_dict()
    except EgressIPError as error:
        raise AnsibleFilterError(str(error)) from error


class FilterModule:
    """Filter plugins."""

    def filters(self):
        """Return the filters by their names."""
        return {"node_state": _node_state, "follow": follow}
