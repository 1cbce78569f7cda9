#!/usr/bin/python
# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
module: show
author:
  - The netops.egress_ip authors (@netops)
short_description: Show lines as text
description:
  - Shows lines on standard output as they are, in colour on a terminal. M(ansible.builtin.debug) shows a list as JSON.
  - With a callback other than V(default) and V(minimal) the lines are in the result only, so that output for programs
    stays complete.
  - Changes nothing. Run it once, not for each host.
  - The role P(netops.egress_ip.node#role) calls this module. It is not part of the stable interface.
options:
  lines:
    description: The lines to show.
    type: list
    elements: str
    required: true
extends_documentation_fragment:
  - netops.egress_ip.attributes
  - netops.egress_ip.attributes.info_module
seealso:
  - module: netops.egress_ip.report
"""

EXAMPLES = r"""
- name: Show the report
  netops.egress_ip.show:
    lines: "{{ egress_ip_report.lines }}"
  run_once: true
"""

RETURN = r"""
msg:
  description: The lines.
  returned: success
  type: list
  elements: str
"""
