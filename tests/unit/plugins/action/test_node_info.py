# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is sent to observe a host; and a busy controller is not taken for dead nodes, in runs without hosts."""

from __future__ import annotations

import json
import subprocess
from types import SimpleNamespace

import pytest
import yaml
from ansible.errors import AnsibleActionFail
from ansible.parsing.dataloader import DataLoader
from ansible.plugins.action import ActionBase
from ansible.template import Templar, trust_as_template
from ansible_collections.netops.egress_ip.plugins.action.node_info import _AS_TEXT
from ansible_collections.netops.egress_ip.plugins.action.node_info import ActionModule as Action
from ansible_collections.netops.egress_ip.plugins.module_utils._host_io.files import PROGRAM_FILE
from ansible_collections.netops.egress_ip.plugins.module_utils._reconcile.controller import SLOW
from ansible_collections.netops.egress_ip.plugins.module_utils._reconcile.providers import SIGNS
from ansible_collections.netops.egress_ip.plugins.modules.node_info import RETURN
from ansible_collections.netops.egress_ip.plugins.plugin_utils import _node_action
from ansible_collections.netops.egress_ip.plugins.plugin_utils._node_action import (
    COMPILED_PROGRAM,
    PROGRAM_DIGEST,
    NodeAction,
    without_control,
)
from ansible_collections.netops.egress_ip.plugins.plugin_utils._node_clock import AnswerTimeoutError
from ansible_collections.netops.egress_ip.plugins.plugin_utils._variables import hosts_of
from playbook_fleet import COLLECTION, PlaybookFleet
from setting_sources import task_variables

LIMIT = ["-e", "egress_ip_answer_timeout=10"]
# Delays the process of each host at another place: before it connects, while it prepares the module, without processor
# while it waits for the node, and without one so that the connection fails, twice. Each host has a process of its own.
DELAYS = """

import signal
import time

from ansible.errors import AnsibleConnectionFailure
from ansible.plugins.connection.local import Connection

usual_execute, usual_run, failures = Connection.exec_command, ActionModule.run, [1, 2]


def without_processor(seconds):
    # Signals wait, and several of one kind are one.
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGALRM})
    time.sleep(seconds)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGALRM})


def before_it_connects():
    answer_timeout, run_module = ActionModule.answer_timeout, ActionModule._run_module

    def later(original):
        return lambda *arguments: (time.sleep(12), original(*arguments))[1]

    ActionModule.answer_timeout, ActionModule._run_module = later(answer_timeout), later(run_module)


def while_it_prepares_the_module():
    def configure(self, *arguments, **options):
        time.sleep(12)
        return super(ActionModule, self)._configure_module(*arguments, **options)

    ActionModule._configure_module = configure


def without_processor_while_it_waits():
    def execute(self, *arguments, **options):
        done = usual_execute(self, *arguments, **options)
        if failures:
            failures.pop()
            without_processor(12)
        return done

    Connection.exec_command = execute


def without_processor_and_connection():
    def execute(self, *arguments, **options):
        if failures:
            failures.pop()
            without_processor(12)
            raise AnsibleConnectionFailure("Connection timed out during banner exchange")
        return usual_execute(self, *arguments, **options)

    Connection.exec_command = execute


DELAYED = {
    "node1": before_it_connects,
    "node2": while_it_prepares_the_module,
    "node3": without_processor_while_it_waits,
    "node4": without_processor_and_connection,
}


def run(self, tmp=None, task_vars=None):
    DELAYED[task_vars["inventory_hostname"]]()
    return usual_run(self, tmp, task_vars)


ActionModule.run = run
"""
ACTION = "plugins/action/node_info.py"


def test_a_node_is_observed_with_the_options(sent):
    options = sent(Action, answer_timeout=15, interface="eth1", options={"tunnel_port": 4791}, recall=["node2"])
    assert options == {
        "mode": "observed",
        "options": {"tunnel_port": 4791},
        "observe": {"interface": "eth1", "recall": ["node2"], "networks": [], "platforms": SIGNS},
        "program_digest": PROGRAM_DIGEST,
    }


def test_without_options(sent):
    plain = {"mode": "observed", "options": {}, "observe": {"networks": [], "platforms": SIGNS}}
    assert sent(Action) == {**plain, "program_digest": PROGRAM_DIGEST}


def of_run(**more):
    host = {"interface": "eth2", "platform": "auto", "networks": {}, "follow": ["docker"]}
    common = {"answer_timeout": 15}
    settings = {"hosts": {"node1": host}, "options": {"tunnel_port": 4792}, "common": common}
    manifests = {"broken": ["a"], "pooled": ["b"], "contested": [], "network_names": ["podman:web"]}
    manifests["engines"] = [{"engine": "podman", "namespace": "default", "namespaces": []}]
    registered = {"egress_ip_settings": settings, "egress_ip_manifests_info": manifests}
    return {"inventory_hostname": "node1", **registered, **more}


def observe_options(**more):
    """What the options of the run become."""
    observe = {
        "interface": "eth2",
        "platform": "auto",
        "platforms": SIGNS,
        "recall": ["a", "b"],
        "networks": ["podman:web"],
        "engines": ["podman"],
        "follow": ["docker"],
        "metrics": False,
        "probe": False,
    }
    return {"options": {"tunnel_port": 4792}, "observe": {**observe, **more}}


@pytest.mark.parametrize("details", [False, True])
def test_the_options_of_the_run(sent, details):
    options = sent(Action, of_run(__egress_ip_details=details), of_run=True, platform="vsphere")
    expected = observe_options(platform="vsphere", metrics=details, probe=details)
    assert {name: options[name] for name in expected} == expected


@pytest.mark.parametrize("forged", [{}, {"facts": "[]"}, {"facts": 5}])
def test_the_facts_for_a_run_are_one_text(monkeypatch, forged):
    given = {"changed": False, "digest": "1f6c", "packages": [], "held": [], "interface": "eth0"}
    monkeypatch.setattr(ActionBase, "run", lambda self, tmp, task_vars: {"changed": False})
    monkeypatch.setattr(ActionBase, "_is_pipelining_enabled", lambda *_arguments: False)
    monkeypatch.setattr(ActionBase, "_execute_module", lambda self, **options: {**given, **forged})
    results = []
    for args in ({"of_run": True}, {}):
        action = Action(SimpleNamespace(args=args, async_val=0), None, None, None, None, None)
        results.append(action.run(None, of_run()))
    sent, plain = results
    assert {*sent} == {"changed", "digest", "packages", "facts"}
    assert plain == given
    variables = task_variables(node1={"egress_ip_node_info": sent}, node2={"egress_ip_node_info": plain})
    assert [host["observed"] for host in hosts_of(variables, ["node1", "node2"])] == [given, given]


FACTS = {"digest": "1f6c", "packages": [], "held": []}
BY_MODULE = {"changed": False, "digest": "by the module", "packages": []}


@pytest.fixture
def asked(monkeypatch):
    """Return a function that gathers facts from a node with this answer to a question; and the questions."""
    questions: list = []
    calls: list = []

    def gather(answer, variables=None, pipelining=True, shell="sh", environment="", **options):
        def execute(_self, command, in_data):
            questions.append((command, json.loads(in_data)))
            return {"rc": 0, "stderr": "", **answer}

        def run_module(_self, module_args, **_more):
            calls.append(module_args)
            return BY_MODULE

        monkeypatch.setattr(ActionBase, "run", lambda *_arguments: {})
        monkeypatch.setattr(ActionBase, "_is_pipelining_enabled", lambda *_arguments: pipelining)
        monkeypatch.setattr(ActionBase, "_low_level_execute_command", execute)
        monkeypatch.setattr(ActionBase, "_execute_module", run_module)
        monkeypatch.setattr(ActionBase, "_compute_environment_string", lambda *_arguments: environment)
        task = SimpleNamespace(args={"of_run": True, **options}, async_val=0)
        connection = SimpleNamespace(_shell=SimpleNamespace(SHELL_FAMILY=shell))
        templar = Templar(DataLoader(), variables={"chosen": "/opt/python3.12"})
        return Action(task, connection, None, None, templar, None).run(None, of_run(**(variables or {})))

    return SimpleNamespace(gather=gather, questions=questions, calls=calls)


def test_the_compiled_program_is_asked_without_the_module(asked):
    result = asked.gather({"stdout": f"Welcome!\r\n{json.dumps(FACTS)}\r\n"})
    assert result == {"digest": "1f6c", "packages": [], "facts": '{"held":[]}'}
    ((_command, options),) = asked.questions
    assert options == observe_options()
    assert asked.calls == []


@pytest.mark.parametrize(
    "answer",
    [
        {"stdout": ""},
        {"stdout": "[]"},
        {"stdout": "[" * 5000},
        {"stdout": "", "stderr": "Traceback (most recent call last):"},
    ],
)
def test_without_an_answer_the_module_is_called(asked, answer):
    assert asked.gather(answer)["digest"] == "by the module"
    (options,) = asked.calls
    assert options["program_digest"] == PROGRAM_DIGEST


def test_a_node_without_the_program_gets_it_at_once(asked):
    assert asked.gather({"stdout": '{"program_missing": true}'})["digest"] == "by the module"
    (options,) = asked.calls
    assert "program" in options


@pytest.mark.parametrize("without", [{"pipelining": False}, {"shell": "powershell"}])
def test_a_question_needs_a_shell_that_passes_it_on(asked, without):
    assert asked.gather({"stdout": json.dumps(FACTS)}, **without)["digest"] == "by the module"
    assert asked.questions == []


def test_options_of_the_task_itself_are_left_to_the_module_that_converts_them(asked):
    assert asked.gather({"stdout": json.dumps(FACTS)}, metrics="false")["digest"] == "by the module"
    assert asked.questions == []


def test_a_question_that_failed_takes_no_time_of_the_module(asked, monkeypatch):
    clocks = []
    usual = Action._low_level_execute_command

    def execute(self, *arguments, **options):
        clocks.append(self._clock)
        return usual(self, *arguments, **options)

    monkeypatch.setattr(Action, "_low_level_execute_command", execute)
    monkeypatch.setattr(NodeAction, "_call", lambda self, **_program: clocks.append(self._clock) or BY_MODULE)
    asked.gather({"stdout": ""})
    first, second = clocks
    assert first is not second
    assert first.limit == second.limit == 15


def test_a_node_that_spends_its_time_twice_does_not_accuse_the_controller(asked, monkeypatch):
    """It answers a question too late with what is no answer, and the module not at all."""

    def execute(self, *_arguments, **_options):
        self._clock._ticks = 39
        return {"rc": 0, "stdout": "later", "stderr": ""}

    def call(self, **_program):
        self._clock._ticks = 40
        raise AnswerTimeoutError

    moments = iter([0.0, 30.2])
    monkeypatch.setattr(Action, "_low_level_execute_command", execute)
    monkeypatch.setattr(NodeAction, "_call", call)
    monkeypatch.setattr(_node_action, "time", SimpleNamespace(monotonic=lambda: next(moments)))
    result = asked.gather({"stdout": ""})
    assert result["msg"] == "Timed out after 15 seconds"
    assert SLOW not in result


def test_the_environment_of_the_task_is_that_of_the_question(asked):
    asked.gather({"stdout": "{}"}, environment="LD_LIBRARY_PATH=/opt/lib")
    ((command, _options),) = asked.questions
    assert f"; then LD_LIBRARY_PATH=/opt/lib sh {COMPILED_PROGRAM}/observe || " in command


def test_an_answer_has_the_facts_alone(asked):
    others = {"warnings": 5, "exception": "x", "invocation": {}, "deprecations": [[]], "rc": 1, "diff": {}}
    result = asked.gather({"stdout": json.dumps({**FACTS, **others})})
    assert set(result) == {"digest", "packages", "facts"}


@pytest.mark.parametrize(
    ("given", "call"),
    [
        (None, "sh FOLDER/observe"),
        ("auto_silent", "sh FOLDER/observe"),
        ("/usr/bin/python3.9", "/usr/bin/python3.9 -I FOLDER observe"),
        ("{{ chosen }}", "/opt/python3.12 -I FOLDER observe"),
        ("{{ typo }}", "sh FOLDER/observe"),
    ],
)
def test_the_python_of_the_inventory_is_used(asked, given, call):
    asked.gather({"stdout": "{}"}, {"ansible_python_interpreter": trust_as_template(given)} if given else {})
    ((command, _options),) = asked.questions
    assert f"; then  {call.replace('FOLDER', COMPILED_PROGRAM)} || cat >/dev/null; elif" in command


MISSING = '{"program_missing": true}\n'


@pytest.mark.parametrize(
    ("mode", "installed", "expected"),
    [
        (0o700, True, "asked\n"),
        (0o700, False, "asked\n"),
        (0o750, True, ""),
        (0o1777, False, MISSING),
        (None, True, ""),
        (None, False, MISSING),
    ],
)
def test_the_shell_of_a_node_asks_only_a_program_that_root_alone_can_change(asked, tmp_path, mode, installed, expected):
    asked.gather({"stdout": "{}"})
    ((command, _options),) = asked.questions
    if mode is not None:
        (tmp_path / "compiled").mkdir()
        (tmp_path / "compiled").chmod(mode)
        (tmp_path / "compiled/observe").write_text("cat >/dev/null; echo asked\n")
    if installed:
        (tmp_path / "installed").touch()
    command = command.replace(COMPILED_PROGRAM, str(tmp_path / "compiled"))
    command = command.replace(str(PROGRAM_FILE), str(tmp_path / "installed"))
    # More than a pipe holds: whoever does not read it breaks the connection.
    done = subprocess.run(["sh", "-c", command], input="x" * 200_000, capture_output=True, text=True, check=True)
    assert (done.stdout, done.stderr) == (expected, "")


def test_a_question_that_fails_early_is_read_to_its_end(asked, tmp_path):
    asked.gather({"stdout": "{}"})
    ((command, _options),) = asked.questions
    (tmp_path / "compiled").mkdir(mode=0o700)
    (tmp_path / "compiled/observe").write_text("exec /gone/python3\n")
    command = command.replace(COMPILED_PROGRAM, str(tmp_path / "compiled"))
    done = subprocess.run(["sh", "-c", command], input="x" * 200_000, capture_output=True, text=True, check=True)
    assert done.stdout == ""


@pytest.mark.parametrize("make", ["chown 1 compiled", "mv compiled real; ln -s real compiled"])
def test_a_folder_of_another_user_or_a_link_is_not_asked(asked, tmp_path, make):
    asked.gather({"stdout": "{}"})
    ((command, _options),) = asked.questions
    (tmp_path / "compiled").mkdir(mode=0o700)
    (tmp_path / "compiled/observe").write_text("echo asked\n")
    subprocess.run(["sh", "-ec", make], cwd=tmp_path, check=True)
    command = command.replace(COMPILED_PROGRAM, str(tmp_path / "compiled")).replace(str(PROGRAM_FILE), "/gone")
    done = subprocess.run(["sh", "-c", command], input="{}", capture_output=True, text=True, check=True)
    assert done.stdout == MISSING


def test_options_may_be_texts_as_templates_give_them(sent):
    assert "engines" not in sent(Action, of_run="false", answer_timeout="15")["observe"]
    assert "engines" in sent(Action, of_run(), of_run="true")["observe"]


@pytest.mark.parametrize("given", ["soon", -1, [5]])
def test_a_time_that_is_no_number(sent, given):
    with pytest.raises(AnsibleActionFail, match=r"^answer_timeout: must be a number of 0 or more, not "):
        sent(Action, answer_timeout=given)


def test_the_options_of_the_run_need_its_results(sent):
    with pytest.raises(AnsibleActionFail, match=r"egress_ip_settings: must be the registered result"):
        sent(Action, {"inventory_hostname": "node1"}, of_run=True)


def test_a_node_that_does_not_answer_is_unavailable(tmp_path):
    ended = PlaybookFleet(tmp_path).good("plan", *LIMIT, environment={"EGRESS_IP_TEST_SLOW": "60"})
    assert "node node1 gives no answer: Timed out after 10 seconds" in ended.output


def test_a_busy_controller_is_said_and_no_node_is_dead(tmp_path):
    fleet = PlaybookFleet(tmp_path, count=4)
    fleet.replace(ACTION, (COLLECTION / ACTION).read_text() + DELAYS)
    ended = fleet.good("plan", *LIMIT)
    assert "no answer" not in ended.output
    assert "Nodes to change: node1, node2, node3, node4" in ended.output
    (line,) = [line for line in ended.lines if "controller" in line]
    assert line.strip().startswith("the controller is slow: node1, node2, node3 and 1 more waited up to ")


def test_a_result_of_a_node_does_not_accuse_the_controller():
    assert without_control({"controller_seconds": 1000, "held": []}) == {"held": []}


def test_the_documentation_names_the_facts_of_a_run():
    documented = yaml.safe_load(RETURN)
    in_text = {name for name, value in documented.items() if value["returned"].startswith("without O(of_run)")}
    assert in_text == _AS_TEXT
    assert documented["facts"]["returned"] == "with O(of_run)"
