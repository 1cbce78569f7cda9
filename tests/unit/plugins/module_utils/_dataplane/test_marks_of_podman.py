# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Published ports of Podman with netavark 2.1, which marks their connections, on two real nodes in network namespaces.

The masks are those that the guide to Podman names.
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


@pytest.fixture(scope="module", autouse=True, params=["0xfff", "0x3fff0000"])
def fleet(request):
    with small_fleet(mark_mask=request.param):
        yield


def port_of_netavark(version, target):
    """Publish a port of node2 as netavark does: the packet's mark with its own bit becomes that of the connection."""
    own_bit = f"ct mark set meta mark or {MARK:#x}"
    return published("node2", version, NODE2[version], PORT, PORT, target=target, first=own_bit)


@VERSIONS
@pytest.mark.parametrize(("target", "own_port"), [(OTHER, 7777), (SELECTED, 7778)], ids=["other", "selected"])
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


@VERSIONS
def test_a_selected_pod_has_its_egress_ip(version):
    with port_of_netavark(version, SELECTED), contextlib.closing(listener("server", version)) as server:
        send("pod2", SERVER[version], source=SELECTED[version], port=SERVICE_PORT)
        assert sources(server, expected=1) == [EGRESS1[version]]
