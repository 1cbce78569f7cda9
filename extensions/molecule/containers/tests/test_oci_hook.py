# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Containers of Podman with annotations: the source of their first packets on a node with the OCI hook."""

from __future__ import annotations

import json

import pytest
from conftest import VARIABLES, documents, follow
from engines import CLIENT, DB, EGRESS_IP, SHORT_WAIT, STARTS, WEB, Podman, address_in
from fleet import ADDRESS, STOP_WATCH, WATCH_TIMER, wait_for
from lab_topology import SERVER, SERVER_PORT

NODE = "node3"
FOLDER = "/usr/share/containers/oci/hooks.d"
HOOK = f"{FOLDER}/netops-egress-ip.json"
NAMESPACE = "egress-ip.netops/namespace"
SHOP, OTHERS = ("--annotation", f"{NAMESPACE}=apps"), ("--annotation", f"{NAMESPACE}=others")
# No namespace names this network.
FREE = ("--network", DB)
RIGHT, NODES_OWN = {EGRESS_IP: 300}, {ADDRESS[NODE]: 20}
LEFT = "ls /usr/share/containers/oci/hooks.d /run/netops-egress-ip.* /var/lib/netops-egress-ip 2>/dev/null"
# A container and its monitor, as after the end of the engine: nothing calls the hook.
KILL = 'kill -9 $(podman inspect --format "{{.State.ConmonPid}} {{.State.Pid}}" "$1")'


def apply(fleet, *words, **more):
    """Run a playbook with containers that are followed on one node."""
    return follow(fleet, NODE, "podman", *words, **more)


@pytest.fixture(scope="module")
def followed(fleet):
    """Podman on a node whose containers are followed."""
    engine = Podman(fleet.lab, NODE)
    engine.set_up()
    run = apply(fleet)
    # Debian has no such folder; the rest of the run is as without the variable.
    assert f"{NODE}: egress_ip_follow: {FOLDER}: does not exist or is read-only; create" in run.output
    engine.run("mkdir", "-p", FOLDER)
    assert FOLDER not in apply(fleet).output
    yield engine
    engine.remove_all()
    engine.run("rm", "-rf", "/usr/share/containers/oci")


@pytest.fixture
def podman(followed):
    """The same without containers."""
    yield followed
    followed.remove_all()


@pytest.mark.repeats
def test_the_first_packets_of_a_container(podman):
    for _start in range(STARTS):
        assert podman.first_packets(*FREE, *SHOP) == RIGHT
        assert podman.first_packets(*FREE, count=20) == NODES_OWN
        # Its network belongs to a namespace, from which the annotation takes it.
        assert podman.first_packets("--network", WEB, *OTHERS, count=20) == NODES_OWN
        assert podman.first_packets("--network", WEB, count=20) == {EGRESS_IP: 20}
        # The last run did not know this namespace.
        new = ("--annotation", f"{NAMESPACE}=new")
        assert podman.first_packets(*FREE, *new, count=1, wait=SHORT_WAIT) == {"lost": 1}


@pytest.mark.repeats
def test_an_address_that_is_used_again_inherits_nothing(podman):
    # One more, so that the first kind follows the last one.
    for number in range(3 * STARTS + 1):
        words, found = [(SHOP, {EGRESS_IP: 20}), ((), NODES_OWN), (OTHERS, NODES_OWN)][number % 3]
        assert podman.first_packets(*FREE, "--ip", address_in(DB, 50), *words, count=20) == found


def test_a_container_that_was_killed_with_its_monitor(fleet, podman):
    podman.start("gone", *FREE, "--ip", address_in(DB, 51), *SHOP)
    podman.run("sh", "-c", KILL, "sh", "gone")
    # The engine does not know it yet.
    podman.run("podman", "rm", "--force", "--time", "0", "gone", check=False)
    assert podman.first_packets(*FREE, "--ip", address_in(DB, 51), count=20) == NODES_OWN
    apply(fleet)
    assert podman.run("ls", "/run/netops-egress-ip.pods") == ""


@pytest.mark.repeats
def test_a_restart_of_all_containers(podman):
    kinds = {"shop": (SHOP, EGRESS_IP), "plain": ((), ADDRESS[NODE]), "others": (OTHERS, ADDRESS[NODE])}
    for number in range(2):
        for kind, (words, _source) in kinds.items():
            podman.start(f"{kind}{number}", *FREE, *words)
    for _restart in range(STARTS):
        podman.run("podman", "restart", "--all", "--time", "0")
        for number in range(2):
            for kind, (_words, source) in kinds.items():
                assert podman.source_of(f"{kind}{number}", SERVER.address) == source


def test_containers_of_a_pod_share_an_address(podman):
    podman.start("first", *FREE, *SHOP)
    for name in ("second", "third"):
        podman.start(name, "--network", "container:first", words=("sleep", "600"))
    assert podman.source_of("second", SERVER.address) == podman.source_of("first", SERVER.address) == EGRESS_IP
    podman.run("podman", "rm", "--force", "--time", "0", "third")
    assert podman.source_of("second", SERVER.address) == EGRESS_IP
    # Podman removes no container whose network another one has.
    podman.run("podman", "rm", "--force", "--time", "0", "second")


def test_tables_missing_while_a_container_starts(podman):
    podman.run("sh", "-ec", STOP_WATCH)
    podman.run("nft", "delete", "table", "inet", "egress_ip")
    done = podman.run("sh", "-c", f"podman run --rm {' '.join((*FREE, *SHOP))} localhost/test true 2>&1", check=False)
    podman.run("systemctl", "start", WATCH_TIMER)
    assert "netops.egress_ip: the pod cannot be classified: nft: " in done
    wait_for("the tables are back", lambda: podman.run("nft", "list", "tables").count("egress_ip") == 2)
    assert podman.first_packets(*FREE, *SHOP) == RIGHT


def test_a_container_that_starts_while_its_host_boots(podman):
    """No packet has the address of the host."""
    burst = " ".join((*CLIENT, SERVER.address, str(SERVER_PORT), "--burst", "300"))
    loop = ("sh", "-c", f"while true; do {burst}; sleep 1; done")
    podman.start("shop", *FREE, *SHOP, "--restart", "always", words=loop)
    podman.lab.reboot(NODE)

    def bursts():
        return [json.loads(line) for line in podman.run("podman", "logs", "shop", check=False).splitlines()]

    before = len(bursts())
    wait_for("bursts after the boot", lambda: len(bursts()) > before + 1 and bursts()[-1] == RIGHT)
    assert {source for burst in bursts() for source in burst} <= {EGRESS_IP, "lost"}


def test_a_second_run_changes_nothing(fleet, podman):
    podman.start("shop", *FREE, *SHOP)
    # The network of the container has come back with it, and the watch may have seen the node without it.
    fleet.wait_for_two_looks(NODE)
    assert apply(fleet).changed() == []
    assert podman.source_of("shop", SERVER.address) == EGRESS_IP


def test_nothing_of_it_stays(fleet, podman):
    """Also a container that started with the hook ends without an error."""
    podman.start("shop", *FREE, *SHOP)
    assert HOOK in podman.run("find", FOLDER)
    fleet.good(egress_ip_manifests=documents(), **VARIABLES)
    assert podman.run("ls", "-A", FOLDER) == ""
    assert not {"follow.json", "netops-egress-ip.json"} & {*podman.run("sh", "-c", LEFT, check=False).split()}
    assert podman.source_of("shop", SERVER.address) == ADDRESS[NODE]
    assert podman.run("podman", "stop", "--time", "0", "shop").strip() == "shop"
