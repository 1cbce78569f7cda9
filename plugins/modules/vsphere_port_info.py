#!/usr/bin/python
# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
module: vsphere_port_info
author:
  - The netops.egress_ip authors (@netops)
short_description: Tell what the vSphere ports of VMs let pass, and whether egress IPs need more
description:
  - Reads, in one session, to which switch, port group and port network adapters of VMs are connected and what applies
    there, whichever of switch, port group and port says it.
  - Tells for each egress IP whether the port must be changed for it, why, and how little is enough. An egress IP on the
    adapter's own MAC address mostly needs no change.
  - Changes nothing. The user needs no more than the role V(Read-only) on VMs, hosts, networks and switches.
options:
  egress_ips:
    description: The egress IPs that the VMs hold or may hold. When it is empty, only the ports are described.
    type: list
    elements: str
    default: []
  guest_mac:
    description:
      - Under which MAC address the guest uses the egress IPs.
      - V(own) - the adapter's own, as this collection does it.
      - V(second) - one beside it, as macvlan, VRRP with virtual MAC addresses, and bridges do.
      - V(changed) - one in its place.
    type: str
    choices: [own, second, changed]
    default: own
  partial:
    description:
      - Whether an entry of O(vms) that cannot be found, is not clear, or cannot be read, has an C(error) and nothing
        else in its place in RV(ports). Without it the module fails.
    type: bool
    default: false
extends_documentation_fragment:
  - netops.egress_ip.attributes
  - netops.egress_ip.attributes.info_module
  - netops.egress_ip.vsphere
  - netops.egress_ip.vsphere.adapters
seealso:
  - module: netops.egress_ip.vsphere_port_security
"""

EXAMPLES = r"""
- name: See whether the nodes' ports stand in the way of an egress IP
  netops.egress_ip.vsphere_port_info:
    hostname: vcenter.example.com
    username: auditor@vsphere.local
    password: "{{ vcenter_password }}"
    vms:
      - name: node1
      - uuid: 42304b1e-9e7b-4f1d-8a52-0c1f6b0f6c11
        label: Network adapter 2
    egress_ips: [192.168.126.10]
  delegate_to: localhost
  register: audit

- name: Name what is in the way
  ansible.builtin.debug:
    msg: "{{ audit.ports | map(attribute='egress_ips') | flatten | selectattr('needed') | map(attribute='reason') }}"
"""

RETURN = r"""
ports:
  description: The ports, in the order of O(vms).
  returned: success
  type: list
  elements: dict
  contains:
    vm:
      description: The VM.
      type: dict
      sample:
        name: node1
        moid: vm-41
        uuid: 42304b1e-9e7b-4f1d-8a52-0c1f6b0f6c11
        power_state: poweredOn
        template: false
    nic:
      description: The network adapter.
      type: dict
      sample: {label: Network adapter 1, mac: "00:50:56:00:01:01", connected: true}
    host:
      description: The ESXi host where the VM is.
      type: str
      sample: esx1.example.com
    switch:
      description: The switch; its type is V(standard), V(distributed) or V(nsx).
      type: dict
      sample: {name: DVS0, type: distributed}
    port_group:
      description:
        - The port group, with its port binding (none on standard switches), and the former values that
          M(netops.egress_ip.vsphere_port_security) noted of it (of standard port groups, in the notes of this VM).
      type: dict
      sample: {name: nodes, moid: dvportgroup-36, binding: earlyBinding, noted: {}}
    port_key:
      description: Key of the port; none on standard switches, and with ephemeral binding while the VM is off.
      type: str
      sample: "10"
    vlan:
      description:
        - V(none), V(id), V(trunk) or V(private) with the VLAN IDs.
        - With C(isolated), an isolated private VLAN, nodes cannot see each other, and duplicate addresses stay unseen.
      type: dict
      sample: {type: id, ids: ["126"], isolated: false}
    security:
      description: What applies at the port. None on NSX, as for the next three.
      type: dict
      sample: {promiscuous: false, mac_changes: false, forged_transmits: false}
    mac_learning:
      description: MAC learning as it applies at the port; none where the switch has no such thing.
      type: dict
      sample: {enabled: false, allow_unicast_flooding: true, limit: 4096, limit_policy: drop}
    rules:
      description:
        - The rules of the traffic filter. C(conditions) says that a rule asks for more than addresses.
      type: list
      elements: dict
      sample:
        - description: guard
          sequence: 10
          direction: both
          action: drop
          source:
          destination:
          conditions: false
    overridden:
      description: What the port (on standard switches, the port group) says itself instead of following what is above.
      type: list
      elements: str
      sample: [forged_transmits]
    override_allowed:
      description: What the port group lets its ports say themselves.
      type: list
      elements: str
      sample: [blocked, mac_management]
    shared_with:
      description: The other VMs of the port group.
      type: list
      elements: str
      sample: [node2]
    noted:
      description:
        - The former values that M(netops.egress_ip.vsphere_port_security) and M(netops.egress_ip.vsphere_fence) noted
          at the port. Empty where they changed nothing.
      type: dict
      sample: {forged_transmits: false, security: inherited}
    fence:
      description:
        - The methods of M(netops.egress_ip.vsphere_fence) that were used on the adapter and are not given back, as
          noted. That they were used is no proof.
      type: list
      elements: str
      sample: []
    fenced:
      description: Whether it is proven that the adapter is cut off, as by M(netops.egress_ip.vsphere_fence).
      type: bool
      sample: false
    error:
      description: Why nothing is known, only with O(partial=true).
      type: str
      returned: when that is so
      sample: "vms[0].name: there is no VM 'node9' that this user can see"
    egress_ips:
      description: The answer for each of O(egress_ips).
      type: list
      elements: dict
      contains:
        egressIP:
          description: The address in RFC 5952 form.
          type: str
          sample: 192.168.126.10
        needed:
          description: Whether the port must be changed before the address works there.
          type: bool
          sample: true
        reason:
          description: Why.
          type: str
          sample: "rule 10 (spoof guard) drops the address"
        change:
          description: Options of M(netops.egress_ip.vsphere_port_security) that are enough, none on NSX.
          type: dict
          sample: {allowed_addresses: [192.168.126.10]}
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.netops.egress_ip.plugins.module_utils._common.addresses import parse_egress_ips
from ansible_collections.netops.egress_ip.plugins.module_utils._common.errors import VsphereError
from ansible_collections.netops.egress_ip.plugins.module_utils._vsphere.argument_spec import ADAPTERS, CONNECTION
from ansible_collections.netops.egress_ip.plugins.module_utils._vsphere.client import with_client
from ansible_collections.netops.egress_ip.plugins.module_utils._vsphere.module import finish
from ansible_collections.netops.egress_ip.plugins.module_utils._vsphere.port_requirements import (
    CHANGED,
    OWN,
    SECOND,
    need,
)


def audit(params):
    """Return the ports with the answer for each egress IP; raises EgressIPError."""
    addresses = parse_egress_ips(params["egress_ips"], "egress_ips")
    ports = with_client(params, lambda client: client.read_ports(params["vms"]))
    errors = [port for port in ports if isinstance(port, VsphereError)]
    if errors and not params["partial"]:
        raise errors[0]
    return [
        {"error": str(port)}
        if port in errors
        else {**port.to_dict(), "egress_ips": [need(port, address, params["guest_mac"]) for address in addresses]}
        for port in ports
    ]


def main():
    module = AnsibleModule(
        argument_spec={
            **CONNECTION,
            **ADAPTERS,
            "egress_ips": {"type": "list", "elements": "str", "default": []},
            "guest_mac": {"type": "str", "choices": [OWN, SECOND, CHANGED], "default": OWN},
            "partial": {"type": "bool", "default": False},
        },
        required_together=[("proxy_host", "proxy_port")],
        supports_check_mode=True,
    )
    finish(module, lambda: {"changed": False, "ports": audit(module.params)})


if __name__ == "__main__":
    main()
