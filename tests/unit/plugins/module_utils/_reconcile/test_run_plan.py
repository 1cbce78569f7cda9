# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a run decides as a whole: its parts have their own tests."""

from __future__ import annotations

import copy

import pytest
from ansible_collections.netops.egress_ip.plugins.module_utils._common.errors import (
    InvalidError,
    InventoryError,
    PlanError,
)
from ansible_collections.netops.egress_ip.plugins.module_utils._kubernetes.manifests import read_manifests
from ansible_collections.netops.egress_ip.plugins.module_utils._reconcile.picture import picture
from ansible_collections.netops.egress_ip.plugins.module_utils._reconcile.run_plan import RunSettings, plan_run
from hypothesis import given
from hypothesis import strategies as st
from node_answers import answer

A, B = "192.168.126.101", "192.168.126.102"
LABELS = {"k8s.ovn.org/egress-assignable": ""}


def egressip(*egress_ips, name="web", **metadata):
    spec = {"egressIPs": list(egress_ips), "namespaceSelector": {}}
    return {"apiVersion": "k8s.ovn.org/v1", "kind": "EgressIP", "metadata": {"name": name, **metadata}, "spec": spec}


def host(number, *held, **changes):
    return {"name": f"node{number}", "labels": LABELS, "observed": answer(number, *held, **changes)}


ONE = {"prod": [A]}
SILENT = {"name": "node2", "labels": LABELS, "observed": {"unreachable": True, "msg": "timed out"}}
CUT_OFF = {"problems": ["egress_ip_interface: no interface has a default route"]}


def run(hosts, *documents, fenced=(), withheld=(), options=None, **settings):
    manifests = read_manifests([{"source": "m.yml", "document": document} for document in documents]).to_dict()
    inputs = copy.deepcopy((hosts, manifests))
    made = plan_run(hosts, manifests, RunSettings(**settings), options, fenced, withheld)
    assert (hosts, manifests) == inputs
    return made.to_dict()


def places(made):
    return {item["egressIP"]: item["node"] for item in made["plan"]["assignments"]}


def held(made):
    return {name: [item["egressIP"] for item in state["held"]] for name, state in made["rollout"]["states"].items()}


def test_the_whole_way():
    made = run([host(1), host(2)], egressip(A, B))
    assert made["stop_reasons"] == []
    assert held(made) == {node: [ip] for ip, node in places(made).items()}
    assert sorted(places(made).values()) == ["node1", "node2"]


def test_documents_may_name_nodes_by_their_fqdn():
    """The label of the Node document and the pod on it are those of the host."""
    fqdn, metadata = "node1.example.com", {"name": "p", "namespace": "x"}
    label = {"apiVersion": "v1", "kind": "Node", "metadata": {"name": fqdn, "labels": LABELS}}
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": {"nodeName": fqdn}}
    made = run([{**host(1), "labels": {}}], egressip(A), label, {**pod, "status": {"podIP": "10.88.0.2"}})
    assert (places(made), [line for line in made["mistakes"] if line.startswith("node/")]) == ({A: "node1"}, [])
    assert made["rollout"]["states"]["node1"]["pods"] == [{"address": "10.88.0.2", "egressips": ["web"]}]


def test_the_picture_counts_the_pods_of_nodes_that_documents_name_by_their_fqdn():
    namespace = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "prod"}}
    pods = [
        {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": name, "namespace": "prod"},
            "spec": {"nodeName": "node1.example.com"},
            "status": {"podIPs": [{"ip": ip}]},
        }
        for name, ip in (("a", "10.88.0.2"), ("b", "10.88.0.3"))
    ]
    made = run([host(1)], egressip(A), namespace, *pods)
    (node,) = picture(made, planned=False)["nodes"]
    assert node["pods"] == {"web": 2}


@given(st.lists(st.sampled_from([1, 2, 3]), min_size=1, max_size=5), st.sampled_from(["balanced", "sticky"]))
def test_kept_holders_move_from_dead_nodes_only(places_, policy):
    """As in an outage of the platform whose label spreads the object, which has put it on few nodes."""
    egress_ips = [f"192.168.126.10{number}" for number in range(len(places_))]
    on = {ip: f"node{number}" for ip, number in zip(egress_ips, places_, strict=True)}
    # An object has one address per node.
    documents = [
        egressip(ip, name=f"web{number}", annotations={"egress-ip.netops/spread": "vsphere/host"})
        for number, ip in enumerate(egress_ips)
    ]
    hosts = [host(n, *(ip for ip in egress_ips if on[ip] == f"node{n}")) for n in (1, 2, 3)]
    assert places(run(hosts, *documents, policy=policy, keep_holders=True)) == on
    hosts[1] = SILENT
    moved = places(run(hosts, *documents, policy=policy, keep_holders=True))
    assert {ip: name for ip, name in on.items() if name != "node2"}.items() <= moved.items()
    assert {*moved} == {*egress_ips} and "node2" not in moved.values()


def test_reasons_of_the_audit_stop_the_run():
    made = run([host(1)], egressip(A), stop_reasons=["the label is unknown"])
    assert (made["stop_reasons"], made["rollout"]) == (["the label is unknown"], {})


def test_settings_without_effect_are_mistakes():
    made = run([host(1)], egressip(A, annotations={"egress-ip.netops/spread": "rack"}))
    path = "egressip/web: metadata.annotations['egress-ip.netops/spread']"
    assert f"{path}: has no effect; no node has the label rack" in made["mistakes"]


def test_addresses_of_pools_are_part_of_the_plan():
    made = run(
        [host(1)],
        egressip(annotations={"egress-ip.netops/pool": "prod"}),
        pools={"prod": [f"{A}-{B}"]},
    )
    assert (places(made), made["manifests"]["egressips"][0]["spec"]["egressIPs"]) == ({A: "node1"}, [A])


POOLED = {"egress-ip.netops/pool": "prod"}
BROKEN = {
    "pool misspelt": ({"egress-ip.netops/pol": "prod"}, {}),
    "pool gone": ({}, {}),
    "annotations are a list": (["egress-ip.netops/pool"], {}),
    "another annotation unknown": ({**POOLED, "egress-ip.netops/zone": "x"}, {}),
    "no egressIPs": (POOLED, {"spec": {"namespaceSelector": {}}}),
    "egressIPs null": (POOLED, {"spec": {"egressIPs": None, "namespaceSelector": {}}}),
    "no egressIPs and no pool": ({}, {"spec": {"namespaceSelector": {}}}),
    "spec null": (POOLED, {"spec": None}),
}


@pytest.mark.parametrize("case", BROKEN)
def test_a_broken_object_keeps_what_it_was_given_and_nobody_else_gets_it(case):
    annotations, changes = BROKEN[case]
    broken = {**egressip(annotations=annotations), **changes}
    other = egressip(name="other", annotations=POOLED)
    recalled = [{"name": "web", "egressIPs": [A], "pods": ["10.88.0.2"]}]
    made = run([host(1, A, recalled=recalled), host(2)], broken, other, pools=ONE)
    assert [each["name"] for each in made["plan"]["invalid"]] == ["web"]
    assert [(each["name"], each["egressIP"], each["node"]) for each in made["plan"]["assignments"]] == [
        ("web", A, "node1")
    ]
    assert made["rollout"]["releasing"] == []
    assert [(each["name"], each["egressIPs"]) for each in made["rollout"]["states"]["node2"]["egressips"]] == [
        ("other", []),
        ("web", [A]),
    ]


def test_what_a_broken_object_had_goes_to_nobody_while_its_node_is_silent():
    broken = egressip(annotations={"egress-ip.netops/pol": "prod"})
    recalled = [{"name": "web", "egressIPs": [A], "pods": []}]
    for held_by in ([host(1, recalled=recalled), SILENT], [host(1, A, recalled=recalled), SILENT]):
        made = run(held_by, broken, egressip(A, name="asks"), egressip(name="pooled", annotations=POOLED), pools=ONE)
        assert not [each for each in made["plan"]["assignments"] if each["name"] != "web"]
    assert places(made) == {A: "node1"}


@pytest.mark.parametrize("holder", ["node1", None])
def test_a_broken_object_gets_nothing_that_it_only_asks_for(holder):
    """It is first by name, but no node remembers that it had the address."""
    nodes = [host(1, *([A] if holder else [])), host(2)]
    made = run(nodes, egressip(A, name="asks", annotations={"egress-ip.netops/pol": "x"}), egressip(A))
    assert [(each["name"], each["egressIP"]) for each in made["plan"]["assignments"]] == [("web", A)]


@pytest.mark.parametrize("name", ["zoo", "web2"])
def test_a_broken_object_keeps_what_one_that_comes_later_asks_for(name):
    recalled = [{"name": "web", "egressIPs": [A, B], "pods": []}]
    broken = egressip(A, annotations={"egress-ip.netops/pol": "x"})
    plan = run([host(1, A, recalled=recalled), host(2, B, recalled=recalled)], broken, egressip(A, B, name=name))[
        "plan"
    ]
    assert [(each["name"], each["egressIP"]) for each in plan["assignments"]] == [("web", A), ("web", B)]


def test_an_address_that_was_given_stays_with_its_object_from_run_to_run():
    """Its holder is silent, and another object asks for the address itself."""
    documents = [egressip(A, name="asks"), egressip(annotations=POOLED)]
    recalled = [{"name": "web", "egressIPs": [A], "pods": []}]
    node1, node2 = host(1, recalled=recalled), host(3, recalled=recalled)
    for _run in range(3):
        plan = run([node1, node2, SILENT], *documents, pools=ONE)["plan"]
        (assignment,) = plan["assignments"]
        assert (assignment["name"], assignment["egressIP"]) == ("web", A)
        assert [(each["name"], each["reason"], each["message"]) for each in plan["unassigned"]] == [
            ("asks", "DuplicateRequest", f"egressip/web requests {A} too and had it before")
        ]
        node1, node2 = (
            host(number, *([A] if assignment["node"] == f"node{number}" else []), recalled=recalled)
            for number in (1, 3)
        )


IPS = [f"192.168.126.{n}" for n in range(101, 105)]
POOLS = {"prod": IPS[:2], "test": IPS[2:]}


@st.composite
def documents(draw, name):
    """An object that asks for addresses and pools, sound or broken in some way."""
    pools = draw(st.sampled_from([None, "prod", "prod,test", "pord"]))
    annotations = {draw(st.sampled_from([*POOLED] * 3 + ["egress-ip.netops/pol"])): pools} if pools else {}
    listed = draw(st.lists(st.sampled_from(IPS), max_size=2, unique=True))
    changes = [{}, {}, {}, {"spec": None}, {"spec": {"namespaceSelector": {}}}, {"status": {"assignments": 5}}]
    return {**egressip(*listed, name=name, annotations=annotations), **draw(st.sampled_from(changes))}


@st.composite
def stories(draw):
    """What is asked in some runs one after the other, and which node is silent in each."""
    names = st.lists(st.sampled_from("abc"), unique=True, min_size=1)
    return [
        ([draw(documents(name)) for name in draw(names)], draw(st.none() | st.integers(1, 3)))
        for _run in range(draw(st.integers(1, 4)))
    ]


class Nodes:
    """Three nodes that do what runs tell them. What a silent one holds, nobody else claims."""

    def __init__(self):
        self.held = {number: [] for number in (1, 2, 3)}
        self.records = {number: [] for number in (1, 2, 3)}

    def run(self, asked, silent):
        """Return (name, egress IP, node) of the plan."""
        manifests = read_manifests([{"source": f"m[{n}]", "document": each} for n, each in enumerate(asked)]).to_dict()
        recalled = {*manifests["broken"], *manifests["pooled"], *manifests["contested"]}
        hosts = [{**SILENT, "name": f"node{n}"} if n == silent else self.host(n, recalled) for n in self.held]
        made = plan_run(hosts, manifests, RunSettings(pools=POOLS)).to_dict()
        for number in self.held.keys() - {silent}:
            state = made["rollout"]["states"][f"node{number}"]
            free = [item["egressIP"] for item in state["held"] if item["egressIP"] not in self.held.get(silent, ())]
            self.held[number], self.records[number] = free, state["egressips"]
        return [(each["name"], each["egressIP"], each["node"]) for each in made["plan"]["assignments"]]

    def host(self, number, recalled):
        """Return the host with its answer."""
        entries = [each for each in self.records[number] if each["name"] in recalled]
        entries = [{"name": each["name"], "egressIPs": each["egressIPs"], "pods": []} for each in entries]
        return host(number, *self.held[number], recalled=entries)


TYPO = {"podSelecter": {}}


def asking_for(name, *egress_ips, **spec):
    document = egressip(*egress_ips, name=name)
    return {**document, "spec": {**document["spec"], **spec}}


@pytest.mark.parametrize("silent", [None, 1, 2, 3])
@pytest.mark.parametrize("typo", [TYPO, {"egressIPs": None}], ids=["unknown field", "addresses unreadable"])
def test_a_broken_object_takes_no_address_that_it_requested_and_another_one_had(typo, silent):
    """The typing error is in `zzz` or in `aaa`, which never had the address of `web`."""
    nodes = Nodes()
    assert [each[:2] for each in nodes.run([asking_for("web", IPS[0])], None)] == [("web", IPS[0])]
    for other in ("zzz", "aaa"):
        both = [asking_for("web", IPS[0]), asking_for(other, IPS[0])]
        assert [each[:2] for each in nodes.run(both, None)] == [("web", IPS[0])]
        assert [each[:2] for each in nodes.run([both[0], asking_for(other, IPS[0], **typo)], silent)] == [
            ("web", IPS[0])
        ]


@pytest.mark.parametrize("silent", [None, 1, 2, 3])
def test_the_first_holder_keeps_its_address(silent):
    """Also while its node is silent, and from run to run; the second gets the address when the first gives it up."""
    nodes, both = Nodes(), [asking_for("web", IPS[0]), asking_for("aaa", IPS[0])]
    (before,) = nodes.run(both[:1], None)
    for silent_now in (silent, silent, None, silent):
        (now,) = nodes.run(both, silent_now)
        assert now[:2] == before[:2]
    assert [each[:2] for each in nodes.run(both[1:], None)] == [("aaa", IPS[0])]


@given(stories())
def test_a_run_after_a_run_changes_nothing(story):
    nodes = Nodes()
    for asked, silent in story:
        first, before = nodes.run(asked, silent), copy.deepcopy(vars(nodes))
        again = nodes.run(asked, silent)
        assert [each[:2] for each in again] == [each[:2] for each in first]
        if silent is None:
            assert (again, vars(nodes)) == (first, before)


def test_nobody_claims_what_is_withheld():
    made = run([host(1), SILENT], egressip(A), withheld={A: "node2 may hold it"})
    assert (places(made), held(made)) == ({A: "node1"}, {"node1": []})


def test_a_fenced_node_holds_nothing():
    made = run([host(1), host(2)], egressip(A), fenced=["node1"])
    assert (made["stop_reasons"], places(made)) == ([], {A: "node2"})


def test_a_node_that_has_lost_its_network_holds_nothing_and_stops_nobody():
    made = run([host(1, lost="eth0 is not there"), host(2)], egressip(A))
    assert (made["stop_reasons"], places(made)) == ([], {A: "node2"})


@pytest.mark.parametrize(
    ("hosts", "documents", "settings", "reason"),
    [
        ([host(1, **CUT_OFF)], [], {}, "node1: egress_ip_interface: "),
        ([host(1), SILENT], [], {"min_available": "100%"}, "egress_ip_min_available: only 1 of 2 "),
        (
            [host(1)],
            [],
            {"drain_nodes": ["node9"]},
            "egress_ip_drain_nodes: must name nodes of the inventory group",
        ),
        ([host(1, A)], [egressip(A)], {"drain_nodes": ["node1"]}, f"egress_ip_drain_nodes: {A} of web would become"),
        (
            [host(1)],
            [egressip(*(f"192.168.126.{n}" for n in range(1, 5)))],
            {"options": {"mark_mask": "0x3"}},
            "egress_ip_mark_mask: has room for 2 egress IPs, not for 4",
        ),
        ([host(1)], [{"apiVersion": "v1", "kind": "Pod", "metadata": {}}], {}, "m.yml: metadata.name: "),
    ],
)
def test_with_a_reason_to_stop_no_node_has_a_state(hosts, documents, settings, reason):
    made = run(hosts, *documents, **settings)
    assert made["rollout"] == {}
    assert made["stop_reasons"][0].startswith(reason)
    assert len(made["stop_reasons"]) == 1 or hosts[0]["observed"].keys() >= CUT_OFF.keys()


@pytest.mark.parametrize("settings", [{"drain_force": True}, {"drain_nodes": []}])
def test_a_loss_is_no_reason_to_stop_when_it_is_meant_or_nobody_drains(settings):
    settings = {"drain_nodes": ["node1"], **settings}
    draining = "node1" in settings["drain_nodes"]
    made = run([host(1, A)], egressip(A), **settings)
    assert (made["stop_reasons"], places(made)) == ([], {} if draining else {A: "node1"})


def test_a_drain_is_not_blamed_for_what_is_lost_without_it():
    """The label of node2 is gone as well; what it holds has no other node, drain or not."""
    unlabelled = {**host(2, B), "labels": {}}
    elsewhere = "10.0.0.1"

    def in_network(number):
        own = f"10.0.0.2{number}"
        return {"networks": [{"interface": "eth0", "addresses": [f"{own}/24"]}], "endpoints": [own]}

    hosts = [host(1, A), unlabelled, host(3, elsewhere, **in_network(3)), host(4, **in_network(4))]
    made = run(hosts, egressip(A, B), egressip(elsewhere, name="db"), drain_nodes=["node3"])
    assert (made["stop_reasons"], places(made)) == ([], {A: "node1", elsewhere: "node4"})


@pytest.mark.parametrize("settings", [{}, {"max_moves": 5}, {"policy": "sticky"}])
def test_a_drain_moves_nothing_for_balance(settings):
    """Node1 has far more than node2, and is left with it, whatever the fleet's policy is."""
    addresses = [f"192.168.126.{n}" for n in range(101, 108)]
    hosts = [host(1, *addresses[:6]), host(2), host(3, addresses[6])]
    documents = [egressip(address, name=f"web{n}") for n, address in enumerate(addresses)]
    made = run(hosts, *documents, drain_nodes=["node3"], **settings)
    assert [(move["egressIP"], move["to"]) for move in made["plan"]["moves"]] == [(addresses[6], "node2")]


@pytest.mark.parametrize(
    ("settings", "error", "message"),
    [
        ({"min_available": "most"}, InventoryError, "egress_ip_min_available: "),
        ({"max_moves": -1}, PlanError, "egress_ip_max_moves: must be an integer of 0 or more"),
        ({"pools": None}, InvalidError, "egress_ip_pools: must be a mapping, not null"),
        ({"pools": []}, InvalidError, "egress_ip_pools: must be a mapping, not a list"),
        ({"excluded_cidrs": ["10.0.0.0/33"]}, InvalidError, "egress_ip_excluded_cidrs[0]: "),
        ({"pools": {"prod": ["10.0.0.9-10.0.0.1"]}}, InvalidError, "egress_ip_pools.prod[0]: "),
    ],
)
def test_bad_settings_are_errors_that_name_the_variable(settings, error, message):
    with pytest.raises(error) as caught:
        run([host(1)], egressip(A), **settings)
    assert str(caught.value).startswith(message)


def test_a_bad_option_of_the_data_plane_is_said_once_and_by_its_variable():
    hosts = [host(n) for n in (1, 2)]
    for each in hosts:
        each["observed"] = {"failed": True, "msg": "options.mark_mask: must be 2 to 14 contiguous bits"}
    with pytest.raises(InvalidError, match="^egress_ip_mark_mask: must be 2 to 14 contiguous bits of a 32-bit value"):
        run(hosts, egressip(A), options={"mark_mask": "0x101"})


@pytest.mark.parametrize("seconds", [0, -1, float("nan")])
def test_a_time_limit_is_above_zero(seconds):
    with pytest.raises(InventoryError, match=r"^egress_ip_plan_seconds: must be a number above 0, not "):
        run([host(1)], egressip(A), plan_seconds=seconds)


def test_a_plan_at_the_time_limit_keeps_the_rules():
    manifests = read_manifests([{"source": "m.yml", "document": egressip(A, B)}]).to_dict()
    made = plan_run([host(1), host(2)], manifests, RunSettings(deadline=lambda: True))
    assert sorted(item["node"] for item in made.plan["assignments"]) == ["node1", "node2"]


def test_a_node_with_a_filtered_bridge_gets_no_address_unless_it_is_alone():
    bridge = {"bridge_filtered": [4]}
    made = run([host(1, **bridge), host(2)], egressip(A, B))
    assert places(made) == {A: "node2"}
    assert [line for line in made["mistakes"] if line.startswith("node1: egress_ip_interface")]
    assert places(run([host(1, **bridge)], egressip(A))) == {A: "node1"}


def test_a_filter_that_drops_forwarded_packets_is_a_line_of_the_report():
    drops = [{"family": "ip", "table": "filter", "chain": "FORWARD"}]
    made = run([host(1, forward_filters=drops)], egressip(A))
    assert [line for line in made["mistakes"] if "drops forwarded packets" in line]
