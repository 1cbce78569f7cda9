# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Report the outcome of a run, on the controller."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from ansible_collections.netops.egress_ip.plugins.module_utils._reconcile.providers import failures
from ansible_collections.netops.egress_ip.plugins.module_utils._reconcile.report import (
    NO_AUDIT,
    Events,
    failed_updates,
    preview,
    report,
)
from ansible_collections.netops.egress_ip.plugins.plugin_utils._controller_action import ControllerAction
from ansible_collections.netops.egress_ip.plugins.plugin_utils._variables import (
    node_results,
    result_of,
    update_results,
)


class ActionModule(ControllerAction):
    """The action plugin of the module `report`."""

    OPTIONS = {
        "preview": {"type": "bool", "default": False},
        "strict": {"type": "bool", "default": False},
        "fence_results": {"type": "dict", "default": {}},
        "platform_results": {"type": "list", "elements": "dict", "default": []},
    }

    def result(self, options: Mapping[str, Any], variables: Mapping[str, Any]) -> dict[str, Any]:
        """Return the report, and pass its data to the workflow."""
        run = result_of(variables, "plan")
        if options["preview"]:
            audit = variables.get("egress_ip_audit", NO_AUDIT)
            made = preview(run, audit, variables.get("egress_ip_steps")).to_dict()
        else:
            check_mode, called = self._task.check_mode, _called(run)
            results, updates = node_results(variables, called), update_results(variables, called)
            events = _events(options, variables, run, updates, check_mode)
            results = _with_changes(results, updates)
            made = report(run["plan"], run["manifests"], run["fleet"], results, check_mode, events).to_dict()
        stats = {"data": {"egress_ip": made["stats"]}, "per_host": False, "aggregate": True}
        return {**made, "ansible_stats": stats}


def _called(run: Mapping[str, Any]) -> set[str]:
    """Return the nodes that the run may have called, since the variables of each host take time."""
    observed = {*run["fleet"]["observed"]}
    return observed if run["in_steps"] else observed.intersection(run["rollout"].get("differing", ()))


def _with_changes(results: Mapping[str, Any], updates: Mapping[str, Any]) -> dict[str, Any]:
    """Return the results of the nodes, where a node that its update changed counts as changed."""
    changed = {name: {"changed": True} for name, update in updates.items() if update.get("changed")}
    return {name: {**results.get(name, {}), **changed.get(name, {})} for name in {**results, **changed}}


def _events(
    options: Mapping[str, Any],
    variables: Mapping[str, Any],
    run: Mapping[str, Any],
    updates: Mapping[str, Any],
    check_mode: bool,
) -> Events:
    """Return the events of the run. Silent mistakes in manifests fail a strict run."""
    failed = [*failed_updates(updates)]
    failed += [line for each in options["platform_results"] for line in failures(each["platform"], each["result"])]
    steps, results = variables.get("egress_ip_steps"), options["fence_results"]
    events = Events.of_run(variables.get("egress_ip_audit", NO_AUDIT), steps, results, failed, check_mode)
    events = replace(events, notes=[*events.notes, *run["notes"]])
    if options["strict"]:
        return replace(events, errors=run["mistakes"])
    return replace(events, notes=[*events.notes, *run["mistakes"]])
