# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The last task of the role: it ends the play, and a host that failed before is still a failure of the run."""

from __future__ import annotations

import json
import os
import sys

import pytest
import yaml
from forked_ansible import ansible_playbook
from local_fleet import ROOT

END = yaml.safe_load((ROOT / "roles/node/tasks/main.yml").read_text("utf-8"))[-1]
LOCAL = {"ansible_connection": "local", "ansible_python_interpreter": sys.executable}
HOSTS = dict.fromkeys(("node1", "node2", "node3"), LOCAL)


@pytest.mark.parametrize("failing", ["", "node1", "node3"])
def test_a_host_that_failed_is_a_failure_of_the_run(tmp_path, failing):
    fail = {"name": "Fail", "ansible.builtin.fail": {}, "when": f"inventory_hostname == '{failing}'"}
    included = [{"name": "Block", "block": [fail]}]
    (tmp_path / "included.yml").write_text(json.dumps(included))
    include = {"name": "Include", "ansible.builtin.include_tasks": str(tmp_path / "included.yml")}
    after = {"name": "Later", "ansible.builtin.debug": {"msg": "goes on"}}
    tasks = [include, END, after]
    play = {"hosts": "all", "gather_facts": False, "vars": {"__egress_ip_ends_play": True}, "tasks": tasks}
    (tmp_path / "inventory.yml").write_text(json.dumps({"all": {"hosts": HOSTS}}))
    (tmp_path / "play.yml").write_text(json.dumps([{"name": "Run", **play}]))
    environment = {**os.environ, "ANSIBLE_COLLECTIONS_PATH": str(ROOT.parents[2]), "ANSIBLE_NOCOLOR": "1"}
    done = ansible_playbook(["-i", tmp_path / "inventory.yml", tmp_path / "play.yml"], tmp_path, environment)
    assert done.returncode == (2 if failing else 0), done.stdout + done.stderr
    assert ("goes on" in done.stdout) == bool(failing)
