# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The part that the actions on the controller share: checked options, one-line errors, an unchanged result."""

from __future__ import annotations

import gc
from importlib import import_module
from types import SimpleNamespace

import pytest
from ansible.errors import AnsibleActionFail, AnsibleError
from ansible.plugins.action import ActionBase
from ansible_collections.netops.egress_ip.plugins.module_utils._common.errors import InventoryError
from ansible_collections.netops.egress_ip.plugins.plugin_utils._controller_action import (
    ControllerAction,
    collect_rarely,
)


class Doubled(ControllerAction):
    OPTIONS = {"number": {"type": "int", "required": True}}

    def result(self, options, variables):
        if options["number"] < 0:
            raise InventoryError("number: must be 0 or more")
        return {"doubled": 2 * options["number"], "host": variables["inventory_hostname"]}


@pytest.fixture
def run(monkeypatch):
    """Return a function that runs an action without Ansible's executor."""
    monkeypatch.setattr(ActionBase, "run", lambda *_arguments: {"invocation": {}})

    def run_action(**options):
        task = SimpleNamespace(args=options, check_mode=False, action="doubled", diff=False)
        return Doubled(task, None, None, None, None, None).run(task_vars={"inventory_hostname": "node1"})

    return run_action


def test_the_result_has_the_values_of_the_action(run):
    assert run(number="4") == {"invocation": {}, "changed": False, "doubled": 8, "host": "node1"}


def test_an_error_of_the_core_fails_the_task_with_its_line(run):
    with pytest.raises(AnsibleActionFail) as caught:
        run(number=-1)
    assert caught.value.message == "number: must be 0 or more"


@pytest.mark.parametrize("options", [{}, {"number": "x"}, {"number": 1, "other": 2}])
def test_options_are_checked(run, options):
    with pytest.raises(AnsibleError):
        run(**options)


@pytest.mark.parametrize("name", ["audit", "manifests_info", "page", "plan", "report", "settings", "show", "steps"])
def test_every_action_on_the_controller_is_one(name):
    action = import_module(f"ansible_collections.netops.egress_ip.plugins.action.{name}").ActionModule
    assert issubclass(action, ControllerAction)
    assert action.OPTIONS


@pytest.mark.parametrize(("before", "after"), [(700, 50_000), (100_000, 100_000), (0, 0)])
def test_the_collector_runs_rarely_and_stays_off(before, after):
    known = gc.get_threshold()
    try:
        gc.set_threshold(before)
        collect_rarely()
        assert gc.get_threshold() == (after, *known[1:])
    finally:
        gc.set_threshold(*known)
