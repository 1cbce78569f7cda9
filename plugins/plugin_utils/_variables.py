# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""From Ansible's variables to the arguments of the core. PRIVATE to the collection.

The modules plan, steps and report read the registered results of other modules from variables of fixed names,
``egress_ip_MODULE``. As options these results would be templated item by item, which takes longer than the plan.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from ansible.module_utils.parsing.convert_bool import boolean
from ansible_collections.netops.egress_ip.plugins.module_utils._common.errors import Errors, InventoryError
from ansible_collections.netops.egress_ip.plugins.module_utils._common.messages import type_name
from ansible_collections.netops.egress_ip.plugins.module_utils._common.validation import check_string
from ansible_collections.netops.egress_ip.plugins.module_utils._node.platform_detection import check_platform
from ansible_collections.netops.egress_ip.plugins.module_utils._reconcile import failover
from ansible_collections.netops.egress_ip.plugins.module_utils._reconcile.node_answer import read_result
from ansible_collections.netops.egress_ip.plugins.module_utils._reconcile.providers import VARIABLES


def host_of(variables: Mapping[str, Any]) -> dict[str, Any]:
    """Return one host as `observe_fleet`, `queries` and `plan_steps` take it. Raises InventoryError."""
    return {
        "name": str(variables["inventory_hostname"]),
        "address": variables.get("ansible_host"),
        "labels": variables.get("egress_ip_labels"),
        "capacity": variables.get("egress_ip_capacity"),
        "drain": _drain(variables),
        "platform": _platform(variables),
        "fence": variables.get("egress_ip_fence"),
        "failover": {setting: variables[name] for setting, name in failover.VARIABLES.items() if name in variables},
        "variables": {name: variables.get(name) for name in VARIABLES},
        # Without a result, the host may be alive and hold addresses: nothing is known about it.
        "observed": _facts(variables["egress_ip_node_info"]) if "egress_ip_node_info" in variables else None,
    }


def texts_of(value: object, setting: str) -> list[str]:
    """Return the strings in a list or, as in `-e egress_ip_drain_nodes=node1,node2`, a string. Raises EgressIPError."""
    path, errors = f"egress_ip_{setting}", Errors()
    # An AWX survey field that is left empty gives an empty string.
    listed = [name.strip() for name in value.split(",") if value.strip()] if isinstance(value, str) else value
    if not isinstance(listed, (list, tuple)):
        raise InventoryError(f"{path}: must be a list of strings, not {type_name(value)}")
    names = [check_string(name, f"{path}[{number}]", errors) for number, name in enumerate(listed)]
    errors.raise_if_any()
    return [name for name in names if name is not None]


def result_of(variables: Mapping[str, Any], module: str) -> Mapping[str, Any]:
    """Return the registered result of a module of this collection. Raises InventoryError if there is none."""
    found = variables.get(f"egress_ip_{module}")
    if not isinstance(found, dict):
        raise InventoryError(
            f"egress_ip_{module}: must be the registered result of netops.egress_ip.{module}; run that module first"
        )
    return found


def node_results(variables: Mapping[str, Any], fleet: Mapping[str, Any]) -> dict[str, Any]:
    """Return {node: result of the module `node`} of the nodes that answered; empty before that module runs."""
    hosts = {name: variables["hostvars"][name] for name in sorted(fleet["observed"])}
    return {name: read_result(host["egress_ip_node"]) for name, host in hosts.items() if "egress_ip_node" in host}


def _facts(observed: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return a result of the module `node_info` with the record of other nodes as values; see `_node_action`."""
    text = observed.get("nodes")
    try:
        return {**observed, "nodes": json.loads(text)} if isinstance(text, str) else observed
    except (ValueError, RecursionError):
        return observed


def _platform(variables: Mapping[str, Any]) -> object:
    """Return the platform that the user has set, None if no variable of the host does.

    Checked on the controller: with a malformed setting the run stops, and a node cannot claim that there is one.
    """
    named = variables.get("egress_ip_platform")
    try:
        if named is not None:
            check_platform(str(named))
    except InventoryError as error:
        raise InventoryError(f"{variables['inventory_hostname']}: {error}") from None
    return named


def _drain(variables: Mapping[str, Any]) -> bool:
    value = variables.get("egress_ip_drain", False)
    try:
        return bool(boolean(value))
    except TypeError:
        raise InventoryError(
            f"{variables['inventory_hostname']}: egress_ip_drain: must be a boolean, not {type_name(value)}"
        ) from None
