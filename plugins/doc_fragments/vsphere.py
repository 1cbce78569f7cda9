# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The options that the vsphere modules share; `module_utils/_vsphere/argument_spec.py` holds their argument spec."""

from __future__ import annotations


class ModuleDocFragment:
    DOCUMENTATION = r"""
requirements:
  - pyvmomi, on the host that runs the module (mostly C(localhost)).
notes:
  - Needs vCenter with API 7.0 or newer. An ESXi host without vCenter cannot answer.
options:
  hostname:
    description:
      - Name or address of the vCenter.
      - Without it, the environment variable E(VMWARE_HOST) counts.
    type: str
    required: true
  username:
    description:
      - User of the vCenter.
      - Without it, the environment variable E(VMWARE_USER) counts.
    type: str
    required: true
  password:
    description:
      - Password of O(username).
      - Without it, the environment variable E(VMWARE_PASSWORD) counts.
    type: str
    required: true
  port:
    description:
      - TCP port of the vCenter.
      - Without it, the environment variable E(VMWARE_PORT) counts.
    type: int
    default: 443
  validate_certs:
    description:
      - Whether the vCenter must show a certificate that this host trusts, for C(localhost) too.
      - Without it, the environment variable E(VMWARE_VALIDATE_CERTS) counts.
    type: bool
    default: true
  proxy_host:
    description:
      - An HTTP proxy on the way to the vCenter. When it is absent, there is none.
      - Without it, the environment variable E(VMWARE_PROXY_HOST) counts.
    type: str
  proxy_port:
    description:
      - TCP port of O(proxy_host), which it needs.
      - Without it, the environment variable E(VMWARE_PROXY_PORT) counts.
    type: int
  timeout:
    description: How many seconds one request, or one task of the vCenter, may take.
    type: int
    default: 120
"""

    VMS = r"""
options:
  vms:
    description:
      - The VMs that this is about.
      - What fits several VMs is an error.
    type: list
    elements: dict
    required: true
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
"""

    ADAPTERS = r"""
options:
  vms:
    description:
      - The network adapters that this is about, each by its VM and, if the VM has several, by one thing more.
      - What fits several VMs or several adapters is an error.
    type: list
    elements: dict
    required: true
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
      mac:
        description: MAC address of the adapter.
        type: str
      label:
        description: Label of the adapter, V(Network adapter 1) for example.
        type: str
      network:
        description: Name of the port group or network that the adapter is connected to.
        type: str
"""
