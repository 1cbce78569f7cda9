# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
name: assign
author:
  - The netops.egress_ip authors (@netops)
short_description: Plan the assignment of egress IPs to nodes
description:
  - Assigns egress IPs to nodes. Changes nothing.
  - An address is on at most one node. No node gets two addresses of one object. A node must have the label
    V(k8s.ovn.org/egress-assignable) with any value, be ready, and have a network that contains the address.
    A node's own address, network addresses and broadcast addresses are never assigned. Capacities are not exceeded.
    An object's annotation C(egress-ip.netops/node-selector), a label selector as C(kubectl get nodes -l) takes it,
    restricts it to the nodes that it selects.
  - An object's C(spec.egressNodeSelector) selects its nodes in place of the label; C({}) selects every node.
  - An object's annotation C(egress-ip.netops/spread) names a label of the nodes. No two of its addresses are on nodes
    with the same value of the label while another value is free for one of them. Each node without the label is a
    value of its own.
  - Of all plans that keep these rules, the result is the best one. First, most addresses have a node. Then objects are
    spread as their annotations require. Then, with O(policy=balanced), the load is as flat as can be (least sum of
    squares), and then the moves are the fewest.
    With O(policy=sticky) the fewest moves come before the flattest load. Last is the order by name, the first address
    on its first node. The same input gives the same plan; the order of lists does not matter.
  - An object's annotation C(egress-ip.netops/weight), an integer from 1 to 100 in quotes, is the weight of each of its
    addresses in the load of its node. Capacities count addresses, not weights. If weights differ, the load is near
    the flattest one, and RV(_value.weighted) shows how near; the order by name does not apply then.
  - A broken object is listed in RV(_value.invalid). It gets nothing new and keeps its addresses as far as the rules
    above allow. It does not affect other objects.
  - If two objects request one address, the one that holds it keeps it, else the first by name gets it.
  - Only a run limits the time of a search (C(egress_ip_plan_seconds)). This filter has no time limit, and some inputs,
    such as limits for one family that matter, can take minutes.
positional: nodes, current, policy, max_moves, failover, standbys
options:
  _input:
    description: EgressIP documents.
    type: list
    elements: dict
    required: true
  nodes:
    description:
      - The nodes. A node with errors cannot hold anything, and is listed in RV(_value.invalid).
    type: list
    elements: dict
    required: true
    suboptions:
      name:
        description: Name of the node.
        type: str
        required: true
      labels:
        description: Labels of the node.
        type: dict
        default: {}
      ready:
        description: Whether the node can hold addresses now.
        type: bool
        default: true
      networks:
        description: The node's own addresses by interface, the primary one first. Egress IPs are not among them.
        type: list
        elements: dict
        default: []
        suboptions:
          interface:
            description: Name of the interface.
            type: str
            required: true
          addresses:
            description: Addresses with prefix length.
            type: list
            elements: str
            required: true
      capacity:
        description:
          - The maximum number of egress IPs of the node. Without it, there is no limit.
          - An integer for all addresses, or a dictionary with any of the keys V(ip), V(ipv4) and V(ipv6).
        type: raw
      gateways:
        description: Addresses of the node's gateways, which are never assigned.
        type: list
        elements: str
        default: []
  current:
    description:
      - The present assignments, dictionaries with V(egressIP), V(node) and, if known, V(name), the object's name.
      - For an address without an entry, the status of the objects applies.
    type: list
    elements: dict
    default: []
  policy:
    description: What is preferred among plans with the same number of assigned addresses, a flat load or few moves.
    type: str
    choices: [balanced, sticky]
    default: balanced
  max_moves:
    description:
      - The maximum number of moves that are made only for balance. Moves that are needed to place most addresses, or to
        spread them as an annotation requires, do not count.
      - Without it, there is no limit.
    type: int
  failover:
    description: Whether to plan where each address goes if its node alone is lost, RV(_value.standbys).
    type: bool
    default: false
  standbys:
    description: The standbys of the last plan, which stay where another one is no better.
    type: list
    elements: dict
    default: []
seealso:
  - module: netops.egress_ip.assignment
  - plugin: netops.egress_ip.select_pods
    plugin_type: filter
"""

EXAMPLES = r"""
- name: Show which node gets which egress IP
  ansible.builtin.debug:
    msg: "{{ (egressips | netops.egress_ip.assign(nodes)).assignments }}"
  vars:
    egressips:
      - apiVersion: k8s.ovn.org/v1
        kind: EgressIP
        metadata:
          name: egressips-prod
        spec:
          egressIPs:
            - 192.168.126.10
            - 192.168.126.102
          namespaceSelector:
            matchLabels:
              env: prod
    nodes:
      - name: node1
        labels:
          k8s.ovn.org/egress-assignable: ""
        networks:
          - interface: eth0
            addresses: [192.168.126.21/18]
      - name: node3
        labels:
          k8s.ovn.org/egress-assignable: ""
        networks:
          - interface: eth0
            addresses: [192.168.126.23/18]
        capacity: 10

- name: Plan with few moves
  ansible.builtin.set_fact:
    plan: "{{ egressips | netops.egress_ip.assign(nodes, current, policy='sticky') }}"

- name: Plan for a flat load, with at most two moves for it
  ansible.builtin.set_fact:
    plan: "{{ egressips | netops.egress_ip.assign(nodes, current, max_moves=2) }}"
"""

RETURN = r"""
_value:
  description: The plan.
  type: dict
  contains:
    egressips:
      description: The documents, sorted by name, with C(status.assignments) as planned.
      type: list
      elements: dict
      sample:
        - apiVersion: k8s.ovn.org/v1
          kind: EgressIP
          metadata: {name: egressips-prod}
          spec:
            egressIPs: [192.168.126.10]
            namespaceSelector: {matchLabels: {env: prod}}
          status:
            assignments:
              - {node: node1, egressIP: 192.168.126.10}
    assignments:
      description: The addresses that have a node, sorted by object and address.
      type: list
      elements: dict
      contains:
        name:
          description: Name of the object.
          type: str
          sample: egressips-prod
        egressIP:
          description: The address in RFC 5952 form.
          type: str
          sample: 192.168.126.10
        node:
          description: Name of the node.
          type: str
          sample: node1
        interface:
          description: The interface of the node whose network contains the address (longest prefix).
          type: str
          sample: eth0
    unassigned:
      description: The addresses that have no node.
      type: list
      elements: dict
      contains:
        name:
          description: Name of the object.
          type: str
          sample: egressips-prod
        egressIP:
          description: The address in RFC 5952 form.
          type: str
          sample: 10.0.0.9
        reason:
          description:
            - V(NoMatchingNode) - no selected node that is ready has a network that contains the address.
            - V(NodesExhausted) - every possible node holds another address of this object.
            - V(CapacityExhausted) - possible nodes have reached their capacity.
            - V(AddressConflict) - it is a node's own address or gateway, a network address or a broadcast address.
            - V(DuplicateRequest) - another object has the address.
            - V(InvalidObject) - the object is broken and its address cannot stay where it was.
          type: str
          sample: NoMatchingNode
        message:
          description: A sentence that names the constraint.
          type: str
          sample: "no node can hold 10.0.0.9; without a network that contains it: node1, node2"
    invalid:
      description: Broken objects and nodes.
      type: list
      elements: dict
      contains:
        name:
          description: Name of the object, or V(node/NAME) for a node.
          type: str
          sample: web
        errors:
          description: Every error, each beginning with the path of the value.
          type: list
          elements: str
          sample: ["egressip/web: spec.egressIPs[1]: '192.168.126.300' is not an IPv4 or IPv6 address"]
    moves:
      description:
        - The addresses that go from one node to another. New and unassigned addresses are not included.
      type: list
      elements: dict
      contains:
        egressIP:
          description: The address in RFC 5952 form.
          type: str
          sample: 192.168.126.10
        from:
          description: The node that holds it now.
          type: str
          sample: node1
        to:
          description: The node that it goes to.
          type: str
          sample: node3
        reason:
          description:
            - V(NodeGone), V(NodeInvalid), V(NodeNotReady), V(NodeNotAssignable) - the node is not in the list,
              has errors, is not ready, or lacks the label.
            - V(NodeNotSelected) - the object's node selector does not select the node.
            - V(NetworkMissing) - no network of the node contains the address.
            - V(AddressConflict) - the address is now a node's own or its gateway, a network or a broadcast address.
            - V(CapacityExceeded), V(SameObject) - the node holds more than it may, or two of one object.
            - V(SameDomain) - the failure domain of the node holds two of an object that is spread.
            - V(MakeRoom) - the move allows one more address to be assigned.
            - V(Rebalance) - the move only makes the load flatter.
          type: str
          sample: NodeNotReady
    load:
      description: Number of egress IPs of each node.
      type: dict
      sample: {node1: 2, node2: 0, node3: 1}
    standbys:
      description:
        - With O(failover), the nodes that may hold each assigned address until the next run, in the order in which they
          claim it when the holder falls silent. The holder is the last one.
      type: list
      elements: dict
      sample: [{egressIP: 192.168.126.10, order: [node2, node3, node1]}]
    without_standby:
      description: With O(failover), the assigned addresses without a standby, and why.
      type: list
      elements: dict
      sample: [{egressIP: 10.0.0.9, reason: no other node can hold it}]
    weighted:
      description: The load by weights. Present if an object has another weight than 1.
      type: dict
      contains:
        load:
          description: Sum of the weights of each node's egress IPs.
          type: dict
          sample: {node1: 11, node2: 10, node3: 10}
        squares:
          description: The sum of the squares of these loads.
          type: int
          sample: 321
        lower_bound:
          description:
            - A lower bound of the sum of squares of every plan. With O(policy=sticky) or O(max_moves), of every plan
              with no more moves.
            - Equal to RV(_value.weighted.squares) if the sum is proven to be the least.
          type: int
          sample: 321
        proven:
          description: Whether the plan is proven to be the best, in squares and in moves.
          type: bool
          sample: true
    warnings:
      description:
        - Inconsistencies that stop nothing - an address that is the own address of two nodes, or that two nodes hold.
      type: list
      elements: str
      sample: ["192.168.126.21 is the own address of node1 and of node4"]
"""

from collections.abc import Callable, Sequence
from typing import Any

from ansible.errors import AnsibleFilterError
from ansible_collections.netops.egress_ip.plugins.module_utils._common.errors import EgressIPError
from ansible_collections.netops.egress_ip.plugins.module_utils._common.gc_pause import paused_collector
from ansible_collections.netops.egress_ip.plugins.module_utils._common.validation import plain
from ansible_collections.netops.egress_ip.plugins.module_utils._planner.assign import assign
from ansible_collections.netops.egress_ip.plugins.module_utils._planner.standbys import StandbyRules, orders_of


@paused_collector()
def _assign(
    egressips: Sequence[Any],
    nodes: Sequence[Any],
    current: Sequence[Any] = (),
    policy: str = "balanced",
    max_moves: int | None = None,
    failover: bool = False,
    standbys: Sequence[Any] = (),
) -> dict[str, Any]:
    try:
        rules = StandbyRules(last=orders_of(standbys)) if failover else None
        return assign(egressips, plain(nodes), current, policy, max_moves, standby_rules=rules).to_dict()
    except EgressIPError as error:
        raise AnsibleFilterError(f"netops.egress_ip.assign: {error}") from error


class FilterModule:
    """Filter plugin."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        """Return the filter by its name."""
        return {"assign": _assign}
