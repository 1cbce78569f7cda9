# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The output of a run with the callback of the collection, and where Ansible hides what is ok."""

from __future__ import annotations

import json

import pytest
from forked_ansible import FOR_PROGRAMS
from playbook_fleet import COLLECTION, PlaybookFleet

BRIEF = {"ANSIBLE_STDOUT_CALLBACK": "netops.egress_ip.brief"}
SHORT = {"ANSIBLE_DISPLAY_OK_HOSTS": "false", "ANSIBLE_DISPLAY_SKIPPED_HOSTS": "false"}
CLOSED = {"ansible_connection": "ssh", "ansible_host": "127.0.0.1", "ansible_port": 1}


def before_the_recap(ended):
    return ended.output.partition("PLAY RECAP")[0].strip().splitlines()


@pytest.mark.parametrize("count", [3, 12])
def test_a_run_that_changes_nothing_prints_less_than_20_lines(tmp_path, count):
    fleet = PlaybookFleet(tmp_path, count)
    first = fleet.good("reconcile", environment=BRIEF)
    assert f"{count} of {count} nodes answer, {count} of them differ from the plan" in first.lines
    assert len([line for line in first.lines if line.startswith(("changed: ", "node"))]) == 2 * count
    ended = fleet.good("reconcile", environment=BRIEF)
    _play, *shown = before_the_recap(ended)
    assert shown[:2] == [
        f"Reading the manifests and the state of {count} nodes",
        f"{count} of {count} nodes answer, 0 of them differ from the plan",
    ]
    assert [line.split()[-1] for line in shown[2:]] == ["STATE", "held", "held"]
    assert ended.lines[-1] == f"{count} hosts without changes and failures"
    assert len(ended.output.splitlines()) < 20


def test_the_ansible_cfg_of_the_quick_start_keeps_the_output_short(tmp_path):
    guide = (COLLECTION / "docs/quickstart.md").read_text()
    (tmp_path / "ansible.cfg").write_text(guide.partition("```ini\n")[2].partition("```")[0])
    fleet = PlaybookFleet(tmp_path)
    for playbook in ("plan", "reconcile", "reconcile", "status"):
        ended = fleet.good(playbook, environment={"ANSIBLE_CONFIG": str(tmp_path / "ansible.cfg")})
    # Of `status`: its name, the stage, a line for each egress IP and each host with traffic, and the recap.
    assert len(ended.output.splitlines()) < 20


@pytest.mark.parametrize("playbook", ["plan", "reconcile", "status"])
def test_with_the_callback_of_ansible_a_host_has_two_lines(tmp_path, playbook):
    """One for the call of its module, and one in the recap."""
    lines = []
    for count in (3, 8):
        folder = tmp_path / str(count)
        folder.mkdir()
        fleet = PlaybookFleet(folder, count)
        fleet.good("reconcile")
        lines.append(len(fleet.good(playbook, environment={"ANSIBLE_STDOUT_CALLBACK": "default"}).lines))
    assert lines[1] - lines[0] == 2 * (8 - 3)
    # docs/operations.md has the number for all playbooks.
    assert lines[0] - 2 * 3 < 50


def test_the_callback_shows_failures(tmp_path):
    fleet = PlaybookFleet(tmp_path)
    ended = fleet.bad("reconcile", environment=BRIEF, hosts={"node2": {"egress_ip_capacity": "many"}})
    assert "egress_ip_capacity" in ended.output
    assert [line.split()[0] for line in ended.lines if " failed=1 " in line] == ["node1"]


def test_a_node_without_an_answer_is_one_line_with_the_callback(tmp_path):
    fleet = PlaybookFleet(tmp_path)
    ended = fleet.good("reconcile", environment=BRIEF, hosts={"node2": CLOSED})
    (line,) = [line for line in ended.lines if "[node2]" in line]
    assert line.startswith("unreachable, ignored: [node2]: ")
    assert "Connection refused" in line
    assert "node node2 cannot be reached: " in ended.output
    assert "[ERROR]" not in ended.output


def test_banners_and_programs_get_no_stages(tmp_path):
    fleet = PlaybookFleet(tmp_path)
    assert "Reading the manifests and" not in fleet.good("plan").output
    ended = fleet.good("plan", environment={**SHORT, **FOR_PROGRAMS})
    assert "Digest of the plan" in ended.output
    assert "Reading the manifests and" not in ended.output


def test_a_long_run_shows_its_stages_and_what_changes(tmp_path):
    ended = PlaybookFleet(tmp_path).good("reconcile", environment=SHORT)
    assert "3 of 3 nodes answer, 3 of them differ from the plan" in ended.lines
    assert len([line for line in ended.lines if line.startswith("changed:")]) == 3


def test_a_run_whose_first_node_cannot_be_reached(tmp_path):
    """Tasks that run once run for the first host."""
    fleet = PlaybookFleet(tmp_path)
    ended = fleet.good("reconcile", hosts={"node1": CLOSED})
    assert "node node1 cannot be reached: " in ended.output
    assert [line.split()[2] for line in ended.lines if line.startswith("10.0.99.")] == ["node2", "node3"]
    assert not (tmp_path / "node1.json").exists()
    again = fleet.good("reconcile", environment=SHORT, hosts={"node1": CLOSED})
    assert "0 of them differ" in again.output


GUARD = "inventory_hostname in egress_ip_plan.fleet.observed"


@pytest.mark.parametrize(("guard", "code"), [(True, 4), (GUARD, 0)], ids=["all hosts", "hosts that answer"])
def test_a_task_after_the_role_and_a_host_that_does_not_answer(tmp_path, guard, code):
    """docs/reuse.md has the exit code and the guard."""
    fleet = PlaybookFleet(tmp_path)
    role = {"ansible.builtin.import_role": {"name": "netops.egress_ip.node"}}
    after = {"ansible.builtin.command": "true", "when": guard}
    play = {"hosts": "egress_ip_nodes", "gather_facts": False, "tasks": [role, after]}
    (tmp_path / "own.yml").write_text(json.dumps([play]))
    ended = fleet.play(tmp_path / "own.yml", hosts={"node1": CLOSED})
    assert ended.code == code
    assert GUARD in (COLLECTION / "docs/reuse.md").read_text()
