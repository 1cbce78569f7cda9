#!/usr/bin/python
# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
module: node_packages
author:
  - The netops.egress_ip authors (@netops)
short_description: Install the packages that a node lacks
description:
  - Installs packages of the distribution with M(ansible.builtin.package). Variables and facts in the result of the node
    are ignored, since a node is trusted only for itself.
  - The role P(netops.egress_ip.node#role) calls this module. It is not part of the stable interface.
options:
  names:
    description: Names of packages, RV(netops.egress_ip.node_info#module:packages).
    type: list
    elements: str
    choices: [iproute2, nftables]
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
seealso:
  - module: netops.egress_ip.node_info
  - module: ansible.builtin.package
"""

EXAMPLES = r"""
- name: Install the packages that the node lacks
  netops.egress_ip.node_packages:
    names: "{{ egress_ip_node_info.packages }}"
"""

RETURN = r"""
msg:
  description: The message of the package manager's module.
  returned: if the package manager's module returns it
  type: str
"""
