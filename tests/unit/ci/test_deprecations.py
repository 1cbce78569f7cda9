# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A feature of Ansible that will be removed fails a test, in its own process and in a run of a playbook."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

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
# What a test of a module imports, and no code of the controller; code of the collection that Python warns of.
IN_PROCESS = """
CODE = "import warnings; warnings.warn('old', DeprecationWarning)"
from ansible.module_utils.common.warnings import deprecate

def test_a_module():
    WORDS
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


def run_test(folder, words):
    """Run a test with these words, which pytest gives the fixtures of all unit tests; return the CompletedProcess."""
    path = folder / "test_module.py"
    path.write_text(IN_PROCESS.replace("WORDS", words))
    unit = Path(__file__).resolve().parents[1]
    options = ("-q", "-p", "no:cacheprovider", "-p", "conftest", "-c", unit / "pytest.ini")
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(unit), os.environ.get("PYTHONPATH", "")])}
    argv = (sys.executable, "-m", "pytest", *options, path)
    return subprocess.run(argv, cwd=folder, env=environment, capture_output=True, text=True, check=False)


@pytest.mark.parametrize(
    ("words", "code"),
    [
        ("deprecate('old', version='99.0.0')", 1),
        ("exec(compile(CODE, 'x', 'exec'), {'__name__': 'ansible_collections.netops.egress_ip.plugins.x'})", 1),
        ("pass", 0),
    ],
)
def test_a_deprecated_call_in_the_process_of_a_test_fails_it(tmp_path, words, code):
    ended = run_test(tmp_path, words)
    assert ended.returncode == code, ended.stdout + ended.stderr
    assert bool(re.search("DEPRECATION WARNING|DeprecationWarning", ended.stdout)) == bool(code)
