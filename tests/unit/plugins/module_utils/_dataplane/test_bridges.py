# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A holder whose uplink is a bridge, with and without iptables on bridges, in network namespaces."""

from __future__ import annotations

import contextlib
from pathlib import Path

import pytest
from ansible_collections.netops.egress_ip.plugins.module_utils._dataplane.interfaces import (
    CALL_IPTABLES,
    filtered_bridge_versions,
)
from ansible_collections.netops.egress_ip.plugins.module_utils._host_io.host_io import HostIO
from small_fleet import (
    EGRESS1,
    FAR_SERVER,
    NODE1,
    SELECTED,
    SERVER,
    SERVICE_PORT,
    forge_source,
    inside,
    ip,
    listener,
    send,
    small_fleet,
    sources,
    sysctl,
)

VERSIONS = pytest.mark.parametrize("version", [4, 6])
OFF, ON = ({f"bridge__bridge-nf-call-{name}": value for name in ("iptables", "ip6tables")} for value in (0, 1))


@pytest.fixture(scope="module", autouse=True)
def fleet():
    if not Path("/proc/sys/net/bridge").is_dir():
        pytest.skip("the kernel has no br_netfilter")
    with small_fleet(bridged=["node1", "back"]):
        yield


def filtered(device="eth0"):
    with inside("node1"):
        return filtered_bridge_versions(HostIO.read_host(), device, HostIO.read_sysctls(CALL_IPTABLES.values()))


def answered(pod, version):
    """Return whether a selected pod gets the reply to a datagram that leaves with the egress IP of node1."""
    with (
        contextlib.closing(listener("server", version)) as server,
        contextlib.closing(listener(pod, version, 7777, address=SELECTED[version])) as client,
    ):
        client.sendto(b"x", (SERVER[version], SERVICE_PORT))
        source = server.recvfrom(10)[1]
        assert source[0] == EGRESS1[version]
        server.sendto(b"y", source)
        client.settimeout(1)
        with contextlib.suppress(TimeoutError):
            return client.recvfrom(10)[0] == b"y"
        return False


@VERSIONS
def test_without_iptables_a_bridge_is_an_uplink_like_others(version):
    sysctl("node1", **OFF)
    assert filtered() == []
    assert answered("pod1", version)
    assert answered("pod2", version)


@VERSIONS
def test_with_iptables_the_replies_to_other_nodes_are_lost(version):
    """If a kernel delivers them, the check of the node is no longer needed."""
    sysctl("node1", **ON)
    assert filtered() == [4, 6]
    assert answered("pod1", version)
    assert not answered("pod2", version)


@VERSIONS
@pytest.mark.parametrize(("name", "device"), [("outsider", "eth0"), ("back", "eth1")])
def test_a_host_behind_a_bridge_cannot_send_as_a_pod(version, name, device):
    sysctl("node1", **OFF, ipv4__conf__all__rp_filter=0, **{f"ipv4__conf__{device}__rp_filter": 0})
    forge_source(name, SELECTED[version])
    if name == "outsider":
        ip(name, f"route replace {FAR_SERVER[version]} via {NODE1[version]}")
    try:
        with contextlib.closing(listener("server", version)) as server:
            send(name, FAR_SERVER[version], source=SELECTED[version])
            assert sources(server) == []
            send("pod1", FAR_SERVER[version], source=SELECTED[version])
            assert sources(server, expected=1) == [EGRESS1[version]]
    finally:
        ip(name, f"address delete {SELECTED[version]} dev lo")


def test_one_ip_version_or_one_bridge_may_be_filtered():
    sysctl("node1", **{**OFF, "bridge__bridge-nf-call-ip6tables": 1})
    assert filtered() == [6]
    sysctl("node1", **OFF)
    ip("node1", "link set eth0 type bridge nf_call_iptables 1")
    assert filtered() == [4]
    ip("node1", "link add link eth0 name top type macvlan mode bridge")
    assert filtered("top") == [4]
    assert filtered("pods0") == []
