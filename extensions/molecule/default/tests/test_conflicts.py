# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Another host has an egress IP: it is not claimed, the rest of the run is done, and the conflict is reported."""

from __future__ import annotations

import re

import pytest
from fleet import ASSIGNABLE, FIRST, INFO_MODULE, NOT_ASSIGNABLE, SECOND, assert_same, egressip, manifests

NOBODY = {"node1": NOT_ASSIGNABLE, "node3": NOT_ASSIGNABLE}


def test_a_foreign_host_keeps_its_address_until_it_goes_away(fleet):
    fleet.arrange(hosts=NOBODY)
    fleet.lab.exec("server", "ip", "address", "add", f"{SECOND}/32", "dev", "eth0")
    try:
        with fleet.lab.capture("arp", "and", "not", "ether", "src", fleet.mac_of("server")) as wire:
            run = fleet.bad()
            lines = wire.stop()
        # Probes have no sender address; no node announced the egress IP.
        assert any(f"who-has {SECOND} tell 0.0.0.0" in line for line in lines)
        assert not any(f"tell {SECOND}" in line or f"Reply {SECOND}" in line for line in lines), lines
        assert [(item["egressIP"], item["mac"]) for item in run.conflicts()] == [(SECOND, fleet.mac_of("server"))]
        assert any(SECOND in message and fleet.mac_of("server") in message for message in run.failed())
        assert list(fleet.holders()) == [FIRST]
        # No pod chooses an address that its node could not claim.
        assert fleet.sources("namespace1/pod1") | fleet.sources("namespace2/pod3") == {FIRST}
    finally:
        fleet.lab.exec("server", "ip", "address", "delete", f"{SECOND}/32", "dev", "eth0")
    fleet.good()
    assert sorted(fleet.holders()) == [FIRST, SECOND]


def test_status_tells_who_else_answers_for_what_is_held(unwatched):
    """Only another host: an interface of the holder itself answers too where both are on one network.

    The watch of a node that was away a moment ago, as after the tests before this one, would yield to the other host.
    """
    fleet = unwatched

    def reported_conflicts():
        run = fleet.run("status")
        shown = re.findall(r"^  (\w+) holds \S+ on \S+, and .* answers for it too$", run.output, re.MULTILINE)
        found = {host: result["conflicts"] for host, result in run.results(INFO_MODULE) if result["conflicts"]}
        assert shown == list(found)
        assert bool(run.failed()) == bool(found)
        return found

    (holder,) = fleet.holders()[SECOND]
    with fleet.lab.twin(holder) as twin:
        mac = fleet.lab.exec(holder, "cat", f"/sys/class/net/{twin}/address").strip()
        with fleet.lab.capture("arp", "and", "ether", "src", mac) as wire:
            assert reported_conflicts() == {}
            assert any(f"Reply {SECOND} is-at {mac}" in line for line in wire.stop())
        fleet.lab.exec("server", "ip", "address", "add", f"{SECOND}/32", "dev", "eth0")
        try:
            assert reported_conflicts() == {
                holder: [{"egressIP": SECOND, "interface": "eth0", "mac": fleet.mac_of("server")}]
            }
            assert fleet.holders()[SECOND] == [holder]
        finally:
            fleet.lab.exec("server", "ip", "address", "delete", f"{SECOND}/32", "dev", "eth0")


@pytest.mark.parametrize("length", [18, 32])
def test_an_address_that_was_added_to_a_node_by_hand_stays(fleet, length):
    """It counts as the node's own, so no node may claim it, and no run removes it."""
    fleet.arrange(hosts=NOBODY)
    fleet.lab.exec("node1", "ip", "address", "add", f"{SECOND}/{length}", "dev", "eth0")
    try:
        run = fleet.run()
        assert SECOND in fleet.addresses("node1")
        assert fleet.holders()[SECOND] == ["node1"]
        assert SECOND in run.report()
        assert "AddressConflict" in run.report(), run.report()
        assert len(fleet.holders()[FIRST]) == 1
    finally:
        fleet.lab.exec("node1", "ip", "address", "delete", f"{SECOND}/{length}", "dev", "eth0")
    fleet.good()
    assert sorted(fleet.holders()) == [FIRST, SECOND]


def test_a_nodes_own_address_is_never_an_egress_ip(fleet):
    before = fleet.holders()
    run = fleet.good(egress_ip_manifests=manifests(egressip("prod", *before), egressip("own", "192.168.126.22")))
    assert "AddressConflict" in run.report()
    assert fleet.holders() == before


def test_two_objects_that_ask_for_one_address(fleet):
    """The holder keeps it; the report names the other object."""
    before = fleet.holders()
    both = manifests(egressip("aaa", FIRST, namespaces={"env": "test"}), egressip("egressips-prod", FIRST, SECOND))
    run = fleet.good(egress_ip_manifests=both)
    assert "DuplicateRequest" in run.report()
    assert fleet.holders() == before


def test_an_address_on_two_nodes_is_brought_down_to_one(unwatched):
    """As after runs of two controllers, or a cable that came back: the surplus address is an egress IP, so it goes.

    By the run alone: a node that was away a moment ago would yield to the other one as well.
    """
    fleet = unwatched
    (holder,) = fleet.holders()[FIRST]
    other = "node3" if holder == "node1" else "node1"
    fleet.lab.exec(other, "ip", "address", "add", f"{FIRST}/32", "dev", "eth0", "label", "eth0:egress")
    fleet.run()
    assert len(fleet.holders()[FIRST]) == 1
    fleet.good(hosts={"node2": ASSIGNABLE})
    assert {ip: len(nodes) for ip, nodes in fleet.holders().items()} == {FIRST: 1, SECOND: 1}


def test_an_older_plan_is_refused(fleet):
    """Two controllers: a plan made before the other one applied must be refused."""
    (state,) = (state for state in fleet.states(egress_ip_unassigned="drop") if state["name"] == "node2")
    fleet.good(egress_ip_unassigned="drop")
    fleet.good()
    before = fleet.snapshot()
    result = fleet.module("node2", "netops.egress_ip.node", state=state)
    assert "is not newer than" in result["msg"]
    assert_same(before, fleet.snapshot())
