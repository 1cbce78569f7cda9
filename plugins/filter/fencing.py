# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
name: fencing
author:
  - The netops.egress_ip authors (@netops)
short_description: Say which nodes to fence before their egress IPs go elsewhere
description:
  - A node that gives no answer may hold any egress IP that is to be claimed and that no other node shows, if it bears
    the label for that. Where C(egress_ip_fence) of such a node says how, it is to be fenced first.
  - As long as one of them is not fenced for sure, these addresses are withheld.
positional: fleet, nodes, results
options:
  _input:
    description: A plan, as P(netops.egress_ip.assign#filter) returns it.
    type: dict
    required: true
  fleet:
    description: What the filter P(netops.egress_ip.fleet#filter) returned.
    type: dict
    required: true
  nodes:
    description: The variables of each host. Used are C(inventory_hostname) and C(egress_ip_fence).
    type: list
    elements: dict
    required: true
  results:
    description: For each node that was to be fenced, why it is not; empty for one that is.
    type: dict
seealso:
  - plugin: netops.egress_ip.node_state
    plugin_type: filter
"""

EXAMPLES = r"""
- name: Find the nodes to fence
  ansible.builtin.debug:
    msg: "{{ (egress_ip_plan | netops.egress_ip.fencing(egress_ip_fleet, hostvars.values() | list)).nodes }}"
"""

RETURN = r"""
_value:
  description: The fencing.
  type: dict
  contains:
    nodes:
      description: The nodes to fence, each with its C(egress_ip_fence).
      type: dict
      sample: {node3: vsphere}
    withheld:
      description: The egress IPs that nobody may claim, each with the reason.
      type: dict
      sample: {}
"""

from pathlib import Path

from ansible.errors import AnsibleFilterError
from ansible_collections.netops.egress_ip.plugins.module_utils._errors import EgressIPError
from ansible_collections.netops.egress_ip.plugins.module_utils._fence import VSPHERE, plan_fencing


def _fencing(plan, fleet, nodes, results=None):
    fences = {str(variables["inventory_hostname"]): variables.get("egress_ip_fence") for variables in nodes}
    try:
        fencing = plan_fencing(plan, fleet, fences, results)
    except EgressIPError as error:
        raise AnsibleFilterError(str(error)) from error
    for name, fence in fences.items():
        # Not only when it is needed: then it is too late.
        if fence and fence != VSPHERE and not Path(fence).is_file():
            raise AnsibleFilterError(f"{name}: egress_ip_fence: there is no file {fence}")
    return fencing.to_dict()


class FilterModule:
    """Filter plugin."""

    def filters(self):
        """Return the filter by its name."""
        return {"fencing": _fencing}
