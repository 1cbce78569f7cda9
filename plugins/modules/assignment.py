#!/usr/bin/python
# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
module: assignment
author:
  - The netops.egress_ip authors (@netops)
short_description: Plan which node holds which egress IP
description:
  - Decides which node holds which egress IP. Nothing is changed anywhere.
  - An address is on at most one node. No node gets two addresses of one object. Only nodes count that bear the label
    V(k8s.ovn.org/egress-assignable) (whatever its value), are ready, and have a network that contains the address.
    A node's own address, network addresses and broadcast addresses are never assigned. The capacity is kept.
  - Of all plans that keep these rules the result is the best one. First, most addresses have a node. Then objects are
    spread as their annotations C(egress-ip.netops/spread) ask for. Then, with O(policy=balanced), the load is as
    flat as can be (least sum of squares), and then the moves are the fewest.
    With O(policy=sticky) the fewest moves come before the flattest load. Last comes the order by name, the first
    address on its first node. The same input gives the same plan, whatever the order of its lists.
  - An object's annotation C(egress-ip.netops/weight), a number from 1 to 100 in quotes, says how much each of its
    addresses counts in the load of its node. The capacity counts addresses all the same. Where weights differ, the load
    is near the flattest one, and RV(weighted) says how near; there is no order by name then.
  - A broken object is listed in RV(invalid). It gets nothing new and keeps what it holds where the rules above
    allow. It stops no other object.
  - Of two objects that ask for one address, the one that holds it keeps it, else the first by name gets it.
options:
  egressips:
    description: EgressIP documents.
    type: list
    elements: raw
    required: true
  nodes:
    description:
      - The nodes, each a dictionary with V(name) (required), V(labels), V(ready) (default V(true)), V(networks) (a list
        of dictionaries with V(interface) and V(addresses), the primary one first) and V(capacity) (an integer, or a
        dictionary with any of V(ip), V(ipv4), V(ipv6)), as for the filter P(netops.egress_ip.assign#filter).
      - An entry with errors counts as a node that cannot hold anything, and is listed in RV(invalid).
    type: list
    elements: raw
    required: true
  current:
    description:
      - Who holds what now, a list of dictionaries with V(egressIP), V(node) and, if known, V(name), the object's name.
      - For addresses without an entry the status of the objects counts.
    type: list
    elements: raw
    default: []
  policy:
    description: What comes first among plans with the same number of addresses, a flat load or few moves.
    type: str
    choices: [balanced, sticky]
    default: balanced
  max_moves:
    description:
      - How many moves may be made only for balance. Moves that are needed to place most addresses, or to spread them as
        an annotation asks for, do not count.
      - Without it, any number.
    type: int
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
      - Shows who holds what, now and by the plan.
  idempotent:
    support: full
    details:
      - With RV(assignments) given back as O(current) nothing changes.
seealso:
  - plugin: netops.egress_ip.assign
    plugin_type: filter
"""

EXAMPLES = r"""
- name: Plan, and see what would change
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
        - V(NoMatchingNode) - no node that is labelled and ready has a network that contains the address.
        - V(NodesExhausted) - every possible node holds another address of this object.
        - V(CapacityExhausted) - possible nodes have reached their capacity.
        - V(AddressConflict) - it is a node's own address, a network address or a broadcast address.
        - V(DuplicateRequest) - another object has the address.
        - V(InvalidObject) - the object is broken and its address cannot stay where it was.
      type: str
      sample: NoMatchingNode
    message:
      description: A sentence that names what is in the way.
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
    - The addresses that go from one node to another. An address that is new or loses its place is not among them.
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
      description: The node that is to hold it.
      type: str
      sample: node3
    reason:
      description:
        - V(NodeGone), V(NodeInvalid), V(NodeNotReady), V(NodeNotAssignable) - the node is not in the list,
          has errors, is not ready, has not the label.
        - V(NodeNotSelected) - the object's node selector does not select the node.
        - V(NetworkMissing) - no network of the node contains the address any more.
        - V(AddressConflict) - the address is now a node's own, a network or a broadcast address.
        - V(CapacityExceeded), V(SameObject) - the node holds more than it may, or two of one object.
        - V(SameDomain) - the failure domain of the node holds two of an object that is spread.
        - V(MakeRoom) - so that one more address finds a node.
        - V(Rebalance) - only for a flatter load.
      type: str
      sample: NodeNotReady
load:
  description: Number of egress IPs for each node, whatever their weights.
  returned: success
  type: dict
  sample: {node1: 2, node2: 0, node3: 1}
weighted:
  description: How even the load is by weights. It is there if an object has another weight than 1.
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
    at_least:
      description:
        - What the sum of squares is at least, whatever the plan. With O(policy=sticky) or O(max_moves), whatever
          the plan with no more moves.
        - Equal to RV(weighted.squares) if this is proven to be the least.
      type: int
      sample: 321
    proven:
      description: Whether the plan is proven to be the best, in squares and in moves.
      type: bool
      sample: true
warnings:
  description: What is odd, but stops nothing - an address that two nodes call their own, or that two nodes hold.
  returned: success
  type: list
  elements: str
  sample: ["192.168.126.21 is the own address of node1 and of node4"]
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.netops.egress_ip.plugins.module_utils._common.errors import EgressIPError
from ansible_collections.netops.egress_ip.plugins.module_utils._planner.assign import (
    assign,
    current_assignments,
    planned_assignments,
)


def main():
    """Plan, and compare the plan with what is."""
    module = AnsibleModule(
        argument_spec={
            "egressips": {"type": "list", "elements": "raw", "required": True},
            "nodes": {"type": "list", "elements": "raw", "required": True},
            "current": {"type": "list", "elements": "raw", "default": []},
            "policy": {"type": "str", "choices": ["balanced", "sticky"], "default": "balanced"},
            "max_moves": {"type": "int"},
        },
        supports_check_mode=True,
    )
    options = module.params
    try:
        plan = assign(**options)
        before = current_assignments(options["egressips"], options["current"])
    except EgressIPError as error:
        module.fail_json(msg=str(error))
    after = planned_assignments(plan)
    diff = {"before": {"assignments": before}, "after": {"assignments": after}}
    module.exit_json(changed=before != after, diff=diff, **plan.to_dict())


if __name__ == "__main__":
    main()
