# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The nodes to fence before other nodes claim their egress IPs, and to unfence after. PRIVATE to the collection. Pure.

The addresses of a node that does not answer are unknown. If it may hold egress IPs, it counts as a holder of every
address that is to be claimed and that no other node holds.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Collection, Mapping

from .._common.addresses import parse_interface, parsed
from .._common.errors import InventoryError
from .._common.messages import type_name
from .providers import FENCES


@dataclass(frozen=True)
class Fencing:
    """The fences of a run.

    `nodes` {name: name of a provider or path of a file of tasks} are to be fenced; `withheld` {egress IP: reason} must
    not be claimed, because one of these nodes is not fenced.
    """

    nodes: dict[str, str]
    withheld: dict[str, str]

    def to_dict(self) -> dict[str, Any]:
        """Return the fencing as a dict of plain values."""
        return {"nodes": dict(self.nodes), "withheld": dict(self.withheld)}


def plan_fencing(
    plan: Mapping[str, Any],
    fleet: Mapping[str, Any],
    fences: Mapping[str, object],
    results: Mapping[str, str] | None = None,
) -> Fencing:
    """Return the Fencing for the dicts of a Plan and a Fleet. Raises InventoryError.

    `fences` is {node: `egress_ip_fence`}; `results` is {node: why it is not fenced, empty if it is}, None before the
    fences. A node without a fence prevents no claim: the probes of the claimant decide whether an address is free.
    """
    checked = {name: _check(name, fence) for name, fence in fences.items()}
    orphans = unheld(plan, fleet)
    silent = [item["name"] for item in fleet["unavailable"] if item["name"] in fleet["eligible"]]
    nodes = {name: checked[name] for name in silent if orphans and checked.get(name)}
    results = {} if results is None else results
    unproven = [(name, results.get(name, "no fence was tried")) for name in nodes]
    reasons = [f"{name} may hold it and is not fenced: {reason}" for name, reason in unproven if reason]
    return Fencing(nodes, dict.fromkeys(orphans, reasons[0]) if reasons else {})


def unheld(plan: Mapping[str, Any], fleet: Mapping[str, Any]) -> list[str]:
    """Return the assigned egress IPs that no node is known to hold."""
    held = {item["egressIP"] for item in fleet["current"]}
    return [item["egressIP"] for item in plan["assignments"] if item["egressIP"] not in held]


def links_to_cut(node: str, plan: Mapping[str, Any], fleet: Mapping[str, Any]) -> list[str] | None:
    """Return the MAC addresses of the interfaces on which a node may hold an egress IP that is to be claimed.

    They are those that the node reported while it answered, from the records of other nodes; empty if there is no
    record, and None if it has one and no interface in the network of such an egress IP.
    """
    claimed = [parsed(egress_ip) for egress_ip in unheld(plan, fleet)]
    links = [link for member in fleet.get("members", ()) if member["name"] == node for link in member.get("links", ())]
    found = [
        link["mac"]
        for link in links
        if any(ip in parse_interface(text, node).network for ip in claimed for text in link["addresses"])
    ]
    return None if links and not found else found


def nodes_to_unfence(
    fenced: Mapping[str, Collection[str]],
    self_detected: Collection[str],
    fleet: Mapping[str, Any],
    to_fence: Collection[str],
    results: Mapping[str, Mapping[str, Any]],
) -> list[str]:
    """Return the nodes to reconnect, in order.

    ``fenced`` is {node: methods}, ``self_detected`` as the methods in `Provider`, ``to_fence`` the nodes of a Fencing.

    A node that answered is reconnected if nothing failed on it, since the run leaves a fenced node without egress IPs;
    `results` is {node: result of the module `node`} of the nodes that were changed. A node that does not answer,
    perhaps because of the fence, is reconnected if no claimed address may be on it, and if it detected the fence: its
    own units then probe an address before they use it again.
    """
    failed = {name for name, result in results.items() if result.get("failed") or result.get("unreachable")}
    answered = {name for name in fenced if name in fleet["observed"]} - failed
    silent = {item["name"] for item in fleet["unavailable"]} - {*to_fence}
    return [name for name in fenced if name in answered or (name in silent and {*fenced[name]} <= {*self_detected})]


def _check(name: str, fence: object) -> str:
    """Return a fence, empty for none. Raises InventoryError."""
    if not fence:
        return ""
    if isinstance(fence, str) and (fence in FENCES or fence.startswith("/")):
        return fence
    known = ", ".join(FENCES)
    raise InventoryError(
        f"{name}: egress_ip_fence: must be {known} or the absolute path of a file of tasks, not {type_name(fence)}"
    )
