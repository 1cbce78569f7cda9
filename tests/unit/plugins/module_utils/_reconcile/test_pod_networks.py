# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Addresses of pods that documents name, and their effect on destinations of the whole fleet."""

from __future__ import annotations

import pytest
from ansible_collections.netops.egress_ip.plugins.module_utils._common.addresses import outermost, parse_network
from ansible_collections.netops.egress_ip.plugins.module_utils._common.errors import InvalidError
from ansible_collections.netops.egress_ip.plugins.module_utils._kubernetes.manifests import read_manifests
from ansible_collections.netops.egress_ip.plugins.module_utils._reconcile.pod_networks import (
    pod_networks,
)
from hypothesis import given
from hypothesis import strategies as st


def manifests(*pod_ips, cidrs=()):
    documents = [
        {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": f"p{number}", "namespace": "shop"},
            "spec": {"nodeName": "node1"},
            "status": {"podIPs": [{"ip": address}]},
        }
        for number, address in enumerate(pod_ips)
    ]
    node = {"apiVersion": "v1", "kind": "Node", "metadata": {"name": "node1"}, "spec": {"podCIDRs": list(cidrs)}}
    return read_manifests([{"source": "m.yml", "document": each} for each in [*documents, node]])


def excluded(read, own=()):
    return [str(network) for network in pod_networks(read, own, ()).networks]


def lines(read, *networks, own=()):
    return pod_networks(read, own, [parse_network(text, "") for text in networks]).lines


@pytest.mark.parametrize("address", ["10.88.0.2", "172.31.0.2", "192.168.0.9", "100.127.1.1", "fd00:88::2"])
def test_private_addresses_of_pods_are_excluded(address):
    length = 128 if ":" in address else 32
    assert excluded(manifests(address)) == [f"{address}/{length}"]
    assert lines(manifests(address)) == []


@pytest.mark.parametrize("address", ["203.0.113.9", "172.32.0.1", "100.128.0.1", "9.255.255.255", "2001:db8::9"])
def test_a_public_address_of_a_pod_excludes_no_destination_and_is_reported(address):
    read = manifests(address)
    assert excluded(read) == []
    (line,) = lines(read)
    assert line.startswith(f"egress_ip_excluded_cidrs: does not contain {address}/")
    assert "(pod/shop/p0); status.podIPs outside private networks has no effect" in line


@pytest.mark.parametrize("cidr", ["203.0.113.0/24", "0.0.0.0/0", "10.0.0.0/7", "2000::/3", "fc00::/6"])
def test_a_pod_network_that_is_not_private_excludes_no_destination(cidr):
    read = manifests(cidrs=[cidr, "10.244.1.0/24"])
    assert excluded(read) == ["10.244.1.0/24"]
    (line,) = lines(read)
    assert f"{cidr} (node/node1); spec.podCIDRs outside private networks" in line


def test_what_the_operator_excludes_and_what_nodes_have_is_not_reported():
    read = manifests("203.0.113.9", "2001:db8::9", "198.51.100.7", cidrs=["203.0.113.0/25"])
    assert lines(read, "203.0.113.0/24", "2001:db8::/64", own=["198.51.100.7"]) == []
    assert len(lines(read, "203.0.113.0/26", own=["198.51.100.7"])) == 2


def test_many_pods_are_one_line():
    (line,) = lines(manifests(*(f"203.0.113.{n}" for n in range(1, 20))))
    assert "203.0.113.5/32 (pod/shop/p4) and 14 more;" in line


def test_a_malformed_network_names_its_path():
    with pytest.raises(InvalidError, match=r"node/node1: spec.podCIDRs\[0\]"):
        excluded(manifests(cidrs=["10.244.1.1/24"]))


@given(st.ip_addresses())
def test_each_address_is_either_excluded_or_reported(address):
    read = manifests(str(address))
    pods = [pod for pod in read.pods if pod.pod_ips]
    assert len(excluded(read)) + len(lines(read)) == len(pods)


@pytest.mark.parametrize("network", ["10.88.0.0/16", "10.88.0.2/32", "10.0.0.0/8"])
def test_what_is_excluded_already_is_left_out(network):
    read = manifests("10.88.0.2", "10.99.0.3", cidrs=["10.88.0.0/24"])
    known = parse_network(network, "")
    found = pod_networks(read, (), [known]).networks
    everything = pod_networks(read, (), ()).networks
    assert outermost([known, *found]) == outermost([known, *everything])
    assert len(found) < len(everything)
