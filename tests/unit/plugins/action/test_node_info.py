# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the module `node` is sent to observe a host."""

from __future__ import annotations

from ansible_collections.netops.egress_ip.plugins.action.node_info import ActionModule as Action
from ansible_collections.netops.egress_ip.plugins.plugin_utils._node_action import PROGRAM


def test_a_node_is_observed_with_the_options(sent):
    options = sent(Action, interface="eth1", options={"tunnel_port": 4791}, recall=["node2"])
    assert options == {
        "mode": "observed",
        "options": {"tunnel_port": 4791},
        "observe": {"interface": "eth1", "recall": ["node2"]},
        "program": PROGRAM,
    }


def test_without_options(sent):
    assert sent(Action) == {"mode": "observed", "options": {}, "observe": {}, "program": PROGRAM}
