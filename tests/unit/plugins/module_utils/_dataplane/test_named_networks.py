# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What applies to packets from the networks of a node: order, conflicts, reserved addresses."""

from __future__ import annotations

from dataclasses import replace

from ansible_collections.netops.egress_ip.plugins.module_utils._common.addresses import parse_network
from ansible_collections.netops.egress_ip.plugins.module_utils._dataplane.closed import closed_ruleset
from ansible_collections.netops.egress_ip.plugins.module_utils._dataplane.named_networks import NamedNetworks
from ansible_collections.netops.egress_ip.plugins.module_utils._dataplane.nft_networks import Inner
from ansible_collections.netops.egress_ip.plugins.module_utils._dataplane.nft_ruleset import desired_tables
from ansible_collections.netops.egress_ip.plugins.module_utils._dataplane.node_state import (
    LocalNetwork,
    NodeState,
    allocate_marks,
)
from ansible_collections.netops.egress_ip.plugins.module_utils._dataplane.xfrm_policies import desired_policies
from hypothesis import given
from hypothesis import strategies as st
from states import egress_object, node_state

CIDRS = [
    "10.89.0.0/16",
    "10.89.7.0/24",
    "10.89.7.0/25",
    "10.89.8.0/24",
    "172.17.0.0/16",
    "fd00:89::/64",
    "fd00:89::/80",
]
NAMES = ["podman:web", "docker:web", "10.89.0.0/16", "interface:virbr1"]
NETWORKS = st.lists(
    st.builds(
        LocalNetwork,
        namespace=st.sampled_from(["web", "db"]),
        network=st.sampled_from(NAMES),
        egressips=st.lists(st.sampled_from(["db", "web"]), unique=True).map(sorted).map(tuple),
        cidrs=st.lists(st.sampled_from(CIDRS), unique=True, max_size=3).map(tuple),
    ),
    max_size=4,
).map(tuple)
OBJECTS = [egress_object("db", ["192.168.126.103"]), egress_object("web", ["192.168.126.101", "2001:db8:126::101"])]


def named(*networks, **changes):
    return NamedNetworks(state_with(*networks, **changes))


def state_with(*networks, **changes):
    return replace(node_state(**{"egressips": OBJECTS, **changes}), networks=networks)


def local(namespace="web", *cidrs, network="podman:web", egressips=("web",)):
    return LocalNetwork(namespace, network, tuple(egressips), cidrs)


def test_the_longest_prefix_applies():
    found = named(local("a", "10.89.0.0/16", egressips=["db"]), local("b", "10.89.128.0/17", network="docker:b"))
    assert found.classes(4).by_network == {"10.89.0.0/17": ("db",), "10.89.128.0/17": ("web",)}
    assert (found.conflicts, found.refused) == ([], {})


def test_the_same_network_in_two_namespaces_is_dropped():
    one, two = local("a", "10.89.7.0/24"), local("b", "10.89.7.0/24", network="10.89.7.0/24")
    found = named(one, two, local("c", "10.89.8.0/24"))
    assert found.classes(4).by_network == {"10.89.7.0/24": None, "10.89.8.0/24": ("web",)}
    assert found.conflicts == [("10.89.7.0/24", (one, two))]


def test_one_namespace_may_name_a_network_twice():
    found = named(local("a", "10.89.7.0/24"), local("a", "10.89.7.0/24", network="10.89.7.0/24"))
    assert found.conflicts == []
    assert found.classes(4).by_network == {"10.89.7.0/24": ("web",)}


def test_the_same_interface_in_two_namespaces_is_dropped():
    one, two = (local(name, network="interface:virbr1") for name in ("a", "b"))
    found = named(one, two)
    assert found.classes(4).by_interface == found.classes(6).by_interface == {"virbr1": None}
    assert found.conflicts == [("virbr1", (one, two))]


def test_of_two_objects_the_one_with_an_assigned_address_of_the_version_applies():
    found = named(local("a", "10.89.7.0/24", "fd00:89::/64", egressips=["db", "web"]))
    assert found.classes(4).by_network == {"10.89.7.0/24": ("db",)}
    assert found.classes(6).by_network == {"fd00:89::/64": ("web",)}


def test_without_an_object_the_option_decides():
    network = local("a", "10.89.7.0/24", egressips=[])
    assert named(network).classes(4).by_network == {"10.89.7.0/24": ()}
    assert named(network).guarded == []
    closed = named(network, options={"unknown_pods": "drop"})
    assert closed.classes(4).by_network == {"10.89.7.0/24": None}
    assert closed.guarded == [parse_network("10.89.7.0/24", "")]


def test_a_network_with_an_endpoint_or_an_egress_ip_is_not_used():
    """Packets from the tunnel have the endpoint of a node as their source."""
    lan = local("a", "192.168.126.0/24", "10.89.7.0/24", network="interface:eth0")
    found = named(lan, local("b", "2001:db8:126::100/120", network="docker:b"))
    assert found.refused == {"192.168.126.0/24": "192.168.126.21", "2001:db8:126::100/120": "2001:db8:126::101"}
    assert found.classes(4) == ({"10.89.7.0/24": ("web",)}, {})
    assert found.classes(6) == ({}, {})


def test_only_private_networks_are_excluded_as_destinations():
    assert named(local("a", "10.89.7.0/24", "203.0.113.0/24", "fd00:89::/64", "2001:db8::/64")).excluded == [
        "10.89.7.0/24",
        "fd00:89::/64",
    ]


def test_private_networks_on_bridges_are_excluded_without_a_name():
    """Packets to idle networks would leave the node, and pods may reach public ones from outside."""
    inner = Inner(("10.89.8.0/24", "203.0.113.0/24", "fd00:8::/64"), ("10.95.0.0/16",))
    state = state_with(local("a", "10.89.7.0/24"))
    sets = desired_tables(state, allocate_marks(state.egress_ips, {}, 100), 1400, inner=inner)["inet"].sets
    assert {"10.89.7.0/24", "10.89.8.0/24"} <= sets["excluded4"].elements.keys()
    assert not {"203.0.113.0/24", "10.95.0.0/16"} & sets["excluded4"].elements.keys()
    assert "fd00:8::/64" in sets["excluded6"].elements


@given(NETWORKS, st.sampled_from(["node", "drop"]))
def test_the_tables_of_any_networks_are_consistent(networks, unknown):
    """Elements do not overlap, verdicts have a chain, and each guarded network has its policy."""
    state = state_with(*networks, options={"unknown_pods": unknown})
    assert NodeState.from_dict(state.to_dict()) == state
    marks = allocate_marks(state.egress_ips, {}, state.options.max_index)
    table = desired_tables(state, marks, 1400, inner=Inner(("10.89.7.0/24",)))["inet"]
    for version in (4, 6) if networks else ():
        elements = table.sets[f"networks{version}"].elements
        cidrs = [parse_network(key, "") for key in elements]
        assert not any(a != b and a.overlaps(b) for a in cidrs for b in cidrs)
        assert all(value in ("drop", "return") or value.split()[1] in table.chains for value in elements.values())
        guarded = list(table.sets[f"guarded{version}"].elements)
        assert all(f"src {cidr} mark 0x0 mask 0xfff" in desired_policies(state) for cidr in guarded)
        assert all(f"{cidr}" in closed_ruleset(state, marks) for cidr in guarded)
        kept = [parse_network(key, "") for key, value in elements.items() if value != "return"]
        assert all(any(each.subnet_of(parse_network(cidr, "")) for cidr in guarded) for each in kept)
        assert (f"inner{version}" in table.sets) == (unknown == "drop")
    if not networks:
        assert not any(name.startswith(("networks", "guarded", "inner")) for name in table.sets)
