# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A dual-homed node whose forwarding was off before the first run does not connect its networks."""

from __future__ import annotations

import contextlib

import pytest
from small_fleet import BACK, EGRESS1, NODE1, NODE2, OTHER, SELECTED, SERVER, listener, send, small_fleet, sources

VERSIONS = pytest.mark.parametrize("version", [4, 6])


CASES = {
    "off before": (0, ()),
    "on before": (1, ()),
    "off before, uplink is a bridge": (0, ["node1"]),
    "off before, other uplink is a bridge": (0, ["back"]),
    "off before, both are bridges": (0, ["node1", "back"]),
}


@pytest.fixture(scope="module", params=CASES.values(), ids=CASES, autouse=True)
def forwarding(request):
    before, bridged = request.param
    with small_fleet(forwarding=before, bridged=bridged):
        yield before


@VERSIONS
def test_a_host_of_one_network_reaches_the_other_only_where_the_node_was_a_router(version, forwarding):
    with contextlib.closing(listener("back", version)) as service:
        send("outsider", BACK[version])
        assert len(sources(service, expected=forwarding)) == forwarding


@VERSIONS
@pytest.mark.parametrize(("pod", "node"), [("pod1", NODE1), ("pod2", NODE2)])
def test_pods_with_and_without_egress_ip_reach_the_server_in_both_directions(version, pod, node):
    for address, expected in ((SELECTED, EGRESS1), (OTHER, node)):
        with (
            contextlib.closing(listener("server", version)) as server,
            contextlib.closing(listener(pod, version, 7777, address=address[version])) as client,
        ):
            client.sendto(b"x", (SERVER[version], 9))
            source = server.recvfrom(10)[1]
            assert source[0] == expected[version]
            server.sendto(b"y", source)
            assert client.recvfrom(10)[0] == b"y"
