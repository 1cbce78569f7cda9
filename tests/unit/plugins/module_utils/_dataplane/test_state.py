# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""From any data plane to any other, on a kernel in memory and on the real one.

golden/data_plane/CASE holds before.yml (absent on a new node) and after.yml, the states, and transaction.txt, what
leads from one to the other. inet.json is the table on the node, as nft lists it, if another version has written it.
"""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from ansible_collections.netops.egress_ip.plugins.module_utils._common.text_fields import is_readable
from ansible_collections.netops.egress_ip.plugins.module_utils._dataplane.interfaces import own_networks
from ansible_collections.netops.egress_ip.plugins.module_utils._dataplane.nft_ruleset import desired_tables
from ansible_collections.netops.egress_ip.plugins.module_utils._dataplane.nft_table import INET, parse_table
from ansible_collections.netops.egress_ip.plugins.module_utils._dataplane.node_state import (
    Held,
    NodeState,
    allocate_marks,
)
from ansible_collections.netops.egress_ip.plugins.module_utils._dataplane.options import DataPlaneOptions
from ansible_collections.netops.egress_ip.plugins.module_utils._dataplane.state import (
    FORWARDING,
    DataPlane,
    Transaction,
    current_data_plane,
    desired_data_plane,
    endpoints_of,
    held_on,
    not_routing,
    own_addresses,
    problems_of,
    result_of,
    sysctl_names,
    transaction,
    with_addresses_of,
)
from ansible_collections.netops.egress_ip.plugins.module_utils._host_io.host_io import HostIO
from fake_node_io import FakeKernel, address, ethernet
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from large_answers import INTERFACE, addresses_of, large_state
from network_namespace import network_namespace
from states import any_options, egress_object, held, node_state, node_states


def marks_of(state, current=None):
    return allocate_marks(state.egress_ips, current or {}, state.options.max_index)


def read(kernel, state, claimed=()):
    """Return what the kernel shows, as `_node.module` reads it."""
    host = kernel.read_host()
    sysctls = kernel.read_sysctls(sysctl_names(host, state.options.tunnel_device))
    return current_data_plane(host, kernel.read_tables(), sysctls, state.options, set(claimed))


def ips(*states):
    return {item.egress_ip for state in states for item in state.held}


def update_kernel(kernel, state, marks, before=None):
    """Bring the kernel from the state `before` to `state`, as `_node.module` does; both have one tunnel device."""
    current = read(kernel, state, ips(before) if before else ())
    desired = desired_data_plane(state, marks, kernel.read_host())
    kernel.execute(transaction(current, desired))
    return desired


def new_kernel():
    kernel = FakeKernel()
    for name in ("eth1", "enp0s31f6np0x"):
        kernel.interfaces[name] = ethernet()
    kernel.interfaces["eth1"]["addr_info"] += [address("10.9.0.21", 24, "eth1"), address("2001:db8:9::21", 64, "eth1")]
    kernel.default_routes.append({"dst": "default", "gateway": "10.9.0.1", "dev": "eth1", "table": "254", "metric": 9})
    return kernel


@given(node_states(), node_states())
def test_any_state_leads_to_any_other(first, second):
    kernel = new_kernel()
    foreign = new_kernel().snapshot()
    marks = marks_of(first)
    assert replace(read(kernel, first, ips(first)), sysctls={}) == DataPlane()
    desired = update_kernel(kernel, first, marks)
    assert desired.lines() == read(kernel, first, ips(first)).comparable_to(desired).lines()
    desired = update_kernel(kernel, second, marks_of(second, marks), first)
    assert read(kernel, second, ips(first, second)).comparable_to(desired).lines() == desired.lines()
    kernel.execute(transaction(read(kernel, second, ips(second)), DataPlane()))
    assert {**kernel.snapshot(), "sysctls": {}} == {**foreign, "sysctls": {}}


@given(node_states(devices=("e", "egress0", "eth0x")))
def test_a_device_whose_name_begins_another_name_is_replaced_alone(state):
    kernel = new_kernel()
    update_kernel(kernel, state, marks_of(state))
    kernel.interfaces[state.options.tunnel_device]["mtu"] = 1400
    desired = update_kernel(kernel, state, marks_of(state), state)
    assert read(kernel, state, ips(state)).comparable_to(desired).lines() == desired.lines()


@given(node_states())
def test_nothing_leads_from_a_state_to_itself(state):
    kernel = new_kernel()
    desired = update_kernel(kernel, state, marks_of(state))
    assert not transaction(read(kernel, state, ips(state)), desired)
    assert not transaction(desired, desired)


SAME_OPTIONS = node_states(options=st.shared(any_options(), key="options"))


@given(SAME_OPTIONS, SAME_OPTIONS)
def test_the_way_back_leads_back(first, second):
    kernel = new_kernel()
    marks = marks_of(first)
    desired = update_kernel(kernel, first, marks)
    update_kernel(kernel, second, marks_of(second, marks), first)
    kernel.execute(transaction(read(kernel, first, ips(first, second)), desired))
    assert read(kernel, first, ips(first, second)).comparable_to(desired).lines() == desired.lines()


@given(node_states())
def test_addresses_are_claimed_one_by_one(state):
    kernel, marks = new_kernel(), marks_of(state)
    update_kernel(kernel, state.holding(()), marks)
    host = kernel.read_host()
    plane = desired_data_plane(state, marks, host)
    kernel.execute(
        transaction(read(kernel, state, ips(state)), with_addresses_of(plane, state.holding(()), marks, host))
    )
    for count in range(len(state.held)):
        steps = [with_addresses_of(plane, state.holding(state.held[:n]), marks, host) for n in (count, count + 1)]
        kernel.execute(transaction(*steps))
    assert read(kernel, state, ips(state)).ip == desired_data_plane(state, marks, kernel.read_host()).ip


@settings(max_examples=15, suppress_health_check=list(HealthCheck))
@given(node_states(), node_states())
def test_any_state_leads_to_any_other_in_the_real_kernel(first, second):
    with network_namespace("eth0", "eth1", "enp0s31f6np0x"):
        HostIO.check(["ip", "address", "add", "10.9.0.21/24", "dev", "eth1"])
        HostIO.check(["ip", "address", "add", "2001:db8:9::21/64", "dev", "eth1", "nodad"])
        HostIO.check(["ip", "route", "add", "default", "via", "10.9.0.1", "dev", "eth1", "metric", "9"])
        marks = marks_of(first)
        desired = update_kernel(HostIO, first, marks)
        assert desired.lines() == read(HostIO, first, ips(first)).comparable_to(desired).lines()
        again = update_kernel(HostIO, first, marks, first)
        assert not transaction(read(HostIO, first, ips(first)), again)
        desired = update_kernel(HostIO, second, marks_of(second, marks), first)
        assert read(HostIO, second, ips(first, second)).comparable_to(desired).lines() == desired.lines()
        HostIO.execute(transaction(read(HostIO, second, ips(second)), DataPlane()))
        left = read(HostIO, second, ips(first, second))
        assert replace(left, sysctls={}) == DataPlane()


def test_policies_of_others_stay_in_the_real_kernel():
    theirs = [
        "src 10.88.0.2/32 dst 0.0.0.0/0 dir fwd priority 5 action block",
        "src 10.88.0.2/32 dst 0.0.0.0/0 dir out priority 4294967225 action block",
        "src 10.88.0.3/32 dst 0.0.0.0/0 dir fwd priority 4294967225 action allow",
    ]
    state = node_state()
    show = ["ip", "xfrm", "policy", "list"]
    with network_namespace("eth0"):
        for words in theirs:
            HostIO.check(["ip", "xfrm", "policy", "add", *words.split()])
        before = HostIO.check(show)
        desired = update_kernel(HostIO, state, marks_of(state))
        assert desired.policies == HostIO.read_host().policies != frozenset()
        fewer = replace(state, pods=state.pods[:-1])
        desired = update_kernel(HostIO, fewer, marks_of(state), state)
        assert desired.policies == HostIO.read_host().policies
        HostIO.execute(transaction(read(HostIO, fewer, ips(fewer)), DataPlane()))
        assert HostIO.check(show) == before


@pytest.mark.golden("data_plane")
def test_transaction(golden):
    before = [NodeState.from_dict(document) for document in golden.get("before", ())]
    after = NodeState.from_dict(golden["after"][0])
    kernel, marks = FakeKernel(), {}
    for state in before:
        marks = marks_of(state)
        update_kernel(kernel, state, marks)
    desired = desired_data_plane(after, marks_of(after, marks), kernel.read_host())
    current = read(kernel, after, ips(*before))
    if "inet.json" in golden:
        current = replace(current, tables={**current.tables, INET: parse_table(golden["inet.json"], INET)})
    way = transaction(current, desired)
    lines = [
        *(f"ip {line}" for line in way.ip),
        *(f"ip -6 {line}" for line in way.ip6),
        *(f"sysctl {n} = {v}" for n, v in way.sysctls),
        *(f"nft {line}" for line in way.nft),
        *(f"ip {line}" for line in way.ip_after),
    ]
    golden.check("transaction.txt", "\n".join([*lines, ""]))


@pytest.mark.parametrize(
    ("present", "former", "expected"),
    [
        pytest.param("0", {}, {4, 6}, id="before the first run"),
        pytest.param("1", {"net.ipv4.ip_forward": "0"}, {4}, id="turned on by us"),
        pytest.param("1", {"net.ipv4.ip_forward": "1"}, set(), id="on before"),
        pytest.param("1", {}, set(), id="on, and never changed"),
    ],
)
def test_the_versions_that_a_host_did_not_forward(present, former, expected):
    sysctls = dict.fromkeys(FORWARDING.values(), present)
    assert not_routing(sysctls, former, {}) == expected
    tables = desired_tables(node_state(), marks_of(node_state()), 1430, (), expected)
    # Without a record the tables show it.
    assert not_routing(dict.fromkeys(FORWARDING.values(), "1"), {}, tables) == expected


def test_a_transaction_without_anything_is_false():
    assert not Transaction()
    assert Transaction(sysctls=(("net.ipv4.ip_forward", "1"),))


def test_a_new_tunnel_device_sets_its_sysctl_and_its_table_anew():
    kernel, state = FakeKernel(), node_state()
    update_kernel(kernel, state, marks_of(state))
    kernel.interfaces["egress0"]["mtu"] = 1400
    way = transaction(read(kernel, state), desired_data_plane(state, marks_of(state), kernel.read_host()))
    assert way.sysctls == (
        ("net.ipv4.conf.egress0.drop_unicast_in_l2_multicast", "1"),
        ("net.ipv4.conf.egress0.rp_filter", "2"),
        ("net.ipv6.conf.egress0.drop_unicast_in_l2_multicast", "1"),
    )
    assert way.nft[:2] == ("delete table netdev egress_ip", "add table netdev egress_ip")
    assert not any("inet" in line for line in way.nft)


def test_own_addresses_leave_out_what_we_hold():
    kernel = FakeKernel()
    kernel.interfaces["eth0"]["addr_info"] += [
        address("192.168.126.101", 32, "eth0:egress"),
        address("192.168.126.102", 32, "eth0"),
        address("192.168.126.103", 32, "eth0"),
        address("169.254.1.1", 16, "eth0", scope="253"),
        address("2001:db8:126::102", 128, "eth0"),
        address("2001:db8:126:0:1:2:3:4", 64, "eth0", temporary=True),
        address("2001:db8:126::5", 64, "eth0", tentative=True),
    ]
    kernel.interfaces["egress0"] = ethernet(address("192.0.0.8", 32, "egress0"))
    host, claimed = kernel.read_host(), {"192.168.126.102", "2001:db8:126::102"}
    ours = ("192.168.126.101", "192.168.126.102", "2001:db8:126::102")
    assert held_on(host, claimed) == tuple(Held(ip, "eth0") for ip in ours)
    networks = own_networks(host, "eth0", claimed)
    assert networks == ["192.168.126.21/18", "2001:db8:126::21/64", "192.168.126.103/32"]
    assert endpoints_of(networks) == ["192.168.126.21", "2001:db8:126::21"]
    own = ["10.88.0.1", "192.168.126.103", "192.168.126.21", "2001:db8:126::21"]
    assert own_addresses(host, "egress0", claimed) == own


def test_a_host_that_learns_from_router_advertisements_goes_on_learning_when_it_forwards():
    state = node_state(egressips=[egress_object("web", ["192.168.126.101", "2001:db8:126::101"])])
    host = replace(FakeKernel().read_host(), listening=("eth0",))
    desired = desired_data_plane(state, marks_of(state), host)
    names = [name for name, _value in transaction(DataPlane(), desired).sysctls]
    assert names.index("net.ipv6.conf.eth0.accept_ra") < names.index("net.ipv6.conf.all.forwarding")
    assert desired.sysctls["net.ipv6.conf.eth0.accept_ra"] == "2"
    ipv4_alone = desired_data_plane(node_state(), marks_of(node_state()), host)
    names_of_ipv6 = [name for name in ipv4_alone.sysctls if "ipv6" in name]
    assert names_of_ipv6 == ["net.ipv6.conf.egress0.drop_unicast_in_l2_multicast"]


@pytest.mark.parametrize(
    ("interface", "link", "learns"),
    [
        ("pods0", {"linkinfo": {"info_kind": "bridge"}}, False),
        ("tap0", {"linkinfo": {"info_kind": "tun"}}, False),
        ("eth1", {"linkinfo": {}}, True),
        ("eth0", {"linkinfo": {"info_kind": "bridge"}}, True),
    ],
    ids=["bridge of containers", "tap of a VM", "another uplink", "bridge as uplink"],
)
def test_a_container_does_not_become_the_router_of_a_host_that_forwards(interface, link, learns):
    """It can send router advertisements while the host does not forward yet; forwarding ends their effect."""
    state = node_state(egressips=[egress_object("web", ["192.168.126.101", "2001:db8:126::101"])])
    kernel = FakeKernel()
    kernel.interfaces[interface] = {**ethernet(), **kernel.interfaces.get(interface, {}), **link}
    host = replace(kernel.read_host(), listening=(interface,))
    wanted = desired_data_plane(state, marks_of(state), host).sysctls
    assert (f"net.ipv6.conf.{interface}.accept_ra" in wanted) == learns


def test_an_address_with_a_prefix_of_its_own_is_never_taken_for_one_on_record():
    kernel = FakeKernel()
    assert held_on(kernel.read_host(), {"192.168.126.21"}) == ()


def test_nothing_stands_in_the_way_on_a_plain_host():
    assert problems_of(FakeKernel().read_host(), DataPlaneOptions(), "eth0") == []
    assert problems_of(FakeKernel().read_host(), DataPlaneOptions(), "") == []


def test_a_host_without_the_interface():
    problems = problems_of(FakeKernel().read_host(), DataPlaneOptions(), "eth7")
    assert problems == ["egress_ip_interface: must be an interface of this host, one of eth0, lo, pods0, not 'eth7'"]


def test_a_host_without_a_default_route():
    kernel = FakeKernel()
    kernel.default_routes = []
    problems = problems_of(kernel.read_host(), DataPlaneOptions(), "")
    assert problems == ["egress_ip_interface: the host has no default route; name the interface for the egress IPs"]


def test_a_foreign_device_of_our_name_is_left_alone():
    kernel = FakeKernel()
    kernel.interfaces["egress0"] = ethernet(address("10.1.0.1", 24, "egress0"))
    kernel.neighbours.append(
        {"dst": "10.1.0.2", "dev": "egress0", "lladdr": "02:00:00:00:00:02", "state": ["PERMANENT"]}
    )
    before = kernel.snapshot()
    kernel.execute(transaction(replace(read(kernel, node_state()), sysctls={}), DataPlane()))
    assert kernel.snapshot() == before


def test_the_held_interface_is_told_apart():
    state = node_state(held=held("192.168.126.101", interface="enp0s31f6np0x"))
    desired = desired_data_plane(state, marks_of(state), new_kernel().read_host())
    assert "192.168.126.101/32 dev enp0s31f6np0x" in desired.ip[4].addresses


def test_a_difference_of_a_large_fleet_is_short_enough_to_be_read():
    """An upgrade may change all rules, and the controller reads 16 MiB of a node's output."""
    kernel = FakeKernel()
    kernel.interfaces[INTERFACE] = ethernet()
    state = large_state(1000, addresses_of(4, 8190), 2000, 500)
    desired = desired_data_plane(state, marks_of(state), kernel.read_host())
    after = desired.lines()
    difference = result_of(frozenset(f"former {line}" for line in after), after, desired.texts())
    assert is_readable(json.dumps(difference), 1 << 22)
    for text in difference["diff"].values():
        assert text.count("\n") == 10_001
        assert text.endswith(f"\n{len(after) - 10_000} more lines\n")


def test_a_short_difference_is_whole():
    assert result_of(frozenset(), frozenset("ab"), {})["diff"] == {"before": "", "after": "a\nb\n"}
