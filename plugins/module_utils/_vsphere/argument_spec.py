# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The options that the vsphere modules share. PRIVATE to the collection. `doc_fragments/vsphere.py` describes them."""

from __future__ import annotations

from ansible.module_utils.basic import env_fallback


def _from_environment(variable, **option):
    return {**option, "fallback": (env_fallback, [variable])}


CONNECTION = {
    "hostname": _from_environment("VMWARE_HOST", type="str", required=True),
    "username": _from_environment("VMWARE_USER", type="str", required=True),
    "password": _from_environment("VMWARE_PASSWORD", type="str", required=True, no_log=True),
    "port": _from_environment("VMWARE_PORT", type="int", default=443),
    "validate_certs": _from_environment("VMWARE_VALIDATE_CERTS", type="bool", default=True),
    "proxy_host": _from_environment("VMWARE_PROXY_HOST", type="str"),
    "proxy_port": _from_environment("VMWARE_PROXY_PORT", type="int"),
    "timeout": {"type": "int", "default": 120},
}


def _vms(*keys):
    return {
        "vms": {
            "type": "list",
            "elements": "dict",
            "required": True,
            "options": {name: {"type": "str"} for name in (*_OF_VM, *keys)},
            "required_one_of": [_OF_VM],
            "mutually_exclusive": [_OF_VM, *([keys] if keys else [])],
        },
    }


_OF_VM = ("name", "uuid", "moid")
# VMs alone, and network adapters of VMs.
VMS = _vms()
ADAPTERS = _vms("mac", "label", "network")
