# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""States and facts of many nodes in the results of tasks. PRIVATE to the collection.

Ansible copies a result value by value. The states of 300 nodes with 1,500 egress IPs have half a million values, nearly
all equal on all nodes, and their copies would take ten times as long as the plan.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from ansible_collections.netops.egress_ip.plugins.module_utils._common.text_fields import TEXTS
from ansible_collections.netops.egress_ip.plugins.module_utils._kubernetes.manifests import pods_as_text
from ansible_collections.netops.egress_ip.plugins.module_utils._kubernetes.objects import Pod

# A state without them would be hard to read; they are small.
_OWN = ("name", "interface", "endpoints", "pods", "held", "standbys", "networks")


def packed(states: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """Return {shared: fields that most states have, states: {node: its other fields}}."""
    fields = set.intersection(*({*state} for state in states.values())) - {*_OWN} if states else set()
    most = {field: _most_common(state[field] for state in states.values()) for field in sorted(fields)}
    shared = {field: value for field, (value, count) in most.items() if 2 * count > len(states)}
    own = {
        name: {field: value for field, value in state.items() if field not in shared or value != shared[field]}
        for name, state in states.items()
    }
    return {"shared": shared, "states": own}


def with_pods_as_text(manifests: Mapping[str, Any], pods: Iterable[Pod]) -> dict[str, Any]:
    """Return the dict of Manifests, which has these pods, with the pods as one text."""
    return {**manifests, "pods": manifests["pods"] if isinstance(manifests["pods"], str) else pods_as_text(pods)}


def without_records(fleet: Mapping[str, Any]) -> dict[str, Any]:
    """Return the dict of a Fleet without containers, and nodes in the record of each node, which `members` has."""
    observed = {
        name: {key: value for key, value in facts.items() if key not in TEXTS}
        for name, facts in fleet["observed"].items()
    }
    return {**fleet, "observed": observed}


def unpacked(value: Mapping[str, Any]) -> dict[str, Any]:
    """Return {node: state} of the dict that `packed` returned."""
    return {name: {**value["shared"], **own} for name, own in value["states"].items()}


def _most_common(values: Iterable[Any]) -> tuple[Any, int]:
    """Return the most frequent value and its count; a state is unhashable."""
    distinct: list[Any] = []
    counts: list[int] = []
    for value in values:
        try:
            counts[distinct.index(value)] += 1
        except ValueError:
            distinct.append(value)
            counts.append(1)
    place = max(range(len(counts)), key=counts.__getitem__)
    return distinct[place], counts[place]
