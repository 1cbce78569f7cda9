# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where the tunnel ends for an egress IP that another node took over. PRIVATE to the collection. No I/O."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from .node_state import FarEnd, NodeState


def after_move(state: NodeState, egress_ips: Iterable[str], holder: str) -> NodeState:
    """Return the state in which the tunnels for these egress IPs end where they end for this holder.

    Nothing changes for an address that ends at itself according to the plan, or that this node may not hold.
    """
    known = {item.egress_ip: dict(item.ends) for item in (state.failover.ends if state.failover else ())}
    new = {ip: known[ip][holder] for ip in egress_ips if holder in known.get(ip, {})}
    kept = [item for item in state.far_ends if item.egress_ip not in new]
    ends = sorted([*kept, *(FarEnd(ip, end) for ip, end in new.items() if end)])
    return replace(state, far_ends=tuple(ends)) if new else state
