# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""New connections to egress IPs with `inbound: drop`, on two real nodes in network namespaces."""

from __future__ import annotations

import contextlib
import struct

import pytest
from small_fleet import (
    EGRESS1,
    EGRESS2,
    NODE2,
    OTHER,
    OUTSIDER,
    SELECTED,
    SERVER,
    SERVICE_PORT,
    answer_to_late_packet,
    connects,
    listener,
    nft,
    send,
    small_fleet,
    sources,
)

RST = 0x04
VERSIONS = pytest.mark.parametrize("version", [4, 6])


@pytest.fixture(scope="module", autouse=True)
def fleet():
    with small_fleet(inbound="drop"):
        yield


@VERSIONS
def test_services_do_not_answer_on_the_egress_ip(version):
    with contextlib.closing(listener("node2", version)) as service:
        send("outsider", EGRESS2[version])
        assert sources(service) == []
        send("outsider", NODE2[version])
        assert sources(service, expected=1) == [OUTSIDER[version]]
    assert not connects("outsider", EGRESS2[version], 22, timeout=0.3)
    assert connects("outsider", NODE2[version], 22)


@VERSIONS
def test_published_ports_do_not_answer_on_the_egress_ip(version):
    family = {4: "ip", 6: "ip6"}[version]
    nft(
        "node2",
        "add table inet theirs",
        "add chain inet theirs dstnat { type nat hook prerouting priority -100; }",
        f"add rule inet theirs dstnat fib daddr type local udp dport 8080 dnat {family} to {OTHER[version]}",
    )
    try:
        with contextlib.closing(listener("pod2", version, 8080)) as pod:
            send("outsider", EGRESS2[version], port=8080)
            assert sources(pod) == []
            send("outsider", NODE2[version], port=8080)
            assert sources(pod, expected=1) == [OUTSIDER[version]]
    finally:
        nft("node2", "delete table inet theirs")


@VERSIONS
@pytest.mark.parametrize("pod", ["pod1", "pod2"])
def test_pods_use_the_egress_ip_in_both_directions(version, pod):
    with (
        contextlib.closing(listener("server", version)) as server,
        contextlib.closing(listener(pod, version, 7777, address=SELECTED[version])) as client,
    ):
        client.sendto(b"x", (SERVER[version], SERVICE_PORT))
        source = server.recvfrom(10)[1]
        assert source[0] == EGRESS1[version]
        server.sendto(b"y", source)
        assert client.recvfrom(10)[0] == b"y"


@VERSIONS
def test_a_late_packet_of_a_connection_that_has_moved_is_answered_with_a_reset(version):
    answer = answer_to_late_packet(version)
    assert answer[:4] == struct.pack("!HH", 40000, 443)
    assert answer[13] & RST
