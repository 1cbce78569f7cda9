# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Published ports of Podman with netavark 2.1, which marks their connections, on two real nodes in network namespaces.

The masks are the default, the one that the guides name for more egress IPs, and one with the bit of netavark: with this
one, published ports get no packet.
"""

from __future__ import annotations

import contextlib

import pytest
from small_fleet import (
    EGRESS1,
    NODE2,
    OTHER,
    OUTSIDER,
    SELECTED,
    SERVER,
    SERVICE_PORT,
    listener,
    published,
    send,
    small_fleet,
    sources,
)

MARK = 0x1000
PORT = 8080
VERSIONS = pytest.mark.parametrize("version", [4, 6])
TARGETS = pytest.mark.parametrize(("target", "own_port"), [(OTHER, 7777), (SELECTED, 7778)], ids=["other", "selected"])


WITHOUT_THE_BIT = pytest.mark.parametrize(
    "fleet", [{}, {"mark_mask": "0x3fff0000"}], ids=["default", "0x3fff0000"], indirect=True
)
WITH_THE_BIT = pytest.mark.parametrize("fleet", [{"mark_mask": "0x1fff"}], ids=["0x1fff"], indirect=True)


@pytest.fixture(scope="module", autouse=True)
def fleet(request):
    with small_fleet(**request.param):
        yield


def port_of_netavark(version, target):
    """Publish a port of node2 as netavark does: the packet's mark with its own bit becomes that of the connection."""
    own_bit = f"ct mark set meta mark or {MARK:#x}"
    return published("node2", version, NODE2[version], PORT, PORT, target=target, first=own_bit)


@WITHOUT_THE_BIT
@VERSIONS
@TARGETS
def test_a_published_port_answers(version, target, own_port):
    """Each client has a port of its own, since the kernel keeps the translation of a connection."""
    with (
        port_of_netavark(version, target),
        contextlib.closing(listener("pod2", version, PORT, address=target[version])) as pod,
        contextlib.closing(listener("outsider", version, own_port)) as client,
    ):
        client.sendto(b"x", (NODE2[version], PORT))
        source = pod.recvfrom(10)[1]
        assert source[0] == OUTSIDER[version]
        pod.sendto(b"y", source)
        assert client.recvfrom(10) == (b"y", (NODE2[version], PORT, *([0, 0] if version == 6 else [])))


@WITHOUT_THE_BIT
@VERSIONS
def test_a_selected_pod_has_its_egress_ip(version):
    with port_of_netavark(version, SELECTED), contextlib.closing(listener("server", version)) as server:
        send("pod2", SERVER[version], source=SELECTED[version], port=SERVICE_PORT)
        assert sources(server, expected=1) == [EGRESS1[version]]


@WITH_THE_BIT
@VERSIONS
@TARGETS
def test_a_published_port_gets_no_packet_with_a_mask_that_has_the_bit(version, target, own_port):
    """A port published without the mark shows that the mark makes the difference, and that the other packet is lost."""
    plain = PORT + 1
    with (
        port_of_netavark(version, target),
        published("node2", version, NODE2[version], plain, PORT, target=target),
        contextlib.closing(listener("pod2", version, PORT, address=target[version])) as pod,
        contextlib.closing(listener("outsider", version, own_port)) as client,
    ):
        for port, data in ((plain, b"first"), (PORT, b"marked"), (plain, b"last")):
            client.sendto(data, (NODE2[version], port))
        assert [pod.recvfrom(10)[0], pod.recvfrom(10)[0]] == [b"first", b"last"]
