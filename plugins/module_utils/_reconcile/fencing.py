# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which nodes to fence before their egress IPs go elsewhere, and which addresses wait. PRIVATE to the collection. Pure.

Nobody can ask a node that gives no answer what it holds. So each such node that may hold egress IPs counts as the
holder of every address that is to be claimed and that no other node shows.
"""

from __future__ import annotations

from dataclasses import dataclass

from .._common.errors import InventoryError
from .._common.messages import type_name
from .._vsphere.fence import POWER_OFF, VNIC_DISCONNECT

VSPHERE = "vsphere"
_NOTICED = {POWER_OFF, VNIC_DISCONNECT}


@dataclass(frozen=True)
class Fencing:
    """What a run has to do about nodes that give no answer.

    `nodes` {name: VSPHERE, or the path of a file of tasks} are to be fenced; `withheld` {egress IP: reason} must not be
    claimed, because one of them is not.
    """

    nodes: dict
    withheld: dict

    def to_dict(self):
        """Return the fencing as a dict of plain values."""
        return {"nodes": dict(self.nodes), "withheld": dict(self.withheld)}


def plan_fencing(plan, fleet, fences, results=None):
    """Return the Fencing of a plan. `plan` and `fleet` are dicts as the filters exchange them.

    `fences` is {node: `egress_ip_fence`}; `results` {node: why it is not fenced, empty when it is} is None before.
    A node without a fence stands in the way of nothing: then the wire alone says whether an address is free.
    """
    fences = {name: _check(name, fence) for name, fence in fences.items()}
    held = {item["egressIP"] for item in fleet["current"]}
    orphans = [item["egressIP"] for item in plan["assignments"] if item["egressIP"] not in held]
    silent = [item["name"] for item in fleet["unavailable"] if item["name"] in fleet["eligible"]]
    nodes = {name: fences[name] for name in silent if orphans and fences.get(name)}
    results = {} if results is None else results
    doubts = [(name, results.get(name, "nobody has tried")) for name in nodes]
    reasons = [f"{name} may hold it and is not fenced: {doubt}" for name, doubt in doubts if doubt]
    return Fencing(nodes, dict.fromkeys(orphans, reasons[0]) if reasons else {})


def nodes_to_unfence(fenced, fleet, fencing, results):
    """Return which nodes may have their network back, in order. ``fenced`` is {node: methods of `vsphere_fence`}.

    A node that answered is clean when nothing failed on it, for the run leaves a fenced node without any egress IP;
    `results` {node: result of the module `node`} has those that were changed. A node that gives no answer, perhaps
    because of the fence, has noticed it if its link was taken or it was switched off: its own units then ask the wire
    before it uses an address again. So it gets its network back once no address is left that it may hold.
    """
    failed = {name for name, result in results.items() if result.get("failed") or result.get("unreachable")}
    answered = {name for name in fenced if name in fleet["observed"]} - failed
    silent = {item["name"] for item in fleet["unavailable"]} - {*fencing["nodes"]}
    return [name for name in fenced if name in answered or (name in silent and {*fenced[name]} <= _NOTICED)]


def _check(name, fence):
    """Return a fence, empty for none."""
    if not fence:
        return ""
    if fence != VSPHERE and not (isinstance(fence, str) and fence.startswith("/")):
        raise InventoryError(
            f"{name}: egress_ip_fence: must be vsphere or the absolute path of a file of tasks, not {type_name(fence)}"
        )
    return fence
