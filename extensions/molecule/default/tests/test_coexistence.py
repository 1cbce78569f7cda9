# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Other managers of the same host's network: what they flush comes back, and their settings do no harm."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass

import pytest
from fleet import ADDRESS, ASSIGNABLE, FIRST, NODE_NAMES, SECOND, wait_for
from lab import longest_gap
from lab_topology import GATEWAY, NODES

pytestmark = pytest.mark.faults

PODS = ("namespace1/pod1", "namespace1/pod2", "namespace2/pod3", "namespace2/pod4")
NODE1 = next(node for node in NODES if node.name == "node1")


@dataclass(frozen=True)
class Manager:
    """A program that configures node1's eth0: its file, a command that takes eth0 over, and commands that do so again.

    `ready` is a command that fails until eth0 is up.
    """

    path: str
    text: str
    start: str
    again: tuple[str, ...]
    ready: str
    end: str

    def runs(self, lab, command):
        """Run a command of this manager and wait until eth0 is up."""
        lab.exec("node1", "sh", "-ec", command)
        wait_for(command, lambda: lab.exec("node1", "sh", "-c", f"{self.ready} && echo yes", check=False) == "yes\n")


MANAGERS = {
    "networkd": Manager(
        "/etc/systemd/network/10-eth0.network",
        f"""
[Match]
Name=eth0
[Network]
Address={NODE1.address}/18
Address={NODE1.address6}/64
Gateway={GATEWAY}
LinkLocalAddressing=ipv6
IPv6AcceptRA=no
""",
        "udevadm trigger --settle --subsystem-match=net; systemctl start systemd-networkd.service",
        ("systemctl restart systemd-networkd.service", "networkctl reload", "networkctl reconfigure eth0"),
        "networkctl status eth0 | grep -q '(configured)'",
        "systemctl stop systemd-networkd.socket systemd-networkd.service",
    ),
    "NetworkManager": Manager(
        "/etc/NetworkManager/system-connections/lab.nmconnection",
        f"""
[connection]
id=lab
type=ethernet
interface-name=eth0
[ipv4]
method=manual
address1={NODE1.address}/18,{GATEWAY}
[ipv6]
method=manual
address1={NODE1.address6}/64
addr-gen-mode=eui64
""",
        "chmod 600 /etc/NetworkManager/system-connections/*; udevadm trigger --settle --subsystem-match=net;"
        " systemctl start NetworkManager.service; nmcli connection up lab",
        ("systemctl restart NetworkManager.service", "nmcli device reapply eth0", "nmcli connection up lab"),
        "nmcli --get-values GENERAL.STATE device show eth0 | grep -q '^100 '",
        "systemctl stop NetworkManager.service",
    ),
    "ifupdown": Manager(
        "/etc/network/interfaces.d/eth0",
        f"""
auto eth0
iface eth0 inet static
  address {NODE1.address}/18
  gateway {GATEWAY}
iface eth0 inet6 static
  address {NODE1.address6}/64
  dad-attempts 0
""",
        "ip address flush dev eth0; ifup eth0",
        ("systemctl restart networking.service", "ifdown eth0; ifup eth0"),
        "ifquery --state eth0 > /dev/null",
        "rm -f /run/network/ifstate",
    ),
}
FIREWALLD = """
firewall-offline-cmd --quiet --zone=trusted --add-interface=pods0
firewall-offline-cmd --quiet --zone=trusted --add-interface=egress0
firewall-offline-cmd --quiet --zone=public --add-port=4790/udp
firewall-offline-cmd --quiet --zone=public --add-port=4790/tcp
systemctl start firewalld.service
"""
FIREWALLD_GONE = "systemctl stop firewalld.service; rm -f /etc/firewalld/zones/*"
# Docker drops forwarded packets that are not its own; the pods' network plugin adds its exception.
DOCKER = """
iptables -N DOCKER-USER
iptables -A FORWARD -j DOCKER-USER
iptables -A FORWARD -i pods0 -j ACCEPT
iptables -A FORWARD -o pods0 -j ACCEPT
iptables -P FORWARD DROP
"""
DOCKER_USER = """
iptables -I DOCKER-USER -i egress0 -j ACCEPT
iptables -I DOCKER-USER -m conntrack --ctstate ESTABLISHED,RELATED -j ACCEPT
"""
DOCKER_GONE = "nft delete table ip filter"
# Rules of kube-proxy and Docker in the tables of iptables-nft.
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
IPTABLES_GONE = "nft delete table ip filter; nft delete table ip nat;"


@contextmanager
def on_all_nodes(fleet, script, end):
    """Run a script on every node, and another one at the end, also after an error."""
    try:
        for node in NODE_NAMES:
            fleet.lab.exec(node, "sh", "-ec", script)
        yield
    finally:
        for node in NODE_NAMES:
            fleet.lab.exec(node, "sh", "-c", end)


@contextmanager
def sending(fleet, meanwhile):
    """Connect from a pod throughout; every connection that succeeds has an egress IP as its source."""
    with fleet.lab.poll("namespace2/pod4", interval=0.05, timeout=0.5) as poll:
        wait_for("an answer", lambda: poll.answers)
        yield
        answers = poll.answers
    print(f"MEASURED {meanwhile}: gap {longest_gap(answers):.1f} s")
    assert {answer.source for answer in answers} - {None} <= {FIRST, SECOND}


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
        assert fleet.changes() == []
        for node in NODE_NAMES:
            assert {fleet.lab.exec(node, "sysctl", "-n", name).strip() for name in names} == {value}
    finally:
        for node, values in before.items():
            fleet.lab.exec(node, "sysctl", "-qw", *(f"{name}={old}" for name, old in values.items()))


def test_chains_of_iptables(fleet):
    with on_all_nodes(fleet, IPTABLES, IPTABLES_GONE):
        sources_are_right(fleet)
        assert fleet.changes() == []
        fleet.lab.exec("node1", "sh", "-ec", IPTABLES_GONE + IPTABLES)
        sources_are_right(fleet)


def test_docker_drops_what_is_forwarded(fleet):
    """It has a chain for exceptions, as docs/firewalls.md has them."""
    with on_all_nodes(fleet, DOCKER, DOCKER_GONE):
        assert fleet.sources("namespace1/pod2") == {None}
        for node in NODE_NAMES:
            fleet.lab.exec(node, "sh", "-ec", DOCKER_USER)
        sources_are_right(fleet)
        assert fleet.changes() == []


def test_firewalld(fleet):
    """With the zones and ports of docs/firewalls.md everything works, and reloads leave the egress IPs alone."""
    with on_all_nodes(fleet, FIREWALLD, FIREWALLD_GONE):
        sources_are_right(fleet)
        assert fleet.changes() == []
        for words in ("firewall-cmd --reload", "firewall-cmd --complete-reload", "systemctl restart firewalld.service"):
            with sending(fleet, words):
                for node in NODE_NAMES:
                    fleet.lab.exec(node, *words.split())
            sources_are_right(fleet)
            assert fleet.changes() == []
        run = fleet.good("drain", egress_ip_drain_nodes=["node1"], hosts={"node2": ASSIGNABLE})
        assert "node2" in sum(fleet.holders().values(), []), run.report()
        sources_are_right(fleet)


@pytest.mark.parametrize("name", MANAGERS)
def test_another_program_takes_the_interface_over(fleet, name):
    """Rules and addresses that the program does not know and removes are back within seconds."""
    manager = MANAGERS[name]
    held = {ip for ip, nodes in fleet.holders().items() if nodes == ["node1"]}
    fleet.lab.exec("node1", "tee", manager.path, stdin=manager.text)
    try:
        for command in (manager.start, *manager.again):
            with sending(fleet, command):
                manager.runs(fleet.lab, command)
                fleet.run_watch("node1")
            assert held <= fleet.addresses("node1")
            assert fleet.changes() == []
            sources_are_right(fleet)
        assert fleet.good().changed() == []
    finally:
        fleet.lab.exec("node1", "sh", "-c", manager.end)
        fleet.lab.exec("node1", "rm", manager.path)
        fleet.lab.reboot("node1")
