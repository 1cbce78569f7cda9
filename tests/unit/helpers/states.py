# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Node states for tests: one that reads well, and any that hypothesis can think of."""

from __future__ import annotations

from functools import cache

from ansible_collections.netops.egress_ip.plugins.module_utils._common.addresses import of_version, version_of
from ansible_collections.netops.egress_ip.plugins.module_utils._dataplane.node_state import NodeState, slots
from hypothesis import strategies as st

EGRESS_IPS = [f"192.168.126.{number}" for number in range(101, 107)]
EGRESS_IPS += [f"2001:db8:126::{number}" for number in range(101, 105)]
PODS = [*(f"10.88.0.{number}" for number in range(2, 9)), "fd00:88::2", "fd00:88::3"]

# Strategies that do not depend on what is drawn before are made once: to make one takes longer than to draw from it.
NAMES = st.lists(st.sampled_from(["web", "db", "mail.prod", "a-1"]), unique=True, max_size=3).map(sorted)
OBJECT_IPS = st.lists(st.sampled_from(EGRESS_IPS), unique=True, min_size=1, max_size=4)
NETWORKS = st.lists(
    st.sampled_from(["0.0.0.0/0", "0.0.0.0/1", "203.0.113.0/24", "203.0.113.7/32", "::/0", "2001:db8::/32"]),
    unique=True,
)
EXCLUDED = st.lists(
    st.sampled_from(["10.88.0.0/16", "10.0.0.0/8", "172.16.0.0/12", "10.88.3.4/32", "fd00:88::/64"]), unique=True
)
POD_ADDRESSES = st.lists(st.sampled_from(PODS), unique=True)
REACHED = st.sampled_from(
    [
        ["192.168.64.0/18", "2001:db8:126::/64"],
        ["192.168.126.0/24"],
        ["172.30.0.0/24", "10.5.0.0/16", "2001:db8:30::/64"],
        ["192.168.126.101/32", "0.0.0.0/0"],
        [],
    ]
)
# Bit i is set: element i of a list belongs to the subset.
SUBSETS = st.integers(0, 2 ** len(EGRESS_IPS) - 1)


def egress_object(name, egress_ips, assigned=None):
    """Return the dict form of an EgressObject; all its addresses are assigned unless `assigned` names some."""
    chosen = slots(tuple(egress_ips), set(egress_ips if assigned is None else assigned))
    return {"name": name, "egressIPs": list(egress_ips), "slots": list(chosen)}


def reach(egress_ip, networks, routed):
    """Return the dict form of a Reach with those of the networks that have the IP version of the address."""
    return {"egressIP": egress_ip, "networks": list(of_version(networks, version_of(egress_ip))), "routed": routed}


def fleet_nodes(count):
    """Return the dict form of the first nodes."""
    return [
        {"name": f"node{i}", "endpoints": endpoints, "addresses": ["10.88.0.1", *endpoints]}
        for i in range(1, count + 1)
        for endpoints in [[f"192.168.126.2{i}", f"2001:db8:126::2{i}"]]
    ]


def held(*egress_ips, interface="eth0"):
    """Return the dict form of held addresses."""
    return [{"egressIP": ip, "interface": interface} for ip in egress_ips]


def node_state(**changes):
    """Return node1 of a fleet of three: object web with .101 (held here) and .102, one pod. `changes` replace keys."""
    value = {
        "name": "node1",
        "generation": 1,
        "interface": "eth0",
        "endpoints": ["192.168.126.21", "2001:db8:126::21"],
        "options": {},
        "nodes": fleet_nodes(3),
        "excluded": ["10.88.0.0/16"],
        "egressips": [egress_object("web", ["192.168.126.101", "192.168.126.102"])],
        "pods": [{"address": "10.88.0.2", "egressips": ["web"]}],
        "held": held("192.168.126.101"),
    }
    return NodeState.from_dict({**value, **changes})


@cache
def any_options(devices=("egress0",)):
    """Any options of the data plane with one of these tunnel devices."""
    return st.fixed_dictionaries(
        {
            "tunnel_device": st.sampled_from(devices),
            "tunnel_port": st.sampled_from([4790, 4791]),
            "tunnel_vni": st.sampled_from([225, 226]),
            "mark_mask": st.sampled_from([0xFFF, 0xF0]),
            "rule_priority": st.sampled_from([7000, 9997]),
            "table_base": st.sampled_from([7000, 7002]),
            "unassigned": st.sampled_from(["node", "drop"]),
            "inbound": st.sampled_from(["accept", "drop"]),
        }
    )


@cache
def _followed(names):
    return st.lists(st.sampled_from(names), unique=True, min_size=1)


def _subset(draw, items):
    chosen = draw(SUBSETS)
    return [item for i, item in enumerate(items) if chosen >> i & 1]


@st.composite
def node_states(draw, devices=("egress0",), interfaces=("eth0", "eth1", "enp0s31f6np0x"), options=None):
    """Any state of node1, with `options` if given, a strategy."""
    names = tuple(draw(NAMES))
    objects = []
    for name in names:
        egress_ips = draw(OBJECT_IPS)
        assigned = _subset(draw, egress_ips)
        lists = {key: draw(NETWORKS) for key in ("destinations", "excluded_destinations")}
        reaches = [reach(ip, draw(REACHED), draw(st.booleans())) for ip in _subset(draw, egress_ips)]
        objects.append(
            {**egress_object(name, egress_ips, assigned), **lists, **({"reaches": reaches} if reaches else {})}
        )
    known = sorted({ip for item in objects for ip in item["egressIPs"]})
    interface = st.sampled_from(interfaces)
    return node_state(
        generation=draw(st.integers(0, 9)),
        options=draw(any_options(devices) if options is None else options),
        nodes=fleet_nodes(draw(st.integers(1, 4))),
        excluded=draw(EXCLUDED),
        egressips=objects,
        pods=[{"address": pod, "egressips": draw(_followed(names))} for pod in (draw(POD_ADDRESSES) if names else [])],
        held=[{"egressIP": ip, "interface": draw(interface)} for ip in _subset(draw, known)],
    )
