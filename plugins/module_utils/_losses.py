# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which egress IPs would lose their place by a drain. PRIVATE to the collection. Pure."""

from __future__ import annotations


def drain_losses(plan, fleet):
    """Return a line for each egress IP that a node holds and that has no node in the plan, a dict as `assign` gives it.

    `fleet` is the dict of a Fleet, whose nodes to drain are not ready.
    """
    held = {entry["egressIP"] for entry in fleet["current"]}
    placed = {entry["egressIP"] for entry in plan["assignments"]}
    lost = [each for each in plan["unassigned"] if each["egressIP"] in held - placed]
    return [
        f"egress_ip_drain_nodes: {each['egressIP']} of {each['name']} would lose its place: {each['message']};"
        " egress_ip_drain_force drains all the same"
        for each in lost
    ]
