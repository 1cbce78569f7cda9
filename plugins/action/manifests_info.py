# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Read manifests, on the controller."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ansible_collections.netops.egress_ip.plugins.lookup.manifests import LookupModule
from ansible_collections.netops.egress_ip.plugins.module_utils._kubernetes.manifests import Manifests
from ansible_collections.netops.egress_ip.plugins.plugin_utils._controller_action import ControllerAction
from ansible_collections.netops.egress_ip.plugins.plugin_utils._settings import read_sources


class ActionModule(ControllerAction):
    """The action plugin of the module `manifests_info`."""

    OPTIONS = {"sources": {"type": "raw", "required": True}}

    def result(self, options: Mapping[str, Any], variables: Mapping[str, Any]) -> dict[str, Any]:
        """Return the result of the lookup with its pods as one text: Ansible copies a result value by value."""
        sources = read_sources(options["sources"])
        lookup = LookupModule(loader=self._loader, templar=self._templar)
        return lookup.read([sources], variables, Manifests.to_short_dict)
