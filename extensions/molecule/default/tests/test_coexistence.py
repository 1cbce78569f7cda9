# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Others who manage the same host's network: what they throw away comes back, and what they set does no harm."""

from __future__ import annotations

import time

import pytest
from fleet import ADDRESS, FIRST, NODE_NAMES, SECOND, wait_for
from lab import longest_gap
from lab_topology import GATEWAY, NODES

PODS = ("namespace1/pod1", "namespace1/pod2", "namespace2/pod3", "namespace2/pod4")
NODE1 = next(node for node in NODES if node.name == "node1")
NETWORK_FILE = "/etc/systemd/network/10-eth0.network"
NETWORK = f"""
[Match]
Name=eth0
[Network]
Address={NODE1.address}/18
Address={NODE1.address6}/64
Gateway={GATEWAY}
LinkLocalAddressing=ipv6
IPv6AcceptRA=no
"""
# What kube-proxy and Docker leave in the tables of iptables-nft.
IPTABLES = """
iptables -t nat -N KUBE-POSTROUTING
iptables -t nat -A KUBE-POSTROUTING -m mark ! --mark 0x4000/0x4000 -j RETURN
iptables -t nat -A KUBE-POSTROUTING -j MARK --xor-mark 0x4000
iptables -t nat -A KUBE-POSTROUTING -j MASQUERADE --random-fully
iptables -t nat -A POSTROUTING -j KUBE-POSTROUTING
iptables -t nat -A POSTROUTING -s 10.88.0.0/16 ! -o pods0 -j MASQUERADE
iptables -N KUBE-FORWARD
iptables -A KUBE-FORWARD -m conntrack --ctstate INVALID -j DROP
iptables -A KUBE-FORWARD -m mark --mark 0x4000/0x4000 -j ACCEPT
iptables -A KUBE-FORWARD -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT
iptables -A FORWARD -j KUBE-FORWARD
"""
IPTABLES_GONE = """
iptables -D FORWARD -j KUBE-FORWARD; iptables -F KUBE-FORWARD; iptables -X KUBE-FORWARD
iptables -t nat -F POSTROUTING; iptables -t nat -F KUBE-POSTROUTING; iptables -t nat -X KUBE-POSTROUTING
"""


def sources_are_right(fleet):
    for pod in PODS:
        assert fleet.sources(pod) <= {FIRST, SECOND}, pod
    assert fleet.sources("namespace3/other") == {ADDRESS["node2"]}


@pytest.mark.parametrize("value", ["0", "1", "2"])
def test_the_reverse_path_check_of_others(fleet, value):
    names = ("net.ipv4.conf.all.rp_filter", "net.ipv4.conf.eth0.rp_filter", "net.ipv4.conf.pods0.rp_filter")
    before = {node: {name: fleet.lab.exec(node, "sysctl", "-n", name).strip() for name in names} for node in NODE_NAMES}
    try:
        for node in NODE_NAMES:
            fleet.lab.exec(node, "sysctl", "-qw", *(f"{name}={value}" for name in names))
        sources_are_right(fleet)
        assert fleet.good().changed() == []
        for node in NODE_NAMES:
            assert {fleet.lab.exec(node, "sysctl", "-n", name).strip() for name in names} == {value}
    finally:
        for node, values in before.items():
            fleet.lab.exec(node, "sysctl", "-qw", *(f"{name}={old}" for name, old in values.items()))


def test_chains_of_iptables(fleet):
    for node in NODE_NAMES:
        fleet.lab.exec(node, "sh", "-ec", IPTABLES)
    try:
        sources_are_right(fleet)
        assert fleet.good().changed() == []
        fleet.lab.exec("node1", "sh", "-ec", IPTABLES_GONE + IPTABLES)
        sources_are_right(fleet)
    finally:
        for node in NODE_NAMES:
            fleet.lab.exec(node, "sh", "-c", IPTABLES_GONE)


def test_networkd_takes_the_interface_over(fleet):
    """What it may throw away (rules and addresses that it does not know) is back within seconds."""
    held = [ip for ip, nodes in fleet.holders().items() if nodes == ["node1"]]
    fleet.lab.exec("node1", "tee", NETWORK_FILE, stdin=NETWORK)
    # In a container with a writable /sys, networkd waits for an udevd that is not there.
    fleet.lab.exec("node1", "mount", "-o", "remount,ro", "/sys")
    try:
        for verb in ("start", "restart"):
            with fleet.lab.poll("namespace2/pod4", interval=0.05, timeout=0.5) as one:
                fleet.lab.exec("node1", "systemctl", verb, "systemd-networkd.service")
                wait_for("networkd", lambda: "(configured)" in fleet.lab.exec("node1", "networkctl", "status", "eth0"))
                # Two looks of the watch.
                time.sleep(9)
                answers = one.answers
            print(f"MEASURED {verb} of networkd: gap {longest_gap(answers):.1f} s")
            assert {answer.source for answer in answers} - {None} <= {FIRST, SECOND}
            assert set(held) <= fleet.addresses("node1")
            assert fleet.good().changed() == []
            sources_are_right(fleet)
    finally:
        fleet.lab.exec("node1", "systemctl", "stop", "systemd-networkd.socket", "systemd-networkd.service")
        fleet.lab.exec("node1", "rm", NETWORK_FILE)
        fleet.lab.reboot("node1")
