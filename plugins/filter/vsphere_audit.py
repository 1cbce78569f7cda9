# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
name: vsphere_audit
author:
  - The netops.egress_ip authors (@netops)
short_description: Put a vCenter's answer together with the nodes
description:
  - Gives each node its ports, and says which nodes are fenced.
  - A node whose VM has another UUID than the host itself sees is a failure, and nothing is done about its ports.
positional: ports, guest_mac
options:
  _input:
    description: What the filter P(netops.egress_ip.vsphere_query#filter) returned.
    type: dict
    required: true
  ports:
    description: What M(netops.egress_ip.vsphere_port_info) returned for it.
    type: list
    elements: dict
    required: true
  guest_mac:
    description: What M(netops.egress_ip.vsphere_port_info) was asked with.
    type: str
    choices: [own, second, changed]
    default: own
seealso:
  - plugin: netops.egress_ip.vsphere_changes
    plugin_type: filter
"""

EXAMPLES = r"""
- name: List the nodes that are fenced
  ansible.builtin.debug:
    msg: "{{ (asked | netops.egress_ip.vsphere_audit(answer.ports)).fenced }}"
"""

RETURN = r"""
_value:
  description: The audit.
  type: dict
  contains:
    nodes:
      description: The ports of each node, by the node's name.
      type: dict
    fenced:
      description: The nodes that M(netops.egress_ip.vsphere_fence) has cut off, each with the methods.
      type: dict
      sample: {node3: [vnic_disconnect]}
    guest_mac:
      description: As given.
      type: str
    failures:
      description: The nodes whose VM is another one, a line each.
      type: list
      elements: str
      sample: []
"""

from ansible_collections.netops.egress_ip.plugins.module_utils._vsphere_run import audit


class FilterModule:
    """Filter plugin."""

    def filters(self):
        """Return the filter by its name."""
        return {"vsphere_audit": audit}
