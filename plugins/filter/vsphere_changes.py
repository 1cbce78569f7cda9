# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
name: vsphere_changes
author:
  - The netops.egress_ip authors (@netops)
short_description: Say how little to change at the vSphere ports of the nodes
description:
  - Tells, as options of M(netops.egress_ip.vsphere_port_security), what the ports of the nodes that may hold egress IPs
    need, and what is there for egress IPs that are not wanted any more. Mostly that is nothing.
positional: fleet
options:
  _input:
    description: What the filter P(netops.egress_ip.vsphere_audit#filter) returned.
    type: dict
    required: true
  fleet:
    description: What the filter P(netops.egress_ip.fleet#filter) returned.
    type: dict
    required: true
seealso:
  - module: netops.egress_ip.vsphere_port_security
"""

EXAMPLES = r"""
- name: Show what ports need
  ansible.builtin.debug:
    msg: "{{ (egress_ip_vsphere_audit | netops.egress_ip.vsphere_changes(egress_ip_fleet)).open }}"
"""

RETURN = r"""
_value:
  description: The changes. The nodes that need the same are in one entry.
  type: dict
  contains:
    open:
      description: What is to be there before the egress IPs are claimed.
      type: list
      elements: dict
      sample:
        - vms: [{moid: vm-41, mac: "00:50:56:00:01:01"}]
          security: {}
          mac_learning: {}
          allowed_addresses: [192.168.126.10]
    close:
      description: What is to be taken back after the run.
      type: list
      elements: dict
      sample: []
    notes:
      description: What the vCenter cannot tell or cannot change.
      type: list
      elements: str
      sample: []
"""

from ansible_collections.netops.egress_ip.plugins.module_utils._vsphere_run import changes


class FilterModule:
    """Filter plugin."""

    def filters(self):
        """Return the filter by its name."""
        return {"vsphere_changes": changes}
