# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Decide the steps of a run before and after the nodes apply the plan, on the controller."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ansible_collections.netops.egress_ip.plugins.module_utils._common.errors import InventoryError
from ansible_collections.netops.egress_ip.plugins.module_utils._reconcile.providers import FENCES
from ansible_collections.netops.egress_ip.plugins.module_utils._reconcile.steps import plan_steps
from ansible_collections.netops.egress_ip.plugins.plugin_utils._controller_action import ControllerAction
from ansible_collections.netops.egress_ip.plugins.plugin_utils._states import packed, unpacked
from ansible_collections.netops.egress_ip.plugins.plugin_utils._variables import fences_of, node_results, result_of


class ActionModule(ControllerAction):
    """The action plugin of the module `steps`."""

    OPTIONS = {
        "hosts": {"type": "list", "elements": "str", "required": True},
        "fence_results": {"type": "dict"},
    }

    def result(self, options: Mapping[str, Any], variables: Mapping[str, Any]) -> dict[str, Any]:
        """Return the steps."""
        run = _with_states(result_of(variables, "plan"))
        fences = fences_of(variables, options["hosts"])
        steps = plan_steps(
            run,
            fences,
            variables.get("egress_ip_audit", {}).get("audits", {}),
            options["fence_results"],
            node_results(variables, run["fleet"]["observed"]),
        )
        check_fence_files(fences)
        return {**steps, "updates": packed(steps["updates"])}


def _with_states(run: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the result of the module `plan` with whole states."""
    rollout = run["rollout"]
    return {**run, "rollout": {**rollout, "states": unpacked(rollout)}} if rollout else run


def check_fence_files(fences: Mapping[str, str | None]) -> None:
    """Raise InventoryError for a missing file of a fence, in every run: when the fence is needed it is too late."""
    for name, fence in fences.items():
        if fence and fence not in FENCES and not Path(fence).is_file():
            raise InventoryError(f"{name}: egress_ip_fence: must be an existing file, not '{fence}'")
