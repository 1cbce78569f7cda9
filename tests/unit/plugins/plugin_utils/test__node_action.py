# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a node sends back cannot change variables or the inventory on the controller."""

from __future__ import annotations

import json
import time
from types import SimpleNamespace

import pytest
from ansible import constants
from ansible.errors import AnsibleConnectionFailure
from ansible.plugins import loader
from ansible.plugins.action import ActionBase
from ansible.plugins.loader import action_loader, connection_loader
from ansible_collections.netops.egress_ip.plugins.action import node, node_info, node_packages
from ansible_collections.netops.egress_ip.plugins.action.node_info import ActionModule
from ansible_collections.netops.egress_ip.plugins.module_utils._common.text_fields import with_plain_texts, with_texts
from ansible_collections.netops.egress_ip.plugins.module_utils._reconcile.node_answer import FAULTY, read_answer
from ansible_collections.netops.egress_ip.plugins.plugin_utils._node_action import TooLongError
from ansible_collections.netops.egress_ip.plugins.plugin_utils._node_clock import NodeClock
from ansible_collections.netops.egress_ip.plugins.plugin_utils._variables import hosts_of
from hypothesis import given
from hypothesis import strategies as st
from setting_sources import task_variables


def observed(facts):
    """Return what the plan gets of the facts of a node."""
    (host,) = hosts_of(task_variables(node1={"egress_ip_node_info": facts}), ["node1"])
    return host["observed"]


def test_a_node_cannot_set_variables(monkeypatch):
    sent = {
        "ansible_facts": {"egress_ip_labels": {"k8s.ovn.org/egress-assignable": ""}},
        "ansible_stats": {"data": {}},
        "add_host": {"host_name": "node9"},
        "add_group": "egress_ip_nodes",
        "held": [],
    }
    monkeypatch.setattr(ActionBase, "run", lambda self, tmp, task_vars: {"changed": False})
    monkeypatch.setattr(ActionBase, "_execute_module", lambda self, **options: dict(sent))
    task = SimpleNamespace(args={}, async_val=0)
    action = ActionModule(task, None, None, None, None, None)
    assert action.run() == {"changed": False, "held": []}


@pytest.mark.parametrize(("plugin", "limit"), [(node, 1 << 24), (node_info, 1 << 23)], ids=["node", "node_info"])
@pytest.mark.parametrize(
    ("make", "excess"),
    [
        (lambda limit: "x" * limit, 0),
        (lambda limit: "x" * (limit + 1), 1),
        (lambda limit: "," * (limit // 16), 0),
        (lambda limit: "[{," * (limit // 48 + 1), 1),
    ],
    ids=["long", "too long", "many values", "too many values"],
)
def test_an_output_that_is_too_long_never_becomes_values(monkeypatch, plugin, limit, make, excess):
    text = make(limit)
    monkeypatch.setattr(ActionBase, "run", lambda self, tmp, task_vars: {})
    monkeypatch.setattr(ActionBase, "_low_level_execute_command", lambda self, *_arguments: {"stdout": text})
    monkeypatch.setattr(
        ActionBase,
        "_execute_module",
        lambda self, **_options: {"read": len(self._low_level_execute_command("python")["stdout"])},
    )
    done = plugin.ActionModule(SimpleNamespace(args={}, async_val=0), None, None, None, None, None).run()
    if not excess:
        assert done == {"read": len(text)}
        return
    answer = read_answer(done)
    assert (answer.kind, answer.reasons) == (
        FAULTY,
        (f"gives too long an answer: must be at most {limit} characters of JSON",),
    )


@pytest.mark.parametrize(("excess", "refused"), [(0, False), (1, True)])
def test_errors_beside_an_answer_that_are_too_long_are_not_read_either(monkeypatch, excess, refused):
    sent = {"stdout": "", "stderr": "x" * ((1 << 23) + excess)}
    monkeypatch.setattr(ActionBase, "_low_level_execute_command", lambda self, *_arguments: sent)
    action = ActionModule(SimpleNamespace(args={}, async_val=0), None, None, None, None, None)
    if not refused:
        assert action._low_level_execute_command("python") == sent
        return
    with pytest.raises(TooLongError, match="gives too long an answer"):
        action._low_level_execute_command("python")


def test_a_node_cannot_fill_the_message_of_a_lost_connection(monkeypatch):
    def fail(self, **_options):
        raise AnsibleConnectionFailure("Failed to connect to the host via ssh: " + "x" * 10_000_000)

    monkeypatch.setattr(ActionBase, "run", lambda self, tmp, task_vars: {})
    monkeypatch.setattr(ActionBase, "_execute_module", fail)
    action = ActionModule(SimpleNamespace(args={}, async_val=0), None, None, None, None, None)
    with pytest.raises(AnsibleConnectionFailure, match="via ssh: xxx") as caught:
        action.run()
    assert len(str(caught.value)) < 20_000


def test_lines_beside_the_answer_control_no_terminal(monkeypatch):
    sent = {"stdout": '\x1b[2Jx\n{"a": "\x9b\u00fc\u00a0\u202e"}\r\n', "stderr": "\x9b", "rc": 0}
    monkeypatch.setattr(ActionBase, "_low_level_execute_command", lambda self, *_arguments: sent)
    action = ActionModule(SimpleNamespace(args={}, async_val=0), None, None, None, None, None)
    done = action._low_level_execute_command("python")
    assert done == {
        "stdout": '\\u001b[2Jx\n{"a": "\\u009b\u00fc\u00a0\\u202e"}\r\n',
        "stderr": "\\u009b",
        "rc": 0,
    }
    assert json.loads(done["stdout"].partition("\n")[2]) == {"a": "\x9b\u00fc\u00a0\u202e"}


CONTROL = "\x9b2J\u202e"


def dumped(result):
    """Return a result as callbacks show it."""
    return json.dumps(result, ensure_ascii=False)


@pytest.mark.parametrize("plugin", [node, node_info], ids=["node", "node_info"])
@pytest.mark.parametrize(
    "more", [{"held": [CONTROL]}, {CONTROL: 1}, with_texts({"containers": [CONTROL] * 1000}), {"nodes": CONTROL}]
)
def test_no_field_of_a_failure_controls_the_terminal(monkeypatch, plugin, more):
    sent = {"failed": True, "msg": "x", **more}
    monkeypatch.setattr(ActionBase, "run", lambda self, tmp, task_vars: {})
    monkeypatch.setattr(ActionBase, "_execute_module", lambda self, **options: dict(sent))
    done = plugin.ActionModule(SimpleNamespace(args={}, async_val=0), None, None, None, None, None).run()
    assert not any(character in dumped(done) for character in CONTROL[:1] + CONTROL[-1:])
    assert "202e" in dumped(done)
    if "containers" in more:
        assert json.loads(done["containers"]) == [CONTROL] * 1000


def test_what_a_node_says_when_its_connection_fails_does_not_either(monkeypatch):
    def fail(self, **_options):
        raise AnsibleConnectionFailure(f"Failed to connect to the host via ssh: {CONTROL}\r\n")

    monkeypatch.setattr(ActionBase, "run", lambda self, tmp, task_vars: {})
    monkeypatch.setattr(ActionBase, "_execute_module", fail)
    action = ActionModule(SimpleNamespace(args={}, async_val=0), None, None, None, None, None)
    with pytest.raises(AnsibleConnectionFailure) as caught:
        action.run()
    assert "via ssh: \\u009b2J\\u202e" in str(caught.value)
    assert CONTROL not in str(caught.value)


def silent(action):
    with action._clock.waiting():
        time.sleep(300)


def garrulous(_action):
    raise TooLongError("gives too long an answer")


@pytest.mark.parametrize("answer", [silent, garrulous])
def test_no_answer_of_a_node_ends_the_process_that_cleans_up(monkeypatch, answer):
    monkeypatch.setattr(ActionBase, "cleanup", lambda self, force=False: answer(self))
    action = ActionModule(SimpleNamespace(args={}, async_val=0), None, None, None, None, None)
    action._clock = NodeClock(0.2)
    action.cleanup()


@given(
    st.recursive(
        st.none() | st.integers() | st.text(), lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner)
    )
)
def test_the_record_of_other_nodes_travels_as_a_text(nodes):
    facts = {"generation": 3, "nodes": nodes}
    sent = with_plain_texts(with_texts(facts))
    assert isinstance(sent["nodes"], str)
    assert observed(sent) == facts


@pytest.mark.parametrize("facts", [{}, {"failed": True, "msg": "timed out"}, {"nodes": []}, {"nodes": "no JSON"}])
def test_other_results_stay_as_they_are(facts):
    assert observed(facts) == facts


@pytest.mark.parametrize(
    ("transport", "settings", "options"),
    [
        ("ssh", {"connection_timeout": 5, "pipelining": True}, {}),
        ("ssh", {"connection_timeout": 3, "pipelining": True}, {"timeout": 3}),
        ("ssh", {"connection_timeout": 5, "pipelining": False}, {"pipelining": False}),
        ("ssh", None, {}),
        ("local", {"connection_timeout": 3, "pipelining": False}, {}),
    ],
)
@pytest.mark.parametrize("plugin", [node, node_info, node_packages], ids=["node", "node_info", "node_packages"])
def test_settings_of_ssh_that_are_not_the_defaults_apply_to_the_connection(
    monkeypatch, plugin, transport, settings, options
):
    given, used = {}, []

    def use(*_arguments, **_options):
        used.append(dict(given))
        return {}

    connection = SimpleNamespace(transport=transport, set_option=given.__setitem__)
    monkeypatch.setattr(action_loader, "get", lambda _name, **_options: SimpleNamespace(run=use))
    monkeypatch.setattr(ActionBase, "run", lambda *_arguments: {})
    monkeypatch.setattr(ActionBase, "_execute_module", use)
    arguments = {"names": ["nftables"]} if plugin is node_packages else {}
    task = SimpleNamespace(args=arguments, async_val=0, copy=SimpleNamespace)
    action = plugin.ActionModule(task, connection, None, None, None, loader)
    action.run(None, {"egress_ip_settings": {"common": settings}} if settings else {})
    assert used == [options]


def test_the_connection_plugin_ssh_has_these_options():
    connection_loader.get("ssh", class_only=True)
    defined = constants.config.get_configuration_definitions("connection", "ssh")
    assert {"timeout", "pipelining"} <= {*defined}
