#!/usr/bin/python
# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
module: vsphere_port_info
author:
  - The netops.egress_ip authors (@netops)
short_description: Gather security settings of vSphere ports and the changes that egress IPs need
description:
  - Reads, in one session, the switch, port group and port of network adapters of VMs, and the effective settings there.
  - Returns for each egress IP whether the port must be changed, why, and the smallest sufficient change. An egress IP
    on the adapter's own MAC address usually needs no change.
  - Changes nothing. The user needs only the role V(Read-only) on VMs, hosts, networks and switches.
options:
  egress_ips:
    description: The egress IPs that the VMs hold or may hold. If it is empty, only the ports are returned.
    type: list
    elements: str
    default: []
  guest_mac:
    description:
      - The MAC address under which the guest uses the egress IPs.
      - V(own) - the adapter's own, as this collection does.
      - V(second) - an additional one, as macvlan, VRRP with virtual MAC addresses, and bridges do.
      - V(changed) - one that replaces it.
    type: str
    choices: [own, second, changed]
    default: own
  partial:
    description:
      - Whether the module continues if an entry of O(vms) cannot be found, is ambiguous, or cannot be read. Its entry
        in RV(ports) has only an C(error) then. If V(false), the module fails.
      - If V(true), RV(ports[].egress_ips) has no entry for an egress IP for which the port needs no change.
    type: bool
    default: false
  shared_with:
    description: Whether RV(ports[].shared_with) is returned. It is long for large port groups.
    type: bool
    default: true
extends_documentation_fragment:
  - netops.egress_ip.attributes
  - netops.egress_ip.attributes.info_module
  - netops.egress_ip.vsphere
  - netops.egress_ip.vsphere.adapters
seealso:
  - module: netops.egress_ip.vsphere_port_security
"""

EXAMPLES = r"""
- name: Check the ports of nodes for an egress IP
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

- name: Show the obstacles
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
      description: The ESXi host of the VM.
      type: str
      sample: esx1.example.com
    switch:
      description: The switch; its type is V(standard), V(distributed) or V(nsx).
      type: dict
      sample: {name: DVS0, type: distributed}
    port_group:
      description:
        - The port group, with its port binding (none on standard switches), and the former values that
          M(netops.egress_ip.vsphere_port_security) noted for it (for standard port groups, in the notes of this VM).
      type: dict
      sample: {name: nodes, moid: dvportgroup-36, binding: earlyBinding, noted: {}}
    port_key:
      description: Key of the port; none on standard switches, and with ephemeral binding while the VM is off.
      type: str
      sample: "10"
    vlan:
      description:
        - V(none), V(id), V(trunk) or V(private) with the VLAN IDs.
        - In an C(isolated) private VLAN, nodes cannot reach each other and cannot detect duplicate addresses.
      type: dict
      sample: {type: id, ids: ["126"], isolated: false}
    security:
      description: The effective flags of the port. None on NSX; so are the next three keys.
      type: dict
      sample: {promiscuous: false, mac_changes: false, forged_transmits: false}
    mac_learning:
      description: The effective MAC learning of the port; none if the switch does not support it.
      type: dict
      sample: {enabled: false, allow_unicast_flooding: true, limit: 4096, limit_policy: drop}
    rules:
      description:
        - The rules of the traffic filter. A rule with C(conditions) matches on more than addresses; C(protocol) is the
          number of the protocol if that is its only further condition.
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
          protocol:
    overridden:
      description: The settings that the port (on standard switches, the port group) overrides.
      type: list
      elements: str
      sample: [forged_transmits]
    override_allowed:
      description: The settings that the port group allows its ports to override.
      type: list
      elements: str
      sample: [blocked, mac_management]
    shared_with:
      description: The other VMs of the port group; none with O(shared_with=false).
      type: list
      elements: str
      sample: [node2]
    noted:
      description:
        - The former values that M(netops.egress_ip.vsphere_port_security) and M(netops.egress_ip.vsphere_fence) noted
          at the port. Empty if they changed nothing.
      type: dict
      sample: {forged_transmits: false, security: inherited}
    fence:
      description:
        - The methods of M(netops.egress_ip.vsphere_fence) that are noted for the adapter and not reversed yet. A note
          does not prove that the adapter is cut off.
      type: list
      elements: str
      sample: []
    fenced:
      description: Whether the adapter is proven to be cut off.
      type: bool
      sample: false
    error:
      description: Why the port could not be read.
      type: str
      returned: with O(partial=true), for an entry that could not be read
      sample: "vms[0].name: must be a VM that this user can see, not 'node9'"
    egress_ips:
      description:
        - The result for each of O(egress_ips). With O(partial=true), only for those with a C(change) or whose C(needed)
          is none.
      type: list
      elements: dict
      contains:
        egressIP:
          description: The address in RFC 5952 form.
          type: str
          sample: 192.168.126.10
        needed:
          description: Whether the port must be changed before the address works there; none if it is unknown, on NSX.
          type: bool
          sample: true
        reason:
          description: The reason.
          type: str
          sample: "rule 10 (spoof guard) drops the address"
        change:
          description: Sufficient options of M(netops.egress_ip.vsphere_port_security); none on NSX.
          type: dict
          sample: {allowed_addresses: [192.168.126.10]}
"""

from collections.abc import Mapping, Sequence
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.netops.egress_ip.plugins.module_utils._common.addresses import Address, parse_egress_ips
from ansible_collections.netops.egress_ip.plugins.module_utils._vsphere.argument_spec import ADAPTERS, CONNECTION
from ansible_collections.netops.egress_ip.plugins.module_utils._vsphere.client import with_client
from ansible_collections.netops.egress_ip.plugins.module_utils._vsphere.errors import VsphereError
from ansible_collections.netops.egress_ip.plugins.module_utils._vsphere.module import finish
from ansible_collections.netops.egress_ip.plugins.module_utils._vsphere.port import Port
from ansible_collections.netops.egress_ip.plugins.module_utils._vsphere.port_requirements import (
    CHANGED,
    OWN,
    SECOND,
    need,
)


def read_ports(params: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the ports with the result for each egress IP, or with `partial` where it matters. Raises EgressIPError."""
    addresses = parse_egress_ips(params["egress_ips"], "egress_ips")
    ports = with_client(params, lambda client: client.read_ports(params["vms"], params["shared_with"]))
    errors = [port for port in ports if isinstance(port, VsphereError)]
    if errors and not params["partial"]:
        raise errors[0]
    return [
        {"error": str(port)}
        if isinstance(port, VsphereError)
        else {**port.to_dict(), "egress_ips": needs(port, addresses, params["guest_mac"], params["partial"])}
        for port in ports
    ]


def needs(port: Port, addresses: Sequence[Address], guest_mac: str, partial: bool) -> list[dict[str, Any]]:
    """Return the result for each address; if `partial`, only where it matters: most are nodes times addresses."""
    found = (need(port, address, guest_mac) for address in addresses)
    return [each for each in found if not partial or each["change"] or each["needed"] is None]


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            **CONNECTION,
            **ADAPTERS,
            "egress_ips": {"type": "list", "elements": "str", "default": []},
            "guest_mac": {"type": "str", "choices": [OWN, SECOND, CHANGED], "default": OWN},
            "partial": {"type": "bool", "default": False},
            "shared_with": {"type": "bool", "default": True},
        },
        required_together=[("proxy_host", "proxy_port")],
        supports_check_mode=True,
    )
    finish(module, lambda: {"changed": False, "ports": read_ports(module.params)})


if __name__ == "__main__":
    main()
