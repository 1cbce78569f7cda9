# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Look at a node."""

from __future__ import annotations

from ansible.plugins.action import ActionBase


class ActionModule(ActionBase):
    """The action plugin of the module `node_info`.

    It runs the module `node`, whose code is the same: Ansible takes a quarter of a second to put a module of that size
    together, and does so once for each name in a run.
    """

    def run(self, tmp=None, task_vars=None):
        """Return what the module returns."""
        look = dict(self._task.args)
        arguments = {"mode": "observed", "options": look.pop("options", {}), "look": look}
        result = super().run(tmp, task_vars)
        name = "netops.egress_ip.node"
        return {**result, **self._execute_module(module_name=name, module_args=arguments, task_vars=task_vars)}
