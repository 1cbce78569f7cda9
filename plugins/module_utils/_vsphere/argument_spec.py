# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The options that the vSphere modules share, as described in `doc_fragments/vsphere.py`. PRIVATE to the collection."""

from __future__ import annotations

from typing import Any, Dict

from ansible.module_utils.basic import env_fallback

# {option: its entry in an argument spec}
Spec = Dict[str, Dict[str, Any]]


def _from_environment(variable: str, **option: Any) -> dict[str, Any]:
    return {**option, "fallback": (env_fallback, [variable])}


CONNECTION: Spec = {
    "hostname": _from_environment("VMWARE_HOST", type="str", required=True),
    # The aliases are those of vmware.vmware.
    "username": _from_environment("VMWARE_USER", type="str", required=True, aliases=["admin", "user"]),
    "password": _from_environment("VMWARE_PASSWORD", type="str", required=True, no_log=True, aliases=["pass", "pwd"]),
    "port": _from_environment("VMWARE_PORT", type="int", default=443),
    "validate_certs": _from_environment("VMWARE_VALIDATE_CERTS", type="bool", default=True),
    "proxy_host": _from_environment("VMWARE_PROXY_HOST", type="str"),
    "proxy_port": _from_environment("VMWARE_PROXY_PORT", type="int"),
    "timeout": {"type": "int", "default": 120},
}


def _vms(*keys: str) -> Spec:
    return {
        "vms": {
            "type": "list",
            "elements": "dict",
            "required": True,
            "options": {name: {"type": "str"} for name in (*_VM_KEYS, *_PLACE_KEYS, "guest_uuid", *keys)},
            "required_one_of": [_VM_KEYS],
            "mutually_exclusive": [_VM_KEYS, *([keys] if keys else [])],
        },
    }


_VM_KEYS = ("name", "uuid", "moid")
_PLACE_KEYS = ("datacenter", "folder")
# VMs, and network adapters of VMs.
VMS = _vms()
ADAPTERS = _vms("mac", "label", "network")
ADAPTERS["vms"]["options"]["macs"] = {"type": "list", "elements": "str", "default": []}
# Port groups.
PORT_GROUPS: Spec = {
    "portgroups": {
        "type": "list",
        "elements": "dict",
        "default": [],
        "options": {
            "name": {"type": "str", "required": True},
            "datacenter": {"type": "str"},
            "switch": {"type": "str"},
        },
    },
}
