# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Lines are shown as text, except to programs."""

from __future__ import annotations

import json
import os

import pytest
from ansible import constants
from ansible_collections.netops.egress_ip.plugins.action.show import ActionModule, coloured
from ansible_collections.netops.egress_ip.plugins.plugin_utils._events import MAX_CHARACTERS
from forked_ansible import FOR_PROGRAMS, ansible_playbook

LINES = ["EGRESS IP  STATE", "10.0.0.1   held", "", "Errors:", "  10.0.0.2: 'x' is \"wrong\"", "", "+ 10.0.0.3"]
FOR_PEOPLE = {"ANSIBLE_STDOUT_CALLBACK": "default"}
PLAY = """
- hosts: localhost
  gather_facts: false
  tasks:
    - netops.egress_ip.show:
        lines: "{{ shown }}"
      register: result
    - ansible.builtin.assert:
        that: [result.msg == shown, result is not changed]
"""


@pytest.fixture
def play(tmp_path):
    def run(callback, lines=None):
        (tmp_path / "play.yml").write_text(PLAY)
        (tmp_path / "values.json").write_text(json.dumps({"shown": lines or LINES}))
        words = ("-i", "localhost,", "-c", "local", "-e", "@values.json", "play.yml")
        ended = ansible_playbook(words, tmp_path, {**os.environ, "ANSIBLE_NOCOLOR": "1", **callback})
        assert ended.returncode == 0, ended.stdout + ended.stderr
        return ended.stdout

    return run


def test_lines_are_text(play):
    assert "\n".join(LINES) in play(FOR_PEOPLE)


def test_programs_get_the_lines_with_the_result(play):
    output = play(FOR_PROGRAMS)
    assert "\n".join(LINES) not in output
    assert "10.0.0.1   held" in output


def test_a_text_of_a_node_neither_adds_a_line_nor_controls_the_terminal(play, monkeypatch):
    monkeypatch.setitem(globals(), "LINES", ["10.0.0.1   held, \x1b[2J\nEGRESS IP  OBJECT answers too"])
    monkeypatch.setitem(globals(), "PLAY", PLAY.replace("result.msg == shown", "result.msg | length == 1"))
    output = play(FOR_PEOPLE)
    assert "\x1b[2J" not in output
    assert not any(line.startswith("EGRESS IP") for line in output.splitlines())


def test_sections_and_signs_have_a_colour():
    colours = dict(coloured(LINES))
    assert colours["  10.0.0.2: 'x' is \"wrong\""] == constants.COLOR_WARN
    assert colours["+ 10.0.0.3"] == constants.COLOR_DIFF_ADD
    assert colours["10.0.0.1   held"] is None


def test_programs_get_a_report_of_thousands_of_lines(play):
    """For AWX, the result is the only output of the task."""
    lines = [f"10.0.{number // 256}.{number % 256}".ljust(100, ".") for number in range(5000)]
    output = play(FOR_PROGRAMS, lines)
    assert lines[0] in output
    assert lines[-1] in output


def test_the_limit_of_the_result_is_below_that_of_awx():
    assert MAX_CHARACTERS < ActionModule.MAX_EVENT < 700_000
