# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The report of a run from the registered results of a play. Its text is tested with _reconcile.report."""

from __future__ import annotations

import pytest
from ansible.errors import AnsibleActionFail
from controller_actions import A, B, egressip, node, run_action, run_variables, with_plan

PLANNED = with_plan(run_variables(egressip("web", A, B), node1=node(1, A), node2=node(2)))


def applied(**results):
    """Return the variables after these results of the module `node`."""
    hostvars = PLANNED["hostvars"]
    return {
        **PLANNED,
        "hostvars": {
            name: {**own, **({"egress_ip_node": results[name]} if name in results else {})}
            for name, own in hostvars.items()
        },
    }


def states(made):
    return {line.split()[0]: " ".join(line.split()[3:]) for line in made["lines"][1:3]}


def test_the_results_of_the_nodes_and_the_data_of_a_workflow():
    variables = applied(node1={"changed": False}, node2={"changed": True, "claimed": [B]})
    made = run_action("report", variables)
    assert (states(made), made["failures"], made["errors"]) == ({A: "held", B: "claimed"}, [], [])
    assert made["ansible_stats"] == {"data": {"egress_ip": made["stats"]}, "per_host": False, "aggregate": True}
    assert states(run_action("report", variables, check_mode=True))[B] == "to claim"


def test_the_failure_of_a_node_is_a_failure_of_the_run():
    made = run_action("report", applied(node2={"failed": True, "msg": "nftables: is not installed"}))
    assert any("nftables: is not installed" in line for line in made["failures"])


def test_the_failure_of_an_update_is_a_failure_of_the_run_and_its_addresses_stay_claimed():
    """Pods of node1 do not use the address that node2 claimed."""
    variables = applied(node1={"changed": False}, node2={"changed": True, "claimed": [B]})
    for update, line in (
        ({"failed": True, "msg": "nft: fails"}, "node1: does not use the egress IPs that others claimed: nft: fails"),
        ({"unreachable": True, "msg": "timed out"}, "node1: was lost during the run: timed out"),
        ({"failed": 3}, "node1: does not use the egress IPs that others claimed: gives an invalid result: "),
    ):
        variables["hostvars"]["node1"]["egress_ip_node_update"] = update
        made = run_action("report", variables)
        assert [failure.startswith(line) for failure in made["failures"]] == [True]
        assert states(made) == {A: "held", B: "claimed"}
        assert made["stats"]["changed"] == ["node2"]


def test_a_node_that_its_update_changed_is_a_changed_one():
    variables = applied(node1={"changed": False}, node2={"changed": True, "claimed": [B]})
    variables["hostvars"]["node1"]["egress_ip_node_update"] = {"changed": True}
    variables["hostvars"]["node2"]["egress_ip_node_update"] = {"changed": False, "skipped": True}
    made = run_action("report", variables)
    assert (made["stats"]["changed"], made["failures"]) == (["node1", "node2"], [])


def test_a_preview_shows_the_difference():
    assert [line[0] for line in run_action("report", PLANNED, preview=True)["lines"] if B in line][:1] == ["+"]


@pytest.mark.parametrize("strict", [False, True])
def test_mistakes_are_notes_or_errors(strict):
    plan = {**PLANNED["egress_ip_plan"], "mistakes": ["the selector of egressip/web selects no pod"]}
    made = run_action("report", {**PLANNED, "egress_ip_plan": plan}, strict=strict)
    assert made["errors"] == (plan["mistakes"] if strict else [])
    assert f"  {plan['mistakes'][0]}" in made["lines"]


def test_failures_of_platforms_name_them():
    result = {"failed": True, "msg": "hostname: vc:443 does not answer"}
    made = run_action("report", PLANNED, platform_results=[{"platform": "vsphere", "result": result}])
    assert "vCenter: egress_ip_vsphere_hostname: vc:443 does not answer" in made["failures"]


def test_without_a_plan():
    with pytest.raises(AnsibleActionFail, match="^egress_ip_plan: must be the registered result of "):
        run_action("report", {})
