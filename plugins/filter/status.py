# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
name: status
author:
  - The netops.egress_ip authors (@netops)
short_description: Say what is held where, in the form of the manifests
description:
  - Returns the EgressIP documents with C(status.assignments) as the nodes show it, not as it should be. An egress IP
    on two nodes is listed twice. Addresses that are in no manifest come in a document of their own.
positional: fleet
options:
  _input:
    description: EgressIP documents.
    type: list
    elements: dict
    required: true
  fleet:
    description: What the filter P(netops.egress_ip.fleet#filter) returned.
    type: dict
    required: true
seealso:
  - plugin: netops.egress_ip.report
    plugin_type: filter
"""

EXAMPLES = r"""
- name: Show what is held where
  ansible.builtin.debug:
    msg: "{{ egress_ip_read.egressips | netops.egress_ip.status(egress_ip_fleet) }}"
"""

RETURN = r"""
_value:
  description: EgressIP documents.
  type: list
  elements: dict
"""

from ansible_collections.netops.egress_ip.plugins.module_utils._reconcile.report import status


class FilterModule:
    """Filter plugin."""

    def filters(self):
        """Return the filter by its name."""
        return {"status": status}
