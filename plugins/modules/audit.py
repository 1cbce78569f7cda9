#!/usr/bin/python
# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
module: audit
author:
  - The netops.egress_ip authors (@netops)
short_description: Audit the platform of nodes
description:
  - Evaluates, on the controller, what a platform of nodes such as vSphere returned about them.
  - The input are registered results of other modules. C(egress_ip_plan) must be the result of M(netops.egress_ip.plan),
    and the result of the module that reads the platform must be in the variable C(egress_ip_MODULE), such as
    C(egress_ip_vsphere_port_info) for M(netops.egress_ip.vsphere_port_info).
    C(egress_ip_audit) of this module is used if it exists - its audits of other platforms are kept.
  - Changes nothing. Run it once, not for each host.
  - The role P(netops.egress_ip.node#role) calls this module. It is not part of the stable interface.
options:
  platform:
    description: Name of a platform that has a role, such as V(vsphere).
    type: str
    required: true
  settings:
    description: Settings of the role of O(platform) that its audit needs.
    type: dict
    default: {}
extends_documentation_fragment:
  - netops.egress_ip.attributes
  - netops.egress_ip.attributes.info_module
seealso:
  - module: netops.egress_ip.steps
  - module: netops.egress_ip.vsphere_port_info
"""

EXAMPLES = r"""
- name: Audit the ports
  netops.egress_ip.audit:
    platform: vsphere
    settings:
      guest_mac: own
      scope: port
  register: egress_ip_audit
  run_once: true
"""

RETURN = r"""
audits:
  description: The audit of each platform.
  returned: success
  type: dict
fenced:
  description: The nodes that are noted as fenced on their platform, each with the methods.
  returned: success
  type: dict
  sample: {node2: [vnic_disconnect]}
proven:
  description: Those of them that are proven to be cut off.
  returned: success
  type: list
  elements: str
  sample: [node2]
labels:
  description:
    - The labels that the platforms give to nodes, for M(netops.egress_ip.plan).
    - A label that spreads objects is not among them if a node of the platform that answered lacks it.
  returned: success
  type: dict
  sample: {node1: {vsphere/host: esx1.example.com}}
keep_holders:
  description: Whether egress IPs stay with their holders because such a label is unknown.
  returned: success
  type: bool
stop_reasons:
  description:
    - Reasons to change nothing, a line each.
    - An object selects nodes by a label that the platform of a node did not return.
  returned: success
  type: list
  elements: str
plan_again:
  description:
    - Whether M(netops.egress_ip.plan) must be run again, with C(fenced), C(labels), C(keep_holders) and
      C(stop_reasons).
  returned: success
  type: bool
failures:
  description: Failures of the audits, a line each.
  returned: success
  type: list
  elements: str
  sample: ["vCenter: timed out"]
"""
