# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Decide the steps of a run before and after the nodes apply the plan, on the controller."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase
from ansible_collections.netops.egress_ip.plugins.module_utils._common.errors import EgressIPError, InventoryError
from ansible_collections.netops.egress_ip.plugins.module_utils._reconcile.provider import Audit
from ansible_collections.netops.egress_ip.plugins.module_utils._reconcile.providers import FENCES, PROVIDERS, audit
from ansible_collections.netops.egress_ip.plugins.module_utils._reconcile.steps import plan_steps
from ansible_collections.netops.egress_ip.plugins.plugin_utils._variables import host_of, node_results, result_of

_OPTIONS = {
    "hosts": {"type": "list", "elements": "str", "required": True},
    "platform": {"type": "str", "choices": list(PROVIDERS)},
    "settings": {"type": "dict", "default": {}},
    "fence_results": {"type": "dict"},
}


class ActionModule(ActionBase):
    """The action plugin of the module `steps`."""

    TRANSFERS_FILES = False
    _requires_connection = False

    def run(self, tmp: Any = None, task_vars: Any = None) -> dict[str, Any]:
        """Return the steps as the task's result."""
        result: dict[str, Any] = super().run(tmp, task_vars)
        _validation, options = self.validate_argument_spec(argument_spec=_OPTIONS)
        try:
            run = result_of(task_vars, "plan")
            hosts = [host_of(task_vars["hostvars"][name]) for name in options["hosts"]]
            steps = plan_steps(
                run,
                {host["name"]: host["fence"] for host in hosts},
                _audits(run, options, task_vars),
                options["fence_results"],
                node_results(task_vars, run["fleet"]),
            )
            check_fence_files(hosts)
        except EgressIPError as error:
            raise AnsibleActionFail(str(error)) from error
        return {**result, "changed": False, **steps}


def _audits(run: Mapping[str, Any], options: Mapping[str, Any], task_vars: Mapping[str, Any]) -> dict[str, Audit]:
    """Return the audits of the last call, with a new one of the platform that is given."""
    audits: dict[str, Audit] = dict(task_vars.get("egress_ip_steps", {}).get("audits", {}))
    name = options["platform"]
    if name:
        answer = result_of(task_vars, PROVIDERS[name].module)
        audits[name] = audit(run["platforms"], name, answer, options["settings"])
    return audits


def check_fence_files(hosts: list[dict[str, Any]]) -> None:
    """Raise InventoryError for a missing file of a fence, in every run: when the fence is needed it is too late."""
    for host in hosts:
        fence = host["fence"]
        if fence and fence not in FENCES and not Path(fence).is_file():
            raise InventoryError(f"{host['name']}: egress_ip_fence: must be an existing file, not '{fence}'")
