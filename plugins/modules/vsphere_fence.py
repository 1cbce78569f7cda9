#!/usr/bin/python
# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
module: vsphere_fence
author:
  - The netops.egress_ip authors (@netops)
short_description: Cut VMs off their network with proof, and reconnect them
description:
  - Ensures that a VM that cannot be reached no longer answers for its addresses, before other nodes claim them.
  - Succeeds only if the ESXi host reports that the VM is cut off. The module fails if the host does not respond, or if
    the vCenter does not know the state of the VM.
  - Notes the former values in the description of the port or in the VM's notes, in the same write as the change, and
    restores exactly these.
  - Changes the selected adapters of one VM together.
options:
  macs:
    description:
      - MAC addresses of the interfaces in the guest that must be cut off; an empty list if they are not known.
      - A fence that leaves an adapter of the VM connected is refused, except with O(method=power_off), unless each of
        these addresses belongs to an adapter in O(vms). It would prove nothing.
      - If this is omitted, the adapters in O(vms) are cut off, and other adapters are not checked.
    type: list
    elements: str
  method:
    description:
      - V(port_block) - the port of the adapter is blocked; on distributed switches, with static binding.
      - V(vnic_disconnect) - the adapter is disconnected, also for the next start. A suspended VM is refused.
      - V(power_off) - the VM is powered off without a shutdown of the guest. A suspended VM is refused. A VM counts as
        off only if vSphere HA would not start it again.
      - V(auto) - V(port_block) if it is possible, else V(vnic_disconnect). With O(state=unfenced), every method that is
        noted.
      - An SR-IOV adapter requires V(power_off), because its frames bypass the hypervisor.
    type: str
    choices: [port_block, vnic_disconnect, power_off, auto]
    default: auto
  state:
    description:
      - V(fenced) - the VM is cut off, with proof.
      - V(unfenced) - the noted values are restored, and nothing else. The note of a VM that was powered off is kept
        until the VM runs.
    type: str
    choices: [fenced, unfenced]
    default: fenced
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
      - Shows the power state and how each adapter is connected.
  idempotent:
    support: full
seealso:
  - module: netops.egress_ip.vsphere_port_info
"""

EXAMPLES = r"""
- name: Cut off a node that cannot be reached
  netops.egress_ip.vsphere_fence:
    hostname: vcenter.example.com
    username: fence@vsphere.local
    password: "{{ vcenter_password }}"
    vms:
      - name: node3
  delegate_to: localhost

- name: Reconnect it
  netops.egress_ip.vsphere_fence:
    vms:
      - name: node3
    state: unfenced
  delegate_to: localhost
"""

RETURN = r"""
vms:
  description: The adapters, in the order of O(vms).
  returned: success
  type: list
  elements: dict
  contains:
    vm:
      description: Name of the VM.
      type: str
      sample: node3
    label:
      description: Label of the adapter.
      type: str
      sample: Network adapter 1
    mac:
      description: MAC address of the adapter.
      type: str
      sample: "00:50:56:00:03:01"
    host:
      description: The ESXi host, none for a VM that is on no host.
      type: str
      sample: esx1.example.com
    changed:
      description: Whether it was changed, or would be changed in check mode.
      type: bool
      sample: true
    fenced:
      description: Whether the host reports that it is cut off; in check mode, the present state.
      type: bool
      sample: true
    before:
      description:
        - The state before. C(blocked) is none if there is no port that can be blocked.
        - An adapter is C(connected) only while the VM is on.
      type: dict
      sample: {power_state: poweredOn, blocked: false, connected: true, start_connected: true}
    after:
      description: The state after, or the expected one in check mode.
      type: dict
      sample: {power_state: poweredOn, blocked: true, connected: true, start_connected: true}
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.netops.egress_ip.plugins.module_utils._vsphere.argument_spec import ADAPTERS, CONNECTION
from ansible_collections.netops.egress_ip.plugins.module_utils._vsphere.client import with_client
from ansible_collections.netops.egress_ip.plugins.module_utils._vsphere.fence import (
    AUTO,
    PORT_BLOCK,
    POWER_OFF,
    VNIC_DISCONNECT,
    FenceRun,
)
from ansible_collections.netops.egress_ip.plugins.module_utils._vsphere.module import finish


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            **CONNECTION,
            **ADAPTERS,
            "macs": {"type": "list", "elements": "str"},
            "method": {"type": "str", "choices": [PORT_BLOCK, VNIC_DISCONNECT, POWER_OFF, AUTO], "default": AUTO},
            "state": {"type": "str", "choices": ["fenced", "unfenced"], "default": "fenced"},
        },
        required_together=[("proxy_host", "proxy_port")],
        supports_check_mode=True,
    )
    finish(module, lambda: with_client(module.params, FenceRun(module.params, module.check_mode)))


if __name__ == "__main__":
    main()
