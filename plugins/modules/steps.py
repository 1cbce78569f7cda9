#!/usr/bin/python
# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
module: steps
author:
  - The netops.egress_ip authors (@netops)
short_description: Decide the steps of a run around the nodes
description:
  - Decides, on the controller, which nodes are fenced before their egress IPs are claimed, which vSphere ports change,
    which tunnels end at another node, and which fenced nodes are reconnected.
  - The input are registered results of other modules. C(egress_ip_plan) must be the result of M(netops.egress_ip.plan);
    C(egress_ip_vsphere_port_info) of M(netops.egress_ip.vsphere_port_info), C(egress_ip_node) of each host of
    M(netops.egress_ip.node), and C(egress_ip_steps) of this module are used if they exist.
  - Changes nothing. Run it once, not for each host. A part of the role P(netops.egress_ip.node#role).
options:
  hosts:
    description: Names of the hosts that take part. Their variables C(egress_ip_fence) and C(egress_ip_node) are used.
    type: list
    elements: str
    required: true
  guest_mac:
    description:
      - The MAC address with which the nodes use egress IPs, as in M(netops.egress_ip.vsphere_port_info).
      - With it, the ports in C(egress_ip_vsphere_port_info) are audited. Without it, the audit of the last call counts.
    type: str
  scope:
    description: The object that is changed, V(port) or V(portgroup). It is used only together with O(guest_mac).
    type: str
    default: port
  fence_results:
    description:
      - Result of each fence by node, the reason why the node is not fenced; empty if it is.
      - Without it, no fence has been tried, and no egress IP is withheld.
    type: dict
extends_documentation_fragment:
  - netops.egress_ip.attributes
  - netops.egress_ip.attributes.info_module
seealso:
  - module: netops.egress_ip.plan
  - module: netops.egress_ip.report
"""

EXAMPLES = r"""
- name: Decide about fences and ports
  netops.egress_ip.steps:
    hosts: "{{ groups.egress_ip_nodes }}"
  register: egress_ip_steps
  run_once: true
"""

RETURN = r"""
vsphere:
  description: The audit of the vSphere ports, with the nodes that are noted as fenced there.
  returned: success
  type: dict
ports:
  description: The changes of vSphere ports before (C(open)) and after (C(close)) the nodes are changed, and C(notes).
  returned: success
  type: dict
fencing:
  description: The nodes to fence, and the fence of each.
  returned: success
  type: dict
  sample: {node2: vsphere}
withheld:
  description: The egress IPs that must not be claimed, and the reasons.
  returned: success
  type: dict
  sample: {192.168.126.10: "node2 may hold it and is not fenced: timed out"}
unfence:
  description: The fenced nodes that may be reconnected.
  returned: success
  type: list
  elements: str
tunnels:
  description: The states of the nodes whose tunnels end at another node now, by node.
  returned: success
  type: dict
in_steps:
  description: Whether vSphere ports change or fenced nodes exist.
  returned: success
  type: bool
"""
