# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The playbooks run on this version of ansible-core and Python, without a warning."""

from __future__ import annotations

import json
import os
import re
import subprocess

import pytest
from local_fleet import ROOT, egressips, environment, local_fleet, pods, write_inventory, write_manifests

PLAYBOOKS = sorted(path.stem for path in (ROOT / "playbooks").glob("*.yml"))
WARNING = re.compile(r"\[(?:DEPRECATION )?WARNING\]:? .*")


def ansible(folder, *words, **variables):
    """Run ansible-playbook in a folder; return (exit code, output)."""
    argv = ("ansible-playbook", *words, "--extra-vars", json.dumps(variables))
    ended = subprocess.run(
        argv, env=environment(), cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False
    )
    return ended.returncode, ended.stdout


@pytest.fixture(scope="module")
def fleet(tmp_path_factory):
    """Return the inventory of three hosts, in a folder with manifests."""
    folder = tmp_path_factory.mktemp("fleet")
    write_manifests(folder, [*egressips(1), *pods(6, nodes=3, namespaces=1)])
    # The oldest Python that nodes may have, where a session of nox names one.
    with local_fleet(folder, **({"python": os.environ["NODE_PYTHON"]} if "NODE_PYTHON" in os.environ else {})) as hosts:
        yield write_inventory(folder, hosts)


def run(fleet, playbook, *words, **variables):
    # The nodes are processes of this machine, which may be busy.
    given = {"egress_ip_manifests": ["manifests.json"], "egress_ip_answer_timeout": 300, **variables}
    return ansible(fleet.parent, f"netops.egress_ip.{playbook}", "-i", str(fleet), *words, **given)


def test_the_syntax_is_right(tmp_path):
    """One start of Ansible checks all of them."""
    names = [f"netops.egress_ip.{playbook}" for playbook in PLAYBOOKS]
    code, output = ansible(tmp_path, "--syntax-check", "-i", "localhost,", *names)
    assert (code, WARNING.findall(output)) == (0, [])
    assert re.findall(r"^playbook: .*/(\w+)\.yml$", output, re.MULTILINE) == PLAYBOOKS


def test_plan_shows_claims(fleet):
    code, output = run(fleet, "plan")
    assert (code, WARNING.findall(output)) == (0, []), output
    assert re.search(r"^\+ 192\.168\.100\.1 +object-0 +node\d +to claim$", output, re.MULTILINE), output
    assert "Nodes to change: node1, node2, node3" in output


def test_check_mode_shows_what_each_node_would_do(fleet):
    code, output = run(fleet, "reconcile", "--check", "--diff")
    assert (code, WARNING.findall(output)) == (0, []), output
    assert len(re.findall(r"^changed: \[node\d\]", output, re.MULTILINE)) == 3


def test_status_shows_an_empty_fleet(fleet):
    code, output = run(fleet, "status")
    assert (code, WARNING.findall(output)) == (0, []), output


def test_drain_without_a_node_is_one_clear_error(fleet):
    code, output = run(fleet, "drain", "--check")
    assert code == 2
    assert "egress_ip_drain_nodes: is empty; this playbook needs it" in output
