#!/usr/bin/python
# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
module: vsphere_anti_affinity
author:
  - The netops.egress_ip authors (@netops)
short_description: Keep VMs on different ESXi hosts with a DRS rule
description:
  - Makes an anti-affinity rule of vSphere DRS for VMs of nodes. The failure of an ESXi host then affects one of them.
  - In each cluster with at least two of the VMs, there is one rule for these. A cluster that has fewer gets none.
  - The name of a rule in the vCenter is V(netops.egress_ip NAME). Rules with other names are neither read nor changed.
options:
  name:
    description:
      - The name of the rule, without the prefix V(netops.egress_ip).
      - Each fleet and each group of VMs in a vCenter needs a name of its own. With O(state=present), a rule that has
        none of O(vms) stays as it is, and is an error in a cluster where O(vms) need a rule of this name. With
        O(state=absent), the rule of this name is removed, whichever VMs it has.
    type: str
    default: nodes
  vms:
    description:
      - All VMs of the rule, each by one of O(vms[].name), O(vms[].uuid) and O(vms[].moid). Others are removed from it.
      - Required with O(state=present), at least two. An entry that matches several VMs is an error.
    type: list
    elements: dict
    suboptions:
      name:
        description: Name of the VM in the inventory of the vCenter.
        type: str
      uuid:
        description: BIOS UUID or instance UUID of the VM.
        type: str
      moid:
        description: Managed object ID of the VM.
        type: str
      datacenter:
        description: Name of the datacenter of the VM.
        type: str
      folder:
        description: Path of the VM's folder, with or without the prefix C(DATACENTER/vm/).
        type: str
      guest_uuid:
        description: UUID of the machine as its guest reports it. It selects one of several VMs with equal names.
        type: str
  mandatory:
    description:
      - Whether a VM is not powered on or migrated if that would violate the rule. With fewer ESXi hosts than VMs, some
        of the VMs cannot be powered on then.
      - If V(false), DRS keeps the VMs apart as far as it can.
    type: bool
    default: false
  state:
    description: Whether the rule exists. With V(absent), it is removed from all clusters.
    type: str
    choices: [present, absent]
    default: present
extends_documentation_fragment:
  - netops.egress_ip.attributes
  - netops.egress_ip.vsphere
attributes:
  check_mode:
    support: full
    details:
      - Reads and writes nothing.
  diff_mode:
    support: full
    details:
      - Shows the rule of each cluster.
  idempotent:
    support: full
seealso:
  - module: netops.egress_ip.vsphere_port_info
"""

EXAMPLES = r"""
- name: Keep the nodes on different ESXi hosts
  netops.egress_ip.vsphere_anti_affinity:
    hostname: vcenter.example.com
    username: egress@vsphere.local
    password: "{{ vcenter_password }}"
    vms:
      - name: node1
      - name: node2
      - name: node3
  delegate_to: localhost

- name: Remove the rule
  netops.egress_ip.vsphere_anti_affinity:
    state: absent
  delegate_to: localhost
"""

RETURN = r"""
rules:
  description: The rules before or after, one for each cluster that had or has one.
  returned: success
  type: list
  elements: dict
  contains:
    cluster:
      description: Name of the cluster.
      type: str
      sample: cluster1
    changed:
      description: Whether the rule was changed, or would be changed in check mode.
      type: bool
      sample: true
    before:
      description: The rule before, none without one.
      type: dict
      sample:
    after:
      description: The rule after, none without one; the expected one in check mode.
      type: dict
      sample: {vms: [node1, node2], enabled: true, mandatory: false}
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.netops.egress_ip.plugins.module_utils._vsphere.anti_affinity import AntiAffinity
from ansible_collections.netops.egress_ip.plugins.module_utils._vsphere.argument_spec import CONNECTION, VMS
from ansible_collections.netops.egress_ip.plugins.module_utils._vsphere.client import with_client
from ansible_collections.netops.egress_ip.plugins.module_utils._vsphere.module import finish


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            **CONNECTION,
            "vms": {**VMS["vms"], "required": False},
            "name": {"type": "str", "default": "nodes"},
            "mandatory": {"type": "bool", "default": False},
            "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
        },
        required_together=[("proxy_host", "proxy_port")],
        required_if=[("state", "present", ["vms"])],
        supports_check_mode=True,
    )
    finish(module, lambda: with_client(module.params, AntiAffinity(module.params, module.check_mode)))


if __name__ == "__main__":
    main()
