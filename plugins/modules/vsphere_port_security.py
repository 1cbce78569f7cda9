#!/usr/bin/python
# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
module: vsphere_port_security
author:
  - The netops.egress_ip authors (@netops)
short_description: Allow egress IPs on vSphere ports of VMs, and restore the former settings
description:
  - Changes the security settings of ports of VMs, or of port groups, so that egress IPs work there.
    M(netops.egress_ip.vsphere_port_info) returns the smallest sufficient change. An egress IP on the adapter's own MAC
    address usually needs none.
  - Changes only the options that are set. VLAN, teaming, shaping, override flags and foreign rules stay as they are.
  - Reads and checks everything before the first write. If a port is changed concurrently, or a response is lost, the
    module reads and decides again, at most four times.
  - Refuses ports on NSX, because vCenter cannot change them.
options:
  vms:
    default: []
    required: false
  portgroups:
    description:
      - Port groups that are changed as a whole, with all VMs there and any O(scope).
      - On standard switches, they are changed on every host that has them; up to three VMs there keep the former
        settings in their notes.
      - An entry that matches several port groups is an error.
    type: list
    elements: dict
    default: []
    suboptions:
      name:
        description: Name of the port group.
        type: str
        required: true
      datacenter:
        description: Name of its datacenter.
        type: str
      switch:
        description: Name of its distributed or standard switch.
        type: str
  scope:
    description:
      - What is changed for O(vms).
      - V(port) - only the ports of the VMs; on distributed switches.
      - V(portgroup) - their port groups, with all VMs there; on standard switches, on every host that has them.
    type: str
    choices: [port, portgroup]
    default: port
  security:
    description: The security flags to set. Omitted flags stay as they are.
    type: dict
    suboptions:
      promiscuous:
        description: Whether the guest receives the frames for all other VMs.
        type: bool
      mac_changes:
        description: Whether the guest receives frames after it has changed its MAC address.
        type: bool
      forged_transmits:
        description: Whether the guest may send from MAC addresses other than that of its adapter.
        type: bool
  mac_learning:
    description:
      - MAC learning, which delivers frames to a second MAC address without O(security.promiscuous).
      - Omitted keys stay as they are.
      - Needs a distributed switch that reports support for it, as those of version 6.6 or newer do.
    type: dict
    suboptions:
      enabled:
        description: Whether the switch learns the MAC addresses behind the port.
        type: bool
      limit:
        description: Maximum number of learned MAC addresses.
        type: int
      limit_policy:
        description: Whether frames from further MAC addresses are allowed or dropped.
        type: str
        choices: [allow, drop]
      allow_unicast_flooding:
        description: Whether frames to unknown MAC addresses are flooded to the port.
        type: bool
  allowed_addresses:
    description:
      - Egress IPs that a traffic filter must accept.
      - If a rule drops all traffic from or to an address, two accept rules are inserted directly before it, with the
        description V(netops.egress_ip ADDRESS). Otherwise nothing is changed. Rules that drop TCP and UDP count as
        such a rule.
      - If there is no room before that rule, it and all rules after it get higher sequence numbers. O(state=absent)
        restores them with the last of these addresses.
      - A port that inherited the rules of its port group gets a copy of them, with these rules.
    type: list
    elements: str
    default: []
  allow_override:
    description:
      - Whether the port group may be changed so that its ports may override the settings. Only that flag is set, with a
        note in the port group's description and a warning, because such flags matter in security reviews.
      - With O(state=absent), a noted flag is removed when no port of the group overrides it any more.
    type: bool
    default: false
  state:
    description:
      - V(present) - sets the options and notes the former values in the description of the port or distributed port
        group.
      - V(absent) - restores the noted values of the options, except values that were changed since, and removes rules
        by their description. Settings without a note stay as they are.
      - Standard port groups have no description; their former values are in the notes of VMs there. If no VM of
        the port group has that note any more, V(absent) changes nothing.
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
      - Reads and writes nothing.
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
- name: Allow a VRRP address with its own MAC address on two nodes
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

- name: Allow an egress IP in a spoof guard
  netops.egress_ip.vsphere_port_security:
    vms:
      - name: node1
    allowed_addresses: [192.168.126.10]
  delegate_to: localhost

- name: Allow second MAC addresses in a port group
  netops.egress_ip.vsphere_port_security:
    portgroups:
      - name: nodes
        switch: DVS0
    security:
      forged_transmits: true
    mac_learning:
      enabled: true
  delegate_to: localhost

- name: Restore the spoof guard
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
      description: Name of the port or port group.
      type: str
      sample: port 10 of nodes
    port_group:
      description: Name of the port group.
      type: str
      sample: nodes
    changed:
      description: Whether it was changed, or would be changed in check mode.
      type: bool
      sample: true
    before:
      description: Its settings before, with the keys of M(netops.egress_ip.vsphere_port_info).
      type: dict
      sample: &settings
        security: {promiscuous: false, mac_changes: false, forged_transmits: false}
        mac_learning: {enabled: false, allow_unicast_flooding: true, limit: 4096, limit_policy: drop}
        rules: []
        overridden: []
        override_allowed: [blocked, mac_management]
    after:
      description: Its settings after, or the expected ones in check mode.
      type: dict
      sample: *settings
    affects:
      description: The VMs that the change affects, except those in O(vms).
      type: list
      elements: str
      sample: []
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.netops.egress_ip.plugins.module_utils._vsphere.argument_spec import (
    ADAPTERS,
    CONNECTION,
    PORT_GROUPS,
)
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


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            **CONNECTION,
            "vms": {**ADAPTERS["vms"], "required": False, "default": []},
            **PORT_GROUPS,
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
