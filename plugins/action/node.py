# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The action plugin of the module `node`."""

from __future__ import annotations

from ansible_collections.netops.egress_ip.plugins.plugin_utils._node_action import NodeAction


class ActionModule(NodeAction):
    """Sends the program along and runs the module `node`."""
