# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the module `node` is sent: the program, and the state where no log shows it."""

from __future__ import annotations

import json
from types import SimpleNamespace

import pytest
from ansible.plugins.action import ActionBase
from ansible_collections.netops.egress_ip.plugins.action.node import ActionModule as Action
from ansible_collections.netops.egress_ip.plugins.plugin_utils._node_action import PROGRAM, PROGRAM_DIGEST


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


@pytest.mark.parametrize(("digest", "option"), [("", "program"), ("0123456789abcdef", "program_digest")])
def test_a_node_without_a_state_gets_the_program_at_once(sent, digest, option):
    options = sent(Action, {"egress_ip_node_info": {"digest": digest}}, mode="absent")
    assert {"program", "program_digest"} & {*options} == {option}


def test_a_node_without_the_program_gets_it_in_a_second_call(monkeypatch):
    calls = []

    def execute(_self, module_args, **_more):
        calls.append(module_args)
        return {"changed": True} if "program" in module_args else {"program_missing": True}

    monkeypatch.setattr(ActionBase, "run", lambda *_arguments: {})
    monkeypatch.setattr(ActionBase, "_execute_module", execute)
    action = Action(SimpleNamespace(args={"mode": "absent"}, async_val=0), None, None, None, None, None)
    assert action.run() == {"changed": True}
    assert calls == [{"mode": "absent", "program_digest": PROGRAM_DIGEST}, {"mode": "absent", "program": PROGRAM}]
