#!/usr/bin/python
# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
module: vsphere_guest_ip_info
author:
  - The netops.egress_ip authors (@netops)
short_description: Gather the egress IPs that VMware Tools report of VMs
description:
  - Reads from the vCenter, in one session and without a connection to the guests, the addresses that VMware Tools
    reported last.
  - A reported address is held. An address that is not reported may still be held, because VMware Tools report every 30
    seconds, and only the interfaces in their configuration. M(netops.egress_ip.vsphere_fence) gives a proof.
  - Changes nothing. The user needs only the role V(Read-only) on VMs and hosts.
options:
  egress_ips:
    description: The egress IPs to look for. If it is empty, only the addresses of the VMs are returned.
    type: list
    elements: str
    default: []
extends_documentation_fragment:
  - netops.egress_ip.attributes
  - netops.egress_ip.attributes.info_module
  - netops.egress_ip.vsphere
  - netops.egress_ip.vsphere.vms
seealso:
  - module: netops.egress_ip.vsphere_fence
"""

EXAMPLES = r"""
- name: Check whether a node that cannot be reached still holds its egress IPs
  netops.egress_ip.vsphere_guest_ip_info:
    hostname: vcenter.example.com
    username: auditor@vsphere.local
    password: "{{ vcenter_password }}"
    vms:
      - name: node3
    egress_ips: [192.168.126.10, 192.168.126.102]
  delegate_to: localhost
  register: guests
"""

RETURN = r"""
guests:
  description: The VMs, in the order of O(vms).
  returned: success
  type: list
  elements: dict
  contains:
    vm:
      description: The VM.
      type: dict
      sample: {name: node3, moid: vm-47}
    host:
      description: The ESXi host of the VM.
      type: str
      sample: esx1.example.com
    power_state:
      description: Whether the VM is V(poweredOn), V(poweredOff) or V(suspended).
      type: str
      sample: poweredOn
    tools:
      description: The state of VMware Tools, C(toolsRunningStatus) of the API.
      type: str
      sample: guestToolsRunning
    addresses:
      description: All addresses that VMware Tools reported last, in order.
      type: list
      elements: str
      sample: [192.168.126.10, 192.168.126.23]
    egress_ips:
      description: The result for each of O(egress_ips).
      type: list
      elements: dict
      contains:
        egressIP:
          description: The address in RFC 5952 form.
          type: str
          sample: 192.168.126.10
        state:
          description:
            - V(held) - VMware Tools report the address.
            - V(absent) - they report other addresses only, or the VM is powered off.
            - V(unknown) - they report nothing that can be used.
          type: str
          sample: held
        mac:
          description: MAC address of the interface with the address; none if it is not held or the interface has none.
          type: str
          sample: "00:50:56:00:03:01"
        reason:
          description: The reason.
          type: str
          sample: VMware Tools show the address
"""

from collections.abc import Mapping
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.netops.egress_ip.plugins.module_utils._common.addresses import parse_egress_ips
from ansible_collections.netops.egress_ip.plugins.module_utils._vsphere.argument_spec import CONNECTION, VMS
from ansible_collections.netops.egress_ip.plugins.module_utils._vsphere.client import with_client
from ansible_collections.netops.egress_ip.plugins.module_utils._vsphere.guest_ips import find_address
from ansible_collections.netops.egress_ip.plugins.module_utils._vsphere.module import finish


def read_guests(params: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the guests with the answer for each egress IP; raises EgressIPError."""
    addresses = parse_egress_ips(params["egress_ips"], "egress_ips")
    guests = with_client(params, lambda client: client.read_guests(params["vms"]))
    return [
        {**guest.to_dict(), "egress_ips": [find_address(guest, address) for address in addresses]} for guest in guests
    ]


def main() -> None:
    module = AnsibleModule(
        argument_spec={**CONNECTION, **VMS, "egress_ips": {"type": "list", "elements": "str", "default": []}},
        required_together=[("proxy_host", "proxy_port")],
        supports_check_mode=True,
    )
    finish(module, lambda: {"changed": False, "guests": read_guests(module.params)})


if __name__ == "__main__":
    main()
