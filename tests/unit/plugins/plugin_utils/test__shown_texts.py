# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a node answers cannot control the terminal on which a run is shown."""

from __future__ import annotations

import dataclasses
import json

import pytest
from ansible_collections.netops.egress_ip.plugins.plugin_utils._shown_texts import without_control_characters

UP = "\x1b[1A\x1b[2Kok: [node2]"


@dataclasses.dataclass
class Summary:
    """As in ansible-core 2.19 and newer."""

    event: object


@pytest.mark.parametrize("text", [UP, "\x9b2K", "a\rb", "\u202eb", "\x00"])
@pytest.mark.parametrize(
    "value",
    [
        lambda text: text,
        lambda text: [text],
        lambda text: [{"msg": text}],
        lambda text: [{text: "msg"}],
        lambda text: (Summary(text),),
        lambda text: Summary({"chain": [Summary(text)]}),
    ],
    ids=["text", "list", "mapping", "key", "object", "chain"],
)
@pytest.mark.parametrize("name", ["exception", "warnings", "deprecations"])
def test_what_controls_a_terminal_is_left_out(name, value, text):
    result = {"changed": False, "held": []}
    assert without_control_characters({**result, name: value(text)}) == result
    good = {**result, name: value("Traceback:\n  File 1")}
    assert without_control_characters(good) == good


@pytest.mark.parametrize(("name", "indent"), [("msg", "  "), ("module_stdout", ""), ("module_stderr", "")])
def test_texts_are_escaped_line_by_line(name, indent):
    assert without_control_characters({name: f"a\n{UP}"}) == {name: f"a\n{indent}\\x1b[1A\\x1b[2Kok: [node2]"}
    assert without_control_characters({name: None}) == {name: None}


@pytest.mark.parametrize(
    ("diff", "shown"),
    [
        ({"before": "a\n", "after": f"b\n{UP}\n"}, {"before": "a\n", "after": "b\n\\x1b[1A\\x1b[2Kok: [node2]\n"}),
        ({"before_header": UP, "before": [UP], "prepared": "a\rb", "after": ""}, {"prepared": "a\\rb", "after": ""}),
        ([{"prepared": UP}], {}),
        (UP, {}),
    ],
)
def test_a_difference_has_its_texts(diff, shown):
    assert without_control_characters({"changed": True, "diff": diff}) == {"changed": True, "diff": shown}


MARKS = ("\x7f", "\x9b2J", "\u061c", "\u200f", "\u2028", "\u202e", "\u2069", "\udc9b")


@pytest.mark.parametrize("mark", MARKS)
@pytest.mark.parametrize(
    "value",
    [
        lambda text: text,
        lambda text: [1, None, text],
        lambda text: {"a": [{"b": text}]},
        lambda text: {"a": {text: True}},
        lambda text: [[text], {"a": f"a\n{text}"}],
    ],
    ids=["text", "list", "mapping", "key", "lines"],
)
def test_no_other_field_has_what_controls_a_terminal(value, mark):
    """Ansible shows all fields of a failure, and escapes only the controls of ASCII then."""
    sent = {"failed": True, "held": value(f"\u00fc{mark}x"), f"a{mark}": 1}
    shown = without_control_characters(sent)
    found = json.dumps(shown, ensure_ascii=False)
    assert "\u00fc" in found
    assert not any(mark[0] in found for mark in MARKS)
    # As JSON escapes them: a text that is JSON keeps its values.
    assert json.loads(without_control_characters({"nodes": f'["{mark}"]'})["nodes"]) == [mark]


def test_a_text_without_controls_stays_as_it_is():
    sent = {"failed": True, "held": [{"egressIP": "192.0.2.1"}, ["a"], 1.5, None, True], "m\u00fc": "a\tb\nc\u00a0d"}
    assert without_control_characters(sent) == sent


def test_a_value_that_is_nested_too_deeply_is_left_out():
    deep, shown = "\x9b", {"failed": True, "msg": "x"}
    for _level in range(100_000):
        deep = [deep]
    assert without_control_characters({**shown, "held": deep}) == shown
