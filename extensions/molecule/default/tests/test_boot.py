# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A boot on which a node's program cannot run is closed: selected pods have no way out until that is fixed."""

from __future__ import annotations

import re

import pytest
from fleet import BOTH_VERSIONS, FIRST, FIRST6, SECOND, SECOND6, STOP_WATCH, WATCH_TIMER, wait_for

pytestmark = pytest.mark.faults

NODE, POD = "node3", "namespace2/pod4"
EGRESS_IPS = {FIRST, SECOND, FIRST6, SECOND6}
RESTORE, CLOSED = "netops-egress-ip-restore.service", "netops-egress-ip-closed.service"
UNITS = "/etc/systemd/system/netops-egress-ip-*.service"
RECORD = "/var/lib/netops-egress-ip"
# What breaks, and what mends it.
BOOTS = {
    "the interpreter of the units is gone": (
        f"sed -i 's#=/usr/bin/python3 #=/usr/bin/python3.gone #' {UNITS}",
        f"sed -i 's#=/usr/bin/python3.gone #=/usr/bin/python3 #' {UNITS}; systemctl daemon-reload",
    ),
    "the record and its copy are cut short": (
        f"cp -p {RECORD}/state.json /root/; truncate -s 200 {RECORD}/state.json {RECORD}/state.copy.json",
        f"cp -p /root/state.json {RECORD}/state.json",
    ),
}
STARTS = {
    "nftables is missing": ("mv /usr/sbin/nft /usr/sbin/nft.gone", "mv /usr/sbin/nft.gone /usr/sbin/nft"),
    "the tunnel device cannot be made": (
        "ip link delete egress0; ip link add other type vxlan external dstport 4790; ip link set other up",
        "ip link delete other",
    ),
}
# The state of a host that has just booted, with the lab's own rules.
FRESH = f"systemctl stop {RESTORE}; nft flush ruleset; ip xfrm policy flush; python3 /opt/lab/lab_pods.py"


@pytest.fixture
def fleet(machines):
    """The fleet with egress IPs of both IP versions."""
    machines.arrange(**BOTH_VERSIONS)
    return machines


def on_node(fleet, script):
    return fleet.lab.exec(NODE, "sh", "-c", script)


def last_closed(fleet):
    """When the node was closed last; 0 if it never was since it booted."""
    return on_node(fleet, f"systemctl show -P ExecMainExitTimestampMonotonic {CLOSED}").strip()


def assert_closed(fleet, before):
    """Wait until the node has been closed since `before`, and check that it is."""
    wait_for(CLOSED, lambda: last_closed(fleet) not in ("0", before))
    assert fleet.sources_of_both(POD) == {None}


def assert_open(fleet):
    restored = f"systemctl start {RESTORE}; systemctl is-active {RESTORE} || true"
    wait_for("the restore", lambda: on_node(fleet, restored).strip() == "active")
    wait_for("the address", lambda: fleet.sources_of_both(POD) <= EGRESS_IPS)
    # A run does not fail.
    fleet.changes(**BOTH_VERSIONS)


@pytest.mark.user_land
@pytest.mark.parametrize("fault", BOOTS)
def test_a_boot_is_closed(fleet, fault):
    breaking, mending = BOOTS[fault]
    before = last_closed(fleet)
    on_node(fleet, breaking)
    try:
        fleet.lab.reboot(NODE)
        assert_closed(fleet, before)
    finally:
        on_node(fleet, mending)
    assert_open(fleet)


@pytest.mark.parametrize("fault", STARTS)
def test_a_start_is_closed(fleet, fault):
    breaking, mending = STARTS[fault]
    before = last_closed(fleet)
    on_node(fleet, f"{STOP_WATCH}{FRESH}; {breaking}")
    try:
        on_node(fleet, f"systemctl start {RESTORE} || true")
        assert_closed(fleet, before)
    finally:
        on_node(fleet, f"{mending}; systemctl start {WATCH_TIMER}")
    assert_open(fleet)


@pytest.mark.parametrize("name", ["state.json", "state.copy.json"])
def test_one_copy_of_the_record_is_enough(fleet, name):
    before = fleet.holders_of_both()
    on_node(fleet, f"truncate -s 200 {RECORD}/{name}")
    fleet.lab.reboot(NODE)
    wait_for("the addresses", lambda: fleet.holders_of_both() == before)
    assert fleet.sources_of_both(POD) <= EGRESS_IPS
    # A run does not fail.
    fleet.changes(**BOTH_VERSIONS)


def test_units_may_do_little(fleet):
    units = on_node(fleet, f"ls {UNITS}").split()
    assert len(units) == 5
    for unit in units:
        name = unit.rpartition("/")[2]
        shown = on_node(fleet, f"systemd-analyze security --no-pager {name}")
        level = re.search(r"Overall exposure level for \S+: ([0-9.]+)", shown)
        assert float(level[1]) < 3, shown
