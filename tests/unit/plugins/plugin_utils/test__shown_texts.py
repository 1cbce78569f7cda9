# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a node answers cannot control the terminal on which a run is shown."""

from __future__ import annotations

import dataclasses

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
