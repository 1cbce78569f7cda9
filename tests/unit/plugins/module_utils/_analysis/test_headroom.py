# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The egress IPs that the loss of a node or of a failure domain leaves unassigned."""

from __future__ import annotations

import pytest
from ansible.errors import AnsibleFilterError
from ansible_collections.netops.egress_ip.plugins.filter.headroom import FilterModule as Headroom
from ansible_collections.netops.egress_ip.plugins.module_utils._analysis.headroom import headroom
from ansible_collections.netops.egress_ip.plugins.module_utils._analysis.scenario import FleetAfter
from ansible_collections.netops.egress_ip.plugins.module_utils._planner.assign import assign
from ansible_collections.netops.egress_ip.plugins.module_utils._solver.deadline import never
from hypothesis import given
from simulated_fleet import LABEL, egressip, fleet, fleets, node, simulate

HEADROOM = Headroom().filters()["headroom"]


@given(fleets())
def test_headroom_is_what_the_planner_says_of_each_loss(fleet_after):
    objects, nodes = fleet_after
    answer = simulate({}, objects, fleet(nodes))
    now = len(answer["unassigned"])
    losses = HEADROOM(answer["fleet_after"], "zone")["losses"]
    holders = {each["node"] for each in answer["fleet_after"]["current"]}
    assert [loss["nodes"][0] for loss in losses if loss["domain"] is None] == sorted(holders)
    for loss in losses:
        left = [{**each, "ready": each["ready"] and each["name"] not in loss["nodes"]} for each in nodes]
        assert len(loss["unassigned"]) == len(assign(objects, left).unassigned) - now
        assert loss["holding"] == sum(each["node"] in loss["nodes"] for each in answer["fleet_after"]["current"])


def test_a_loss_that_leaves_too_few_nodes_stops_a_run():
    nodes = [node(1, labels={LABEL: "", "zone": "a"}), node(2, labels={LABEL: "", "zone": "a"}), node(3)]
    fleet_after = simulate({}, [egressip("a", "10.0.0.1")], fleet(nodes), min_available="50%")["fleet_after"]
    assert [(loss["domain"], loss["stops"]) for loss in HEADROOM(fleet_after, "zone")["losses"]] == [
        (None, False),
        ("a", True),
    ]
    assert HEADROOM(fleet_after, "rack")["outside"] == []


def test_headroom_counts_the_standbys_that_are_not_lost_too():
    nodes = [node(number, labels={LABEL: "", "zone": zone}) for number, zone in ((1, "a"), (2, "a"), (3, "b"))]
    documents = [egressip("a", "10.0.0.1"), egressip("b", "10.0.0.2")]
    after = FleetAfter.from_dict(simulate({}, documents, fleet(nodes))["fleet_after"])
    holder = {each["egressIP"]: each["node"] for each in after.current}
    first = holder["10.0.0.1"]
    made = headroom(after, "zone", orders={"10.0.0.1": [*({"n1", "n2"} - {first}), first]})
    assert [(loss.nodes, loss.with_standby) for loss in made.losses] == [
        (("n1",), 1),
        (("n2",), 0),
        (("n1", "n2"), 0),
        (("n3",), 0),
    ]
    assert made.to_dict()["lines"][2].split("  ")[0:1] == ["LOST"]
    assert "STANDBY" in made.to_dict()["lines"][2]


def test_headroom_does_not_hide_what_has_no_place_already():
    nodes = [node(1, capacity=1), node(2, capacity=1), node(3)]
    documents = [egressip("a", "10.0.0.1"), egressip("b", "192.168.0.1")]
    made = HEADROOM(simulate({}, documents, fleet(nodes))["fleet_after"], "zone")
    assert made["lines"][0] == "Every egress IP that has a node now still finds a place, whichever of these is lost."
    assert made["lines"][-2:] == ["Without a node already:", "  192.168.0.1 of b (NoMatchingNode)"]
    assert [each["egressIP"] for each in made["unassigned"]] == ["192.168.0.1"]


def test_headroom_of_a_fleet_that_holds_nothing():
    made = HEADROOM(simulate({}, [egressip("b", "192.168.0.1")], fleet([node(1)]))["fleet_after"], "zone")
    assert made["lines"] == [
        "No node holds an egress IP, so none can be lost.",
        "",
        "Without a node already:",
        "  192.168.0.1 of b (NoMatchingNode)",
    ]


def test_failure_domains_are_the_values_as_kubernetes_has_them():
    values = [True, "true", None, ""]
    nodes = [node(n, labels={LABEL: "", "zone": value}) for n, value in enumerate(values, 1)]
    losses = HEADROOM(simulate({}, [egressip("a", "10.0.0.1")], fleet(nodes))["fleet_after"], "zone")["losses"]
    domains = {loss["domain"]: loss["nodes"] for loss in losses if loss["domain"] is not None}
    assert domains == {"": ["n3", "n4"], "true": ["n1", "n2"]}


@pytest.mark.parametrize("label", [["zone"], None, 5, " "])
def test_a_label_that_is_none_is_refused(label):
    with pytest.raises(AnsibleFilterError, match="^egress_ip_headroom_label: "):
        HEADROOM(simulate({}, [], fleet([node(1)]))["fleet_after"], label)


def test_the_loss_of_a_domain_of_a_platform():
    hosts = {1: "esx1", 2: "esx1", 3: "esx2"}
    nodes = [node(n, labels={LABEL: "", "zone": "a", "vsphere/host": host}) for n, host in hosts.items()]
    fleet_after = FleetAfter.from_dict(simulate({}, [egressip("a", "10.0.0.1")], fleet(nodes))["fleet_after"])
    made = headroom(fleet_after, "zone", ["zone", "vsphere/host"])
    domains = [(loss.label, loss.domain, loss.nodes) for loss in made.losses if loss.domain]
    assert domains == [("zone", "a", ("n1", "n2", "n3")), ("vsphere/host", "esx1", ("n1", "n2"))]
    assert any(line.startswith("vsphere/host=esx1 (n1, n2)") for line in made.to_dict()["lines"])


def test_when_the_time_is_over_losses_that_need_a_plan_are_not_tried():
    """The loss of n1 fits without a plan, that of n2, which holds two of one object, does not."""
    documents = [egressip("a", "10.0.0.1"), egressip("b", "10.0.0.2", "10.0.0.3")]
    nodes = [node(1, capacity=1), node(2), node(3, capacity=1)]
    fleet_after = FleetAfter.from_dict(simulate({}, documents, fleet(nodes))["fleet_after"])
    late, exact = (headroom(fleet_after, "zone", deadline=over).to_dict() for over in (lambda: True, never))
    assert [each.get("proven", True) for each in exact["losses"]] == [True] * len(exact["losses"])
    for each, known in zip(late["losses"], exact["losses"], strict=True):
        assert each == known or (each["proven"], each["unassigned"]) == (False, None)
    unproven = [each for each in late["losses"] if "proven" in each]
    assert unproven
    assert "not tried" in "\n".join(late["lines"])
    total = len(late["losses"])
    assert (
        f"egress_ip_plan_seconds ended the search: {len(unproven)} of {total} losses are not proven." in late["lines"]
    )
