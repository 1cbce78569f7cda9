# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
name: status
author:
  - The netops.egress_ip authors (@netops)
short_description: Return the status of EgressIP objects as the nodes show it
description:
  - Returns the EgressIP documents with C(status.assignments) as the nodes show it, not as a plan has it. An egress IP
    on two nodes is listed twice. If several objects request one, it is listed under its owner, the object for which a
    node holds it, else the first by name. Addresses that are in no manifest are in a document of their own.
positional: fleet
options:
  _input:
    description: EgressIP documents.
    type: list
    elements: dict
    required: true
  fleet:
    description: The fleet, RV(netops.egress_ip.plan#module:fleet).
    type: dict
    required: true
seealso:
  - plugin: netops.egress_ip.report
    plugin_type: filter
"""

EXAMPLES = r"""
- name: Show which node holds which egress IP
  ansible.builtin.debug:
    msg: "{{ egress_ip_plan.manifests.egressips | netops.egress_ip.status(egress_ip_plan.fleet) }}"
"""

RETURN = r"""
_value:
  description: EgressIP documents.
  type: list
  elements: dict
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ansible_collections.netops.egress_ip.plugins.module_utils._reconcile.report import status
from ansible_collections.netops.egress_ip.plugins.plugin_utils._filter_input import (
    check_mappings,
    check_part,
    one_line_errors,
)


def _status(egressips: Sequence[Any], fleet: Mapping[str, Any]) -> list[dict[str, Any]]:
    with one_line_errors():
        check_mappings("egressips", egressips)
        check_part("fleet", fleet, ("current",))
        return status(egressips, fleet)


class FilterModule:
    """Filter plugin."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        """Return the filter by its name."""
        return {"status": _status}
