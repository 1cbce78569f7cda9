# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The common action plugin of the modules `node` and `node_info`. PRIVATE to the collection."""

from __future__ import annotations

import base64
import hashlib
import json
import zlib
from collections.abc import Mapping

from ansible.plugins.action import ActionBase
from ansible_collections.netops.egress_ip.plugins.module_utils._node import zipapp
from ansible_collections.netops.egress_ip.plugins.plugin_utils._events import with_small_event

# Ansible loads an action once for a whole run, and then forks for each host and task.
PROGRAM = base64.b64encode(zlib.compress(zipapp.make())).decode()

# Fields of a result that change variables or the inventory on the controller. A node is trusted only for itself.
_CONTROL = ("ansible_facts", "ansible_stats", "add_host", "add_group")


def unlogged(arguments: Mapping[str, object]) -> dict[str, object]:
    """Return the options of the module `node` with the state in an option that Ansible does not log.

    A module writes its options to the syslog of the node. `state` keeps the name, the generation and a digest.
    """
    state = arguments.get("state")
    if not isinstance(state, dict):
        return dict(arguments)
    text = json.dumps(state, sort_keys=True)
    digest = hashlib.sha256(text.encode()).hexdigest()[:16]
    summary = {"name": state.get("name"), "generation": state.get("generation"), "digest": digest}
    return {**arguments, "state": summary, "state_json": text}


def with_text(facts: Mapping[str, object]) -> dict[str, object]:
    """Return a result of the module in which the record of other nodes is a JSON text.

    Ansible copies a result value by value. In a fleet of 300 nodes these records have 90,000 entries.
    """
    return {**facts, **({"nodes": json.dumps(facts["nodes"])} if "nodes" in facts else {})}


def without_control(result: Mapping[str, object]) -> dict[str, object]:
    """Return a result of a node without the fields that would change variables or the inventory."""
    return {name: value for name, value in result.items() if name not in _CONTROL}


class NodeAction(ActionBase):
    """Runs the module `node` on a host, with the program of a node as an argument.

    If the module imported the program's forty files, Ansible would parse them in each run to find out what to send,
    which takes as long as a `ping`; and the program stays on the node anyway.
    """

    _supports_async = True

    def run(self, tmp: str | None = None, task_vars: dict[str, object] | None = None) -> dict[str, object]:
        """Return the result of the module."""
        result = super().run(tmp, task_vars)
        done = self._execute_module(
            module_name="netops.egress_ip.node",
            module_args={**unlogged(self.arguments()), "program": PROGRAM},
            task_vars=task_vars,
            wrap_async=self._task.async_val and not self._connection.has_native_async,
        )
        return with_small_event({**result, **with_text(without_control(done))})

    def arguments(self) -> dict[str, object]:
        """Return the options of the module `node`."""
        arguments: dict[str, object] = self._task.args
        return arguments
