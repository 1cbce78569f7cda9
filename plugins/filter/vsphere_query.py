# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
name: vsphere_query
author:
  - The netops.egress_ip authors (@netops)
short_description: Say what to ask a vCenter about the nodes
description:
  - Lists the nodes that are VMs on vSphere, and the egress IPs of all sound manifests, for
    M(netops.egress_ip.vsphere_port_info).
  - A host that answered has said whether it is on vSphere. Of another one C(egress_ip_platform) and C(egress_ip_fence)
    tell.
positional: egressips
options:
  _input:
    description:
      - The variables of each host. Used are C(inventory_hostname), C(egress_ip_observed), C(egress_ip_platform),
        C(egress_ip_fence), C(egress_ip_vsphere_vm).
    type: list
    elements: dict
    required: true
  egressips:
    description: EgressIP documents.
    type: list
    elements: dict
    required: true
seealso:
  - plugin: netops.egress_ip.vsphere_audit
    plugin_type: filter
"""

EXAMPLES = r"""
- name: List the VMs
  ansible.builtin.debug:
    msg: "{{ (hostvars.values() | netops.egress_ip.vsphere_query(egress_ip_read.egressips)).nodes }}"
"""

RETURN = r"""
_value:
  description: What to ask.
  type: dict
  contains:
    nodes:
      description:
        - The nodes, each with its adapters as in O(netops.egress_ip.vsphere_port_info#module:vms) and the VM's UUID.
      type: list
      elements: dict
      sample: [{name: node1, vms: [{name: node1}], uuid: 42304b1e-9e7b-4f1d-8a52-0c1f6b0f6c11}]
    egress_ips:
      description: The egress IPs, in order.
      type: list
      elements: str
      sample: [192.168.126.10]
    required:
      description: Whether the vCenter must answer, since C(egress_ip_fence) of a node relies on it.
      type: bool
      sample: false
"""

from ansible.errors import AnsibleFilterError
from ansible_collections.netops.egress_ip.plugins.module_utils._errors import EgressIPError
from ansible_collections.netops.egress_ip.plugins.module_utils._vsphere_run import query


def _query(hostvars, egressips):
    hosts = [
        {
            "name": str(variables["inventory_hostname"]),
            "vm": variables.get("egress_ip_vsphere_vm"),
            "platform": variables.get("egress_ip_platform"),
            "fence": variables.get("egress_ip_fence"),
            "observed": variables.get("egress_ip_observed"),
        }
        for variables in hostvars
    ]
    try:
        return query(hosts, egressips)
    except EgressIPError as error:
        raise AnsibleFilterError(str(error)) from error


class FilterModule:
    """Filter plugin."""

    def filters(self):
        """Return the filter by its name."""
        return {"vsphere_query": _query}
