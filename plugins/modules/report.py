#!/usr/bin/python
# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
module: report
author:
  - The netops.egress_ip authors (@netops)
short_description: Report the outcome of a run
description:
  - Compares, on the controller, the plan of a run with the results of the nodes. Returns lines for a person, and passes
    the data to an AWX workflow as M(ansible.builtin.set_stats) does.
  - The input are registered results of other modules. C(egress_ip_plan) must be the result of M(netops.egress_ip.plan);
    C(egress_ip_audit) of M(netops.egress_ip.audit), C(egress_ip_steps) of M(netops.egress_ip.steps), and
    C(egress_ip_node_release), C(egress_ip_node) and C(egress_ip_node_update) of each host, of
    M(netops.egress_ip.node), are used if they exist.
  - Changes nothing. Run it once, not for each host.
  - The role P(netops.egress_ip.node#role) calls this module. It is not part of the stable interface.
options:
  preview:
    description: Whether to report the plan that a run would apply, as a difference with the signs C(+), C(~) and C(-).
    type: bool
    default: false
  strict:
    description: Whether RV(netops.egress_ip.plan#module:mistakes) are errors. Otherwise they are notes.
    type: bool
    default: false
  fence_results:
    description: Result of each fence by node, as in M(netops.egress_ip.steps).
    type: dict
    default: {}
  platform_results:
    description: Results of tasks of platforms, each a C(platform) and the registered C(result). Failures are reported.
    type: list
    elements: dict
    default: []
extends_documentation_fragment:
  - netops.egress_ip.attributes
  - netops.egress_ip.attributes.info_module
seealso:
  - module: netops.egress_ip.plan
  - plugin: netops.egress_ip.report
    plugin_type: filter
"""

EXAMPLES = r"""
- name: Make the report
  netops.egress_ip.report:
  register: egress_ip_report
  run_once: true

- name: Show the report
  ansible.builtin.debug:
    msg: "{{ egress_ip_report.lines }}"
  run_once: true
"""

RETURN = r"""
lines:
  description: A table of the egress IPs, followed by failures, errors and notes.
  returned: success
  type: list
  elements: str
failures:
  description: The failures, which fail every run.
  returned: success
  type: list
  elements: str
errors:
  description: The errors, which fail a strict run.
  returned: success
  type: list
  elements: str
stats:
  description: The same as data.
  returned: success
  type: dict
"""
