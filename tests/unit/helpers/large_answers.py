# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The longest answer of an honest node to the module `node_info`, in fleets of different sizes."""

from __future__ import annotations

import ipaddress

from ansible_collections.netops.egress_ip.plugins.module_utils._common.destinations import Destinations
from ansible_collections.netops.egress_ip.plugins.module_utils._common.selectors import Selector
from ansible_collections.netops.egress_ip.plugins.module_utils._common.text_fields import with_texts
from ansible_collections.netops.egress_ip.plugins.module_utils._dataplane.failover import Failover, Peer, Standby
from ansible_collections.netops.egress_ip.plugins.module_utils._dataplane.followed_pods import (
    Follow,
    FollowedNamespace,
    PodRule,
)
from ansible_collections.netops.egress_ip.plugins.module_utils._dataplane.nft_addresses import name_of
from ansible_collections.netops.egress_ip.plugins.module_utils._dataplane.node_state import (
    EgressObject,
    FarEnd,
    FleetNode,
    Held,
    LocalPod,
    NodeState,
)
from ansible_collections.netops.egress_ip.plugins.module_utils._dataplane.options import DataPlaneOptions
from ansible_collections.netops.egress_ip.plugins.module_utils._dataplane.state import drift_lines
from ansible_collections.netops.egress_ip.plugins.module_utils._node import observe
from ansible_collections.netops.egress_ip.plugins.module_utils._node.metrics import metrics
from ansible_collections.netops.egress_ip.plugins.module_utils._node.platform_detection import Platform
from ansible_collections.netops.egress_ip.plugins.module_utils._node.record import Record
from ansible_collections.netops.egress_ip.plugins.module_utils._protocols.conntrack_usage import Use

INTERFACE = "enp175s0f1np1"
# Room for 8,190 egress IPs.
_MARK_MASK = 0x1FFF
_FIRST = {4: ipaddress.ip_address("192.168.128.1"), 6: ipaddress.ip_address("2001:db8:1126:4321:ffff:ffff:ffff:1")}
_USE = Use(28_000, "203.0.113.105:65535", 27_999)
_BUSY = dict.fromkeys(("icmp", "sctp", "tcp", "udp"), _USE)
_MAC = "02:e1:aa:bb:cc:dd"
_DIFFERENCE = "nft inet elements4 192.168.228.221 . 203.0.113.0/24: goto a chain with a long name, with a fingerprint"


def large_answer(nodes, egress_ips, held, version=4, pods=500):
    """Return the answer of a node that holds `held` of the egress IPs, with each optional field.

    All objects are recalled, as those with addresses of pools are; all egress IPs are on secondary interfaces and have
    three standbys. The tables of the node are gone, and another host answers for each of its addresses.
    """
    addresses = addresses_of(version, egress_ips)
    state = large_state(nodes, addresses, held, pods)
    own = addresses[:held]
    counters = {name_of(way, ip): (2**50, 2**60) for way in ("transmit", "receive") for ip in own}
    conflicts = dict.fromkeys(own, _MAC)
    facts = observe.NodeFacts(
        Platform("vsphere", "42304b1e-9e7b-4f1d-8a52-0c1f6b0f6c11"),
        interface="eth0",
        endpoints=state.endpoints,
        networks=[{"interface": "eth0", "addresses": [f"{own}/32" for own in state.endpoints]}],
        addresses=[f"10.{number}.0.1" for number in range(200)],
        held=[Held(ip, INTERFACE) for ip in own],
        drift=drift_lines([_DIFFERENCE] * 30 * egress_ips, []),
        recalled=observe._recall(state, [item.name for item in state.egressips]),
        takeovers=[{"egressIP": ip, "from": "node-with-a-long-name-0001", "since": 1_795_955_301.5} for ip in own],
        failover_key="0" * 16,
        metrics=metrics(state, counters, dict.fromkeys(own, _BUSY), conflicts),
        since=dict.fromkeys(own, 1_795_955_301),
        conflicts=[{"egressIP": ip, "interface": INTERFACE, "mac": mac} for ip, mac in conflicts.items()],
        record=Record(state, state.digest(), {}, {}),
    )
    return with_texts({"changed": False, **facts.to_dict()})


def addresses_of(version, count):
    """Return so many egress IPs."""
    return [str(_FIRST[version] + number) for number in range(count)]


def large_state(nodes, addresses, held, pods):
    """Return the state of a node that holds the first `held` of these egress IPs, each of an object of its own."""
    members = [_member(number) for number in range(nodes)]
    order = tuple(Peer(member.name, str(_FIRST[6]), _MAC) for member in (members * 4)[:4])
    objects = [
        EgressObject(f"tenant-{number:05}-production", (ip,), (ip,), Destinations(("203.0.113.0/24",)))
        for number, ip in enumerate(addresses)
    ]
    selector = Selector((("app.kubernetes.io/name", "web"),))
    rules = [FollowedNamespace(f"ns-{n}", (PodRule(each.name, selector),)) for n, each in enumerate(objects)]
    # A node stands by for as many addresses as another one.
    of_node = 4 * len(addresses) // nodes
    return NodeState(
        name=members[0].name,
        generation=2**40,
        interface="eth0",
        endpoints=members[0].endpoints,
        options=DataPlaneOptions(mark_mask=_MARK_MASK),
        nodes=tuple(members),
        excluded=("10.0.0.0/8",),
        egressips=tuple(objects),
        pods=tuple(LocalPod(f"10.128.{n >> 8}.{n & 255}", (objects[n % len(objects)].name,)) for n in range(pods)),
        held=tuple(Held(ip, INTERFACE) for ip in addresses[:held]),
        far_ends=tuple(FarEnd(ip, members[0].endpoints[0]) for ip in addresses),
        failover=Failover(3.5, False, (), key="0" * 16),
        standbys=tuple(Standby(ip, INTERFACE, order) for ip in addresses[:of_node]),
        follow=Follow(("podman",), tuple(rules)),
    )


def _member(number):
    own = f"10.{number >> 8}.{number & 255}.21", f"2001:db8:126::{number:x}"
    return FleetNode(f"node-with-a-long-name-{number:04}", own, own)
