#!/usr/bin/python
# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
module: plan
author:
  - The netops.egress_ip authors (@netops)
short_description: Plan a run
description:
  - Decides, on the controller, which node holds which egress IP, and computes the state of each node.
  - The input are the settings, and the registered results of other modules. C(egress_ip_settings) must be the result of
    M(netops.egress_ip.settings), C(egress_ip_manifests_info) that of M(netops.egress_ip.manifests_info), and
    C(egress_ip_node_info) of each host that of M(netops.egress_ip.node_info). They are not options, because Ansible
    would template them item by item.
  - Changes nothing. Run it once per play, not for each host.
  - The role P(netops.egress_ip.node#role) calls this module. It is not part of the stable interface.
options:
  hosts:
    description:
      - Names of the hosts that take part. C(egress_ip_settings) must have settings for each of them.
    type: list
    elements: str
    required: true
  settings:
    description: Settings of the whole run.
    type: dict
    suboptions:
      policy:
        description: The first criterion among plans that assign the same number of addresses, the load or the moves.
        type: str
        choices: [balanced, sticky]
        default: balanced
      max_moves:
        description: Maximum number of moves that are made only for balance. Without it, there is no limit.
        type: int
      min_available:
        description: Number of nodes that must answer, an integer, or a percentage that is rounded up.
        type: raw
        default: 50%
      pools:
        description:
          - Pools of addresses by name, each a list of ranges, networks and addresses, or a dictionary of two such
            lists, C(ranges) and C(exclude).
          - Pools need the Python package netaddr on the controller.
        type: raw
        default: {}
      excluded_cidrs:
        description: Destination networks towards which pods keep their own address.
        type: list
        elements: raw
        default: []
      drain_nodes:
        description:
          - Names of nodes to treat as if they had C(egress_ip_drain) set.
          - With any of them, nothing moves for balance.
        type: list
        elements: str
        default: []
      drain_force:
        description: Whether a drain may leave an egress IP without a node. Without it, that stops the run.
        type: bool
        default: false
      forget_nodes:
        description:
          - Names of nodes that have left the fleet.
          - A node that is in the records of other nodes, and neither in O(hosts) nor here, stops the run.
        type: list
        elements: str
        default: []
      plan_seconds:
        description:
          - Maximum duration of the planning in seconds.
          - If it ends the search, C(plan.proven) is false and C(plan.gap) is the distance from the best plan.
        type: float
        default: 10
      failover:
        description:
          - Whether nodes take over the egress IPs of a node that falls silent, between runs; a boolean.
          - The values of this and the following settings must be the same on all hosts, whose variables are compared.
        type: raw
        default: false
      failover_after:
        description: Seconds of silence after which a node counts as lost, V(0.1) to V(60), or V(auto).
        type: raw
        default: auto
      failover_witnesses:
        description:
          - Addresses that show a node that its own network works, a list or a string with commas.
          - Without any, the gateways of each node.
        type: raw
        default: []
      failover_strict:
        description: Whether a node may hold an egress IP only while a witness answers; a boolean.
        type: raw
        default: false
      failover_unfenced:
        description: Whether the egress IPs of nodes with C(egress_ip_fence) are taken over too; a boolean.
        type: raw
        default: false
  options:
    description: Names and numbers of the data plane. The keys are those of C(options) in the state of a node.
    type: raw
    default: {}
  tunnel_secret:
    description:
      - The secret from which the keys of an encrypted tunnel follow, at least 32 random characters. Only while
        C(tunnel_encryption) in O(options) is C(ipsec). The plan contains its fingerprint only.
      - A new secret replaces the old one in three runs without loss of packets.
    type: str
    default: ""
  failover_key:
    description:
      - A new random secret with which the nodes of a fleet with failover call each other, the same for
        M(netops.egress_ip.node). It is used only if not all nodes have the same one. The plan contains its fingerprint
        only.
    type: str
    default: ""
  fenced:
    description: Names of nodes that are cut off their network. They hold nothing until they are reconnected.
    type: list
    elements: str
    default: []
  withheld:
    description: Egress IPs that must not be claimed, a dictionary of them and the reasons.
    type: raw
    default: {}
  labels:
    description:
      - Labels of nodes from their platforms, a dictionary of nodes and their labels, such as
        RV(netops.egress_ip.audit#module:labels).
      - Labels in C(egress_ip_labels) take precedence.
    type: dict
    default: {}
  keep_holders:
    description:
      - Whether nothing moves for balance, since a label by which objects are spread is unknown, such as
        RV(netops.egress_ip.audit#module:keep_holders).
    type: bool
    default: false
  stop_reasons:
    description:
      - Further reasons to change nothing, such as RV(netops.egress_ip.audit#module:stop_reasons). They are appended to
        RV(stop_reasons).
    type: list
    elements: str
    default: []
  questions:
    description: Questions about the plan. They do not affect it.
    type: dict
    suboptions:
      what_if:
        description: Changes to simulate, as the filter P(netops.egress_ip.what_if#filter) takes them; empty for none.
        type: raw
        default: {}
      headroom:
        description: Whether all egress IPs have a node after the loss of any node and of any failure domain.
        type: bool
        default: false
      headroom_label:
        description: The label of nodes whose values are failure domains.
        type: raw
        default: topology.kubernetes.io/zone
      price:
        description: How many moves balance costs.
        type: bool
        default: false
      explain:
        description: An egress IP whose placement is explained; empty for none.
        type: raw
        default: ""
      status:
        description:
          - The egress IPs as the nodes show them. The answer V(status_failures) has a line for each that is on several
            nodes, for which another host answers, and for each node whose state is not known.
        type: bool
        default: false
      traffic:
        description: The traffic of the egress IPs. It needs facts with O(netops.egress_ip.node_info#module:metrics).
        type: bool
        default: false
  states:
    description: Whether to compute the states of the nodes.
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
- name: Read the settings
  netops.egress_ip.settings:
    hosts: "{{ groups.egress_ip_nodes }}"
  register: egress_ip_settings
  run_once: true

- name: Read the manifests
  netops.egress_ip.manifests_info:
    sources: manifests/
  register: egress_ip_manifests_info
  run_once: true

- name: Gather the facts of the hosts
  netops.egress_ip.node_info:
  register: egress_ip_node_info

- name: Make the plan
  netops.egress_ip.plan:
    hosts: "{{ groups.egress_ip_nodes }}"
  register: egress_ip_plan
  run_once: true
"""

RETURN = r"""
fleet:
  description: The nodes and what they hold, the input of the filters of this collection.
  returned: success
  type: dict
  contains:
    nodes:
      description: The nodes as P(netops.egress_ip.assign#filter) takes them.
      type: list
      elements: dict
    current:
      description: Which node holds which egress IP, as P(netops.egress_ip.assign#filter) takes it.
      type: list
      elements: dict
      sample: [{egressIP: 192.168.126.10, node: node1}]
    members:
      description: All nodes with their addresses; those of unavailable nodes are from the records of the others.
      type: list
      elements: dict
    observed:
      description: The facts of each node that answered, by node, without its record of other nodes.
      type: dict
    unavailable:
      description: The nodes that did not answer, with the reason.
      type: list
      elements: dict
      sample: [{name: node2, reason: "cannot be reached: timed out"}]
    faulty:
      description: The nodes that answered and cannot be used, with the reason.
      type: list
      elements: dict
      sample: [{name: node3, reason: "gives invalid facts: generation: must be an integer from 0"}]
    recalled:
      description: State on the nodes of objects whose manifests have errors.
      type: dict
    generation:
      description: The newest generation on any node.
      type: int
      sample: 4
    stop_reasons:
      description: Reasons of the fleet to stop the run; empty if there is none.
      type: list
      elements: str
manifests:
  description: The manifests, with addresses of pools in C(spec.egressIPs).
  returned: success
  type: dict
plan:
  description: The assignments, as the filter P(netops.egress_ip.assign#filter) returns them.
  returned: success
  type: dict
rollout:
  description: The states of the nodes. Empty when there is a reason to stop, and without O(states).
  returned: success
  type: dict
  contains:
    shared:
      description: The fields that the states of most nodes have, such as the objects and the other nodes.
      type: dict
    states:
      description:
        - The other fields of the states, by the name of the node. Combined with RV(rollout.shared), they are the state
          for M(netops.egress_ip.node).
        - Only of nodes that a run may change. Those in RV(rollout.differing), and all nodes while some have to follow
          the claims of others.
      type: dict
    differing:
      description: The nodes that differ from their state.
      type: list
      elements: str
      sample: [node1]
    releasing:
      description: The egress IPs that nodes must release, and the nodes that claim them.
      type: list
      elements: dict
      sample: [{egressIP: 192.168.126.10, from: node1, to: node2}]
    following:
      description: The egress IPs whose tunnels end at another node once that node has claimed them.
      type: list
      elements: dict
      sample: [{egressIP: 172.30.0.10, node: node1, endpoint: 192.168.126.21}]
    pending:
      description: The egress IPs that no node holds now, with the nodes that claim them.
      type: list
      elements: dict
      sample: [{egressIP: 192.168.126.10, node: node1, name: web}]
    assigned:
      description: All assigned addresses of the objects in RV(rollout.pending), by object.
      type: dict
platforms:
  description: The query of each platform that nodes belong to, a C(name) and what the role of this name reads.
  returned: success
  type: list
  elements: dict
needs_fences_or_platforms:
  description: Whether M(netops.egress_ip.steps) must be run, for fences or platforms.
  returned: success
  type: bool
without_packages:
  description: The nodes that answer that packages are missing, which the role can install.
  returned: success
  type: list
  elements: str
in_steps:
  description: Whether nodes release or claim addresses, so that a run has several steps.
  returned: success
  type: bool
digest:
  description: A digest of the holders of the egress IPs before and after the plan. It does not cover pods.
  returned: success
  type: str
  sample: 0123456789abcdef
answers:
  description:
    - The answers to O(questions), each a list of lines for a person.
    - When there is a reason to stop, only those to V(explain), V(status) and V(traffic).
  returned: success
  type: dict
  sample: {price: ["The load is as even as it can be: no egress IP has to move for balance."]}
notes:
  description: What a reader of the report must know about the steps of the run.
  returned: success
  type: list
  elements: str
  sample: []
mistakes:
  description: Silent mistakes in manifests, such as an object that selects no pod.
  returned: success
  type: list
  elements: str
  sample: ["egressip/web: selects no pod"]
stop_reasons:
  description: Reasons to change nothing.
  returned: success
  type: list
  elements: str
  sample: ["node1: package: nftables is missing"]
"""
