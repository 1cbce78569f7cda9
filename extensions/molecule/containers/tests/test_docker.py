# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Containers of Docker."""

from __future__ import annotations

import pytest
from engines import EGRESS_IP, STARTS
from fleet import wait_for
from lab_topology import SERVER, SERVER_PORT

PUBLISHED = 8082


@pytest.mark.repeats
def test_the_first_packets_of_a_container(docker):
    """On the default bridge, also on a host that forwards nothing by default, with the rules of docs/docker.md."""
    for _start in range(STARTS):
        assert docker.first_packets() == {EGRESS_IP: 300}
    rules = (("-i", "egress0"), ("-m", "conntrack", "--ctstate", "ESTABLISHED,RELATED"))
    docker.run("iptables", "-P", "FORWARD", "DROP")
    for rule in rules:
        docker.run("iptables", "-I", "DOCKER-USER", *rule, "-j", "ACCEPT")
    try:
        assert docker.first_packets() == {EGRESS_IP: 300}
    finally:
        for rule in rules:
            docker.run("iptables", "-D", "DOCKER-USER", *rule, "-j", "ACCEPT")
        docker.run("iptables", "-P", "FORWARD", "ACCEPT")


def test_a_published_port_answers_other_hosts(docker):
    docker.start("web", "--publish", f"{PUBLISHED}:{SERVER_PORT}")
    wait_for("the published port", lambda: docker.ask_published(SERVER.name, PUBLISHED))
    assert docker.ask_published(SERVER.name, PUBLISHED) == SERVER.address
    assert docker.source_of("web", SERVER.address) == EGRESS_IP
