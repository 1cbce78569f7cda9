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
  - Decides, on the controller, which nodes are fenced before their egress IPs are claimed, what changes on their
    platforms, which nodes are updated after claims of others, and which fenced nodes are reconnected.
  - The input are registered results of other modules. C(egress_ip_settings) must be the result of
    M(netops.egress_ip.settings) and C(egress_ip_plan) that of M(netops.egress_ip.plan). C(egress_ip_audit) of
    M(netops.egress_ip.audit), and C(egress_ip_node_release) and C(egress_ip_node) of each host, of
    M(netops.egress_ip.node), are used if they exist.
  - Can be called several times in a run. Each result has all values, as far as they can be decided from the input.
  - Changes nothing. Run it once, not for each host.
  - The role P(netops.egress_ip.node#role) calls this module. It is not part of the stable interface.
options:
  hosts:
    description: Names of the hosts that take part. Their setting C(fence) and C(egress_ip_node) are used.
    type: list
    elements: str
    required: true
  fence_results:
    description:
      - Result of each fence by node, the reason why the node is not fenced; empty if it is.
      - Without it, no fence has been tried, and no egress IP is withheld.
    type: dict
extends_documentation_fragment:
  - netops.egress_ip.attributes
  - netops.egress_ip.attributes.info_module
seealso:
  - module: netops.egress_ip.audit
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
domain_notes:
  description: Egress IPs of an object that one failure domain of the platform holds, as planned and as they are now.
  returned: success
  type: dict
  sample:
    planned: ["egressip/web: 192.168.126.10, 192.168.126.102 are on one ESXi host, esx1.example.com"]
    current: []
open:
  description: The changes of each platform before the nodes are changed.
  returned: success
  type: list
  elements: dict
close:
  description: The changes of each platform after the nodes are changed.
  returned: success
  type: list
  elements: dict
notes:
  description: Notes of the platforms, a line each.
  returned: success
  type: list
  elements: str
fencing:
  description: The nodes to fence, each with its platform and target there, or with the file of the user.
  returned: success
  type: list
  elements: dict
  sample: [{node: node2, platform: "", target: {}, file: /etc/fence.yml}]
withheld:
  description: The egress IPs that must not be claimed, and the reasons. Empty without O(fence_results).
  returned: success
  type: dict
  sample: {192.168.126.10: "node2 may hold it and is not fenced: timed out"}
unfence:
  description: The fenced nodes to reconnect, by platform. Empty before M(netops.egress_ip.node) runs.
  returned: success
  type: list
  elements: dict
updates:
  description:
    - The states of the nodes that are updated after the claims of other nodes, as C(shared) and C(states) in
      RV(netops.egress_ip.plan#module:rollout).
    - Empty before M(netops.egress_ip.node) runs.
    - Their tunnels follow an address to its new holder, or their pods must not use an address that no node claimed.
  returned: success
  type: dict
in_steps:
  description: Whether a platform changes or fenced nodes exist.
  returned: success
  type: bool
"""
