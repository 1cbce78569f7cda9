# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A user of two hosts as a pod: its processes, and its rootless containers behind pasta and slirp4netns."""

from __future__ import annotations

import json

import pytest
from conftest import VARIABLES, documents
from engines import CLIENT, EGRESS_IP, HOLDER, OTHER, ROOTLESS, SHORT_WAIT, USER, USER_ID, WAIT, burst
from fleet import ADDRESS, ASSIGNABLE, NOT_ASSIGNABLE, Fleet, wait_for
from lab_topology import SERVER, SERVER_PORT

SERVICE = "6000"
# Sends each client its address.
SERVER_PROGRAM = """
import socket, sys
with socket.create_server(("", int(sys.argv[1]))) as server:
    while True:
        connection, (address, port) = server.accept()
        with connection:
            connection.sendall(f"{address} {port}\\n".encode())
"""
# Receives a stream of one connection, and writes each line to a file.
STREAMED = "/tmp/stream-of-user"
STREAM = f"""
import socket, sys
with socket.create_connection((sys.argv[1], int(sys.argv[2]))) as connection, open("{STREAMED}", "w") as file:
    connection.sendall(b"stream\\n")
    for line in connection.makefile():
        print(line, end="", file=file, flush=True)
"""
NODES = pytest.mark.parametrize("node", [HOLDER, OTHER])


def as_user(engine, *words, user=USER, check=True):
    """Standard output of a command that a user runs on a host."""
    return engine.run("runuser", "-u", user, "--", *words, check=check)


def first_packets(engine, *words, user=USER, count=300, wait=WAIT):
    """{source that the server saw: datagrams} of a process, whose first act they are."""
    return json.loads(as_user(engine, *words, *burst(count, wait), user=user))


def wait_for_egress_ip(engine):
    """Wait until datagrams of the user have the egress IP; they may be lost before."""
    wait_for("the egress IP", lambda: first_packets(engine, count=20, wait=SHORT_WAIT) == {EGRESS_IP: 20})


def start(engine, unit, program, *arguments):
    """Run a Python program as the user until the unit stops."""
    engine.run("systemd-run", "--quiet", "--unit", unit, "--uid", USER, "python3", "-c", program, *arguments)


@NODES
def test_a_process_of_the_user(engines, node):
    assert first_packets(engines[node]) == {EGRESS_IP: 300}
    assert first_packets(engines[node], user="nobody", count=20) == {ADDRESS[node]: 20}


@NODES
@pytest.mark.parametrize("network", [*ROOTLESS])
def test_a_rootless_container(engines, node, network):
    assert first_packets(engines[node], *ROOTLESS[network]) == {EGRESS_IP: 300}


@NODES
def test_a_connection_of_a_rootless_container(engines, node):
    words = (*ROOTLESS["pasta"], *CLIENT, SERVER.address, str(SERVER_PORT), "--timeout", "20")
    assert json.loads(as_user(engines[node], *words))["source"] == EGRESS_IP


@NODES
def test_a_service_of_the_user_answers_other_hosts(engines, node):
    engine = engines[node]
    start(engine, "service-of-user", SERVER_PROGRAM, SERVICE)
    try:
        asked = (*CLIENT, ADDRESS[node], SERVICE, "--timeout", "5")
        wait_for("the service", lambda: json.loads(engine.lab.exec(SERVER.name, *asked))["source"])
        assert json.loads(engine.lab.exec(SERVER.name, *asked))["source"] == SERVER.address
    finally:
        engine.run("systemctl", "stop", "service-of-user")


def test_without_tables_the_user_is_closed_until_the_watch_restores_them(engines):
    """The tables of the engines stay for other tests."""
    engine = engines[OTHER]
    engine.run("nft", "delete table inet egress_ip; delete table netdev egress_ip")
    assert first_packets(engine, count=20, wait=SHORT_WAIT).keys() <= {EGRESS_IP, "lost"}
    wait_for_egress_ip(engine)


def test_a_user_that_is_created_again_with_another_number(engines):
    engine = engines[OTHER]
    engine.run("sed", "-i", f"s/:{USER_ID}:/:2007:/", "/etc/passwd")
    try:
        wait_for_egress_ip(engine)
    finally:
        engine.run("sed", "-i", f"s/:2007:/:{USER_ID}:/", "/etc/passwd")
    wait_for_egress_ip(engine)


def test_connections_of_the_user_go_on_over_a_planned_move(engines):
    """On the old holder and on the new one; then the address moves back."""
    fleet = Fleet(engines[HOLDER].lab)
    try:
        for engine in engines.values():
            start(engine, "stream-of-user", STREAM, SERVER.address, str(SERVER_PORT))
        for node in (OTHER, HOLDER):
            move_to(fleet, engines, node)
        assert {engine.run("head", "-n", "1", STREAMED).split()[0] for engine in engines.values()} == {EGRESS_IP}
    finally:
        for engine in engines.values():
            engine.run("systemctl", "stop", "stream-of-user", check=False)


def move_to(fleet, engines, node):
    """Let only this node hold the address; the streams go on, and new datagrams have it."""
    hosts = {name: ASSIGNABLE if name == node else NOT_ASSIGNABLE for name in VARIABLES["hosts"]}
    wait_for("the streams", lambda: all(streamed(engine) > 10 for engine in engines.values()))
    fleet.good(egress_ip_manifests=documents(), **{**VARIABLES, "hosts": hosts})
    heard = {name: streamed(engine) for name, engine in engines.items()}
    wait_for("the streams", lambda: all(streamed(engine) > heard[name] + 20 for name, engine in engines.items()))
    for engine in engines.values():
        assert first_packets(engine, count=20) == {EGRESS_IP: 20}


def streamed(engine):
    """Number of lines that the user's connection has received."""
    return int(engine.run("sh", "-c", f"cat {STREAMED} | wc -l"))
