# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One holder in the end: a node that boots before its switch port forwards claims into silence."""

from __future__ import annotations

import pytest
from fleet import ASSIGNABLE, BOTH_VERSIONS, FIRST, FIRST6, SECOND, SECOND6, WATCH, wait_for
from lab_topology import PODS, SERVER

pytestmark = pytest.mark.faults

EGRESS_IPS = {FIRST, SECOND, FIRST6, SECOND6}
SELECTED = tuple(pod.key for pod in PODS if pod.namespace != "namespace3")
CLAIM = "netops-egress-ip-claim.service"
# The claim waits until the host hears nothing, however long the machine needs to boot it.
# It asks several times: an answer may come while the program that waits for it does not get the processor.
WAIT = f"""
mkdir /etc/systemd/system/{CLAIM}.d
printf '[Unit]\\nRequires=lab-silence.service\\nAfter=lab-silence.service\\n' > /etc/systemd/system/{CLAIM}.d/lab.conf
cat > /etc/systemd/system/lab-silence.service <<'END'
[Unit]
After=network-online.target
[Service]
Type=oneshot
ExecStart=sh -c 'while ping -q -c 5 -i 0.2 -W 1 {SERVER.address} > /dev/null; do sleep 0.1; done'
END
"""
NO_WAIT = f"rm -r /etc/systemd/system/{CLAIM}.d /etc/systemd/system/lab-silence.service; systemctl daemon-reload"


def held_by(fleet, name):
    """The egress IPs on a node, of both IP versions."""
    return fleet.addresses_of_both(name) & EGRESS_IPS


@pytest.fixture
def fleet(machines):
    """Node1 and node3 hold an address of each IP version."""
    machines.arrange(**BOTH_VERSIONS)
    return machines


def is_right(fleet, moved, since):
    """Whether the right node holds what moved; the other one logs that it yields after it has deleted the address."""
    was_away = "while this node was away" in fleet.journal("node2", "--unit", WATCH, "--since", since)
    expected = {"node2": set(), "node3": moved} if was_away else {"node2": moved, "node3": set()}
    return {name: held_by(fleet, name) for name in expected} == expected


def test_a_node_that_boots_before_its_switch_port_forwards_yields_without_a_run(fleet):
    """The older claim stays, which is that of node2, unless the machine was so busy that node2 was away too."""
    moved = held_by(fleet, "node3")
    assert len(moved) == 2
    before = fleet.lab.exec("node2", "date", "+%F %T").strip()
    fleet.lab.exec("node3", "bash", "-ec", WAIT)
    try:
        fleet.lab.kill("node3")
        fleet.good(hosts={"node2": ASSIGNABLE}, **BOTH_VERSIONS)
        assert held_by(fleet, "node2") == moved
        fleet.lab.start_without_forwarding("node3")
        wait_for("two holders", lambda: held_by(fleet, "node3") == moved)
        fleet.lab.forward("node3")
        wait_for("one holder", lambda: not held_by(fleet, "node2") & held_by(fleet, "node3"))
        wait_for("the right holder", lambda: is_right(fleet, moved, before))
        for pod in SELECTED:
            assert fleet.sources_of_both(pod) <= EGRESS_IPS, pod
    finally:
        fleet.lab.forward("node3")
        fleet.lab.exec("node3", "sh", "-c", NO_WAIT)
