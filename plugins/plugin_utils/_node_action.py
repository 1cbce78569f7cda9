# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Run the module `node` on a host, and send the node's program along. PRIVATE to the collection."""

from __future__ import annotations

import base64
import zlib

from ansible.plugins.action import ActionBase
from ansible_collections.netops.egress_ip.plugins.module_utils._node import zipapp

# Ansible loads an action once for a whole run, and then forks for each host and task.
PROGRAM = base64.b64encode(zlib.compress(zipapp.make())).decode()


class NodeAction(ActionBase):
    """The action plugin of a module that is done by the program of a node.

    The program is an argument, not something that the module imports. Ansible would parse forty files in each run to
    find out what to send, which takes as long as a `ping`; and the program stays on the node anyway.
    """

    _supports_async = True

    def run(self, tmp=None, task_vars=None):
        """Return what the module returns."""
        result = super().run(tmp, task_vars)
        done = self._execute_module(
            module_name="netops.egress_ip.node",
            module_args={**self.arguments(), "program": PROGRAM},
            task_vars=task_vars,
            wrap_async=self._task.async_val and not self._connection.has_native_async,
        )
        return {**result, **done}

    def arguments(self):
        """Return the options of the module `node`."""
        return self._task.args
