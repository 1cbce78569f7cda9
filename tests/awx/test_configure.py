# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""examples/awx/configure.yml with the collection awx.awx and a test API: what it creates, and that it does so once."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "tests/awx"), str(ROOT / "tests/unit/helpers")]

import collection  # noqa: E402
from awx_api import TOKEN, Awx  # noqa: E402
from local_fleet import environment  # noqa: E402

PROJECT = ROOT / "examples/awx"
CONTROLLER = yaml.safe_load((PROJECT / "controller.yml").read_text())
# One of each kind: with a survey, without, of the type check, and those of the workflow. Each takes half a second.
USED = ("plan", "reconcile", "check", "reconcile the approved plan")


def configure(awx, folder):
    """Run the playbook with some of the templates; return its output."""
    templates = [each for each in CONTROLLER["awx_templates"] if each["name"].removeprefix("Egress IP - ") in USED]
    paths = f"{collection.FOLDER}:{ROOT.parents[2]}"
    own = {"CONTROLLER_HOST": awx.url, "CONTROLLER_OAUTH_TOKEN": TOKEN, "HOME": str(folder)}
    program = str(Path(sys.executable).with_name("ansible-playbook"))
    argv = [program, "-i", "localhost,", "-c", "local", "-e", f"ansible_python_interpreter={sys.executable}"]
    argv += ["-e", json.dumps({"awx_templates": templates}), "configure.yml"]
    ended = subprocess.run(
        argv,
        cwd=PROJECT,
        env=environment(**own, ANSIBLE_COLLECTIONS_PATH=paths),
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr
    return ended.stdout


@pytest.fixture(scope="module")
def configured(tmp_path_factory):
    """Return an AWX with an organization, an inventory and a credential after two runs, and the output of both."""
    if not collection.is_installed():
        collection.install()
    with Awx().running() as awx:
        organization = awx.add("organizations", name=CONTROLLER["awx_organization"])["id"]
        awx.add("inventories", name=CONTROLLER["awx_inventory"], organization=organization)
        for name in CONTROLLER["awx_credentials"]:
            awx.add("credentials", name=name)
        folder = tmp_path_factory.mktemp("home")
        outputs = [configure(awx, folder)]
        changes = len(awx.changes)
        outputs.append(configure(awx, folder))
        yield awx, outputs, awx.changes[changes:]


def by_name(awx, kind):
    return {each.get("name", each.get("identifier")): each for each in awx.objects[kind]}


def test_a_second_run_changes_nothing(configured):
    _awx, (first, second), changes = configured
    assert re.search(r"changed=[1-9]", first)
    assert changes == []
    assert "changed=0" in second, second


def test_the_job_templates_are_complete(configured):
    awx, _outputs, _changes = configured
    templates = by_name(awx, "job_templates")
    (credential,) = awx.objects["credentials"]
    assert {f"Egress IP - {name}" for name in USED} == set(templates)
    for name, template in templates.items():
        assert (template["job_slice_count"], template["allow_simultaneous"]) == (1, False)
        assert template["forks"] == CONTROLLER["awx_forks"]
        assert template["job_type"] == ("check" if name.endswith("check") else "run")
        assert awx.related[template["url"], "credentials"] == [credential["id"]]
        assert template["survey_enabled"] == (template["url"] in awx.surveys)
    plan = templates["Egress IP - plan"]
    assert awx.surveys[plan["url"]] == json.loads((PROJECT / "surveys/plan.json").read_text())


def test_the_workflow_asks_for_approval_between_plan_and_reconcile(configured):
    awx, _outputs, _changes = configured
    nodes, templates = by_name(awx, "workflow_job_template_nodes"), by_name(awx, "job_templates")
    numbers = {name: node["id"] for name, node in nodes.items()}
    following = {name: awx.related.get((node["url"], "success_nodes"), []) for name, node in nodes.items()}
    assert following == {"plan": [numbers["approve"]], "approve": [numbers["reconcile"]], "reconcile": []}
    assert nodes["plan"]["unified_job_template"] == templates["Egress IP - plan"]["id"]
    assert nodes["reconcile"]["unified_job_template"] == templates["Egress IP - reconcile the approved plan"]["id"]
    (approval,) = awx.objects["workflow_approval_templates"]
    assert nodes["approve"]["unified_job_template"] == approval["id"]
    assert approval["timeout"] == 86400


def test_the_schedule_is_off(configured):
    awx, _outputs, _changes = configured
    (schedule,) = awx.objects["schedules"]
    template = by_name(awx, "job_templates")["Egress IP - reconcile"]
    assert (schedule["enabled"], schedule["unified_job_template"]) == (False, template["id"])
