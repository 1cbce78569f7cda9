# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Read manifests, on the controller."""

from __future__ import annotations

from typing import Any

from ansible.plugins.action import ActionBase
from ansible_collections.netops.egress_ip.plugins.lookup.manifests import LookupModule


class ActionModule(ActionBase):
    """The action plugin of the module `manifests_info`."""

    TRANSFERS_FILES = False
    _requires_connection = False

    def run(self, tmp: Any = None, task_vars: Any = None) -> dict[str, Any]:
        """Return the result of the lookup as the task's result, which Ansible does not template item by item."""
        result = super().run(tmp, task_vars)
        _validation, options = self.validate_argument_spec(argument_spec={"sources": {"type": "raw", "required": True}})
        (found,) = LookupModule(loader=self._loader, templar=self._templar).run([options["sources"]], task_vars)
        return {**result, "changed": False, **found}
