# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The steps of a run before and after the nodes apply the plan: fences, vSphere ports, tunnels. PRIVATE. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Iterable

from .fencing import nodes_to_unfence, plan_fencing
from .rollout import follow
from .vsphere import audit, changes

NO_AUDIT: Mapping[str, Any] = audit({"nodes": []}, ())


def audit_ports(asked: Mapping[str, Any], answer: Mapping[str, Any], guest_mac: str, scope: str) -> dict[str, Any]:
    """Return the audit of the result of `vsphere_port_info`, in which a failed request is a failure too."""
    audited: dict[str, Any] = audit(asked, answer.get("ports") or (), guest_mac, scope)
    if answer.get("failed"):
        audited["failures"] = [f"vCenter: {answer['msg']}", *audited["failures"]]
    return audited


def plan_steps(
    run: Mapping[str, Any],
    hosts: Iterable[Mapping[str, Any]],
    audited: Mapping[str, Any],
    fence_results: Mapping[str, str] | None,
    results: Mapping[str, Any],
) -> dict[str, Any]:
    """Return {vsphere, ports, fencing, withheld, unfence, tunnels, in_steps}, all plain values.

    `run` is the dict of a RunPlan, `hosts` have {name, fence}, `audited` is an audit of the vSphere ports.
    `fence_results` {node: why it is not fenced, empty when it is} is None before the fences; `results` are those of
    the module `node` by node, empty before it runs. Raises InventoryError.
    """
    plan, fleet = run["plan"], run["fleet"]
    fencing = plan_fencing(plan, fleet, {host["name"]: host.get("fence") for host in hosts}, fence_results).to_dict()
    ports = changes(audited, fleet)
    return {
        "vsphere": dict(audited),
        "ports": ports,
        "fencing": fencing["nodes"],
        "withheld": fencing["withheld"] if fence_results is not None else {},
        "unfence": nodes_to_unfence(audited["fenced"], fleet, fencing, results) if results else [],
        "tunnels": follow(run["rollout"], results) if run["rollout"] else {},
        "in_steps": bool(ports["open"] or ports["close"] or audited["fenced"]),
    }
