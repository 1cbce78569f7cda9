#!/usr/bin/python
# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
module: kubernetes_status
author:
  - The netops.egress_ip authors (@netops)
short_description: Write the status of EgressIP objects into their clusters
description:
  - Writes, on the controller, which node holds which egress IP into C(status.items) of the EgressIP objects of all
    clusters among the sources, and creates an Event for each move, so that C(kubectl get egressips) shows it.
  - The input are registered results of other modules. C(egress_ip_report) must be the result of
    M(netops.egress_ip.report), and C(egress_ip_manifests_info) that of M(netops.egress_ip.manifests_info).
  - Reads the objects of each cluster, and writes only a status that differs. An address that its node did not claim is
    not in it. Nodes have the names of their Node objects, or else those of the inventory.
  - A cluster or object that cannot be written is listed under RV(failures). It does not fail the task.
  - Run it once, not for each host.
  - The role P(netops.egress_ip.node#role) calls this module. It is not part of the stable interface.
options:
  sources:
    description:
      - The sources, as M(netops.egress_ip.manifests_info) takes them. All but clusters are ignored.
    type: raw
    required: true
  hosts:
    description: The inventory hosts of the fleet.
    type: list
    elements: str
    required: true
extends_documentation_fragment:
  - netops.egress_ip.attributes
attributes:
  check_mode:
    support: full
  diff_mode:
    support: full
  idempotent:
    support: full
requirements:
  - kubernetes (Python package on the controller)
seealso:
  - module: netops.egress_ip.report
  - plugin: netops.egress_ip.manifests
    plugin_type: lookup
"""

EXAMPLES = r"""
- name: Write the status of the EgressIPs
  netops.egress_ip.kubernetes_status:
    sources:
      - kubernetes:
          kubeconfig: ~/.kube/prod.yml
    hosts: "{{ groups['egress_ip_nodes'] }}"
  register: egress_ip_kubernetes_status
  run_once: true
"""

RETURN = r"""
written:
  description:
    - Names of the EgressIP objects whose status was written, qualified by the name of their cluster if it has one.
  returned: success
  type: list
  elements: str
  sample: [egressips-prod]
failures:
  description: What could not be written.
  returned: success
  type: list
  elements: str
"""
