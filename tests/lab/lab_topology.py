# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The hosts and pods of the lab, as the picture of the OKD page shows them."""

from __future__ import annotations

import os
from dataclasses import dataclass

# Empty for the machine's own lab; a name for one beside it, see `lab_namespace`.
NAME = os.environ.get("EGRESS_IP_LAB_NAME", "")
NETWORK = f"egress-ip-lab-{NAME}" if NAME else "egress-ip-lab"
SUBNET = "192.168.64.0/18"
GATEWAY = "192.168.64.1"
SUBNET6 = "fd00:126::/64"
GATEWAY6 = "fd00:126::1"
# Node1, node3 and the server have an interface eth1 here when a test wants it.
SECOND_NETWORK = f"{NETWORK}-eth1"
SECOND_SUBNET = "172.30.0.0/24"
POD_GATEWAYS = ("10.88.0.1/16", "fd00:88::1/64")
POD_NETWORKS = {"ip": "10.88.0.0/16", "ip6": "fd00:88::/64"}
SERVER_PORT = 8080


def _last_octet(address: str) -> str:
    return address.rpartition(".")[2]


def _mac(address: str) -> str:
    return "02:00:" + ":".join(f"{int(octet):02x}" for octet in address.split("."))


@dataclass(frozen=True)
class Pod:
    """A pod: its address is private to its node, and other nodes' pods have the same one."""

    namespace: str
    name: str
    node: str
    address: str

    @property
    def key(self) -> str:
        """`namespace/name`, as the command line takes it."""
        return f"{self.namespace}/{self.name}"

    @property
    def address6(self) -> str:
        """Its IPv6 address, which ends as the IPv4 address does."""
        return f"fd00:88::{_last_octet(self.address)}"

    @property
    def netns(self) -> str:
        """Name of the pod's network namespace on its node."""
        return f"{self.namespace}.{self.name}"


@dataclass(frozen=True)
class Host:
    """A host of the lab network; `assignable` ones bear the label of OKD."""

    name: str
    address: str
    assignable: bool = False
    is_server: bool = False

    @property
    def address6(self) -> str:
        """Its IPv6 address, which ends as the IPv4 address does."""
        return f"fd00:126::{_last_octet(self.address)}"

    @property
    def second_address(self) -> str:
        """Its address in the second network, which ends as the first one does; empty if it is not there."""
        return f"172.30.0.{_last_octet(self.address)}" if self.assignable or self.is_server else ""

    @property
    def container(self) -> str:
        """Name of the podman container."""
        return f"{NETWORK}-{self.name}"

    @property
    def mac(self) -> str:
        """A MAC address that survives restarts, as a real host's does."""
        return _mac(self.address)

    @property
    def second_mac(self) -> str:
        """The MAC address of its interface in the second network."""
        return _mac(self.second_address)


HOSTS = (
    Host("node1", "192.168.126.21", assignable=True),
    Host("node2", "192.168.126.22"),
    Host("node3", "192.168.126.23", assignable=True),
    Host("server", "192.168.126.200", is_server=True),
)
NODES = tuple(host for host in HOSTS if not host.is_server)
SERVER = next(host for host in HOSTS if host.is_server)

# The same pods as in manifests/pods.yml. With these addresses both egress IPs of the page are used.
PODS = (
    Pod("namespace1", "pod1", "node1", "10.88.0.2"),
    Pod("namespace1", "pod2", "node2", "10.88.0.2"),
    Pod("namespace2", "pod3", "node2", "10.88.0.4"),
    Pod("namespace2", "pod4", "node3", "10.88.0.2"),
    Pod("namespace3", "other", "node2", "10.88.0.3"),
)
