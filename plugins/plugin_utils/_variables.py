# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""From Ansible's variables to the arguments of the core. PRIVATE to the collection.

The modules plan, steps and report read the registered results of other modules from variables of fixed names,
``egress_ip_MODULE``. As options these results would be templated item by item, which takes longer than the plan.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Any

from ansible_collections.netops.egress_ip.plugins.module_utils._common.errors import InventoryError
from ansible_collections.netops.egress_ip.plugins.module_utils._common.text_fields import (
    MOST,
    TEXTS,
    plain_text,
    with_facts_as_values,
)
from ansible_collections.netops.egress_ip.plugins.module_utils._reconcile import failover
from ansible_collections.netops.egress_ip.plugins.module_utils._reconcile.node_answer import read_result
from ansible_collections.netops.egress_ip.plugins.module_utils._reconcile.providers import VARIABLES
from ansible_collections.netops.egress_ip.plugins.plugin_utils._settings import PREFIX

_OF_HOST = ("labels", "capacity", "networks", "follow", "follow_kubeconfig", "drain", "platform", "fence")
# {setting of failover: its name among all settings}.
_FAILOVER = {setting: variable[len(PREFIX) :] for setting, variable in failover.VARIABLES.items()}


def host_of(variables: Mapping[str, Any], name: str) -> dict[str, Any]:
    """Return one host as `observe_fleet`, `queries` and `plan_steps` take it.

    `variables` are those of a task after the module `settings`. Raises InventoryError.
    """
    own, of_run = _of_host(variables, name), result_of(variables, "settings")
    settings = of_run["hosts"].get(name)
    if settings is None:
        raise InventoryError(
            f"{name}: egress_ip_settings: has no such host; run netops.egress_ip.settings for all hosts"
        )
    return {
        "name": name,
        "address": variables["hostvars"][name].get("ansible_host") if "ansible_host" in own else None,
        **{setting: settings[setting] for setting in _OF_HOST},
        "failover": failover_of(settings["failover"]),
        "variables": {variable: settings[variable[len(PREFIX) :]] for variable in VARIABLES},
        "observed": None if name in of_run.get("absent", ()) else _facts(own.get("egress_ip_node_info")),
    }


def failover_of(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return settings of failover as `read_failover` takes them."""
    return {each: settings[key] for each, key in _FAILOVER.items() if key in settings}


def result_of(variables: Mapping[str, Any], module: str) -> Mapping[str, Any]:
    """Return the registered result of a module of this collection. Raises InventoryError if there is none."""
    found = variables.get(f"egress_ip_{module}")
    if not isinstance(found, dict):
        raise InventoryError(
            f"egress_ip_{module}: must be the registered result of netops.egress_ip.{module}; run that module first"
        )
    return found


def node_results(variables: Mapping[str, Any], names: Iterable[str]) -> dict[str, Any]:
    """Return {node: result of the module `node`} of these nodes; empty before that module runs.

    A node that released addresses first and failed then was not called again. One that only that changed is changed.
    """
    names = {*names}
    first, applied = (_results(variables, names, f"egress_ip_node{which}") for which in ("_release", ""))
    return {
        node: _of_both(first.get(node, {}), applied.get(node, {}))
        for node in sorted(names)
        if node in {**first, **applied}
    }


def update_results(variables: Mapping[str, Any], names: Iterable[str]) -> dict[str, Any]:
    """Return {node: result of the module `node`} of those nodes that were updated after the claims of others."""
    return _results(variables, names, "egress_ip_node_update")


def _of_both(release: Mapping[str, Any], applied: Mapping[str, Any]) -> dict[str, Any]:
    if release.get("failed") or release.get("unreachable"):
        return dict(release)
    return {**applied, **({"changed": True} if release.get("changed") else {})}


def _results(variables: Mapping[str, Any], names: Iterable[str], variable: str) -> dict[str, Any]:
    found = {node: _of_host(variables, node).get(variable) for node in sorted(names)}
    return {node: read_result(result) for node, result in found.items() if result is not None}


def _of_host(variables: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    """Return the variables of a host without templating: registered results have none, and each would be copied."""
    hostvars = variables["hostvars"]
    found: Mapping[str, Any] = getattr(hostvars, "raw_get", hostvars.__getitem__)(name)
    return found


@lru_cache(maxsize=16)
def _record(text: str) -> Any:
    """Return the values of a record. Most nodes have the same one, which would be N times N values for N nodes.

    Raises ValueError or RecursionError.
    """
    found = plain_text(text)
    # A faulty node must not fill the memory of the controller.
    if len(found) > MOST:
        raise ValueError
    return json.loads(found)


def _facts(result: Mapping[str, Any] | None) -> Mapping[str, Any] | None:
    """Return a result of the module `node_info` with the fields FACTS and TEXTS as values.

    TEXTS that cannot be read, or are too long, stay texts. Without a result, the host may be alive and hold addresses:
    nothing is known about it.
    """
    if result is None:
        return None
    observed = with_facts_as_values(result)
    texts = {name: observed[name] for name in TEXTS if isinstance(observed.get(name), str)}
    try:
        return {**observed, **{name: _record(text) for name, text in texts.items()}}
    except (ValueError, RecursionError):
        return observed
