# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
name: give_out
author:
  - The netops.egress_ip authors (@netops)
short_description: Give addresses of pools to EgressIP objects
description:
  - Puts addresses of pools into C(spec.egressIPs) of the objects that ask for them with the annotation
    C(egress-ip.netops/pool).
  - An object keeps what it was given for as long as its pool has it, for the nodes remember it. Of what is free it gets
    the first by the order of the pool.
  - Never given out are the nodes' own addresses, the network and broadcast addresses of the nodes' networks, the
    gateways of the nodes' default routes, and addresses that an object asks for by itself. Nothing is given out of a
    network where no node answers.
positional: fleet, pools
options:
  _input:
    description: What the lookup P(netops.egress_ip.manifests#lookup) returned.
    type: dict
    required: true
  fleet:
    description:
      - What the filter P(netops.egress_ip.fleet#filter) returned. The nodes must have been asked to recall the objects
        in C(pooled).
    type: dict
    required: true
  pools:
    description:
      - The pools by name. Each is a list of ranges (V(192.168.126.100-192.168.126.120)), networks
        (V(192.168.126.128/28)) and addresses, all of one IP version, that can be egress IPs. They must not overlap.
    type: dict
    required: true
seealso:
  - plugin: netops.egress_ip.manifests
    plugin_type: lookup
  - plugin: netops.egress_ip.fleet
    plugin_type: filter
"""

EXAMPLES = r"""
- name: Give out addresses
  ansible.builtin.set_fact:
    egress_ip_read: "{{ egress_ip_read | netops.egress_ip.give_out(egress_ip_fleet, pools) }}"
  vars:
    pools:
      prod: [192.168.126.100-192.168.126.120]
"""

RETURN = r"""
_value:
  description: The input with the addresses in RV(_value.egressips).
  type: dict
  contains:
    egressips:
      description: The EgressIP documents, with C(spec.egressIPs) filled.
      type: list
      elements: dict
    owners:
      description:
        - Whose own an egress IP is, whoever else asks for it. That is the object that was given it, or had it
          before its manifest broke.
      type: dict
      sample: {192.168.126.100: web}
    unfilled:
      description: What could not be given, a sentence each.
      type: list
      elements: str
      sample:
        - "egressip/web: metadata.annotations['egress-ip.netops/pool']: there is no pool 'pord' in egress_ip_pools"
"""

from ansible.errors import AnsibleFilterError
from ansible_collections.netops.egress_ip.plugins.module_utils._common.errors import EgressIPError
from ansible_collections.netops.egress_ip.plugins.module_utils._planner.pool_allocation import give_out


def _give_out(manifests, fleet, pools):
    try:
        return give_out(manifests, fleet, pools)
    except EgressIPError as error:
        raise AnsibleFilterError(str(error)) from error


class FilterModule:
    """Filter plugin."""

    def filters(self):
        """Return the filter by its name."""
        return {"give_out": _give_out}
