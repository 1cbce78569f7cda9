# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Audit a platform, on the controller."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ansible_collections.netops.egress_ip.plugins.module_utils._reconcile.providers import PROVIDERS, audit, audited
from ansible_collections.netops.egress_ip.plugins.plugin_utils._controller_action import ControllerAction
from ansible_collections.netops.egress_ip.plugins.plugin_utils._variables import result_of


class ActionModule(ControllerAction):
    """The action plugin of the module `audit`."""

    OPTIONS = {
        "platform": {"type": "str", "choices": list(PROVIDERS), "required": True},
        "settings": {"type": "dict", "default": {}},
    }

    def result(self, options: Mapping[str, Any], variables: Mapping[str, Any]) -> dict[str, Any]:
        """Return the audits of the platforms that were audited before and of this one."""
        run, name = result_of(variables, "plan"), options["platform"]
        answer = result_of(variables, PROVIDERS[name].module)
        made = audit(run["platforms"], name, answer, options["settings"])
        return audited(run, {**variables.get("egress_ip_audit", {}).get("audits", {}), name: made})
