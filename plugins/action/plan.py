# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Make the plan of a run, on the controller.

An action and no chain of filters: Ansible loads an action once for all tasks of a run, but all filters of a collection
again for each task that uses one, and it templates item by item what goes into a task and what a filter returns.
"""

from __future__ import annotations

from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase
from ansible_collections.netops.egress_ip.plugins.module_utils._common.errors import EgressIPError
from ansible_collections.netops.egress_ip.plugins.module_utils._reconcile.run_plan import Settings, plan_run
from ansible_collections.netops.egress_ip.plugins.plugin_utils._variables import host_of, names_of, registered

_QUESTIONS = {
    "what_if": {"type": "raw", "default": {}},
    "headroom": {"type": "bool", "default": False},
    "headroom_label": {"type": "raw", "default": "topology.kubernetes.io/zone"},
    "price": {"type": "bool", "default": False},
    "explain": {"type": "raw", "default": ""},
}
_SETTINGS = {
    "policy": {"type": "str", "choices": ["balanced", "sticky"], "default": "balanced"},
    "max_moves": {"type": "int"},
    "min_available": {"type": "raw", "default": "50%"},
    "pools": {"type": "raw", "default": {}},
    "excluded_cidrs": {"type": "raw", "default": []},
    "drain_nodes": {"type": "raw", "default": []},
    "drain_force": {"type": "bool", "default": False},
}


class ActionModule(ActionBase):
    """The action plugin of the module `plan`."""

    TRANSFERS_FILES = False
    _requires_connection = False

    def run(self, tmp=None, task_vars=None):
        """Return the plan as the task's result."""
        result = super().run(tmp, task_vars)
        _validation, options = self.validate_argument_spec(
            argument_spec={
                "hosts": {"type": "list", "elements": "str", "required": True},
                "manifests": {"type": "str", "required": True},
                "settings": {"type": "dict", "options": _SETTINGS, "apply_defaults": True},
                "options": {"type": "raw", "default": {}},
                "fenced": {"type": "list", "elements": "str", "default": []},
                "withheld": {"type": "raw", "default": {}},
                "questions": {"type": "dict", "options": _QUESTIONS, "apply_defaults": True},
                "states": {"type": "bool", "default": True},
            }
        )
        try:
            drain_nodes = names_of(options["settings"]["drain_nodes"])
            settings = Settings(**{**options["settings"], "drain_nodes": drain_nodes})
            made = plan_run(
                [host_of(task_vars["hostvars"][name]) for name in options["hosts"]],
                registered(task_vars, "manifests", options["manifests"]),
                settings,
                options["options"],
                options["fenced"],
                options["withheld"],
                options["states"],
            )
            answers = _answers(options["questions"], made, settings)
        except EgressIPError as error:
            raise AnsibleActionFail(str(error)) from error
        return {**result, "changed": False, **made.to_dict(), "answers": answers}


def _answers(questions, made, settings):
    """Return the answers. Their code is loaded only for a run that is asked something, and most are not."""
    asked = {name: value for name, value in questions.items() if value != _QUESTIONS[name]["default"]}
    if not asked:
        return {}
    from ansible_collections.netops.egress_ip.plugins.module_utils._analysis.answers import Questions, answer  # noqa: PLC0415

    return answer(Questions(**asked), made, settings)
