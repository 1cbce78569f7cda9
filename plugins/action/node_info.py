# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The action plugin of the module `node_info`."""

from __future__ import annotations

from ansible_collections.netops.egress_ip.plugins.module_utils._common.errors import Errors
from ansible_collections.netops.egress_ip.plugins.module_utils._kubernetes.annotations import network_names
from ansible_collections.netops.egress_ip.plugins.module_utils._reconcile.networks import names_of_host
from ansible_collections.netops.egress_ip.plugins.plugin_utils._node_action import NodeAction


class ActionModule(NodeAction):
    """Runs the module `node` with the mode `observed`."""

    def arguments(self) -> dict[str, object]:
        """Return the options of the module `node`."""
        observe = {name: value for name, value in self._task.args.items() if name != "answer_timeout"}
        own = names_of_host(observe.pop("host_networks", None))
        given, errors = observe.get("networks") or (), Errors()
        observe["networks"] = sorted({*network_names(given, "networks", errors), *own})
        return {"mode": "observed", "options": observe.pop("options", {}), "observe": observe}

    def answer_timeout(self) -> float:
        """Return the seconds after which the node counts as silent, 0 for no limit."""
        return float(self._task.args.get("answer_timeout") or 0)
