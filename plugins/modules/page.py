#!/usr/bin/python
# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
module: page
author:
  - The netops.egress_ip authors (@netops)
short_description: Write a picture of the fleet as a web page
description:
  - Writes, on the controller, a web page with the zones, nodes, egress IPs, objects, pods and problems of the fleet.
    With a plan it shows the moves as arrows. The page is one file that loads nothing from elsewhere.
  - Writes the same data as JSON beside it, into a file with the suffix C(.json).
  - The variable C(egress_ip_plan) must be the registered result of M(netops.egress_ip.plan).
  - Changes no host. Run it once, not for each host.
  - The role P(netops.egress_ip.node#role) calls this module. It is not part of the stable interface.
options:
  path:
    description: Path of the page on the controller, ending in C(.html). Its folder must exist.
    type: path
    required: true
  planned:
    description: Whether to show the plan too. Otherwise only what the nodes hold is shown.
    type: bool
    default: false
extends_documentation_fragment:
  - netops.egress_ip.attributes
attributes:
  check_mode:
    support: full
  diff_mode:
    support: none
    details:
      - The page has no diff.
  idempotent:
    support: full
seealso:
  - module: netops.egress_ip.plan
  - module: netops.egress_ip.report
"""

EXAMPLES = r"""
- name: Write the page of the fleet
  netops.egress_ip.page:
    path: /srv/www/egress-ips.html
  run_once: true
"""

RETURN = r"""
files:
  description: Paths of the page and of the JSON file.
  returned: success
  type: list
  elements: str
  sample: [/srv/www/egress-ips.html, /srv/www/egress-ips.json]
"""
