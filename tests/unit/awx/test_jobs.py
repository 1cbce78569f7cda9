# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Jobs as AWX runs them: ansible-runner, the project of examples/awx, an inventory script, answers of surveys."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import pytest
from forked_ansible import deprecations
from local_fleet import ROOT, egressips, environment, local_fleet, pods, write_manifests

PROJECT = ROOT / "examples/awx"
NODES, PODS, OBJECTS = 4, 2000, 20
# AWX drops the result of a task above 700,000 characters; docs/awx.md promises this limit.
MAX_EVENT = 64_000
SECRET = "0123456789abcdefghijklmnopqrstuvwxyz"
SCRIPT = "#!/bin/sh\ncat <<'EOF'\n{}\nEOF\n"


@dataclass(frozen=True)
class Job:
    """A job that has ended: exit code, events in order, and what it printed."""

    code: int
    events: tuple[dict, ...]
    output: str

    @property
    def artifacts(self):
        """What AWX gives the next job of a workflow."""
        (stats,) = [event["event_data"] for event in self.events if event["event"] == "playbook_on_stats"]
        return stats["artifact_data"]

    def results(self, task):
        """Return the results of a task."""
        named = [event["event_data"] for event in self.events if event["event_data"].get("task") == task]
        return [data["res"] for data in named if "res" in data]


class Controller:
    """Runs jobs; each has a folder of its own, as on AWX."""

    def __init__(self, folder, inventory):
        self.folder, self.inventory = folder, inventory
        self.started = 0

    def job(self, playbook, *words, survey=None, environment=None, **variables):
        """Run a job; `survey` are answers as AWX passes them, `words` options of ansible-playbook."""
        self.started += 1
        data = self.folder / f"job{self.started}"
        shutil.copytree(PROJECT, data / "project")
        for name in ("inventory", "env"):
            (data / name).mkdir()
        script = data / "inventory/hosts"
        script.write_text(SCRIPT.format(json.dumps(self.inventory)))
        script.chmod(0o755)
        given = {"egress_ip_manifests": [str(self.folder / "manifests.json")], **variables, **(survey or {})}
        (data / "env/extravars").write_text(json.dumps(given))
        (data / "env/envvars").write_text(json.dumps(environment or {}))
        if words:
            (data / "env/cmdline").write_text(" ".join(words))
        argv = [
            sys.executable,
            "-m",
            "ansible_runner",
            "run",
            str(data),
            "--playbook",
            f"{playbook}.yml",
            "--ident",
            "1",
        ]
        ended = subprocess.run(argv, env=runner_environment(), capture_output=True, text=True, check=False)
        job = read_job(data / "artifacts/1", ended.returncode)
        assert deprecations(job.output) == []
        return job


def runner_environment():
    """Return the environment of ansible-runner, which chooses the callback itself."""
    return {name: value for name, value in environment().items() if name != "ANSIBLE_STDOUT_CALLBACK"}


def read_job(artifacts, code):
    paths = sorted((artifacts / "job_events").glob("*.json"), key=lambda path: int(path.name.partition("-")[0]))
    events = tuple(json.loads(path.read_text()) for path in paths)
    return Job(code, events, (artifacts / "stdout").read_text())


@pytest.fixture(scope="module")
def controller(tmp_path_factory):
    """Return a controller with a fleet of 4 nodes and 2,000 pods."""
    folder = tmp_path_factory.mktemp("awx")
    write_manifests(folder, [*egressips(OBJECTS), *pods(PODS, NODES, OBJECTS)])
    with local_fleet(folder, NODES) as fleet:
        hosts = fleet["egress_ip_nodes"]["hosts"]
        # The nodes are processes of this machine, which may be busy.
        variables = {"egress_ip_excluded_cidrs": ["10.88.0.0/16"], "egress_ip_answer_timeout": 300}
        group = {"hosts": list(hosts), "vars": variables}
        yield Controller(folder, {"egress_ip_nodes": group, "_meta": {"hostvars": hosts}})


@pytest.fixture(scope="module")
def planned(controller):
    return controller.job("plan", egress_ip_tunnel_secret=SECRET)


@pytest.fixture(scope="module")
def checked(controller):
    """Return a job of type check."""
    return controller.job("reconcile", "--check", egress_ip_tunnel_secret=SECRET)


def too_large(job):
    sizes = {f"{event['event']} {event['event_data'].get('task', '')}": len(json.dumps(event)) for event in job.events}
    return {name: size for name, size in sizes.items() if size > MAX_EVENT}


def test_the_jobs_succeed(planned, checked):
    assert planned.code == 0, planned.output
    assert checked.code == 0, checked.output


@pytest.mark.parametrize("job", ["planned", "checked"])
def test_no_event_is_too_large(request, job):
    assert too_large(request.getfixturevalue(job)) == {}


@pytest.mark.parametrize("job", ["planned", "checked"])
def test_no_secret_is_in_an_event_or_in_the_output(request, job):
    done = request.getfixturevalue(job)
    assert SECRET not in json.dumps(done.events)
    assert SECRET not in done.output


def test_the_report_is_in_the_events_line_by_line(planned):
    assert "EGRESS IP" in planned.output
    assert "Nodes to change: node1, node2, node3, node4" in planned.output


def test_a_job_may_have_the_short_output(controller):
    """docs/awx.md has the variable."""
    job = controller.job("plan", environment={"ANSIBLE_STDOUT_CALLBACK": "netops.egress_ip.brief"})
    assert job.code == 0, job.output
    assert "EGRESS IP" in job.output
    assert f"Digest of the plan: {job.artifacts['egress_ip']['digest']}" in job.output
    assert re.findall(r"^TASK \[.* : (.*)\] \**$", job.output, re.MULTILINE) == ["Show the plan"]


def test_the_result_is_the_artifact_of_the_job(planned):
    result = planned.artifacts["egress_ip"]
    assert len(result["assignments"]) == 2 * OBJECTS
    assert f"Digest of the plan: {result['digest']}" in planned.output


def test_check_mode_changes_nothing_and_says_what_would(checked):
    assert checked.artifacts["egress_ip"]["changed"] == [f"node{number}" for number in range(1, NODES + 1)]


def test_jobs_at_the_same_time_make_the_same_plan(controller):
    with ThreadPoolExecutor() as pool:
        jobs = list(pool.map(lambda _number: controller.job("plan"), range(2)))
    assert [job.code for job in jobs] == [0, 0]
    assert len({job.artifacts["egress_ip"]["digest"] for job in jobs}) == 1


def answers(survey, **given):
    """Return answers as AWX passes them: all of them text, empty where nothing was typed."""
    spec = json.loads((PROJECT / f"surveys/{survey}.json").read_text())["spec"]
    assert given.keys() <= {question["variable"] for question in spec}
    return {question["variable"]: given.get(question["variable"], question.get("default", "")) for question in spec}


@pytest.mark.parametrize(("playbook", "words"), [("plan", ()), ("reconcile", ("--check",)), ("status", ())])
def test_an_empty_survey_is_as_no_survey(controller, playbook, words):
    job = controller.job(playbook, *words, survey=answers(playbook))
    assert job.code == 0, job.output


def test_answers_of_a_survey_are_text(controller):
    given = answers("plan", egress_ip_drain_nodes="node1, node2", egress_ip_max_moves="3", egress_ip_strict="true")
    job = controller.job("plan", survey=given)
    assert job.code == 0, job.output
    assert {entry["node"] for entry in job.artifacts["egress_ip"]["assignments"]} == {"node3", "node4"}


def test_a_drain_without_a_node_is_one_clear_error(controller):
    job = controller.job("drain", "--check", survey=answers("drain"))
    assert job.code != 0
    assert "egress_ip_drain_nodes: is empty; this playbook needs it" in job.output


def test_only_the_approved_plan_is_applied(controller, planned):
    approved = controller.job("reconcile_approved", "--check", egress_ip=planned.artifacts["egress_ip"])
    assert approved.code == 0, approved.output
    other = controller.job("reconcile_approved", "--check", egress_ip={"digest": "0123456789abcdef"})
    assert other.code != 0
    assert "the plan is not the one with the digest 0123456789abcdef" in other.output
    without = controller.job("reconcile_approved", "--check")
    assert without.code != 0
    assert "start the workflow instead of this job" in without.output
