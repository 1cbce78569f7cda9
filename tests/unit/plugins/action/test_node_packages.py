# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A node that installs packages changes no variable of the controller, and names no other packages.

A run installs what nodes lack, and observes these nodes again.
"""

from __future__ import annotations

import json
import os
import sys

import pytest
from forked_ansible import ansible_playbook
from playbook_fleet import NODE, PlaybookFleet

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


# A node without nftables until a package is installed.
LACKING = NODE.replace(
    """    path = folder / f"node{number}.json"
""",
    """    if number == 2 and not (folder / "installed").exists():
        end(problems=["nftables: is not installed on this host"], packages=["nftables"])
    path = folder / f"node{number}.json"
""",
)
INSTALLING = """#!/usr/bin/python
import json
import os
open(os.path.join(os.environ["EGRESS_IP_TEST_FOLDER"], "installed"), "a").close()
print(json.dumps({"changed": True}))
"""


@pytest.fixture
def fleet(tmp_path):
    (tmp_path / "library").mkdir()
    (tmp_path / "library/installing_package.py").write_text(INSTALLING)
    fleet = PlaybookFleet(tmp_path)
    fleet.replace("plugins/modules/node.py", LACKING)
    fleet.variables = {**fleet.variables, "ansible_package_use": "installing_package"}
    return fleet


@pytest.mark.parametrize(("playbook", "installs", "looks"), [("plan", False, 3), ("reconcile", True, 4)])
def test_only_a_run_that_changes_nodes_installs_packages(fleet, playbook, installs, looks):
    ended = fleet.good(playbook, environment={"ANSIBLE_LIBRARY": str(fleet.folder / "library")})
    calls = fleet.calls()
    observed = [each["observe"]["interface"] for each in calls if each["mode"] == "observed"]
    assert (fleet.folder / "installed").exists() == installs
    assert ("node2: is set aside: nftables: is not installed on this host" in ended.output) != installs
    assert (len(observed), observed.count("eth2")) == (looks, 2 if installs else 1)
    assert len([each for each in calls if each["mode"] != "observed"]) == (3 if installs else 0)


def test_a_node_whose_packages_cannot_be_installed_ends_the_run_for_itself_only(fleet):
    failing = 'import json; print(json.dumps({"failed": True, "msg": "no repository"}))'
    (fleet.folder / "library/installing_package.py").write_text(f"#!/usr/bin/python\n{failing}\n")
    ended = fleet.bad("reconcile", environment={"ANSIBLE_LIBRARY": str(fleet.folder / "library")})
    assert "no repository" in ended.output
    assert len([each for each in fleet.calls() if each["mode"] != "observed"]) == 2
