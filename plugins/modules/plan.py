#!/usr/bin/python
# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
module: plan
author:
  - The netops.egress_ip authors (@netops)
short_description: Make the plan of a run
description:
  - Decides, on the controller, all that a run is to do - who holds which egress IP, and what each node must look like.
  - The input is what is wanted (the manifests and the settings) and what is (what each host answered).
  - Changes nothing. Run it once, not for each host.
options:
  hosts:
    description:
      - Names of the hosts that take part.
      - Of their variables C(egress_ip_observed) (the registered result of M(netops.egress_ip.node_info)),
        C(egress_ip_labels), C(egress_ip_capacity) and C(egress_ip_drain) are used.
    type: list
    elements: str
    required: true
  manifests:
    description:
      - Name of the variable with the result of M(netops.egress_ip.manifests_info).
      - The name and not the value, for Ansible would template the value item by item.
    type: str
    required: true
  settings:
    description: What the user says of the whole run.
    type: dict
    suboptions:
      policy:
        description: What comes first among plans that place the same number of addresses, a flat load or few moves.
        type: str
        choices: [balanced, sticky]
        default: balanced
      max_moves:
        description: How many moves may be made only for balance. Without it, any number.
        type: int
      min_available:
        description: How many nodes must answer, as a number or as a percentage, which is rounded up.
        type: raw
        default: 50%
      pools:
        description: Pools of addresses by their names, each a list of ranges, networks and addresses.
        type: raw
        default: {}
      excluded_cidrs:
        description: Destinations to which pods keep their own address.
        type: raw
        default: []
      drain_nodes:
        description:
          - Names of nodes to treat as if they had C(egress_ip_drain) set, a list or with commas between them.
          - With any of them, nothing moves for balance.
        type: raw
        default: []
      drain_force:
        description: Whether a drain may take the place of an egress IP. Without it, that is a reason to stop.
        type: bool
        default: false
  options:
    description: Names and numbers of the data plane. The keys are those of C(options) in a node's state.
    type: raw
    default: {}
  fenced:
    description: Names of nodes that are cut off their network and hold nothing until they are given back.
    type: list
    elements: str
    default: []
  withheld:
    description: Egress IPs that nobody may claim, a dictionary of them and why.
    type: raw
    default: {}
  questions:
    description: What is asked besides. Nothing of it changes the plan.
    type: dict
    suboptions:
      what_if:
        description: What to suppose, as the filter P(netops.egress_ip.what_if#filter) takes it; empty for nothing.
        type: raw
        default: {}
      headroom:
        description: Whether all egress IPs find a place without each node and each failure domain.
        type: bool
        default: false
      headroom_label:
        description: The label of nodes whose values are failure domains.
        type: raw
        default: topology.kubernetes.io/zone
      price:
        description: How many moves how much balance costs.
        type: bool
        default: false
      explain:
        description: An egress IP of which to say which nodes could hold it; empty for none.
        type: raw
        default: ""
  states:
    description: Whether what each node must look like is wanted, too.
    type: bool
    default: true
extends_documentation_fragment:
  - netops.egress_ip.attributes
  - netops.egress_ip.attributes.info_module
seealso:
  - module: netops.egress_ip.node
  - module: netops.egress_ip.report
  - plugin: netops.egress_ip.assign
    plugin_type: filter
"""

EXAMPLES = r"""
- name: Read the manifests
  netops.egress_ip.manifests_info:
    sources: manifests/
  register: manifests
  run_once: true

- name: Look at the hosts
  netops.egress_ip.node_info:
  register: egress_ip_observed

- name: Make the plan
  netops.egress_ip.plan:
    hosts: "{{ groups.egress_ip_nodes }}"
    manifests: manifests
  register: run
  run_once: true
"""

RETURN = r"""
fleet:
  description: What the nodes are and hold, as the filter P(netops.egress_ip.fleet#filter) returns it.
  returned: success
  type: dict
manifests:
  description: What was read, with addresses of pools in C(spec.egressIPs).
  returned: success
  type: dict
plan:
  description: Who is to hold what, as the filter P(netops.egress_ip.assign#filter) returns it.
  returned: success
  type: dict
rollout:
  description:
    - The state of each node, as the filter P(netops.egress_ip.node_state#filter) returns it.
    - Empty when there is a reason to stop, and without O(states).
  returned: success
  type: dict
answers:
  description:
    - The answers to those of O(questions) that are asked, each a list of lines for a person.
    - When there is a reason to stop, that is V(explain) at most.
  returned: success
  type: dict
  sample: {price: ["The load is as even as it can be: no egress IP has to move for balance."]}
stop:
  description: Reasons to change nothing.
  returned: success
  type: list
  elements: str
  sample: ["node1: package: nftables is missing"]
"""
