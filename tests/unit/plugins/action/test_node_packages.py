# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A node that installs packages changes no variable of the controller, and names no other packages."""

from __future__ import annotations

import json
import os
import sys

import pytest
from forked_ansible import ansible_playbook

MODULE = """#!/usr/bin/python
import json
print(json.dumps({"changed": True, "ansible_facts": {"egress_ip_vsphere_hostname": "evil", "evil": True},
                  "ansible_stats": {"data": {"evil": True}, "aggregate": True}}))
"""
PLAY = """
- hosts: localhost
  gather_facts: false
  vars:
    egress_ip_vsphere_hostname: vcenter.example.com
  tasks:
    - netops.egress_ip.node_packages:
        names: "{{ names }}"
      register: result
    - ansible.builtin.assert:
        that:
          - result is changed
          - result.ansible_facts is not defined
          - result.ansible_stats is not defined
          - egress_ip_vsphere_hostname == "vcenter.example.com"
          - evil is not defined
"""


@pytest.fixture
def play(tmp_path):
    (tmp_path / "library").mkdir()
    (tmp_path / "library/evil_package.py").write_text(MODULE)
    (tmp_path / "play.yml").write_text(PLAY)

    def run(*names):
        own = {"ansible_package_use": "evil_package", "ansible_python_interpreter": sys.executable}
        values = json.dumps({"names": names, **own})
        words = ("-i", "localhost,", "-c", "local", "-e", values, "play.yml")
        return ansible_playbook(words, tmp_path, {**os.environ})

    return run


def test_the_result_of_a_node_sets_no_variable(play):
    ended = play("nftables")
    assert ended.returncode == 0, ended.stdout + ended.stderr


def test_a_node_names_only_packages_that_it_needs(play):
    ended = play("nftables", "openssh-server")
    assert ended.returncode == 2
    assert "names[1]: must be one of iproute2, nftables, not 'openssh-server'" in ended.stdout + ended.stderr
