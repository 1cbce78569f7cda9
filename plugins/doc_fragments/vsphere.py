# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The options that the vsphere modules share; `module_utils/_vsphere/argument_spec.py` holds their argument spec."""

from __future__ import annotations


class ModuleDocFragment:
    DOCUMENTATION = r"""
requirements:
  - pyvmomi, on the host that runs the module (usually C(localhost)).
notes:
  - Needs a vCenter with API 7.0 or newer. ESXi hosts without a vCenter are not supported.
options:
  hostname:
    description:
      - Name or address of the vCenter.
      - By default, the value of the environment variable E(VMWARE_HOST).
    type: str
    required: true
  username:
    description:
      - User of the vCenter.
      - By default, the value of the environment variable E(VMWARE_USER).
    type: str
    required: true
    aliases: [admin, user]
  password:
    description:
      - Password of O(username).
      - By default, the value of the environment variable E(VMWARE_PASSWORD).
    type: str
    required: true
    aliases: [pass, pwd]
  port:
    description:
      - TCP port of the vCenter.
      - By default, the value of the environment variable E(VMWARE_PORT).
    type: int
    default: 443
  validate_certs:
    description:
      - Whether the certificate of the vCenter is verified, also for C(localhost).
      - By default, the value of the environment variable E(VMWARE_VALIDATE_CERTS).
    type: bool
    default: true
  proxy_host:
    description:
      - HTTP proxy for the connection to the vCenter. By default, none is used.
      - By default, the value of the environment variable E(VMWARE_PROXY_HOST).
    type: str
  proxy_port:
    description:
      - TCP port of O(proxy_host); required with it.
      - By default, the value of the environment variable E(VMWARE_PROXY_PORT).
    type: int
  timeout:
    description: Maximum duration of one request, or of one task of the vCenter, in seconds.
    type: int
    default: 120
"""

    VMS = r"""
options:
  vms:
    description:
      - The VMs, each by one of O(vms[].name), O(vms[].uuid) and O(vms[].moid).
      - An entry that matches several VMs is an error.
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
      datacenter:
        description: Name of the datacenter of the VM.
        type: str
      folder:
        description: Path of the VM's folder, with or without the prefix C(DATACENTER/vm/).
        type: str
      guest_uuid:
        description: UUID of the machine as its guest reports it. It selects one of several VMs with equal names.
        type: str
"""

    ADAPTERS = r"""
options:
  vms:
    description:
      - The network adapters, each by its VM and, if the VM has several, by one of O(vms[].mac), O(vms[].label) and
        O(vms[].network).
      - An entry that matches several VMs or several adapters is an error.
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
      datacenter:
        description: Name of the datacenter of the VM.
        type: str
      folder:
        description: Path of the VM's folder, with or without the prefix C(DATACENTER/vm/).
        type: str
      guest_uuid:
        description: UUID of the machine as its guest reports it. It selects one of several VMs with equal names.
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
      macs:
        description:
          - MAC addresses of interfaces in the guest.
          - If the VM has several adapters and the entry names none, the only one with one of these MAC addresses is
            selected.
        type: list
        elements: str
        default: []
"""
