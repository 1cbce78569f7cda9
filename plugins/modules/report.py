#!/usr/bin/python
# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
module: report
author:
  - The netops.egress_ip authors (@netops)
short_description: Tell what came of a run
description:
  - Puts together, on the controller, what a run wanted and what the nodes did, for a person and as data for a workflow,
    as M(ansible.builtin.set_stats) hands it on.
  - Changes nothing. Run it once, not for each host.
options:
  run:
    description:
      - Name of the variable with the result of M(netops.egress_ip.plan).
      - Of the hosts' variables C(egress_ip_applied), the registered result of M(netops.egress_ip.node), is used.
    type: str
    required: true
  besides:
    description:
      - What happened elsewhere, a dictionary with any of the keys V(withheld) (egress IPs that nobody may claim, and
        why), V(fenced) and V(unproven) (names of nodes, the latter fenced without a proof), V(failures) and V(notes)
        (lines).
    type: dict
    default: {}
extends_documentation_fragment:
  - netops.egress_ip.attributes
  - netops.egress_ip.attributes.info_module
seealso:
  - module: netops.egress_ip.plan
  - plugin: netops.egress_ip.report
    plugin_type: filter
"""

EXAMPLES = r"""
- name: Put the report together
  netops.egress_ip.report:
    run: run
  register: report
  run_once: true

- name: Show it
  ansible.builtin.debug:
    msg: "{{ report.lines }}"
  run_once: true
"""

RETURN = r"""
lines:
  description: A table of the egress IPs and what follows it.
  returned: success
  type: list
  elements: str
failures:
  description: What fails a run in any case.
  returned: success
  type: list
  elements: str
complaints:
  description: What fails a strict run.
  returned: success
  type: list
  elements: str
"""
