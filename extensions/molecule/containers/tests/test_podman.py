# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Containers of Podman: the source of their first packets, and what must not change for them."""

from __future__ import annotations

import json

import pytest
from engines import CLIENT, DB, DEFAULT, EGRESS_IP, HOLDER, OTHER, SHORT_WAIT, STARTS, WEB, address_in
from fleet import ADDRESS, wait_for
from lab_topology import SERVER, SERVER_PORT, SUBNET

ALL_RIGHT = {EGRESS_IP: 300}
PUBLISHED = 8081


@pytest.mark.repeats
@pytest.mark.parametrize("node", [HOLDER, OTHER])
@pytest.mark.parametrize("network", [DEFAULT, WEB])
def test_the_first_packets_of_a_container(engines, network, node):
    """It has the next free address, which no manifest lists."""
    for _start in range(STARTS):
        assert engines[node].first_packets("--network", network) == ALL_RIGHT


@pytest.mark.parametrize("node", [HOLDER, OTHER])
def test_a_container_with_a_manifest_of_its_own(engines, node):
    """Its network belongs to no namespace."""
    engine = engines[node]
    assert engine.first_packets("--network", DB, "--ip", address_in(DB, 10)) == ALL_RIGHT
    engine.start("other", "--network", DB)
    try:
        # The bridge appears with the first container, and packets of unknown bridges are dropped.
        wait_for("the bridge is known", lambda: engine.source_of("other", SERVER.address))
        assert engine.source_of("other", SERVER.address) == ADDRESS[node]
    finally:
        engine.remove_all()


def test_a_manifest_has_precedence_over_the_network(podman):
    """No object selects this pod."""
    assert podman.first_packets("--network", WEB, "--ip", address_in(WEB, 99), count=20) == {ADDRESS[OTHER]: 20}


def test_containers_reach_each_other_by_name_with_their_own_addresses(podman):
    podman.start("one", "--network", WEB)
    podman.start("two", "--network", WEB)
    for asking, asked in (("one", "two"), ("two", "one")):
        wait_for(f"the server in {asked}", lambda asking=asking, asked=asked: podman.source_of(asking, asked))
    assert podman.source_of("two", "one") == podman.address("two")
    assert podman.source_of("one", "two") == podman.address("one")
    assert podman.source_of("one", SERVER.address) == podman.source_of("two", SERVER.address) == EGRESS_IP


def test_another_network_of_the_host_sees_no_egress_ip(podman):
    podman.start("web", "--network", WEB)
    podman.start("db", "--network", DB)
    # The bridge is new.
    wait_for(
        "the server in the container", lambda: podman.source_of("web", podman.address("db")) not in ("", EGRESS_IP)
    )
    assert podman.source_of("web", podman.address("db")) != EGRESS_IP
    wait_for("the bridge is known", lambda: podman.source_of("db", SERVER.address))
    assert podman.source_of("db", SERVER.address) == ADDRESS[OTHER]


def test_a_published_port_answers_other_hosts(podman):
    podman.start("web", "--network", WEB, "--publish", f"{PUBLISHED}:{SERVER_PORT}")
    wait_for("the published port", lambda: podman.ask_published(SERVER.name, PUBLISHED))
    assert podman.ask_published(SERVER.name, PUBLISHED) == SERVER.address
    assert podman.ask_published(HOLDER, PUBLISHED) == ADDRESS[HOLDER]
    assert podman.source_of("web", SERVER.address) == EGRESS_IP


def test_a_container_in_two_networks(podman):
    """Its default route leads to one of them; the egress IP does not hinder connections to the other one."""
    podman.start("both", "--network", f"{WEB}:ip={address_in(WEB, 20)}", "--network", f"{DB}:ip={address_in(DB, 20)}")
    podman.start("db", "--network", DB, "--ip", address_in(DB, 21))
    wait_for("the server in the container", lambda: podman.source_of("both", address_in(DB, 21)))
    assert podman.source_of("both", address_in(DB, 21)) == address_in(DB, 20)
    route = podman.run("podman", "exec", "both", "ip", "route", "get", SERVER.address)
    expected = EGRESS_IP if address_in(WEB, 20) in route else ADDRESS[OTHER]
    wait_for("the bridge is known", lambda: podman.source_of("both", SERVER.address))
    assert podman.source_of("both", SERVER.address) == expected


def test_containers_whose_packets_the_host_does_not_route(podman):
    """They keep the address of the host, or their own one in the LAN: docs/podman.md."""
    assert podman.first_packets("--network", "host", count=20) == {ADDRESS[OTHER]: 20}
    address = "192.168.127.1"
    subnet = ("--subnet", SUBNET, "--ip-range", "192.168.127.0/28")
    podman.run("podman", "network", "create", "--driver", "macvlan", "--opt", "parent=eth0", *subnet, "lan")
    try:
        assert podman.first_packets("--network", "lan", "--ip", address, count=20) == {address: 20}
    finally:
        podman.run("podman", "network", "rm", "lan")


def test_a_restarted_container_may_get_another_address(podman):
    podman.start("web", "--network", WEB)
    before = podman.address("web")
    podman.run("podman", "stop", "--time", "0", "web")
    podman.start("other", "--network", WEB)
    podman.run("podman", "start", "web")
    wait_for("the container", lambda: podman.source_of("web", SERVER.address))
    print(f"{before} became {podman.address('web')}")
    assert podman.source_of("web", SERVER.address) == podman.source_of("other", SERVER.address) == EGRESS_IP


def test_hosts_that_forward_nothing_by_default(engines):
    """Podman's own rules are sufficient on the node of a container; the holder needs those of docs/podman.md."""
    rules = (("-i", "egress0"), ("-m", "conntrack", "--ctstate", "ESTABLISHED,RELATED"))
    for engine in engines.values():
        engine.run("iptables", "-P", "FORWARD", "DROP")
    for rule in rules:
        engines[HOLDER].run("iptables", "-I", "FORWARD", *rule, "-j", "ACCEPT")
    try:
        for engine in engines.values():
            assert engine.first_packets("--network", WEB) == ALL_RIGHT
    finally:
        for rule in rules:
            engines[HOLDER].run("iptables", "-D", "FORWARD", *rule, "-j", "ACCEPT")
        for engine in engines.values():
            engine.run("iptables", "-P", "FORWARD", "ACCEPT")


def test_a_container_that_starts_while_its_host_boots(podman):
    """No packet has the address of the host, and the container works once the host is up."""
    burst = " ".join((*CLIENT, SERVER.address, str(SERVER_PORT), "--burst", "300"))
    loop = ("sh", "-c", f"while true; do {burst}; sleep 1; done")
    podman.start("web", "--network", WEB, "--restart", "always", words=loop)
    podman.lab.reboot(OTHER)

    def bursts():
        return [json.loads(line) for line in podman.run("podman", "logs", "web", check=False).splitlines()]

    before = len(bursts())
    wait_for("bursts after the boot", lambda: len(bursts()) > before + 1 and bursts()[-1] == ALL_RIGHT)
    assert {source for burst in bursts() for source in burst} <= {EGRESS_IP, "lost"}


def test_a_network_that_is_created_again_with_other_addresses(podman):
    podman.run("podman", "network", "rm", WEB)
    podman.run("podman", "network", "create", "--subnet", "10.89.17.0/24", WEB)
    assert podman.first_packets("--network", WEB, wait=SHORT_WAIT).keys() <= {EGRESS_IP, "lost"}
    podman.start("web", "--network", WEB)
    wait_for("the egress IP", lambda: podman.source_of("web", SERVER.address) == EGRESS_IP)
    assert podman.address("web").startswith("10.89.17.")
    assert podman.first_packets("--network", WEB) == ALL_RIGHT
