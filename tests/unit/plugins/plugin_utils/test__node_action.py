# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a node sends back cannot change variables or the inventory on the controller."""

from __future__ import annotations

from types import SimpleNamespace

from ansible.plugins.action import ActionBase
from ansible_collections.netops.egress_ip.plugins.action.node_info import ActionModule


def test_a_node_cannot_set_variables(monkeypatch):
    sent = {
        "ansible_facts": {"egress_ip_labels": {"k8s.ovn.org/egress-assignable": ""}},
        "ansible_stats": {"data": {}},
        "add_host": {"host_name": "node9"},
        "add_group": "egress_ip_nodes",
        "held": [],
    }
    monkeypatch.setattr(ActionBase, "run", lambda self, tmp, task_vars: {"changed": False})
    monkeypatch.setattr(ActionBase, "_execute_module", lambda self, **options: dict(sent))
    task = SimpleNamespace(args={}, async_val=0)
    action = ActionModule(task, None, None, None, None, None)
    assert action.run() == {"changed": False, "held": []}
