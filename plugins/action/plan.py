# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Make the plan of a run, on the controller.

An action and not a chain of filters: Ansible loads an action once for all tasks of a run, but all filters of a
collection again for each task that uses one, and templates the arguments and results of filters item by item.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any

from ansible_collections.netops.egress_ip.plugins.module_utils._common.errors import Errors
from ansible_collections.netops.egress_ip.plugins.module_utils._reconcile.controller import controller_lines
from ansible_collections.netops.egress_ip.plugins.module_utils._reconcile.failure_domains import labelled
from ansible_collections.netops.egress_ip.plugins.module_utils._reconcile.node_answer import valid_fields
from ansible_collections.netops.egress_ip.plugins.module_utils._reconcile.providers import queries
from ansible_collections.netops.egress_ip.plugins.module_utils._reconcile.run_plan import RunPlan, RunSettings, plan_run
from ansible_collections.netops.egress_ip.plugins.module_utils._solver.deadline import Deadline, after
from ansible_collections.netops.egress_ip.plugins.plugin_utils._controller_action import ControllerAction
from ansible_collections.netops.egress_ip.plugins.plugin_utils._output import show_stage
from ansible_collections.netops.egress_ip.plugins.plugin_utils._settings import FAILOVER, read_failover_values
from ansible_collections.netops.egress_ip.plugins.plugin_utils._states import (
    packed,
    with_pods_as_text,
    without_records,
)
from ansible_collections.netops.egress_ip.plugins.plugin_utils._variables import failover_of, hosts_of, result_of

_QUESTIONS: dict[str, Any] = {
    "what_if": {"type": "raw", "default": {}},
    "headroom": {"type": "bool", "default": False},
    "headroom_label": {"type": "raw", "default": "topology.kubernetes.io/zone"},
    "price": {"type": "bool", "default": False},
    "explain": {"type": "raw", "default": ""},
    "status": {"type": "bool", "default": False},
    "traffic": {"type": "bool", "default": False},
}
_SETTINGS = {
    "policy": {"type": "str", "choices": ["balanced", "sticky"], "default": "balanced"},
    "max_moves": {"type": "int"},
    "min_available": {"type": "raw", "default": "50%"},
    "pools": {"type": "raw", "default": {}},
    "excluded_cidrs": {"type": "list", "elements": "raw", "default": []},
    "drain_nodes": {"type": "list", "elements": "str", "default": []},
    "drain_force": {"type": "bool", "default": False},
    "forget_nodes": {"type": "list", "elements": "str", "default": []},
    "plan_seconds": {"type": "float", "default": 10},
    "failover": {"type": "raw", "default": False},
    "failover_after": {"type": "raw", "default": "auto"},
    "failover_witnesses": {"type": "raw", "default": []},
    "failover_strict": {"type": "raw", "default": False},
    "failover_unfenced": {"type": "raw", "default": False},
}
# Options of the module that are RunSettings.
_AMONG_SETTINGS = ("tunnel_secret", "failover_key", "keep_holders", "stop_reasons")


class ActionModule(ControllerAction):
    """The action plugin of the module `plan`."""

    OPTIONS = {
        "hosts": {"type": "list", "elements": "str", "required": True},
        "settings": {"type": "dict", "options": _SETTINGS, "apply_defaults": True},
        "options": {"type": "raw", "default": {}},
        "tunnel_secret": {"type": "str", "default": "", "no_log": True},
        "failover_key": {"type": "str", "default": "", "no_log": True},
        "fenced": {"type": "list", "elements": "str", "default": []},
        "withheld": {"type": "raw", "default": {}},
        "labels": {"type": "dict", "default": {}},
        "keep_holders": {"type": "bool", "default": False},
        "stop_reasons": {"type": "list", "elements": "str", "default": []},
        "questions": {"type": "dict", "options": _QUESTIONS, "apply_defaults": True},
        "states": {"type": "bool", "default": True},
    }

    def result(self, options: Mapping[str, Any], variables: Mapping[str, Any]) -> dict[str, Any]:
        """Return the plan."""
        manifests = result_of(variables, "manifests_info")
        hosts = [labelled(host, options["labels"]) for host in hosts_of(variables, options["hosts"])]
        given = {**options["settings"], **{name: options[name] for name in _AMONG_SETTINGS}}
        given["failover"] = _failover({name: given.pop(name) for name in FAILOVER})
        settings = RunSettings(**given, deadline=_deadline(options))
        made = plan_run(
            hosts,
            manifests,
            settings,
            options["options"],
            options["fenced"],
            options["withheld"],
            options["states"],
        )
        if made.rollout:
            answered, differing = len(made.fleet["observed"]), len(made.rollout["differing"])
            show_stage(f"{answered} of {len(hosts)} nodes answer, {differing} of them differ from the plan")
        platforms = queries(hosts, made.requests.egressips, made.fleet["members"])
        return {
            **made.to_dict(),
            "notes": [*made.notes, *controller_lines(hosts, made.rollout, int(variables["ansible_forks"]))],
            "fleet": without_records(made.fleet),
            "manifests": with_pods_as_text(made.manifests, made.objects.pods),
            "rollout": {**made.rollout, **packed(made.rollout["states"])} if made.rollout else {},
            "without_packages": [host["name"] for host in hosts if _lacks_packages(host["observed"])],
            "platforms": platforms,
            "needs_fences_or_platforms": bool(platforms) or any(host["fence"] for host in hosts),
            "in_steps": any(made.rollout.get(key) for key in ("releasing", "following", "pending")),
            "answers": _answers(options["questions"], made, settings, lambda: _deadline(options)),
        }


def _lacks_packages(observed: object) -> bool:
    """Return whether a node answers that packages are missing, which the role can install."""
    return bool(valid_fields(observed, "packages").get("packages"))


def _failover(written: Mapping[str, object]) -> dict[str, Any]:
    """Return the settings of failover as the core takes them. Raises InvalidError with a line for each error."""
    errors = Errors()
    values = read_failover_values(written, errors)
    errors.raise_if_any()
    return failover_of(values)


def _deadline(options: Mapping[str, Any]) -> Deadline:
    return after(options["settings"]["plan_seconds"], time.monotonic)


def _answers(
    questions: Mapping[str, Any], made: RunPlan, settings: RunSettings, start: Callable[[], Deadline]
) -> dict[str, Any]:
    """Return the answers. Most runs have no questions, and load no code for them."""
    asked = {name: value for name, value in questions.items() if value != _QUESTIONS[name]["default"]}
    if not asked:
        return {}
    from ansible_collections.netops.egress_ip.plugins.module_utils._analysis.answers import Questions, answer  # noqa: PLC0415

    answers: dict[str, Any] = answer(Questions(**asked), made, settings, start)
    return answers
