#!/usr/bin/python
# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
module: vsphere_port_security
author:
  - The netops.egress_ip authors (@netops)
short_description: Let egress IPs pass the vSphere ports of VMs, and take that back
description:
  - Opens the ports of VMs as little as egress IPs need. M(netops.egress_ip.vsphere_port_info) tells what that is; an
    egress IP on the adapter's own MAC address mostly needs nothing.
  - Only what is named is changed. VLAN, teaming, shaping, override flags and the rules of others stay as they are.
  - Everything is read and checked before the first write. When somebody else changes the same port at the same time,
    or an answer is lost, the module reads again and decides again, a few times.
  - Ports on NSX are refused, because vCenter cannot change them.
options:
  scope:
    description:
      - V(port) - the ports of the VMs alone, on distributed switches.
      - V(portgroup) - their port groups, with all VMs there; on standard switches on every host that has one.
    type: str
    choices: [port, portgroup]
    default: port
  security:
    description: The security flags to set. What is omitted stays as it is.
    type: dict
    suboptions:
      promiscuous:
        description: Whether the guest gets the frames of all others.
        type: bool
      mac_changes:
        description: Whether the guest gets frames after it has changed its MAC address.
        type: bool
      forged_transmits:
        description: Whether the guest may send from other MAC addresses than that of its adapter.
        type: bool
  mac_learning:
    description:
      - MAC learning, which brings frames to a second MAC address without O(security.promiscuous).
      - What is omitted stays as it is.
      - Needs a distributed switch of version 6.6 or newer.
    type: dict
    suboptions:
      enabled:
        description: Whether the switch learns which MAC addresses are behind the port.
        type: bool
      limit:
        description: How many it learns.
        type: int
      limit_policy:
        description: What becomes of frames from more than that.
        type: str
        choices: [allow, drop]
      allow_unicast_flooding:
        description: Whether frames to MAC addresses that are not known are flooded to the port.
        type: bool
  allowed_addresses:
    description:
      - Egress IPs that a traffic filter must let pass.
      - Where a rule drops all traffic from or to an address, two accept rules are put right before it, described as
        V(netops.egress_ip ADDRESS). Where none does, nothing is changed.
      - A port that has followed the rules of its port group gets rules of its own then, the same and these.
    type: list
    elements: str
    default: []
  allow_override:
    description:
      - Whether the port group may be changed so that its ports may override what is needed. Only that flag is set, with
        a note in the port group's description and a warning, because security reviews ask for such flags.
      - With O(state=absent), a flag that is noted there is taken away when no port of the group overrides it any more.
    type: bool
    default: false
  state:
    description:
      - V(present) - lets pass what is named, and notes in the description of the port (or distributed port group) what
        was there before.
      - V(absent) - gives back what is noted for the names given, unless somebody else has changed it since, and takes
        away rules by their description. What is not noted is not ours and stays.
      - Standard port groups have no description. What was there before is noted in the notes of the VMs in O(vms). When
        no VM of the port group has that note any more, V(absent) leaves it as it is.
    type: str
    choices: [present, absent]
    default: present
extends_documentation_fragment:
  - netops.egress_ip.attributes
  - netops.egress_ip.vsphere
  - netops.egress_ip.vsphere.adapters
attributes:
  check_mode:
    support: full
    details:
      - Reads, but does not write at all.
  diff_mode:
    support: full
    details:
      - Shows the settings of each port or port group.
  idempotent:
    support: full
seealso:
  - module: netops.egress_ip.vsphere_port_info
"""

EXAMPLES = r"""
- name: Let a VRRP address with a MAC address of its own work on two nodes
  netops.egress_ip.vsphere_port_security:
    hostname: vcenter.example.com
    username: egress@vsphere.local
    password: "{{ vcenter_password }}"
    vms:
      - name: node1
      - name: node2
    security:
      forged_transmits: true
    mac_learning:
      enabled: true
  delegate_to: localhost

- name: Let an egress IP pass a spoof guard
  netops.egress_ip.vsphere_port_security:
    vms:
      - name: node1
    allowed_addresses: [192.168.126.10]
  delegate_to: localhost

- name: Take that back
  netops.egress_ip.vsphere_port_security:
    vms:
      - name: node1
    allowed_addresses: [192.168.126.10]
    state: absent
  delegate_to: localhost
"""

RETURN = r"""
ports:
  description: The ports or, with O(scope=portgroup), port groups (on standard switches one for each host).
  returned: success
  type: list
  elements: dict
  contains:
    name:
      description: What it is.
      type: str
      sample: port 10 of nodes
    port_group:
      description: Name of the port group.
      type: str
      sample: nodes
    changed:
      description: Whether it was changed, or would be in check mode.
      type: bool
      sample: true
    before:
      description: Its settings before, with the keys that M(netops.egress_ip.vsphere_port_info) returns.
      type: dict
      sample: &settings
        security: {promiscuous: false, mac_changes: false, forged_transmits: false}
        mac_learning: {enabled: false, allow_unicast_flooding: true, limit: 4096, limit_policy: drop}
        rules: []
        overridden: []
        override_allowed: [blocked, mac_management]
    after:
      description: Its settings now, or after a run without check mode.
      type: dict
      sample: *settings
    affects:
      description: The VMs that the change meets beside those in O(vms).
      type: list
      elements: str
      sample: []
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.netops.egress_ip.plugins.module_utils._vsphere.argument_spec import ADAPTERS, CONNECTION
from ansible_collections.netops.egress_ip.plugins.module_utils._vsphere.client import with_client
from ansible_collections.netops.egress_ip.plugins.module_utils._vsphere.module import finish
from ansible_collections.netops.egress_ip.plugins.module_utils._vsphere.port import GROUP, PORT, SECURITY
from ansible_collections.netops.egress_ip.plugins.module_utils._vsphere.port_security import PortSecurity

MAC_LEARNING = {
    "enabled": {"type": "bool"},
    "limit": {"type": "int"},
    "limit_policy": {"type": "str", "choices": ["allow", "drop"]},
    "allow_unicast_flooding": {"type": "bool"},
}


def main():
    module = AnsibleModule(
        argument_spec={
            **CONNECTION,
            **ADAPTERS,
            "scope": {"type": "str", "choices": [PORT, GROUP], "default": PORT},
            "security": {"type": "dict", "options": {flag: {"type": "bool"} for flag in SECURITY}},
            "mac_learning": {"type": "dict", "options": MAC_LEARNING},
            "allowed_addresses": {"type": "list", "elements": "str", "default": []},
            "allow_override": {"type": "bool", "default": False},
            "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
        },
        required_together=[("proxy_host", "proxy_port")],
        supports_check_mode=True,
    )
    finish(module, lambda: with_client(module.params, PortSecurity(module.params, module.check_mode)))


if __name__ == "__main__":
    main()
