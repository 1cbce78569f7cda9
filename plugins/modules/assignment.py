#!/usr/bin/python
# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
module: assignment
author:
  - The netops.egress_ip authors (@netops)
short_description: Plan the assignment of egress IPs to nodes
description:
  - Assigns egress IPs to nodes. Changes nothing.
  - An address is on at most one node. No node gets two addresses of one object. A node must have the label
    V(k8s.ovn.org/egress-assignable) with any value, be ready, and have a network that contains the address.
    A node's own address, network addresses and broadcast addresses are never assigned. Capacities are not exceeded.
  - An object's C(spec.egressNodeSelector) selects its nodes in place of the label; C({}) selects every node. Its
    annotation C(egress-ip.netops/node-selector) restricts them further.
  - Of all plans that keep these rules, the result is the best one. First, most addresses have a node. Then objects are
    spread as their annotations C(egress-ip.netops/spread) require. Then, with O(policy=balanced), the load is as
    flat as possible (least sum of squares), and then the moves are the fewest.
    With O(policy=sticky) the fewest moves come before the flattest load. Last is the order by name, the first address
    on its first node. The same input gives the same plan; the order of lists does not matter.
  - An object's annotation C(egress-ip.netops/weight), an integer from 1 to 100 in quotes, is the weight of each of its
    addresses in the load of its node. Capacities count addresses, not weights. If weights differ, the load is near
    the flattest one, and RV(weighted) shows how near; the order by name does not apply then.
  - A broken object is listed in RV(invalid). It gets nothing new and keeps its addresses as far as the rules above
    allow. It does not affect other objects.
  - If two objects request one address, the one that holds it keeps it, else the first by name gets it.
  - Only a run limits the time of a search (C(egress_ip_plan_seconds)). This module has no time limit, and some inputs,
    such as limits for one family that matter, can take minutes.
options:
  egressips:
    description: EgressIP documents.
    type: list
    elements: raw
    required: true
  nodes:
    description:
      - The nodes, each a dictionary with V(name) (required), V(labels), V(ready) (default V(true)), V(networks) (a list
        of dictionaries with V(interface) and V(addresses), the primary one first), V(capacity) (an integer, or a
        dictionary with any of V(ip), V(ipv4), V(ipv6)) and V(gateways) (addresses that are never assigned), as for the
        filter P(netops.egress_ip.assign#filter).
      - A node with errors cannot hold anything, and is listed in RV(invalid).
    type: list
    elements: raw
    required: true
  current:
    description:
      - The present assignments, dictionaries with V(egressIP), V(node) and, if known, V(name), the object's name.
      - For an address without an entry, the status of the objects applies.
    type: list
    elements: raw
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
    description: Whether to plan where each address goes if its node alone is lost, RV(standbys).
    type: bool
    default: false
  standbys:
    description: The standbys of the last plan, which stay where another one is no better.
    type: list
    elements: raw
    default: []
extends_documentation_fragment:
  - netops.egress_ip.attributes
attributes:
  check_mode:
    support: full
    details:
      - The module only plans, so check mode makes no difference.
  diff_mode:
    support: full
    details:
      - Shows the present and the planned assignments.
  idempotent:
    support: full
    details:
      - With RV(assignments) as O(current), nothing changes.
seealso:
  - plugin: netops.egress_ip.assign
    plugin_type: filter
"""

EXAMPLES = r"""
- name: Plan, and show the changes
  netops.egress_ip.assignment:
    egressips: "{{ egressips }}"
    nodes:
      - name: node1
        labels:
          k8s.ovn.org/egress-assignable: ""
        networks:
          - interface: eth0
            addresses: [192.168.126.21/18]
    current:
      - egressIP: 192.168.126.10
        node: node3
    policy: sticky
  delegate_to: localhost
  register: plan
  diff: true

- name: Stop when an address has no node
  ansible.builtin.assert:
    that: plan.unassigned | length == 0
"""

RETURN = r"""
egressips:
  description: The documents, sorted by name, with C(status.assignments) as planned.
  returned: success
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
  returned: success
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
  returned: success
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
  returned: success
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
  returned: success
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
  returned: success
  type: dict
  sample: {node1: 2, node2: 0, node3: 1}
standbys:
  description:
    - The nodes that may hold each assigned address until the next run, in the order in which they claim it when the
      holder falls silent. The holder is the last one.
  returned: with O(failover)
  type: list
  elements: dict
  sample: [{egressIP: 192.168.126.10, order: [node2, node3, node1]}]
without_standby:
  description: The assigned addresses without a standby, and why.
  returned: with O(failover)
  type: list
  elements: dict
  sample: [{egressIP: 10.0.0.9, reason: no other node can hold it}]
weighted:
  description: The load by weights. Present if an object has another weight than 1.
  returned: if an object has another weight than 1
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
        - Equal to RV(weighted.squares) if the sum is proven to be the least.
      type: int
      sample: 321
    proven:
      description: Whether the plan is proven to be the best, in squares and in moves.
      type: bool
      sample: true
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.netops.egress_ip.plugins.module_utils._common.errors import EgressIPError
from ansible_collections.netops.egress_ip.plugins.module_utils._planner.assign import (
    assign,
    current_assignments,
    planned_assignments,
)
from ansible_collections.netops.egress_ip.plugins.module_utils._planner.standbys import StandbyRules, orders_of


def main() -> None:
    """Plan, and compare the plan with the present assignments."""
    module = AnsibleModule(
        argument_spec={
            "egressips": {"type": "list", "elements": "raw", "required": True},
            "nodes": {"type": "list", "elements": "raw", "required": True},
            "current": {"type": "list", "elements": "raw", "default": []},
            "policy": {"type": "str", "choices": ["balanced", "sticky"], "default": "balanced"},
            "max_moves": {"type": "int"},
            "failover": {"type": "bool", "default": False},
            "standbys": {"type": "list", "elements": "raw", "default": []},
        },
        supports_check_mode=True,
    )
    options = dict(module.params)
    try:
        failover, last = options.pop("failover"), options.pop("standbys")
        plan = assign(**options, standby_rules=StandbyRules(last=orders_of(last)) if failover else None)
        before = current_assignments(options["egressips"], options["current"])
    except EgressIPError as error:
        module.fail_json(msg=str(error))
    after = planned_assignments(plan)
    diff = {"before": {"assignments": before}, "after": {"assignments": after}}
    result = plan.to_dict()
    for line in result.pop("warnings"):
        module.warn(line)
    module.exit_json(changed=before != after, diff=diff, **result)


if __name__ == "__main__":
    main()
