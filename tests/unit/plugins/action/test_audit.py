# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The audit of a platform from the registered result of its module. Its rules are tested with _vsphere.provider."""

from __future__ import annotations

import json

import pytest
from ansible.errors import AnsibleActionFail, AnsibleError
from controller_actions import A, egressip, node, run_action, run_variables, with_plan

ON_VSPHERE = {"platform": {"name": "vsphere", "uuid": None}, "macs": {"eth0": "00:50:56:00:00:01"}}
PLANNED = with_plan(run_variables(egressip("web", A), node1=node(1, A, **ON_VSPHERE)))
FAILED = {"failed": True, "msg": "hostname: vc:443 does not answer"}
SETTINGS = {"guest_mac": "own", "scope": "port"}


def audit(answer, **more):
    variables = {**PLANNED, "egress_ip_vsphere_port_info": answer, **more}
    return run_action("audit", variables, platform="vsphere", settings=SETTINGS)


def test_a_platform_that_does_not_answer_is_a_failure_and_no_error():
    made = audit(FAILED)
    assert json.loads(json.dumps(made)) == made
    assert made["failures"] == ["vCenter: egress_ip_vsphere_hostname: vc:443 does not answer"]
    assert (made["fenced"], made["labels"], made["stop_reasons"], made["plan_again"]) == ({}, {}, [], False)
    assert {*made["audits"]} == {"vsphere"}


def test_a_later_audit_replaces_the_one_of_its_platform():
    first = audit(FAILED)
    assert audit({"skipped": True}, egress_ip_audit=first)["failures"] == []


@pytest.mark.parametrize("missing", ["egress_ip_plan", "egress_ip_vsphere_port_info"])
def test_a_missing_result(missing):
    variables = {**PLANNED, "egress_ip_vsphere_port_info": FAILED}
    del variables[missing]
    with pytest.raises(AnsibleActionFail, match=f"^{missing}: must be the registered result of "):
        run_action("audit", variables, platform="vsphere", settings=SETTINGS)


def test_an_unknown_platform():
    with pytest.raises(AnsibleError, match="platform"):
        run_action("audit", PLANNED, platform="none")
