# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The steps of a run before and after the nodes apply the plan: fences, platforms, updates. PRIVATE. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from .._provider.contract import Audit, PlatformChanges
from .failover import last_orders
from .failure_domains import domain_notes
from .fencing import links_to_cut, nodes_to_unfence, plan_fencing
from .providers import DOMAINS, PROVIDERS, in_variables
from .rollout import updates_after


def plan_steps(
    run: Mapping[str, Any],
    fences: Mapping[str, object],
    audits: Mapping[str, Audit],
    fence_results: Mapping[str, str] | None,
    results: Mapping[str, Any],
) -> dict[str, Any]:
    """Return the steps, all plain values. Raises InventoryError.

    `run` is the dict of a RunPlan with its `platforms` (Queries), `fences` {node: `egress_ip_fence`}, `audits`
    {provider: Audit}. `fence_results` {node: why it is not fenced, empty if it is} is None before the fences; `results`
    {node: result of the module `node`} is empty before that module runs.

    - domain_notes: see `failure_domains`
    - open, close: [{platform, changes}] before and after the nodes apply the plan; notes: lines
    - fencing: [{node, platform, target, file}], with a platform and its target or with a file of the user
    - withheld: {egress IP: reason}; empty before the fences
    - unfence: [{platform, targets}], updates: {node: its state after the claims of the others}; empty before the nodes
      apply the plan
    - in_steps: whether the platforms have any step
    """
    plan, fleet = run["plan"], run["fleet"]
    targets = {query["name"]: {node["name"]: node for node in query["nodes"]} for query in run["platforms"]}
    fencing = plan_fencing(plan, fleet, fences, _in_variables(fences, fence_results))
    changes = {name: PROVIDERS[name].changes(audit, fleet) for name, audit in audits.items()}
    before, after = _of_platforms(changes, "open"), _of_platforms(changes, "close")
    labels = {node: given for audit in audits.values() for node, given in audit["labels"].items()}
    return {
        "domain_notes": domain_notes(run, labels, DOMAINS, last_orders(fleet)),
        "open": before,
        "close": after,
        "notes": [line for each in changes.values() for line in each["notes"]],
        "fencing": [_to_fence(*each, targets, links_to_cut(each[0], plan, fleet)) for each in fencing.nodes.items()],
        "withheld": fencing.withheld if fence_results is not None else {},
        "unfence": _to_unfence(audits, targets, fleet, fencing.nodes, results) if results else [],
        "updates": updates_after(run["rollout"], results) if run["rollout"] and results else {},
        "in_steps": bool(before or after or any(audit["fenced"] for audit in audits.values())),
    }


def _in_variables(fences: Mapping[str, object], fence_results: Mapping[str, str] | None) -> Mapping[str, str] | None:
    """Return the results of fences, in which messages of providers name the variables of the run."""
    if fence_results is None:
        return None
    names = {node: str(fences.get(node)) for node in fence_results}
    return {
        node: in_variables(names[node], reason) if names[node] in PROVIDERS else reason
        for node, reason in fence_results.items()
    }


def _of_platforms(changes: Mapping[str, PlatformChanges], when: str) -> list[dict[str, Any]]:
    """Return [{platform, changes}] of the platforms with changes at that time."""
    return [{"platform": name, "changes": each[when]} for name, each in changes.items() if each[when]]


def _to_fence(
    node: str, fence: str, targets: Mapping[str, Mapping[str, Any]], macs: list[str] | None
) -> dict[str, Any]:
    """Return how a node is fenced: by a platform, or by a file of tasks."""
    if fence in PROVIDERS:
        return {"node": node, "platform": fence, "target": {**targets[fence][node], "macs": macs}, "file": ""}
    return {"node": node, "platform": "", "target": {}, "file": fence}


def _to_unfence(
    audits: Mapping[str, Audit],
    targets: Mapping[str, Mapping[str, Any]],
    fleet: Mapping[str, Any],
    fencing: Sequence[str] | Mapping[str, str],
    results: Mapping[str, Any],
) -> list[dict[str, Any]]:
    """Return the nodes to reconnect of each platform."""
    found = []
    for name, audit in audits.items():
        methods = PROVIDERS[name].self_detected_methods or frozenset()
        nodes = nodes_to_unfence(audit["fenced"], methods, fleet, fencing, results)
        found.append({"platform": name, "targets": [targets[name][node] for node in nodes]})
    return [each for each in found if each["targets"]]
