# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Report the outcome of a run, on the controller."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase
from ansible_collections.netops.egress_ip.plugins.module_utils._common.errors import EgressIPError
from ansible_collections.netops.egress_ip.plugins.module_utils._reconcile.providers import failures
from ansible_collections.netops.egress_ip.plugins.module_utils._reconcile.report import Events, preview, report
from ansible_collections.netops.egress_ip.plugins.plugin_utils._variables import node_results, result_of

_OPTIONS = {
    "preview": {"type": "bool", "default": False},
    "strict": {"type": "bool", "default": False},
    "fence_results": {"type": "dict"},
    "platform_results": {"type": "list", "elements": "dict", "default": []},
}


class ActionModule(ActionBase):
    """The action plugin of the module `report`."""

    TRANSFERS_FILES = False
    _requires_connection = False

    def run(self, tmp: Any = None, task_vars: Any = None) -> dict[str, Any]:
        """Return the report as the task's result; unless it is a preview, pass its data to the workflow."""
        result: dict[str, Any] = super().run(tmp, task_vars)
        _validation, options = self.validate_argument_spec(argument_spec=_OPTIONS)
        try:
            run = result_of(task_vars, "plan")
        except EgressIPError as error:
            raise AnsibleActionFail(str(error)) from error
        result["changed"] = False
        steps = task_vars.get("egress_ip_steps")
        if options["preview"]:
            return {**result, **preview(run, steps).to_dict()}
        check_mode = self._task.check_mode
        failed = [line for each in options["platform_results"] for line in failures(each["platform"], each["result"])]
        events = Events.of_run(steps, options["fence_results"] or {}, failed, check_mode)
        # Silent mistakes in manifests fail a strict run.
        if options["strict"]:
            events = replace(events, complaints=run["doubts"])
        else:
            events = replace(events, notes=[*events.notes, *run["doubts"]])
        results = node_results(task_vars, run["fleet"])
        made = report(run["plan"], run["manifests"], run["fleet"], results, check_mode, events).to_dict()
        stats = {"data": {"egress_ip": made["stats"]}, "per_host": False, "aggregate": True}
        return {**result, **made, "ansible_stats": stats}
