# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Egress IPs on an interface in a VRF, with real traffic; runs as root on a kernel that has VRFs (`vm.py` boots one).

Two nodes and what is around them are network namespaces. The egress IPs are on eth1 of node1, which is in the VRF
`blue`; its network, and the way out by its router, are in table 100 alone. The pods are on both nodes.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable

from namespaces import apply, batch, check, connect, inside, lengths, run, status_of

NETNS = ("node1", "node2", "router", "server", "pod1", "pod2")
EGRESS_IPS = {4: "10.9.0.101", 6: "2001:db8:9::101"}
SERVERS = {4: "203.0.113.5", 6: "2001:db8:cafe::5"}
PODS = {"pod1": {4: "10.88.0.2", 6: "fd00:88::2"}, "pod2": {4: "10.88.0.3", 6: "fd00:88::3"}}
ENDPOINTS = {f"node{i}": [f"192.168.126.2{i}", f"2001:db8:126::2{i}"] for i in (1, 2)}
# (network namespace, interface) at each end, and the addresses there.
CABLES = (
    (("node1", "eth0"), ENDPOINTS["node1"], ("node2", "eth0"), ENDPOINTS["node2"]),
    (("node1", "eth1"), ["10.9.0.21", "2001:db8:9::21"], ("router", "eth0"), ["10.9.0.1", "2001:db8:9::1"]),
    (("router", "eth1"), ["203.0.113.1", "2001:db8:cafe::1"], ("server", "eth0"), list(SERVERS.values())),
    (("node1", "pods0"), ["10.88.0.1", "fd00:88::1"], ("pod1", "eth0"), list(PODS["pod1"].values())),
    (("node2", "pods0"), ["10.88.0.1", "fd00:88::1"], ("pod2", "eth0"), list(PODS["pod2"].values())),
)


def build() -> None:
    """Lay the cables, and make the VRF before its addresses."""
    for netns in NETNS:
        run("ip", "netns", "add", netns)
        batch(netns, "link set lo up")
    for (left, port), _addresses, (right, other_port), _others in CABLES:
        run("ip", "link", "add", port, "netns", left, "type", "veth", "peer", "name", other_port, "netns", right)
    batch("node1", "link add blue type vrf table 100", "link set blue up", "link set eth1 master blue")
    for left, own, right, others in CABLES:
        for (netns, port), addresses in ((left, own), (right, others)):
            batch(netns, f"link set {port} up", *(f"address add {a} dev {port}" for a in lengths(addresses)))
    batch("node1", "route add default via 10.9.0.1 vrf blue", "route add default via 2001:db8:9::1 vrf blue")
    batch("server", "route add default via 203.0.113.1", "route add default via 2001:db8:cafe::1")
    for pod in PODS:
        batch(pod, "route add default via 10.88.0.1", "route add default via fd00:88::1")
    for netns in ("node1", "node2", "router"):
        inside(netns, "sysctl", "-qw", "net.ipv4.ip_forward=1", "net.ipv6.conf.all.forwarding=1")


def state(name: str, pod: str) -> dict:
    """The state of node `name`."""
    egress_ips = list(EGRESS_IPS.values())
    held = [{"egressIP": ip, "interface": "eth1"} for ip in egress_ips] if name == "node1" else []
    ends = [{"egressIP": ip, "endpoint": ENDPOINTS["node1"][i]} for i, ip in enumerate(egress_ips)]
    return {
        "name": name,
        "generation": 1,
        "interface": "eth0",
        "endpoints": ENDPOINTS[name],
        "options": {},
        "nodes": [{"name": node, "endpoints": ends, "addresses": ends} for node, ends in ENDPOINTS.items()],
        "excluded": ["10.88.0.0/16", "fd00:88::/64"],
        "egressips": [{"name": "web", "egressIPs": egress_ips, "slots": egress_ips}],
        "pods": [{"address": address, "egressips": ["web"]} for address in PODS[pod].values()],
        "held": held,
        "far_ends": ends,
    }


def main() -> int:
    """Build, apply, connect; 1 if a check fails."""
    build()
    for name, pod in (("node1", "pod1"), ("node2", "pod2")):
        apply(name, state(name, pod))
    try:
        return status_of(checks)
    finally:
        for netns in NETNS:
            run("ip", "netns", "delete", netns)


def checks() -> Iterable[bool]:
    """Connect from each pod by each IP version."""
    ways = [(pod, version) for pod in PODS for version in SERVERS]
    return [check(f"{pod}, IPv{v}", connect(pod, SERVERS[v]), EGRESS_IPS[v]) for pod, v in ways]


if __name__ == "__main__":
    sys.exit(main())
