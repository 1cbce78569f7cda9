# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the module `node` is sent: the program, and the state where no log shows it."""

from __future__ import annotations

import json

import pytest
from ansible_collections.netops.egress_ip.plugins.action.node import ActionModule as Action
from ansible_collections.netops.egress_ip.plugins.plugin_utils._node_action import PROGRAM


def test_the_state_is_in_an_option_that_is_not_logged(sent):
    state = {"name": "node1", "generation": 3, "pods": ["10.0.0.1"]}
    options = sent(Action, state=state, claim=False)
    assert json.loads(options.pop("state_json")) == state
    assert (options["state"]["name"], options["state"]["generation"]) == ("node1", 3)
    assert "pods" not in options["state"]
    assert (options["claim"], options["program"]) == (False, PROGRAM)


@pytest.mark.parametrize("options", [{"mode": "absent"}, {"state": "{{ typo }}"}])
def test_options_without_a_state_stay_as_they_are(sent, options):
    assert sent(Action, **options) == {**options, "program": PROGRAM}
