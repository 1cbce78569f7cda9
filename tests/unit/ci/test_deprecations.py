# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A feature of Ansible that will be removed fails a test, in its own process and in a run of a playbook."""

from __future__ import annotations

import os
import sys

import pytest
from forked_ansible import ansible_playbook

MODULE = """#!/usr/bin/python
from ansible.module_utils.basic import AnsibleModule

module = AnsibleModule({"old": {"type": "bool", "removed_in_version": "99.0.0", "removed_from_collection": "a.b"}})
module.exit_json()
"""
PLAY = """
- hosts: localhost
  gather_facts: false
  tasks:
    - deprecated: OLD
"""


def run(folder, old):
    (folder / "library").mkdir()
    (folder / "library/deprecated.py").write_text(MODULE)
    (folder / "play.yml").write_text(PLAY.replace("OLD", old))
    words = ("-i", "localhost,", "-c", "local", "-e", f"ansible_python_interpreter={sys.executable}", "play.yml")
    return ansible_playbook(words, folder, {**os.environ})


def test_a_run_with_a_deprecated_option_fails_the_test(tmp_path):
    with pytest.raises(AssertionError, match="DEPRECATION WARNING"):
        run(tmp_path, "{old: true}")


def test_a_run_without_one_does_not(tmp_path):
    ended = run(tmp_path, "{}")
    assert ended.returncode == 0, ended.stdout + ended.stderr
