# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The filters for what is outside the nodes, fences and the vCenter; the files of their names document them.

One file, for Ansible loads all files with filters of a collection again for each filter that a run uses.
"""

from __future__ import annotations

from pathlib import Path

from ansible.errors import AnsibleFilterError
from ansible_collections.netops.egress_ip.plugins.module_utils._common.errors import EgressIPError
from ansible_collections.netops.egress_ip.plugins.module_utils._reconcile.fencing import (
    VSPHERE,
    nodes_to_unfence,
    plan_fencing,
)
from ansible_collections.netops.egress_ip.plugins.module_utils._reconcile.vsphere import audit, changes, query


def _fencing(plan, fleet, nodes, results=None):
    fences = {str(variables["inventory_hostname"]): variables.get("egress_ip_fence") for variables in nodes}
    try:
        fencing = plan_fencing(plan, fleet, fences, results)
    except EgressIPError as error:
        raise AnsibleFilterError(str(error)) from error
    for name, fence in fences.items():
        # Not only when it is needed: then it is too late.
        if fence and fence != VSPHERE and not Path(fence).is_file():
            raise AnsibleFilterError(f"{name}: egress_ip_fence: there is no file {fence}")
    return fencing.to_dict()


def _query(hostvars, egressips):
    hosts = [
        {
            "name": str(variables["inventory_hostname"]),
            "vm": variables.get("egress_ip_vsphere_vm"),
            "platform": variables.get("egress_ip_platform"),
            "fence": variables.get("egress_ip_fence"),
            "observed": variables.get("egress_ip_observed"),
        }
        for variables in hostvars
    ]
    try:
        return query(hosts, egressips)
    except EgressIPError as error:
        raise AnsibleFilterError(str(error)) from error


class FilterModule:
    """Filter plugins."""

    def filters(self):
        """Return the filters by their names."""
        return {
            "fencing": _fencing,
            "to_unfence": nodes_to_unfence,
            "vsphere_query": _query,
            "vsphere_audit": audit,
            "vsphere_changes": changes,
        }
