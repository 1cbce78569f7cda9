# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the module `node` is sent: the program, and the state where no log shows it."""

from __future__ import annotations

import json
import subprocess
from types import SimpleNamespace

import pytest
from ansible.plugins.action import ActionBase
from ansible_collections.netops.egress_ip.plugins.action.node import ActionModule as Action
from ansible_collections.netops.egress_ip.plugins.module_utils._host_io.files import PROGRAM_FILE
from ansible_collections.netops.egress_ip.plugins.module_utils._host_io.plugin_sources import WHOLE_PREFIX
from ansible_collections.netops.egress_ip.plugins.plugin_utils._node_action import PROGRAM_DIGEST, program


def test_the_state_is_in_an_option_that_is_not_logged(sent):
    state = {"name": "node1", "generation": 3, "pods": ["10.0.0.1"]}
    options = sent(Action, state=state, claim=False)
    assert json.loads(options.pop("state_json")) == state
    assert (options["state"]["name"], options["state"]["generation"]) == ("node1", 3)
    assert "pods" not in options["state"]
    assert (options["claim"], options["program_digest"]) == (False, PROGRAM_DIGEST)


@pytest.mark.parametrize("options", [{"mode": "absent"}, {"state": "{{ typo }}"}])
def test_options_without_a_state_stay_as_they_are(sent, options):
    assert sent(Action, **options) == {**options, "program_digest": PROGRAM_DIGEST}


@pytest.fixture
def calls(monkeypatch):
    """The options of each call of the module, which lacks the program."""
    found = []

    def execute(_self, module_args, **_more):
        found.append(module_args)
        return {"changed": True} if "program" in module_args else {"program_missing": True}

    monkeypatch.setattr(ActionBase, "run", lambda *_arguments: {})
    monkeypatch.setattr(ActionBase, "_execute_module", execute)
    return found


def run(is_async):
    task = SimpleNamespace(args={"mode": "absent"}, async_val=is_async)
    connection = SimpleNamespace(has_native_async=True)
    return Action(task, connection, None, None, None, None).run()


def test_a_node_without_the_program_gets_it_in_a_second_call(calls):
    assert run(is_async=0) == {"changed": True}
    assert calls == [{"mode": "absent", "program_digest": PROGRAM_DIGEST}, {"mode": "absent", "program": program()}]


def test_an_asynchronous_task_has_one_call(calls):
    assert run(is_async=30) == {"changed": True}
    assert calls == [{"mode": "absent", "program": program()}]


def run_shell(kept, installed, text, program_digest):
    """Return what a node with these files prints that gets the module with or without the program's digest."""
    command = {}

    def record(_self, cmd, **_options):
        command["text"] = cmd
        return {}

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ActionBase, "_low_level_execute_command", record)
        connection = SimpleNamespace(_shell=SimpleNamespace(SHELL_FAMILY="sh"))
        action = Action(SimpleNamespace(args={}, async_val=0), connection, None, None, None, None)
        action._may_lack_program = program_digest
        action._low_level_execute_command("wc -c", in_data=text)
    places = {f"{WHOLE_PREFIX}{PROGRAM_DIGEST}": kept, str(PROGRAM_FILE): installed}
    for place, path in places.items():
        assert not program_digest or place in command["text"]
        command["text"] = command["text"].replace(place, str(path))
    # Ansible appends `&& sleep 0`: ssh may drop the output of a command that ends at once.
    done = subprocess.run(["sh", "-c", f"{command['text']} && echo END"], input=text, capture_output=True, check=True)
    answer, end = done.stdout.splitlines()
    assert end == b"END"
    return json.loads(answer)


@pytest.mark.parametrize("present", [(), ("kept",), ("installed",)])
def test_the_shell_of_a_node_without_any_program_answers_for_it(tmp_path, present):
    """It reads all of the module: a pipe takes 64 kB without a reader."""
    for name in present:
        (tmp_path / name).touch()
    places, text = (tmp_path / "kept", tmp_path / "installed"), b"x" * 200_000
    answer = run_shell(*places, text, program_digest=True)
    assert answer == (len(text) if present else {"program_missing": True})
    assert run_shell(*places, text, program_digest=False) == len(text)
