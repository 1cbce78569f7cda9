# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Failover in a run: its settings, the standbys in plan, states and report, and the takeovers that a run adopts."""

from __future__ import annotations

import copy

import pytest
from ansible_collections.netops.egress_ip.plugins.module_utils._dataplane.esp import fingerprint
from ansible_collections.netops.egress_ip.plugins.module_utils._dataplane.node_state import NodeState
from ansible_collections.netops.egress_ip.plugins.module_utils._kubernetes.manifests import read_manifests
from ansible_collections.netops.egress_ip.plugins.module_utils._reconcile.picture import picture
from ansible_collections.netops.egress_ip.plugins.module_utils._reconcile.report import report
from ansible_collections.netops.egress_ip.plugins.module_utils._reconcile.run_plan import RunSettings, plan_run
from ansible_collections.netops.egress_ip.plugins.module_utils._reconcile.status_table import status_table

A, B, SECOND = "192.168.126.101", "192.168.126.102", "10.9.0.5"
LABELS = {"k8s.ovn.org/egress-assignable": ""}
ON = {"": True}


def egressip(*egress_ips, name="web"):
    """Return an EgressIP document."""
    spec = {"egressIPs": list(egress_ips), "namespaceSelector": {}}
    return {"apiVersion": "k8s.ovn.org/v1", "kind": "EgressIP", "metadata": {"name": name}, "spec": spec}


def host(number, *held, own=None, fence="", capacity=None, second=False, **facts):
    """Return a host that answers; `own` are its settings of failover in the inventory."""
    address = f"192.168.126.2{number}"
    networks = [{"interface": "eth0", "addresses": [f"{address}/18"]}]
    networks += [{"interface": "eth1", "addresses": [f"10.9.0.2{number}/24"]}] if second else []
    answer = {
        "interface": "eth0",
        "platform": {"name": "baremetal", "uuid": None},
        "endpoints": [address],
        "networks": networks,
        "macs": {"eth0": f"02:00:00:00:00:0{number}", "eth1": f"02:00:00:00:01:0{number}"},
        "addresses": [address],
        "gateways": ["192.168.64.1"],
        "held": [{"egressIP": ip, "interface": "eth0"} for ip in held],
        "generation": 4,
        "digest": "",
        "drift": [],
        "nodes": [],
        "recalled": [],
    }
    about = {"name": f"node{number}", "labels": LABELS, "fence": fence, "capacity": capacity}
    return {**about, "failover": own or {}, "observed": {**answer, **facts}}


SILENT = {"name": "node1", "labels": LABELS, "observed": {"unreachable": True, "msg": "timed out"}}


def run(hosts, *documents, failover=None, withheld=(), **settings):
    """Return the dict of a RunPlan."""
    manifests = read_manifests([{"source": "m.yml", "document": document} for document in documents]).to_dict()
    inputs = copy.deepcopy((hosts, manifests))
    failover = ON if failover is None else failover
    made = plan_run(hosts, manifests, RunSettings(failover=failover, **settings), withheld=withheld)
    assert (hosts, manifests) == inputs
    return made.to_dict()


def lines(made, results=None):
    """Return the report of a run as lines."""
    return report(made["plan"], made["manifests"], made["fleet"], results).lines


def stop(hosts, failover=None):
    """Return the reasons against a run."""
    return run(hosts, egressip(A), failover=failover)["stop_reasons"]


def test_off_by_default():
    made = run([host(1), host(2)], egressip(A), failover={})
    assert not {"standbys", "without_standby"} & {*made["plan"]}
    assert all(not {"standbys", "failover"} & {*state} for state in made["rollout"]["states"].values())
    assert not any("STANDBY" in line for line in lines(made))


def test_the_states_have_what_the_nodes_need():
    made = run([host(1, A), host(2, capacity={"ip": 3}), host(3)], egressip(A), failover={"": True, "after": 0.5})
    states = {name: NodeState.from_dict(state) for name, state in made["rollout"]["states"].items()}
    assert {state.failover.after for state in states.values()} == {0.5}
    assert states["node2"].failover.to_dict() == {
        "after": 0.5,
        "strict": False,
        "witnesses": ["192.168.64.1"],
        "capacity": {"ip": 3},
        "key": "",
        "ends": [],
    }
    (standby,) = states["node3"].standbys
    assert standby.to_dict() == {
        "egressIP": A,
        "interface": "eth0",
        "order": [
            {"name": f"node{number}", "address": f"192.168.126.2{number}", "mac": f"02:00:00:00:00:0{number}"}
            for number in (2, 3, 1)
        ],
    }
    assert {state.standbys for state in states.values()} == {(standby,)}


def test_a_node_has_only_the_standbys_that_concern_it():
    hosts = [host(number) for number in range(1, 7)]
    made = run(hosts, egressip(A), egressip(B, name="api"))
    for name, state in made["rollout"]["states"].items():
        orders = {item["egressIP"]: item["order"] for item in made["plan"]["standbys"]}
        assert {item["egressIP"] for item in state["standbys"]} == {ip for ip, order in orders.items() if name in order}


def test_a_second_run_changes_nothing():
    hosts, documents = [host(1), host(2), host(3)], (egressip(A), egressip(B, name="api"))
    first = run(hosts, *documents)
    again = []
    for each in hosts:
        state = NodeState.from_dict(first["rollout"]["states"][each["name"]])
        orders = [{"egressIP": s.egress_ip, "order": [peer.name for peer in s.order]} for s in state.standbys]
        held = [item.to_dict() for item in state.held]
        facts = {"held": held, "digest": state.digest(), "generation": 5, "standbys": orders}
        again.append({**each, "observed": {**each["observed"], **facts}})
    second = run(again, *documents)
    assert second["rollout"]["differing"] == []
    assert second["plan"]["standbys"] == first["plan"]["standbys"]


@pytest.mark.parametrize(
    ("platforms", "after", "expected"),
    [
        (["baremetal", "baremetal"], "auto", 0.2),
        (["baremetal", "vsphere"], "auto", 2.0),
        (["vsphere", "vsphere"], 0.3, 0.3),
    ],
)
def test_auto_waits_for_a_stun_on_vsphere(platforms, after, expected):
    hosts = [host(n, platform={"name": name, "uuid": None}) for n, name in enumerate(platforms, 1)]
    made = run(hosts, egressip(A), failover={"": True, "after": after})
    assert {state["failover"]["after"] for state in made["rollout"]["states"].values()} == {expected}


def test_a_column_of_the_report():
    made = run([host(1, A), host(2), host(3)], egressip(A))
    assert lines(made)[:2] == (
        "EGRESS IP        OBJECT  NODE   STANDBY       STATE",
        f"{A}  web     node1  node2, node3  held",
    )


def test_addresses_without_a_standby_are_lines():
    hosts = [host(1, A, fence="vsphere"), host(2, B, capacity=1, second=True), host(3, second=True)]
    made = run(hosts, egressip(A), egressip(B, name="api"), egressip(SECOND, name="db"))
    assert [line for line in lines(made) if "no standby" in line] == [
        f"  {SECOND} has no standby: it is on eth1 of node3, which is not the primary interface",
        f"  {A} has no standby: node1 has a fence and egress_ip_failover_unfenced is false",
    ]
    unfenced = run(hosts, egressip(A), failover={"": True, "unfenced": True})
    assert unfenced["plan"]["without_standby"] == []


def test_a_node_with_a_fence_is_no_standby():
    made = run([host(1, A), host(2, fence="vsphere")], egressip(A))
    assert made["plan"]["without_standby"] == [{"egressIP": A, "reason": "with a fence: node2"}]


def test_no_node_stands_by_for_a_withheld_address():
    made = run([host(1), host(2), host(3)], egressip(A), egressip(B, name="api"), withheld={A: "node4 may hold it"})
    known = {item["egressIP"] for state in made["rollout"]["states"].values() for item in state["standbys"]}
    assert known == {B}


def test_a_node_without_a_mac_is_no_standby():
    made = run([host(1, A), host(2, macs={"eth0": ""})], egressip(A))
    assert made["plan"]["without_standby"] == [{"egressIP": A, "reason": "with an unknown MAC address: node2"}]
    made = run([host(1, A, macs={"eth0": "x"}), host(2), host(3)], egressip(A))
    assert made["plan"]["without_standby"] == [
        {"egressIP": A, "reason": "the MAC address of the primary interface of node1 is not known"}
    ]


UNEQUAL = "must be the same on all nodes, and differs between node1 and node2; set it for the group"
# The settings of the play, those of the inventory for node1 and node2, and the reasons against the run.
WRONG = {
    "one node may hold addresses": (
        ON,
        [{}],
        ["egress_ip_failover: needs two nodes that may hold egress IPs, not 1 (node1); label another one"],
    ),
    "a witness that moves": (
        {"": True, "witnesses": [A]},
        [{}, {}],
        [f"egress_ip_failover_witnesses[0]: {A} is an egress IP; name a gateway or another host"],
    ),
    "one node without it": (
        ON,
        [{"": True}, {}],
        [f"egress_ip_failover: {UNEQUAL}"],
    ),
    "one node with it": (
        {"": False},
        [{}, {"": True}],
        [f"egress_ip_failover: {UNEQUAL}"],
    ),
    "different times": (
        {"": True, "after": 1},
        [{"": True, "after": 1}, {"": True, "after": 0.5}],
        [f"egress_ip_failover_after: {UNEQUAL}"],
    ),
}


@pytest.mark.parametrize("case", WRONG)
def test_wrong_settings_stop_the_run(case):
    given, own, expected = WRONG[case]
    assert stop([host(number, own=settings) for number, settings in enumerate(own, 1)], given) == expected


RIGHT = {
    "all in the inventory": ({"": True, "after": 1.0}, [{"": True, "after": 1}, {"": True, "after": 1}]),
    "the inventory has a default of its own": ({"": True}, [{"": True, "after": "auto"}, {"": True, "strict": False}]),
    "the play sets it for all": ({"": True, "after": 3}, [{}, {}]),
    "the play overrides the inventory": ({"": True, "after": 3}, [{"after": 1}, {"after": 2}]),
}


@pytest.mark.parametrize("case", RIGHT)
def test_right_settings(case):
    given, own = RIGHT[case]
    made = run([host(number, own=settings) for number, settings in enumerate(own, 1)], egressip(A), failover=given)
    assert made["stop_reasons"] == []
    assert len(made["plan"]["standbys"]) == 1


TAKEN = {"takeovers": [{"egressIP": A, "from": "node1", "since": 1795939200.5}]}
ORDER = {"standbys": [{"egressIP": A, "order": ["node2", "node3", "node1"]}]}


@pytest.mark.parametrize("first", [SILENT, host(1)], ids=["it is still lost", "it is back"])
def test_a_run_adopts_a_takeover(first):
    made = run([first, host(2, A, **TAKEN, **ORDER), host(3)], egressip(A))
    assert made["plan"]["moves"] == []
    assert [item["node"] for item in made["plan"]["assignments"]] == ["node2"]
    ((order),) = [item["order"] for item in made["plan"]["standbys"]]
    assert order[0] == "node3"
    assert order[-1] == "node2"
    row = next(line for line in lines(made) if line.startswith(A))
    assert row.endswith("held, taken over from node1 at 2026-11-29 08:00:00 UTC")


def test_the_result_for_awx_has_standbys_and_takeovers():
    made = run([SILENT, host(2, A, **TAKEN), host(3)], egressip(A))
    stats = report(made["plan"], made["manifests"], made["fleet"]).stats
    assert stats["takeovers"] == [{**TAKEN["takeovers"][0], "node": "node2"}]
    assert stats["standbys"] == made["plan"]["standbys"]


def test_the_result_for_awx_has_only_takeovers_of_the_plan():
    """A malicious node may report many, and AWX drops a result that is too large."""
    many = [f"192.168.127.{number}" for number in range(1, 200)]
    taken = [{"egressIP": ip, "from": "node1", "since": 1.0} for ip in (A, *many)]
    made = run([SILENT, host(2, A, *many, takeovers=taken), host(3)], egressip(A))
    stats = report(made["plan"], made["manifests"], made["fleet"]).stats
    assert stats["takeovers"] == [{**taken[0], "node": "node2"}]


def test_status_shows_the_standbys_on_record_and_the_takeover():
    made = run([host(1), host(2, A, **TAKEN, **ORDER), host(3)], egressip(A), failover={})
    row = status_table(picture(made, planned=False), made["fleet"]).lines[1]
    assert "node3, node1" in row
    assert row.endswith("taken over from node1 at 2026-11-29 08:00:00 UTC")


def test_the_name_of_a_lost_node_adds_no_line():
    odd = {"takeovers": [{"egressIP": A, "from": "node1\n\x1b[31mx", "since": 0}]}
    made = run([host(1), host(2, A, **odd), host(3)], egressip(A))
    rows = [*lines(made), *status_table(picture(made, planned=False), made["fleet"]).lines]
    assert all(row.isprintable() for row in rows)


def test_a_takeover_that_the_node_does_not_hold_any_more_is_none():
    made = run([host(1, A), host(2, **TAKEN), host(3)], egressip(A))
    assert not any("taken over" in line for line in lines(made))


@pytest.mark.parametrize("since", [-1, 1e300, float("inf"), "now", True])
def test_a_wrong_time_excludes_the_node(since):
    wrong = host(2, A, takeovers=[{"egressIP": A, "from": "node1", "since": since}])
    made = run([host(1), wrong, host(3)], egressip(A))
    assert "takeovers[0].since: must be a number of seconds since 1970" in made["fleet"]["faulty"][0]["reason"]


# --- The key of the fleet ---------------------------------------------------------------------------------------------

NEW, KNOWN = "n" * 40, fingerprint("k" * 40)


def keys(made):
    """Return {node: fingerprint of the key} in the states of a run."""
    return {name: each["failover"]["key"] for name, each in made["rollout"]["states"].items()}


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        (KNOWN, KNOWN, KNOWN),
        (KNOWN, "", fingerprint(NEW)),
        (KNOWN, "0" * 16, fingerprint(NEW)),
        ("", "", fingerprint(NEW)),
    ],
)
def test_a_new_key_is_used_only_if_not_all_nodes_have_the_same(one, other, expected):
    made = run([host(1, failover_key=one), host(2, failover_key=other)], egressip(A), failover_key=NEW)
    assert keys(made) == {"node1": expected, "node2": expected}
    assert NEW not in str(made)


def test_a_node_that_never_had_failover_gets_the_key_too():
    made = run([host(1, failover_key=KNOWN), host(2)], egressip(A), failover_key=NEW)
    assert set(keys(made).values()) == {fingerprint(NEW)}


def test_a_malformed_key_excludes_the_node():
    made = run([host(1, failover_key=KNOWN), host(2, failover_key=["x"]), host(3, failover_key=KNOWN)], egressip(A))
    assert keys(made) == {"node1": KNOWN, "node3": KNOWN}


# --- Addresses on other interfaces than the primary one ---------------------------------------------------------------

# Also the gateway of eth1.
GATEWAYS = ["192.168.64.1", "10.9.0.1"]


def with_second(*numbers, **more):
    return [host(number, second=True, gateways=GATEWAYS, **more) for number in numbers]


def standbys_of(made):
    """Return {egress IP: order} of a plan."""
    return {item["egressIP"]: item["order"] for item in made["plan"]["standbys"]}


def test_an_address_on_another_interface_has_standbys_if_nodes_call_each_other():
    made = run(with_second(1, 2, 3), egressip(SECOND), failover_key=NEW)
    assert standbys_of(made) == {SECOND: ["node2", "node3", "node1"]}
    ends = [{"egressIP": SECOND, "ends": {f"node{number}": f"192.168.126.2{number}" for number in (1, 2, 3)}}]
    states = [NodeState.from_dict(state) for state in made["rollout"]["states"].values()]
    assert [state.failover.to_dict()["ends"] for state in states] == [ends] * 3
    assert {(item.interface, item.order[0].mac) for state in states for item in state.standbys} == {
        ("eth1", "02:00:00:00:01:02")
    }


def test_a_node_that_is_no_standby_knows_the_ends_too():
    made = run([*with_second(1, 2), host(3)], egressip(SECOND), failover_key=NEW)
    state = NodeState.from_dict(made["rollout"]["states"]["node3"])
    assert not state.standbys
    assert [item.egress_ip for item in state.failover.ends] == [SECOND]


def test_the_end_is_the_address_where_the_interface_is_the_primary_one():
    """The network of node1's second interface is that of node2's only one."""
    only = {"interface": "eth1", "networks": [{"interface": "eth1", "addresses": ["10.9.0.22/24"]}]}
    other = host(2, gateways=["10.9.0.1"], **only, endpoints=["10.9.0.22"], addresses=["10.9.0.22"])
    made = run([*with_second(1), other], egressip(SECOND), failover_key=NEW)
    ((_name, state), *_others) = made["rollout"]["states"].items()
    ends = NodeState.from_dict(state).failover.ends
    assert dict(ends[0].ends) == {"node1": "192.168.126.21", "node2": ""}


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"gateways": ["192.168.64.1"]}, "without a witness"),
        ({"macs": {"eth0": "02:00:00:00:00:01"}}, "with an unknown MAC address"),
    ],
)
def test_a_node_that_sees_too_little_of_the_network_is_no_standby(changes, reason):
    blind = {"gateways": GATEWAYS, **changes}
    made = run([*with_second(1), host(2, second=True, **blind)], egressip(SECOND), failover_key=NEW)
    assert standbys_of(made) == {}
    assert f"  {SECOND} has no standby: {reason}: node2" in lines(made)
    made = run([host(1, second=True, **blind), host(2)], egressip(SECOND), failover_key=NEW)
    assert f"  {SECOND} has no standby: it is on eth1 of node1, {reason}" in lines(made)


def test_witnesses_of_the_settings_count_for_all_networks():
    made = run(
        [host(1, second=True), host(2, second=True)],
        egressip(SECOND),
        failover={"": True, "witnesses": ["192.168.64.1", "10.9.0.9"]},
        failover_key=NEW,
    )
    assert standbys_of(made) == {SECOND: ["node2", "node1"]}
