#!/usr/bin/python
# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
module: settings
author:
  - The netops.egress_ip authors (@netops)
short_description: Read the settings of a run
description:
  - Reads, on the controller, all variables of the roles P(netops.egress_ip.node#role) and
    P(netops.egress_ip.vsphere#role), checks them, and returns them with their types. All other tasks of the roles use
    its result.
  - Variables of the inventory, of C(-e key=value) and of AWX surveys have the same effect. An empty text and null stand
    for the default. Numbers and booleans may be texts. A list may be a text with commas or lines. Lists and
    dictionaries may be texts of YAML or JSON.
  - What a play sets takes precedence over the inventory, for all hosts.
  - Fails with one line for each malformed variable. An error of a single host names the host.
  - Changes nothing. Run it once, not for each host.
  - The role P(netops.egress_ip.node#role) calls this module. It is not part of the stable interface.
options:
  hosts:
    description: Names of the hosts that take part.
    type: list
    elements: str
    required: true
  entry_point:
    description:
      - The entry point of the role P(netops.egress_ip.node#role) that uses the settings.
      - C(remove) reads its own variables only, so that a mistake in another one does not prevent the removal.
    type: str
    choices: [main, plan, status, remove]
    default: main
  needed:
    description: Settings that must not be empty, without the prefix C(egress_ip_).
    type: list
    elements: str
    default: []
extends_documentation_fragment:
  - netops.egress_ip.attributes
  - netops.egress_ip.attributes.info_module
seealso:
  - module: netops.egress_ip.plan
"""

EXAMPLES = r"""
- name: Read the settings
  netops.egress_ip.settings:
    hosts: "{{ groups.egress_ip_nodes }}"
  register: egress_ip_settings
  run_once: true
"""

RETURN = r"""
common:
  description: The settings of the whole fleet, without the prefix C(egress_ip_). Secrets are left out.
  returned: success
  type: dict
  sample: {policy: balanced, strict: false}
options:
  description: The settings of the data plane, as O(netops.egress_ip.plan#module:options) takes them.
  returned: success
  type: dict
absent:
  description: Those of O(hosts) that run no tasks, because of C(--limit) or since they dropped out in an earlier play.
  returned: success
  type: list
  elements: str
  sample: [node2]
hosts:
  description:
    - The settings of each host, without the prefix C(egress_ip_). Secrets are left out.
    - C(vsphere_password_from) is V(play) or V(host), whose value of the password applies, or empty without one.
  returned: success
  type: dict
  sample: {node1: {interface: "", drain: false}}
"""
