# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
name: traffic
author:
  - The netops.egress_ip authors (@netops)
short_description: Tell a person what the egress IPs carry
description:
  - Returns a table of the egress IPs, with what was sent and received, the connections, and how full the source ports
    are towards the destination with most connections.
  - The nodes' own addresses follow, from which connections of their pods go to the egress IPs of other nodes.
options:
  _input:
    description:
      - What the filter P(netops.egress_ip.fleet#filter) returned, of nodes that were looked at with
        O(netops.egress_ip.node_info#module:metrics).
    type: dict
    required: true
seealso:
  - plugin: netops.egress_ip.status
    plugin_type: filter
"""

EXAMPLES = r"""
- name: Look at the host
  netops.egress_ip.node_info:
    metrics: true
  register: egress_ip_observed

- name: Show what the egress IPs carry
  ansible.builtin.debug:
    msg: "{{ groups.egress_ip_nodes | map('extract', hostvars) | netops.egress_ip.fleet | netops.egress_ip.traffic }}"
  run_once: true
"""

RETURN = r"""
_value:
  description: The lines of the table.
  type: list
  elements: str
"""

from ansible_collections.netops.egress_ip.plugins.module_utils._reconcile.traffic import traffic


class FilterModule:
    """Filter plugin."""

    def filters(self):
        """Return the filter by its name."""
        return {"traffic": traffic}
