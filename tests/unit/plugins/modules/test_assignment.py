# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The module's edge: what it calls a change, its diff, its failure."""

from __future__ import annotations

import json

import pytest
from ansible.module_utils import basic
from ansible.module_utils.testing import patch_module_args
from ansible_collections.netops.egress_ip.plugins.modules import assignment

NODE = {
    "name": "n1",
    "labels": {"k8s.ovn.org/egress-assignable": ""},
    "networks": [{"interface": "eth0", "addresses": ["10.0.0.201/24"]}],
}
OBJECT = {
    "apiVersion": "k8s.ovn.org/v1",
    "kind": "EgressIP",
    "metadata": {"name": "a"},
    "spec": {"egressIPs": ["10.0.0.1"], "namespaceSelector": {}},
}
HELD = {"egressIP": "10.0.0.1", "node": "n1"}


def run(capsys, **options):
    """Run the module in check mode and return what it prints."""
    arguments = {"egressips": [OBJECT], "nodes": [NODE], **options, "_ansible_check_mode": True}
    with patch_module_args(arguments), pytest.raises(SystemExit):
        assignment.main()
    return json.loads(capsys.readouterr().out)


def test_uses_the_real_base_class():
    assert assignment.AnsibleModule is basic.AnsibleModule


def test_a_new_assignment_is_a_change(capsys):
    result = run(capsys)
    assert result["changed"] is True
    assert result["diff"] == {"before": {"assignments": []}, "after": {"assignments": [HELD]}}
    assert result["load"] == {"n1": 1}


def test_what_is_as_planned_is_no_change(capsys):
    result = run(capsys, current=[HELD])
    assert (result["changed"], result["moves"]) == (False, [])


def test_an_address_that_nobody_asks_for_is_a_change(capsys):
    result = run(capsys, current=[HELD, {"egressIP": "10.0.0.9", "node": "n1"}])
    assert (result["changed"], result["moves"]) == (True, [])


def test_an_inconsistency_is_a_warning_of_the_task(capsys, monkeypatch):
    warnings = []
    monkeypatch.setattr(assignment.AnsibleModule, "warn", lambda _module, line: warnings.append(line))
    assert "warnings" not in run(capsys, nodes=[NODE, {**NODE, "name": "n2"}])
    assert warnings == ["10.0.0.201 is the own address of n1 and of n2"]


def test_a_malformed_option_fails_with_its_path(capsys):
    result = run(capsys, current=[{"egressIP": "10.0.0.1"}])
    assert (result["failed"], result["msg"]) == (True, "current[0].node: is missing")


def test_standbys_where_failover_is_on(capsys):
    second = {**NODE, "name": "n2", "networks": [{"interface": "eth0", "addresses": ["10.0.0.202/24"]}]}
    assert "standbys" not in run(capsys, nodes=[NODE, second])
    result = run(capsys, nodes=[NODE, second], current=[HELD], failover=True)
    assert result["standbys"] == [{"egressIP": "10.0.0.1", "order": ["n2", "n1"]}]
    assert result["without_standby"] == []


def test_a_malformed_standby_fails_with_its_path(capsys):
    result = run(capsys, failover=True, standbys=["10.0.0.1"])
    expected = "standbys[0]: must be a mapping with egressIP and order, not the string '10.0.0.1'"
    assert (result["failed"], result["msg"]) == (True, expected)
