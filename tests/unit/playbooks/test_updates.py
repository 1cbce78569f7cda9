# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The updates after the claims: a node whose update fails stops no other, and the report gets its result."""

from __future__ import annotations

import json
import os
import sys

import yaml
from forked_ansible import ansible_playbook
from local_fleet import ROOT

INCLUDE = yaml.safe_load((ROOT / "roles/node/tasks/update_tunnel_endpoints.yml").read_text("utf-8"))[1]
UPDATE = {**INCLUDE, "ansible.builtin.include_tasks": str(ROOT / "roles/node/tasks/update_node.yml")}
FORGET = {"name": "Forget", "ansible.builtin.set_fact": {"egress_ip_node_update": None}}
LOCAL = {"ansible_connection": "local", "ansible_python_interpreter": sys.executable}
# Nothing listens on this port.
SILENT = {"ansible_host": "127.0.0.1", "ansible_port": 1, "ansible_ssh_common_args": "-o BatchMode=yes"}
HOSTS = {"node1": LOCAL, "node2": SILENT, "node3": LOCAL, "node4": LOCAL}


def test_a_failed_update_of_one_node_stops_no_other(tmp_path):
    told = tmp_path / "told.json"
    facts = {
        "egress_ip_steps": {"updates": {"shared": {}, "states": {"node1": {}, "node2": {}, "node3": {}}}},
        "egress_ip_settings": {"common": {"claim_timeout": 20}},
        "egress_ip_tunnel_secret": "",
    }
    results = (
        "{{ dict(ansible_play_hosts | zip(ansible_play_hosts | map('extract', hostvars, 'egress_ip_node_update'))) }}"
    )
    show = {"ansible.builtin.copy": {"content": results, "dest": str(told)}, "run_once": True}
    play = {"hosts": "all", "gather_facts": False, "vars": facts, "tasks": [FORGET, UPDATE, {"name": "Show", **show}]}
    (tmp_path / "inventory.yml").write_text(json.dumps({"all": {"hosts": HOSTS}}))
    (tmp_path / "play.yml").write_text(json.dumps([{"name": "Run", **play}]))
    environment = {**os.environ, "ANSIBLE_COLLECTIONS_PATH": str(ROOT.parents[2]), "ANSIBLE_NOCOLOR": "1"}
    done = ansible_playbook(["-i", tmp_path / "inventory.yml", tmp_path / "play.yml"], tmp_path, environment)
    assert done.returncode == 0, done.stdout + done.stderr
    found = json.loads(told.read_text())
    assert found.pop("node4") is None
    assert [name for name, result in found.items() if result.get("failed")] == ["node1", "node3"]
    assert "state.name: " in found["node1"]["msg"]
    assert found["node2"]["unreachable"]
