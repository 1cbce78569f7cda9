# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The files of examples/awx fit together, and agree with the collection and with the versions of the tests."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from local_fleet import ROOT

PROJECT = ROOT / "examples/awx"
SURVEYS = sorted((PROJECT / "surveys").glob("*.json"))
sys.path.insert(0, str(ROOT / "tests/ci"))

import matrix  # noqa: E402


def read(name):
    return yaml.safe_load((PROJECT / name).read_text(encoding="utf-8"))


def variables():
    return set(re.findall(r"^\| `(egress_ip_\w+)`", (ROOT / "docs/variables.md").read_text(), re.MULTILINE))


def test_each_playbook_but_remove_has_a_wrapper():
    plays = [play for path in PROJECT.glob("*.yml") for play in read(path.name) if isinstance(play, dict)]
    imported = {play.get("ansible.builtin.import_playbook", "").rpartition(".")[2] for play in plays} - {""}
    assert imported == {path.stem for path in (ROOT / "playbooks").glob("*.yml")} - {"remove"}


def test_templates_name_files_of_the_project():
    for template in read("controller.yml")["awx_templates"]:
        assert (PROJECT / template["playbook"]).is_file()
        assert "survey" not in template or (PROJECT / f"surveys/{template['survey']}.json").is_file()


def test_schedule_and_workflow_name_templates():
    controller = read("controller.yml")
    names = {template["name"] for template in controller["awx_templates"]}
    nodes = controller["awx_workflow"]["nodes"]
    jobs = {node["job_template"] for node in nodes if "job_template" in node}
    assert jobs | {controller["awx_schedule"]["unified_job_template"]} <= names
    following = {name for node in nodes for name in node["success_nodes"]}
    assert following == {"approve", "reconcile"} <= {node["identifier"] for node in nodes}


def test_the_schedule_is_off_since_the_workflow_is_there():
    (play,) = read("configure.yml")
    (task,) = [task for task in play["tasks"] if "awx.awx.schedule" in task]
    assert task["awx.awx.schedule"]["enabled"] == "{{ awx_schedule.enabled }}"
    assert read("controller.yml")["awx_schedule"]["enabled"] is False


@pytest.mark.parametrize("path", SURVEYS, ids=[path.stem for path in SURVEYS])
def test_a_survey_asks_only_for_documented_variables(path):
    survey = json.loads(path.read_text(encoding="utf-8"))
    assert survey.keys() == {"name", "description", "spec"}
    assert {question["variable"] for question in survey["spec"]} <= variables()
    for question in survey["spec"]:
        assert question["type"] in ("text", "integer", "multiplechoice")
        # AWX passes a default as an extra variable that hides the value of the inventory; an empty one only for text.
        assert ("default" in question) == (question["type"] != "text")
        assert question.get("default", "") == ""
        assert question["type"] != "multiplechoice" or not question["required"]


def test_the_credential_type_gives_a_variable_of_the_collection():
    kind = read("credential_types/tunnel_secret.yml")
    fields = {field["id"]: field for field in kind["inputs"]["fields"]}
    assert set(kind["injectors"]["extra_vars"]) <= variables()
    assert all(field["secret"] for field in fields.values())
    assert set(re.findall(r"{{ (\w+) }}", json.dumps(kind["injectors"]))) == set(fields)


def test_the_execution_environment_has_tested_versions():
    given, pins = read("execution-environment.yml")["dependencies"], matrix.pins()
    assert given["ansible_core"]["package_pip"] == pins["ansible-core"]
    assert given["ansible_runner"]["package_pip"] == pins["ansible-runner"]


def test_ansible_builder_accepts_the_execution_environment(tmp_path):
    argv = [str(Path(sys.executable).with_name("ansible-builder")), "create", "--file", "execution-environment.yml"]
    ended = subprocess.run(
        [*argv, "--context", str(tmp_path)], cwd=PROJECT, capture_output=True, text=True, check=False
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert "netops/egress_ip" in (tmp_path / "_build/requirements.yml").read_text()
    # The collection is cloned before the packages of the final stage are installed.
    steps = (tmp_path / "Containerfile").read_text()
    assert 0 < steps.find("install -y git-core") < steps.index("ansible-galaxy collection install")
