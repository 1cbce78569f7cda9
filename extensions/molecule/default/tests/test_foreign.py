# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Foreign configuration is byte for byte the same before, after apply, and after remove, which leaves nothing."""

from __future__ import annotations

import pytest
from fleet import ADDRESS, FIRST, NODE_NAMES, SECOND, WATCH, WATCH_TIMER, assert_same, wait_for

FOREIGN = """
nft -f - <<'END'
table inet foreign {
  set seen { type ipv4_addr; flags interval; elements = { 10.0.0.0/8, 172.16.0.0/12 } }
  chain raw { type filter hook prerouting priority raw; ip saddr 203.0.113.9 drop; }
  chain forward { type filter hook forward priority filter; ct state established,related accept; }
  chain post { type nat hook postrouting priority srcnat; ip daddr 203.0.113.0/24 masquerade; }
}
table netdev foreign {
  chain incoming { type filter hook ingress device "eth0" priority 5; ether type 0x88cc accept; }
}
END
iptables -t nat -A POSTROUTING -d 203.0.113.0/24 -j MASQUERADE
ip rule add priority 500 fwmark 0x4000/0x4000 lookup 999
ip rule add priority 32000 from 10.50.0.0/16 lookup 998
ip route add 203.0.113.0/24 via 192.168.126.200 table 999 proto 17
ip route add 198.51.100.0/24 via 192.168.126.200
ip address add 10.99.0.1/32 dev eth0 label eth0:foreign
ip xfrm policy add src 10.50.0.0/16 dst 203.0.113.0/24 dir fwd priority 4294967225 action allow
ip xfrm policy add src 10.50.0.0/16 dst 198.51.100.0/24 dir fwd action block
ip neighbour add 192.168.126.99 lladdr 02:00:00:00:00:99 dev eth0 nud permanent
sysctl -qw net.ipv4.ip_forward=1 net.ipv4.conf.eth0.log_martians=1
sysctl -qw net.ipv4.conf.all.rp_filter=1 net.ipv4.conf.eth0.rp_filter=1
"""
CLEAN = """
nft delete table inet foreign
nft delete table netdev foreign
iptables -t nat -D POSTROUTING -d 203.0.113.0/24 -j MASQUERADE
nft delete table ip nat
ip rule delete priority 500
ip rule delete priority 32000
ip route flush table 999
ip route delete 198.51.100.0/24
ip address delete 10.99.0.1/32 dev eth0
ip xfrm policy delete src 10.50.0.0/16 dst 203.0.113.0/24 dir fwd
ip xfrm policy delete src 10.50.0.0/16 dst 198.51.100.0/24 dir fwd
ip neighbour delete 192.168.126.99 dev eth0
sysctl -qw net.ipv4.conf.eth0.log_martians=0 net.ipv4.conf.all.rp_filter=0 net.ipv4.conf.eth0.rp_filter=0
true
"""
PROGRAM = "/usr/local/lib/netops-egress-ip/node.pyz"
# Commands that show foreign configuration only.
LOOKS = (
    "nft list table inet foreign",
    "nft list table netdev foreign",
    "nft list table ip nat",
    "nft list table ip lab_cni",
    "ip -d rule show priority 500",
    "ip -d rule show priority 32000",
    "ip -d rule show priority 32766",
    "ip -d route show table 999",
    "ip -d route show table main",
    "ip xfrm policy list src 10.50.0.0/16",
    "ip -d address show label eth0:foreign",
    "ip -d address show dev pods0",
    "ip neighbour show 192.168.126.99 dev eth0 nud permanent",
    "sysctl net.ipv4.conf.eth0 net.ipv4.conf.all net.ipv4.conf.default net.ipv4.conf.pods0",
)


@pytest.fixture
def crowded(machines):
    """A bare fleet with foreign configuration on each node."""
    machines.clear()
    for name in NODE_NAMES:
        machines.lab.exec(name, "bash", "-ec", FOREIGN)
    yield machines
    for name in NODE_NAMES:
        machines.lab.exec(name, "bash", "-c", CLEAN)


def foreign(fleet):
    """The foreign configuration of each node."""
    script = "\n".join(LOOKS)
    return {name: fleet.read_state(name, script) for name in NODE_NAMES}


@pytest.mark.user_land
def test_foreign_things_survive_and_remove_leaves_nothing(crowded):
    before, all_before = foreign(crowded), crowded.snapshot()
    crowded.good()
    assert_same(before, foreign(crowded))
    # It works, also with strict reverse path checks.
    assert sorted(crowded.holders()) == sorted([FIRST, SECOND, "10.99.0.1"])
    assert crowded.sources("namespace2/pod3") <= {FIRST, SECOND}
    assert crowded.sources("namespace3/other") == {ADDRESS["node2"]}
    assert crowded.good().changed() == []
    # systemd keeps a unit that has failed in its list, also without its file.
    crowded.lab.exec("node1", "sh", "-c", f"echo 1/0 > {PROGRAM}; systemctl start {WATCH}", check=False)
    # The timer starts it too, perhaps before the program was broken.
    is_failed = ("systemctl", "is-failed", WATCH)
    wait_for("the failure", lambda: crowded.lab.exec("node1", *is_failed, check=False) == "failed\n")
    # A timer stays in memory when its file is deleted.
    crowded.lab.exec("node2", "rm", f"/etc/systemd/system/{WATCH_TIMER}")
    assert crowded.good("remove").changed() == list(NODE_NAMES)
    assert_same(all_before, crowded.snapshot())
    left = "systemctl list-units --all --no-legend 'netops-*'; ip link show egress0"
    for name in NODE_NAMES:
        assert crowded.lab.exec(name, "bash", "-c", left, check=False) == ""
    assert crowded.good("remove").changed() == []


def test_remove_gives_ip_forward_back(machines):
    fleet = machines
    fleet.clear()
    try:
        fleet.lab.exec("node1", "sysctl", "-qw", "net.ipv4.ip_forward=0")
        before = fleet.snapshot()
        fleet.good()
        assert fleet.lab.exec("node1", "sysctl", "-n", "net.ipv4.ip_forward") == "1\n"
        fleet.good("remove")
        assert_same(before, fleet.snapshot())
    finally:
        fleet.lab.exec("node1", "sysctl", "-qw", "net.ipv4.ip_forward=1")


def test_remove_in_check_mode_writes_nothing(fleet):
    before = fleet.snapshot()
    run = fleet.good("remove", "--check", "--diff")
    assert run.changed() == list(NODE_NAMES)
    assert FIRST in run.output
    assert_same(before, fleet.snapshot())


def test_after_remove_pods_leave_with_their_nodes_address_again(fleet):
    fleet.good("remove")
    assert fleet.holders() == {}
    assert fleet.sources("namespace2/pod3") == {ADDRESS["node2"]}
