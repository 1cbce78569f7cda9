# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
name: fleet
author:
  - The netops.egress_ip authors (@netops)
short_description: Put together what the nodes answered
description:
  - Takes the variables of the hosts, with the result of M(netops.egress_ip.node_info) of each, and returns what a plan
    is made from.
  - A node that cannot be reached or gives no answer is not available; the others' records still tell its addresses.
  - What must stop the run before anything is changed is listed under C(stop). That is a host with a problem, too few
    nodes that answer, or a node to drain that does not exist.
positional: nodes
options:
  _input:
    description:
      - The variables of each host. Used are C(inventory_hostname), C(egress_ip_observed) (the registered result of
        M(netops.egress_ip.node_info)), C(egress_ip_labels), C(egress_ip_capacity), C(egress_ip_drain).
    type: list
    elements: dict
    required: true
  nodes:
    description: Node documents; their labels go to the hosts of the same name.
    type: list
    elements: dict
    default: []
  drain:
    description: Names of nodes to treat as if they had C(egress_ip_drain) set.
    type: list
    elements: str
    default: []
  min_available:
    description: How many nodes must answer, as a number or as a percentage, which is rounded up.
    type: raw
    default: 50%
  fenced:
    description: Names of nodes that are cut off their network and hold nothing until they are given back.
    type: list
    elements: str
    default: []
seealso:
  - plugin: netops.egress_ip.assign
    plugin_type: filter
"""

EXAMPLES = r"""
- name: See who takes part
  ansible.builtin.debug:
    msg: "{{ groups.egress_ip_nodes | map('extract', hostvars) | netops.egress_ip.fleet }}"
"""

RETURN = r"""
_value:
  description: The fleet.
  type: dict
  contains:
    nodes:
      description: The nodes as P(netops.egress_ip.assign#filter) takes them.
      type: list
      elements: dict
    current:
      description: Who holds what, as P(netops.egress_ip.assign#filter) takes it.
      type: list
      elements: dict
      sample: [{egressIP: 192.168.126.10, node: node1}]
    members:
      description: All nodes with their addresses, those out of reach as the others remember them.
      type: list
      elements: dict
    observed:
      description: What each node answered.
      type: dict
    unavailable:
      description: The nodes that gave no answer, and why.
      type: list
      elements: dict
      sample: [{name: node2, reason: "cannot be reached: timed out"}]
    recalled:
      description: What nodes have of objects whose manifests are broken.
      type: dict
    generation:
      description: The newest generation on any node.
      type: int
      sample: 4
    stop:
      description: Why the run must not go on; empty when it may.
      type: list
      elements: str
"""

from ansible.errors import AnsibleFilterError
from ansible.module_utils.parsing.convert_bool import boolean
from ansible_collections.netops.egress_ip.plugins.module_utils._errors import EgressIPError
from ansible_collections.netops.egress_ip.plugins.module_utils._fleet import observe_fleet
from ansible_collections.netops.egress_ip.plugins.module_utils._text import type_name

# It may be alive and hold addresses, so nothing can be said of it.
_NOT_LOOKED_AT = {"failed": True, "msg": "the host was left out of the run, which needs all nodes; run without --limit"}


def _fleet(hostvars, nodes=(), drain=(), min_available="50%", fenced=()):
    hosts = [
        {
            "name": str(variables["inventory_hostname"]),
            "labels": variables.get("egress_ip_labels"),
            "capacity": variables.get("egress_ip_capacity"),
            "drain": _drain(variables),
            "observed": variables.get("egress_ip_observed", _NOT_LOOKED_AT),
        }
        for variables in hostvars
    ]
    try:
        return observe_fleet(hosts, nodes, _names(drain), min_available, fenced).to_dict()
    except (EgressIPError, TypeError) as error:
        raise AnsibleFilterError(str(error)) from error


def _drain(variables):
    value = variables.get("egress_ip_drain", False)
    try:
        return boolean(value)
    except TypeError:
        raise AnsibleFilterError(
            f"{variables['inventory_hostname']}: egress_ip_drain: must be a boolean, not {type_name(value)}"
        ) from None


def _names(value):
    """Return the list that a person means who writes `-e egress_ip_drain_nodes=node1,node2`."""
    return [name.strip() for name in value.split(",")] if isinstance(value, str) else list(value)


class FilterModule:
    """Filter plugin."""

    def filters(self):
        """Return the filter by its name."""
        return {"fleet": _fleet}
