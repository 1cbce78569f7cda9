# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The facts of a node, and its drift."""

from __future__ import annotations

import pytest
from ansible_collections.netops.egress_ip.plugins.module_utils._common.text_fields import MOST_DIFFERENCES
from ansible_collections.netops.egress_ip.plugins.module_utils._node import systemd_units
from ansible_collections.netops.egress_ip.plugins.module_utils._node.record import Record
from ansible_collections.netops.egress_ip.plugins.module_utils._node.takeovers import Takeovers
from fake_node_io import MAC, address, ethernet
from node_runs import (
    FOREVER,
    INET,
    NETDEV,
    OTHER_MAC,
    A,
    B,
    C,
    apply,
    observe,
    watch,
    without_key,
)
from states import egress_object, held, node_state


def lose_address(kernel):
    kernel.interfaces["eth0"]["addr_info"] = []


def lose_interface(kernel):
    del kernel.interfaces["eth0"]
    kernel.default_routes = []


@pytest.mark.parametrize("lose", [lose_address, lose_interface])
@pytest.mark.parametrize("interface", ["", "eth0"])
def test_a_node_that_has_lost_its_network_says_so(kernel, lose, interface):
    apply(kernel, node_state())
    lose(kernel)
    assert observe(kernel, interface=interface)["lost"].startswith("eth0 does not exist")


def test_a_node_that_has_lost_its_default_route_goes_on(kernel):
    apply(kernel, node_state())
    kernel.default_routes = []
    assert observe(kernel)["interface"] == "eth0"


def test_a_host_without_a_default_route_needs_the_name_of_an_interface(kernel):
    kernel.default_routes = []
    facts = observe(kernel)
    assert facts["lost"] == ""
    assert facts["problems"] == [
        "egress_ip_interface: the host has no default route; name the interface for the egress IPs"
    ]


def test_a_wrong_interface_is_a_problem_after_the_first_run_too(kernel):
    apply(kernel, node_state())
    assert observe(kernel, interface="eth9")["problems"][0].startswith(
        "egress_ip_interface: must be an interface of this host"
    )


def test_a_host_in_a_cloud_is_refused_before_packages_are_asked_for(kernel, monkeypatch):
    kernel.facts = {"sys_vendor": "Amazon EC2", "product_name": "m6i.large"}
    monkeypatch.setattr(kernel, "missing_packages", lambda: ["nftables"])
    (problem,) = observe(kernel)["problems"]
    assert problem.startswith("egress_ip_platform: this host is on AWS, which carries only addresses that")
    assert observe(kernel)["packages"] == []


def test_a_platform_set_by_hand_counts(kernel):
    kernel.facts = {"sys_vendor": "OpenStack Foundation", "product_name": "OpenStack Nova"}
    seen = observe(kernel, platform="openstack")
    assert (seen["problems"], seen["platform"]) == ([], {"name": "openstack", "uuid": None})


DRIFT = {
    "a deleted rule": lambda k: k.rules[4].remove(next(r for r in k.rules[4] if r["priority"] == 7004)),
    "a rule of ours too many": lambda k: k.rules[4].append(
        {"priority": 7004, "src": "all", "iif": "x", "table": "254", "protocol": "225"}
    ),
    "a deleted route": lambda k: k.routes.pop(),
    "a changed route": lambda k: k.routes[0]["encap"].update(dst="192.168.126.9"),
    "a deleted neighbour": lambda k: k.neighbours.pop(),
    "a changed neighbour": lambda k: k.neighbours[-1].update(lladdr="02:e1:00:00:00:00"),
    "a deleted device": lambda k: k._link_delete(["egress0"]),
    "a device that is down": lambda k: k.interfaces["egress0"].update(flags=[]),
    "a device with another MTU": lambda k: k.interfaces["egress0"].update(mtu=1400),
    "a device without an address": lambda k: k.interfaces["egress0"]["addr_info"].clear(),
    "a deleted egress IP": lambda k: k.interfaces["eth0"]["addr_info"].pop(),
    "an egress IP without its label": lambda k: k.interfaces["eth0"]["addr_info"][-1].update(label="eth0"),
    "a foreign address with our label": lambda k: k.interfaces["eth0"]["addr_info"].append(
        address(C, 32, "eth0:egress")
    ),
    "a deleted nft rule": lambda k: k.tables[INET]["chains"]["postrouting"]["rules"].pop(),
    "nft rules in another order": lambda k: k.tables[INET]["chains"]["prerouting"]["rules"].reverse(),
    "a foreign rule in our chain": lambda k: k.tables[INET]["chains"]["forward"]["rules"].append(("accept", "")),
    "a deleted element": lambda k: k.tables[INET]["sets"]["held4"]["elements"].clear(),
    "a foreign element": lambda k: k.tables[INET]["sets"]["nodes4"]["elements"].update({"10.0.0.1": None}),
    "an element with another value": lambda k: k.tables[INET]["sets"]["held4"]["elements"].update({"0x00000001": B}),
    "a deleted set": lambda k: without_key(k.tables[INET]["sets"], "egress_ips4"),
    "a deleted chain": lambda k: without_key(k.tables[INET]["chains"], "postrouting"),
    "a chain with another policy": lambda k: k.tables[NETDEV]["chains"]["tunnel_in"].update(
        header="{ type filter hook ingress priority 0; policy accept; }"
    ),
    "a foreign chain in our table": lambda k: k.tables[INET]["chains"].update(
        x={"header": "", "device": "", "rules": []}
    ),
    "a deleted inet table": lambda k: without_key(k.tables, INET),
    "a deleted netdev table": lambda k: without_key(k.tables, NETDEV),
    "forwarding switched off": lambda k: k.sysctls.update({"net.ipv4.ip_forward": "0"}),
    "a strict reverse path": lambda k: k.sysctls.update({"net.ipv4.conf.egress0.rp_filter": "1"}),
    "a disabled unit": lambda k: k.units.discard(systemd_units.CLAIM_UNIT),
    "a deleted unit": lambda k: without_key(k.files, str(k.UNIT_DIRECTORY / systemd_units.CLAIM_UNIT)),
    "a changed program": lambda k: k.files.update({str(k.PROGRAM_FILE): (b"", 0o644)}),
}


@pytest.mark.parametrize("kind", DRIFT)
def test_drift_is_seen_and_put_right(kernel, kind):
    apply(kernel, node_state())
    DRIFT[kind](kernel)
    assert observe(kernel)["drift"], "nobody would see this"
    shown = apply(kernel, node_state(), check=True)
    result = apply(kernel, node_state())
    assert result["changed"]
    assert {k: shown[k] for k in ("changed", "diff", "held")} == {k: result[k] for k in ("changed", "diff", "held")}
    assert observe(kernel)["drift"] == []
    assert observe(kernel)["held"] == held(A)


def test_a_node_that_lost_its_tables_has_a_short_answer(kernel):
    """Each egress IP of the fleet has a dozen facts on each node, and the controller reads the answers of all nodes."""
    many = [f"192.168.100.{number}" for number in range(1, 101)]
    apply(kernel, node_state(egressips=[egress_object("web", many)], held=held(*many[:10])))
    without_key(kernel.tables, INET)
    drift = observe(kernel)["drift"]
    assert len(drift) == MOST_DIFFERENCES + 1
    more = drift.pop().split(" ", 1)
    assert int(more[0]) > 500
    assert more[1] == "more differences"
    assert all(line.startswith("missing nft inet ") for line in drift)


def test_a_plain_host_is_seen_as_it_is(kernel):
    assert observe(kernel) == {
        "problems": [],
        "packages": [],
        "lost": "",
        "platform": {"name": "baremetal", "uuid": None},
        "interface": "eth0",
        "endpoints": ["192.168.126.21", "2001:db8:126::21"],
        "networks": [{"interface": "eth0", "addresses": ["192.168.126.21/18", "2001:db8:126::21/64"]}],
        "macs": {"eth0": MAC},
        "addresses": ["10.88.0.1", "192.168.126.21", "2001:db8:126::21"],
        "gateways": ["192.168.126.1"],
        "routers": {"eth0": ["192.168.126.1"]},
        "bridge_filtered": [],
        "forward_filters": [],
        "held": [],
        "generation": 0,
        "digest": "",
        "drift": [],
        "nodes": [],
        "far_ends": [],
        "tunnel_keys": [],
        "recalled": [],
        "named_networks": [],
        "containers": [],
        "metrics": None,
        "since": {},
        "conflicts": [],
        "followed_pods": [],
        "follow_problem": "",
    }
    assert kernel.log == []


def test_a_node_with_failover_returns_the_order_on_record(kernel):
    peers = [{"name": f"node{n}", "address": f"192.168.126.2{n}", "mac": f"02:00:00:00:00:0{n}"} for n in (2, 1)]
    standbys = [{"egressIP": A, "interface": "eth0", "order": peers}]
    apply(kernel, node_state(failover={"after": 0.2}, standbys=standbys))
    seen = observe(kernel)
    assert (seen["standbys"], seen["takeovers"]) == ([{"egressIP": A, "order": ["node2", "node1"]}], [])


def test_a_takeover_counts_until_the_next_state_is_applied(kernel):
    peers = [{"name": f"node{n}", "address": f"192.168.126.2{n}", "mac": f"02:00:00:00:00:0{n}"} for n in (1, 2)]
    failover = {"failover": {"after": 0.2}, "standbys": [{"egressIP": A, "interface": "eth0", "order": peers}]}
    apply(kernel, node_state(**failover))
    Takeovers.load(kernel, Record.load(kernel)).with_taken({A: "node2"}, 1795939200.5).save(kernel)
    assert observe(kernel)["takeovers"] == [{"egressIP": A, "from": "node2", "since": 1795939200.5}]
    # The next plan names this node as the holder.
    failover["standbys"][0]["order"].reverse()
    apply(kernel, node_state(**failover, generation=8))
    assert observe(kernel)["takeovers"] == []


def test_a_node_tells_its_record(kernel):
    state = node_state(generation=7)
    apply(kernel, state)
    kernel.away = False
    kernel.log.clear()
    seen = observe(kernel, recall=["web", "unknown"])
    assert seen["held"] == held(A)
    assert (seen["generation"], seen["digest"], seen["drift"]) == (7, state.digest(), [])
    assert seen["networks"] == [{"interface": "eth0", "addresses": ["192.168.126.21/18", "2001:db8:126::21/64"]}]
    assert seen["addresses"] == ["10.88.0.1", "192.168.126.21", "2001:db8:126::21"]
    assert seen["nodes"] == state.to_dict()["nodes"]
    assert seen["recalled"] == [{"name": "web", "egressIPs": [A, B], "pods": ["10.88.0.2"]}]
    assert kernel.log == []


def test_an_interface_without_an_address_cannot_be_the_egress_interface(kernel):
    kernel.interfaces["eth1"] = ethernet()
    assert observe(kernel, interface="eth1")["problems"] == ["egress_ip_interface: eth1 has no address of its own"]


def test_who_else_answers_for_what_a_node_holds_is_told_when_asked_for(watched):
    watched.wire = {B: FOREVER}
    before = watched.snapshot()
    assert observe(watched, probe=True)["conflicts"] == [{"egressIP": B, "interface": "eth0", "mac": OTHER_MAC}]
    assert observe(watched)["conflicts"] == []
    assert observe(watched)["held"] == held(A, B)
    assert watched.snapshot() == before


def test_a_wire_without_a_link_is_not_asked(watched):
    watched.wire = {B: FOREVER}
    watched.interfaces["eth0"]["flags"].remove("LOWER_UP")
    assert observe(watched, probe=True)["conflicts"] == []


def test_nobody_plans_with_a_node_that_was_away_until_its_watch_has_looked(watched):
    def looks():
        watch(watched)
        watched.away = False

    watched.wire, watched.active, watched.meanwhile = {A: FOREVER}, True, looks
    assert observe(watched)["held"] == held(B)
    # The log begins anew when the watch looks: nobody waits a second time.
    assert observe(watched)["held"] == held(B)
    assert watched.logged("wait") == []


@pytest.mark.parametrize("change", [{"away": False}, {"active": False}, {"link": False}])
def test_nobody_waits_for_a_watch_that_has_nothing_to_find_out(watched, change):
    watched.active = True
    if "link" in change:
        watched.interfaces["eth0"]["flags"].remove("LOWER_UP")
    vars(watched).update({key: value for key, value in change.items() if key != "link"})
    watched.log.clear()
    observe(watched)
    assert "wait" not in dict(watched.log)


def test_what_the_egress_ips_carry_is_told_when_asked_for(kernel):
    assert observe(kernel, metrics=True)["metrics"] is None
    apply(kernel, node_state())
    metrics = observe(kernel, metrics=True)["metrics"]
    assert [row["egressIP"] for row in metrics["egress_ips"]] == [A]
    assert observe(kernel)["since"] == {}
    assert observe(kernel, metrics=True)["since"] == {A: 999_999_940}


def test_a_failover_that_does_not_run_is_seen_and_started(kernel):
    state = node_state(failover={"after": 0.2})
    apply(kernel, state)
    kernel.stopped.add(systemd_units.FOLLOW_UNIT)
    assert observe(kernel)["drift"] == [f"missing unit {systemd_units.FOLLOW_UNIT}, which does not run"]
    kernel.log.clear()
    assert apply(kernel, state)["changed"]
    started = [line for line in kernel.logged("run") if line.startswith("systemctl start ")]
    assert [line.endswith(f" {systemd_units.FOLLOW_UNIT}") for line in started] == [True]
    kernel.stopped.clear()
    assert observe(kernel)["drift"] == []
    assert not apply(kernel, state)["changed"]


def test_without_failover_its_unit_is_not_asked_for(kernel):
    apply(kernel, node_state())
    kernel.stopped.add(systemd_units.FOLLOW_UNIT)
    assert observe(kernel)["drift"] == []
    assert not apply(kernel, node_state())["changed"]
