# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Containers of Podman: the source of their first packets, and what must not change for them."""

from __future__ import annotations

import json

import pytest
from engines import CLIENT, DB, DEFAULT, EGRESS_IP, HOLDER, OTHER, WEB, address_in
from fleet import ADDRESS, wait_for
from lab_topology import SERVER, SERVER_PORT

ALL_RIGHT = {EGRESS_IP: 300}
PUBLISHED = 8081


@pytest.mark.parametrize("node", [HOLDER, OTHER])
@pytest.mark.parametrize("network", [DEFAULT, WEB])
def test_the_first_packets_of_a_container(engines, network, node):
    engine = engines[node]
    for _start in range(2):
        assert engine.first_packets("--network", network, "--ip", address_in(network, 10)) == ALL_RIGHT


def test_a_container_that_no_object_selects(podman):
    address = address_in(WEB, 99)
    assert podman.first_packets("--network", WEB, "--ip", address, count=20) == {ADDRESS[OTHER]: 20}


def test_containers_reach_each_other_by_name_with_their_own_addresses(podman):
    podman.start("one", "--network", WEB, "--ip", address_in(WEB, 10))
    podman.start("two", "--network", WEB, "--ip", address_in(WEB, 11))
    wait_for("the server in the container", lambda: podman.ask("two", "one"))
    assert podman.ask("two", "one") == address_in(WEB, 11)
    assert podman.ask("one", "two") == address_in(WEB, 10)
    assert podman.ask("one", SERVER.address) == podman.ask("two", SERVER.address) == EGRESS_IP


def test_another_network_of_the_host_sees_no_egress_ip(podman):
    podman.start("web", "--network", WEB, "--ip", address_in(WEB, 10))
    podman.start("db", "--network", DB, "--ip", address_in(DB, 10))
    wait_for("the server in the container", lambda: podman.ask("web", address_in(DB, 10)))
    assert podman.ask("web", address_in(DB, 10)) != EGRESS_IP
    assert podman.ask("db", SERVER.address) == ADDRESS[OTHER]


def test_a_published_port_answers_other_hosts(podman):
    podman.start("web", "--network", WEB, "--ip", address_in(WEB, 10), "--publish", f"{PUBLISHED}:{SERVER_PORT}")
    wait_for("the published port", lambda: podman.ask_published(SERVER.name, PUBLISHED))
    assert podman.ask_published(SERVER.name, PUBLISHED) == SERVER.address
    assert podman.ask_published(HOLDER, PUBLISHED) == ADDRESS[HOLDER]
    assert podman.ask("web", SERVER.address) == EGRESS_IP


def test_a_container_in_two_networks(podman):
    """Its default route leads to the first network; the egress IP does not hinder connections to the second one."""
    podman.start("both", "--network", f"{WEB}:ip={address_in(WEB, 10)}", "--network", f"{DB}:ip={address_in(DB, 11)}")
    podman.start("db", "--network", DB, "--ip", address_in(DB, 10))
    wait_for("the server in the container", lambda: podman.ask("both", address_in(DB, 10)))
    assert podman.ask("both", address_in(DB, 10)) == address_in(DB, 11)
    route = podman.run("podman", "exec", "both", "ip", "route", "get", SERVER.address)
    expected = EGRESS_IP if address_in(WEB, 10) in route else ADDRESS[OTHER]
    assert podman.ask("both", SERVER.address) == expected


def test_a_restarted_container(podman):
    podman.start("web", "--network", WEB, "--ip", address_in(WEB, 10))
    podman.run("podman", "restart", "--time", "0", "web")
    wait_for("the container", lambda: podman.ask("web", SERVER.address))
    assert podman.ask("web", SERVER.address) == EGRESS_IP


def test_hosts_that_forward_nothing_by_default(engines):
    """Podman's own rules are sufficient on the node of a container; the holder needs those of docs/podman.md."""
    rules = (("-i", "egress0"), ("-m", "conntrack", "--ctstate", "ESTABLISHED,RELATED"))
    for engine in engines.values():
        engine.run("iptables", "-P", "FORWARD", "DROP")
    for rule in rules:
        engines[HOLDER].run("iptables", "-I", "FORWARD", *rule, "-j", "ACCEPT")
    try:
        for engine in engines.values():
            assert engine.first_packets("--network", WEB, "--ip", address_in(WEB, 10)) == ALL_RIGHT
    finally:
        for rule in rules:
            engines[HOLDER].run("iptables", "-D", "FORWARD", *rule, "-j", "ACCEPT")
        for engine in engines.values():
            engine.run("iptables", "-P", "FORWARD", "ACCEPT")


def test_a_container_that_starts_while_its_host_boots(podman):
    """No packet has the address of the host, and the container works once the host is up."""
    options = ("--network", WEB, "--ip", address_in(WEB, 10), "--restart", "always")
    burst = " ".join((*CLIENT, SERVER.address, str(SERVER_PORT), "--burst", "300"))
    podman.start("web", *options, words=("sh", "-c", f"while true; do {burst}; sleep 1; done"))
    podman.lab.reboot(OTHER)

    def bursts():
        return [json.loads(line) for line in podman.run("podman", "logs", "web", check=False).splitlines()]

    before = len(bursts())
    wait_for("bursts after the boot", lambda: len(bursts()) > before + 1 and bursts()[-1] == ALL_RIGHT)
    assert {source for burst in bursts() for source in burst} <= {EGRESS_IP, "lost"}
