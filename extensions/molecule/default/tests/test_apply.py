# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Apply, apply again, check mode, status: changes and reports of a run; a second run changes nothing."""

from __future__ import annotations

from pathlib import Path

import pytest
from fleet import ADDRESS, FIRST, INFO_MODULE, NODE_MODULE, NODE_NAMES, SECOND, assert_same, egressip, manifests
from lab_topology import NODES


def test_every_egress_ip_is_on_one_assignable_node(fleet):
    assert sorted(fleet.holders()) == [FIRST, SECOND]
    assert sorted(sum(fleet.holders().values(), [])) == ["node1", "node3"]


def test_udev_leaves_the_address_of_the_tunnel_device_alone(unwatched):
    """A device that is made without an address gets one from udev; the kernel then drops the neighbours."""
    fleet = unwatched
    for node in NODES:
        fleet.lab.exec(node.name, "ip", "link", "delete", "egress0")
    fleet.good()
    for node in NODES:
        assert fleet.lab.exec(node.name, "systemctl", "is-active", "systemd-udevd.service") == "active\n"
        fleet.lab.exec(node.name, "udevadm", "settle")
        address = fleet.lab.exec(node.name, "cat", "/sys/class/net/egress0/address").strip()
        assert address.startswith("0a:")
    assert fleet.changes() == []


def logged_calls(fleet):
    """{node: what the journal has of calls of the module `node`}."""
    return {name: fleet.journal(name, "--identifier", f"ansible-{NODE_MODULE}") for name in NODE_NAMES}


def test_a_run_that_has_nothing_to_do_asks_each_node_once_and_calls_no_module(fleet):
    before, calls = fleet.snapshot(), logged_calls(fleet)
    run = fleet.good()
    assert run.changed() == []
    assert sorted(host for host, _result in run.results(INFO_MODULE)) == sorted(NODE_NAMES)
    # Each node has the program compiled since an earlier call, and answers without Ansible's code for modules.
    assert logged_calls(fleet) == calls
    assert run.results(NODE_MODULE) == []
    assert_same(before, fleet.snapshot())


def test_nothing_is_left_of_the_program_that_was_sent_along(fleet):
    assert "state" in fleet.module("node1", NODE_MODULE, state={"name": "node1"})["msg"]
    for name in NODE_NAMES:
        assert fleet.lab.exec(name, "find", "/tmp", "/var/tmp", "/root", "-name", "*egress*") == ""


def test_check_mode_shows_the_diff_and_writes_nothing(fleet):
    before = fleet.snapshot()
    wanted = manifests(egressip("one", FIRST, pods={"app": "web"}))
    run = fleet.good("reconcile", "--check", "--diff", egress_ip_manifests=wanted)
    assert_same(before, fleet.snapshot())
    assert set(run.changed()) == set(NODE_NAMES)
    diffs = {host: result["diff"] for host, result in run.results(NODE_MODULE)}
    assert any(SECOND in diff["before"] and SECOND not in diff["after"] for diff in diffs.values())
    assert "object_egressips-prod" in run.output
    assert "object_one" in run.output


@pytest.mark.user_land
def test_check_mode_on_a_bare_fleet_writes_nothing(fleet):
    fleet.clear()
    before = fleet.snapshot()
    run = fleet.good("reconcile", "--check", "--diff")
    assert_same(before, fleet.snapshot())
    claimed = sorted(ip for _host, result in run.results(NODE_MODULE) for ip in result["claimed"])
    assert claimed == [FIRST, SECOND]


def test_a_difference_is_told_only_to_those_who_ask_for_it(fleet):
    shown = fleet.good("reconcile", "--check", egress_ip_manifests=manifests(egressip("one", FIRST)))
    assert shown.changed() == sorted(NODE_NAMES)
    assert all("diff" not in result for _host, result in shown.results(NODE_MODULE))


def test_plan_shows_what_would_move_and_writes_nothing(fleet):
    before = fleet.snapshot()
    run = fleet.good("plan", egress_ip_manifests=manifests(egressip("one", SECOND)))
    assert_same(before, fleet.snapshot())
    assert run.results(NODE_MODULE) == []
    assert SECOND in run.output
    assert "Nodes to change: node1, node2, node3" in run.output


def test_status_says_what_the_nodes_show(fleet):
    run = fleet.good("status", egress_ip_status_documents=True)
    ((_host, shown),) = run.of_task("Show which node holds which egress IP")
    rows = {row.split()[0]: row.split()[1:] for row in shown["msg"][1:]}
    assert {ip: [row[1]] for ip, row in rows.items()} == fleet.holders()
    assert {row[-1] for row in rows.values()} == {"held"}
    assert "\n".join(shown["msg"]) in run.output
    ((_host, shown),) = run.of_task("Show the documents with their status")
    (document,) = shown["msg"]
    assert document["kind"] == "EgressIP"
    published = {entry["egressIP"]: [entry["node"]] for entry in document["status"]["assignments"]}
    assert published == fleet.holders()


def test_status_sees_an_address_that_is_gone(unwatched):
    fleet = unwatched
    (holder,) = fleet.holders()[FIRST]
    fleet.lab.exec(holder, "ip", "address", "delete", f"{FIRST}/32", "dev", "eth0")
    (line,) = [line for line in fleet.good("status").output.splitlines() if "missing ip addresses" in line]
    assert f"{holder}: missing ip addresses: {FIRST}/32" in line
    assert ADDRESS[holder] not in line


def test_a_package_that_is_missing_is_installed_first(fleet, monkeypatch):
    """Only a run that changes things installs it, and no other node is read again."""
    monkeypatch.setenv("ANSIBLE_LIBRARY", str(Path(__file__).parent / "library"))
    by_lab = {"ansible_package_use": "lab_package"}
    fleet.lab.exec("node2", "mv", "/usr/sbin/nft", "/usr/sbin/nft.hidden")
    try:
        for playbook in ("plan", "status"):
            output = fleet.run(playbook, **by_lab).output
            assert "nftables: is not installed on this host" in output
            if playbook == "plan":
                assert "node2: is set aside: nftables: is not installed on this host; install the package" in output
            fleet.lab.exec("node2", "test", "-e", "/usr/sbin/nft.hidden")
        run = fleet.good(**by_lab)
    finally:
        fleet.lab.exec("node2", "sh", "-c", "test -e /usr/sbin/nft || mv /usr/sbin/nft.hidden /usr/sbin/nft")
    looks = [host for host, _result in run.results(INFO_MODULE)]
    assert sorted(looks) == ["node1", "node2", "node2", "node3"]
    assert sorted(fleet.holders()) == [FIRST, SECOND]
    assert fleet.changes() == []
