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
from typing import Any

from ansible_collections.netops.egress_ip.plugins.module_utils._common.errors import InventoryError
from ansible_collections.netops.egress_ip.plugins.module_utils._common.text_fields import (
    FACTS,
    MOST,
    TEXTS,
    is_readable,
    plain_text,
    with_facts_as_values,
)
from ansible_collections.netops.egress_ip.plugins.module_utils._reconcile import failover
from ansible_collections.netops.egress_ip.plugins.module_utils._reconcile.answer_limits import refused_answers
from ansible_collections.netops.egress_ip.plugins.module_utils._reconcile.node_answer import read_result
from ansible_collections.netops.egress_ip.plugins.module_utils._reconcile.providers import VARIABLES
from ansible_collections.netops.egress_ip.plugins.plugin_utils._settings import PREFIX

_OF_HOST = ("labels", "capacity", "networks", "follow", "follow_kubeconfig", "drain", "platform", "fence")
# {setting of failover: its name among all settings}.
_FAILOVER = {setting: variable[len(PREFIX) :] for setting, variable in failover.VARIABLES.items()}


def hosts_of(variables: Mapping[str, Any], names: Iterable[str]) -> list[dict[str, Any]]:
    """Return the hosts as `observe_fleet`, `queries` and `plan_steps` take them.

    `variables` are those of a task after the module `settings`. Raises InventoryError.
    """
    absent = {*result_of(variables, "settings").get("absent", ())}
    hosts, answers = [], {}
    for name in names:
        own = _of_host(variables, name)
        hosts.append(_host(variables, name, own))
        # Without a result, the host may be alive and hold addresses: nothing is known about it.
        if name not in absent and own.get("egress_ip_node_info") is not None:
            answers[name] = own["egress_ip_node_info"]
    observed = _facts(answers)
    return [{**host, "observed": observed.get(host["name"])} for host in hosts]


def fences_of(variables: Mapping[str, Any], names: Iterable[str]) -> dict[str, str | None]:
    """Return {host: its fence}, without what the hosts answered. Raises InventoryError."""
    return {name: _host(variables, name, _of_host(variables, name))["fence"] for name in names}


def _host(variables: Mapping[str, Any], name: str, own: Mapping[str, Any]) -> dict[str, Any]:
    """Return one host without its answer; `own` are its variables. Raises InventoryError."""
    settings = result_of(variables, "settings")["hosts"].get(name)
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


def _facts(answers: Mapping[str, Mapping[str, Any]]) -> dict[str, Mapping[str, Any]]:
    """Return {node: result of the module `node_info` with the fields FACTS and TEXTS as values}.

    TEXTS that cannot be read stay as they are. A faulty node must not fill the memory of the controller: one with too
    long texts gets a failure in place of its answer.
    """
    whole = {node: {answer[FACTS]: len(answer[FACTS])} if FACTS in answer else {} for node, answer in answers.items()}
    read = {node: with_facts_as_values(answer) for node, answer in _without_long(answers, whole).items()}
    sizes = {text: _size(text) for text in {text for answer in read.values() for text in _texts(answer).values()}}
    parts = {node: {text: sizes[text] for text in _texts(answer).values()} for node, answer in read.items()}
    # Most nodes have the same record, which would be N times N values for N nodes.
    values: dict[str, Any] = {}
    return {
        node: {**answer, **{name: _value(text, values) for name, text in _texts(answer).items()}}
        for node, answer in _without_long(read, parts).items()
    }


def _without_long(
    answers: Mapping[str, Mapping[str, Any]], texts: Mapping[str, Mapping[str, int]]
) -> dict[str, Mapping[str, Any]]:
    """Return the answers with a failure in place of those whose texts, {node: {text: its size}}, are too long."""
    refused = refused_answers(texts)
    failures = {node: {"failed": True, "msg": reason} for node, reason in refused.items()}
    return {node: failures.get(node, answer) for node, answer in answers.items()}


def _texts(answer: Mapping[str, Any]) -> dict[str, str]:
    return {name: text for name in TEXTS if isinstance(text := answer.get(name), str)}


def _size(text: str) -> int:
    """Return how many characters of a text are read."""
    plain = plain_text(text)
    return len(plain) if is_readable(plain, MOST) else 0


def _value(text: str, known: dict[str, Any]) -> Any:
    """Return the value in a JSON text, the text itself if it cannot be read. Adds it to the known ones."""
    if text not in known:
        plain = plain_text(text)
        try:
            known[text] = json.loads(plain) if is_readable(plain, MOST) else text
        except (ValueError, RecursionError):
            known[text] = text
    return known[text]
