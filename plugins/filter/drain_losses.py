# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
name: drain_losses
author:
  - The netops.egress_ip authors (@netops)
short_description: Say which egress IPs would lose their place by a drain
description:
  - Lists the egress IPs that a node holds and that have no node in the plan of a drain.
positional: fleet
options:
  _input:
    description: A plan, as P(netops.egress_ip.assign#filter) returns it.
    type: dict
    required: true
  fleet:
    description: What the filter P(netops.egress_ip.fleet#filter) returned, with the nodes to drain.
    type: dict
    required: true
seealso:
  - plugin: netops.egress_ip.fleet
    plugin_type: filter
"""

EXAMPLES = r"""
- name: Show what a drain would cost
  ansible.builtin.debug:
    msg: "{{ egress_ip_plan | netops.egress_ip.drain_losses(egress_ip_fleet) }}"
"""

RETURN = r"""
_value:
  description: A sentence for each; empty when every egress IP finds a place.
  type: list
  elements: str
"""

from ansible_collections.netops.egress_ip.plugins.module_utils._losses import drain_losses


class FilterModule:
    """Filter plugin."""

    def filters(self):
        """Return the filter by its name."""
        return {"drain_losses": drain_losses}
