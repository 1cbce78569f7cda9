# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
name: to_unfence
author:
  - The netops.egress_ip authors (@netops)
short_description: Say which fenced nodes may have their network back
description:
  - These are the nodes that answered, and that the run left without any egress IP.
  - A node that gave no answer is among them when all egress IPs that it may have held are with others, and when it
    has noticed the fence, because its link was taken or it was switched off.
positional: fleet, fencing, results
options:
  _input:
    description: The fenced nodes, as P(netops.egress_ip.vsphere_audit#filter) returns them.
    type: dict
    required: true
  fleet:
    description: What the filter P(netops.egress_ip.fleet#filter) returned, these nodes being among its C(fenced).
    type: dict
    required: true
  fencing:
    description: What the filter P(netops.egress_ip.fencing#filter) returned.
    type: dict
    required: true
  results:
    description: The result of M(netops.egress_ip.node) by node.
    type: dict
    required: true
seealso:
  - module: netops.egress_ip.vsphere_fence
"""

EXAMPLES = r"""
- name: List the nodes to give back
  ansible.builtin.debug:
    msg: "{{ audit.fenced | netops.egress_ip.to_unfence(egress_ip_fleet, egress_ip_fencing, egress_ip_results) }}"
"""

RETURN = r"""
_value:
  description: Names of nodes, in the order given.
  type: list
  elements: str
"""

from ansible_collections.netops.egress_ip.plugins.module_utils._fence import nodes_to_unfence


class FilterModule:
    """Filter plugin."""

    def filters(self):
        """Return the filter by its name."""
        return {"to_unfence": nodes_to_unfence}
