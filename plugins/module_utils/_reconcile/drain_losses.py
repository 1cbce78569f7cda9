# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which egress IPs would lose their place by a drain. PRIVATE to the collection. Pure."""

from __future__ import annotations


def drain_losses(plan, fleet, plan_without):
    """Return a line for each egress IP that a node holds and that has no node in the plan, but would without the drain.

    `plan` is a dict as `assign` gives it, `fleet` that of a Fleet, whose nodes to drain are not ready. `plan_without`
    is called for the plan without the drain, if it matters.
    """
    held = {entry["egressIP"] for entry in fleet["current"]}
    lost = [each for each in plan["unassigned"] if each["egressIP"] in held - _placed(plan)]
    spared = _placed(plan_without()) if lost else set()
    return [
        f"egress_ip_drain_nodes: {each['egressIP']} of {each['name']} would lose its place: {each['message']};"
        " egress_ip_drain_force drains all the same"
        for each in lost
        if each["egressIP"] in spared
    ]


def _placed(plan):
    return {entry["egressIP"] for entry in plan["assignments"]}
