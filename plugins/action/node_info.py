# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Look at a node."""

from __future__ import annotations

from ansible_collections.netops.egress_ip.plugins.plugin_utils._node_action import NodeAction


class ActionModule(NodeAction):
    """The action plugin of the module `node_info`, which has the module `node` look."""

    def arguments(self):
        """Return them as those of a look."""
        look = dict(self._task.args)
        return {"mode": "observed", "options": look.pop("options", {}), "look": look}
