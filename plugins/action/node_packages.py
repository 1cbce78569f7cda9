# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The action plugin of the module `node_packages`."""

from __future__ import annotations

from typing import Any

from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase
from ansible_collections.netops.egress_ip.plugins.plugin_utils._node_action import (
    set_up_connection,
    without_control,
)
from ansible_collections.netops.egress_ip.plugins.plugin_utils._shown_texts import without_control_characters

# The node names what it lacks: what else it names is not installed.
_ALLOWED = ("iproute2", "nftables")


class ActionModule(ActionBase):
    """Installs packages with the module of the node's package manager, whose result is the node's word."""

    def run(self, tmp: Any = None, task_vars: Any = None) -> dict[str, Any]:
        """Return the result of ansible.builtin.package without what would change variables of the controller."""
        result: dict[str, Any] = super().run(tmp, task_vars)
        spec = {"names": {"type": "list", "elements": "str", "required": True}}
        _validation, options = self.validate_argument_spec(argument_spec=spec)
        for number, name in enumerate(options["names"]):
            if name not in _ALLOWED:
                raise AnsibleActionFail(f"names[{number}]: must be one of {', '.join(_ALLOWED)}, not {name!r}")
        set_up_connection(self._connection, task_vars or {})
        task = self._task.copy()
        task.args = {"name": options["names"], "state": "present"}
        action = self._shared_loader_obj.action_loader.get(
            "ansible.builtin.package",
            task=task,
            connection=self._connection,
            play_context=self._play_context,
            loader=self._loader,
            templar=self._templar,
            shared_loader_obj=self._shared_loader_obj,
        )
        return {**result, **without_control_characters(without_control(action.run(task_vars=task_vars)))}
