# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Tell what came of a run, on the controller."""

from __future__ import annotations

from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase
from ansible_collections.netops.egress_ip.plugins.module_utils._common.errors import EgressIPError
from ansible_collections.netops.egress_ip.plugins.module_utils._reconcile.report import report
from ansible_collections.netops.egress_ip.plugins.plugin_utils._variables import registered


class ActionModule(ActionBase):
    """The action plugin of the module `report`."""

    TRANSFERS_FILES = False
    _requires_connection = False

    def run(self, tmp=None, task_vars=None):
        """Return the report as the task's result, and hand its data to the workflow."""
        result = super().run(tmp, task_vars)
        _validation, options = self.validate_argument_spec(
            argument_spec={
                "run": {"type": "str", "required": True},
                "besides": {"type": "dict", "default": {}},
            }
        )
        try:
            run = registered(task_vars, "run", options["run"])
        except EgressIPError as error:
            raise AnsibleActionFail(str(error)) from error
        results = {
            name: task_vars["hostvars"][name].get("egress_ip_applied", {}) for name in sorted(run["fleet"]["observed"])
        }
        made = report(
            run["plan"], run["manifests"], run["fleet"], results, self._task.check_mode, options["besides"]
        ).to_dict()
        stats = {"data": {"egress_ip": made.pop("stats")}, "per_host": False, "aggregate": True}
        return {**result, "changed": False, **made, "ansible_stats": stats}
