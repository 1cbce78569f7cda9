# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""From manifests and a look at the nodes to a state for each of them.

golden/rollout/CASE holds documents.yml (the manifests), hosts.yml (what the inventory and the nodes say),
arguments.yml (the others, absent without any), and rollout.yml.
"""

from __future__ import annotations

import copy
import json
from dataclasses import replace

import pytest
from ansible_collections.netops.egress_ip.plugins.module_utils._common.errors import InvalidError
from ansible_collections.netops.egress_ip.plugins.module_utils._dataplane.handover import PlannedRelease
from ansible_collections.netops.egress_ip.plugins.module_utils._dataplane.node_state import Held, LocalPod, NodeState
from ansible_collections.netops.egress_ip.plugins.module_utils._kubernetes.manifests import read_manifests
from ansible_collections.netops.egress_ip.plugins.module_utils._planner.assign import make_plan
from ansible_collections.netops.egress_ip.plugins.module_utils._planner.requests import requests_of
from ansible_collections.netops.egress_ip.plugins.module_utils._reconcile.fleet import observe_fleet
from ansible_collections.netops.egress_ip.plugins.module_utils._reconcile.rollout import roll_out, updates_after
from node_answers import answer

A, B = "192.168.126.101", "192.168.126.102"
LABELS = {"k8s.ovn.org/egress-assignable": ""}


def egressip(name="web", egress_ips=(A, B), **spec):
    return {
        "apiVersion": "k8s.ovn.org/v1",
        "kind": "EgressIP",
        "metadata": {"name": name},
        "spec": {"egressIPs": list(egress_ips), "namespaceSelector": {}, **spec},
    }


def pod(name, node, *ips):
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "namespace": "shop"},
        "spec": {"nodeName": node},
        "status": {"phase": "Running", "podIPs": [{"ip": ip} for ip in ips]},
    }


def node_document(name, *cidrs):
    return {"apiVersion": "v1", "kind": "Node", "metadata": {"name": name}, "spec": {"podCIDRs": list(cidrs)}}


def host(number, **changes):
    return {"name": f"node{number}", "labels": LABELS, "observed": answer(number, **changes)}


def run(documents, hosts, **arguments):
    """Go the whole way from documents and hosts to the Rollout."""
    manifests = read_manifests([{"source": "documents.yml", "document": document} for document in documents])
    fleet = observe_fleet(hosts).to_dict()
    plan = make_plan(requests_of(manifests.egressips), fleet["nodes"], fleet["current"]).to_dict()
    inputs = copy.deepcopy((plan, manifests, fleet))
    rollout = roll_out(plan, manifests, fleet, **arguments)
    assert (plan, manifests, fleet) == inputs
    for state in rollout.states.values():
        assert NodeState.from_dict(json.loads(json.dumps(state.to_dict()))) == state
    return rollout


@pytest.mark.golden("rollout")
def test_roll_out(golden):
    arguments = golden.get("arguments", [{}])[0]
    golden.check("rollout.yml", run(golden["documents"], golden["hosts"][0], **arguments).to_dict())


def test_all_states_are_of_the_next_generation():
    rollout = run([egressip()], [host(1, generation=4), host(2, generation=7)])
    assert {state.generation for state in rollout.states.values()} == {8}


def test_nodes_differ_that_show_something_else():
    documents, hosts = [egressip()], [host(1), host(2)]
    first = run(documents, hosts)
    assert first.differing == ("node1", "node2")
    settled = [
        host(number, digest=state.digest(), held=[item.to_dict() for item in state.held])
        for number, state in enumerate(first.states.values(), 1)
    ]
    assert run(documents, settled).differing == ()
    settled[1]["observed"]["drift"] = ["missing ip rules: priority 7005 nop"]
    assert run(documents, settled).differing == ("node2",)


def test_a_node_that_does_not_answer_gets_no_state():
    silent = {"name": "node2", "labels": LABELS, "observed": {"unreachable": True, "msg": "timed out"}}
    rollout = run([egressip()], [host(1), silent])
    assert list(rollout.states) == ["node1"]


def test_addresses_that_change_hands_are_releasing():
    held = [{"egressIP": A, "interface": "eth0"}, {"egressIP": "192.168.126.200", "interface": "eth0"}]
    hosts = [host(1, held=held), host(2)]
    hosts[0]["labels"] = {}
    rollout = run([egressip(egress_ips=[A])], hosts)
    assert rollout.releasing == (PlannedRelease(A, "node1", "node2"), PlannedRelease("192.168.126.200", "node1"))
    assert [item.egress_ip for item in rollout.states["node2"].held] == [A]


def test_an_address_on_two_nodes_is_not_handed_over():
    """The node that keeps it claims nothing, so the other one must not wait for it."""
    held = [{"egressIP": A, "interface": "eth0"}]
    rollout = run([egressip(egress_ips=[A])], [host(1, held=held), host(2, held=held)])
    (holder,) = (name for name, state in rollout.states.items() if state.held)
    (other,) = {"node1", "node2"} - {holder}
    assert rollout.releasing == (PlannedRelease(A, other),)


def test_the_tunnel_for_an_address_of_a_second_interface_ends_at_its_holder():
    networks = [host(1)["observed"]["networks"][0], {"interface": "eth1", "addresses": ["10.9.0.21/24"]}]
    rollout = run([egressip(egress_ips=["10.9.0.101", A])], [host(1, networks=networks), host(2)])
    assert rollout.states["node1"].held == (Held("10.9.0.101", "eth1"),)
    for state in rollout.states.values():
        assert (state.far_end("10.9.0.101"), state.far_end(A)) == ("192.168.126.21", A)


SECOND = {"egressIP": "10.9.0.101", "endpoint": "192.168.126.23"}
SILENT = {"name": "node3", "observed": {"unreachable": True, "msg": "timed out"}}


def taken_over(*hosts, held=()):
    """Roll out an address of node1's second network, whose tunnel ended at node3 so far."""
    networks = [host(1)["observed"]["networks"][0], {"interface": "eth1", "addresses": ["10.9.0.21/24"]}]
    first = host(1, networks=networks, far_ends=[SECOND], held=list(held), generation=7)
    return run([egressip(egress_ips=["10.9.0.101"])], [first, host(2), *hosts])


def ends(rollout):
    return {state.far_end("10.9.0.101") for state in rollout.states.values()}


def test_a_tunnel_stays_while_a_silent_node_may_still_have_the_address():
    rollout = taken_over(SILENT)
    assert ends(rollout) == {"192.168.126.23"}
    assert rollout.following == ({"egressIP": "10.9.0.101", "node": "node1", "endpoint": "192.168.126.21"},)


def test_a_tunnel_goes_along_when_nobody_is_silent_or_the_address_is_there_already():
    held = [{"egressIP": "10.9.0.101", "interface": "eth1"}]
    for rollout in (taken_over(), taken_over(SILENT, held=held)):
        assert (ends(rollout), rollout.following) == ({"192.168.126.21"}, ())


def test_a_tunnel_follows_what_was_claimed_and_nothing_else():
    rollout = taken_over(SILENT).to_dict()
    assert updates_after(rollout, {"node1": {"claimed": [], "conflicts": []}, "node2": {}}) == {}
    updates = updates_after(rollout, {"node1": {"claimed": ["10.9.0.101"]}})
    states = {name: NodeState.from_dict(state) for name, state in updates.items()}
    assert {name: state.far_end("10.9.0.101") for name, state in states.items()} == dict.fromkeys(
        ("node1", "node2"), "192.168.126.21"
    )
    assert {state.generation for state in states.values()} == {9}


def test_pods_go_to_their_node_with_addresses_of_both_ip_versions():
    documents = [egressip(), pod("a", "node1", "10.88.0.2", "fd00::2"), pod("b", "node2", "10.88.0.2")]
    rollout = run(documents, [host(1), host(2)])
    assert {n: [p.address for p in s.pods] for n, s in rollout.states.items()} == {
        "node1": ["10.88.0.2", "fd00::2"],
        "node2": ["10.88.0.2"],
    }


def test_a_pod_with_the_address_of_a_node_is_no_pod_of_its_own():
    [state] = run([egressip(), pod("a", "node1", "192.168.126.21")], [host(1)]).states.values()
    assert state.pods == ()
    assert state.excluded == ()


def test_pods_and_pod_networks_are_east_west():
    documents = [egressip(), pod("a", "elsewhere", "10.88.0.2"), node_document("node1", "10.244.1.0/24", "fd00::/64")]
    [state] = run(documents, [host(1)], excluded=["10.0.0.0/9", "2001:db8::/32"]).states.values()
    assert state.excluded == ("10.0.0.0/9", "10.244.1.0/24", "2001:db8::/32", "fd00::/64")


def test_a_pod_network_that_is_none_is_an_error():
    documents = [egressip(), node_document("node1", "10.244.1.1/24", "x")]
    with pytest.raises(InvalidError) as caught:
        run(documents, [host(1)])
    assert [error.split(": '")[0] for error in caught.value.errors] == [
        "node/node1: spec.podCIDRs[0]",
        "node/node1: spec.podCIDRs[1]",
    ]


def test_a_node_document_without_a_spec():
    document = node_document("node1")
    for spec in ({}, None):
        document["spec"] = spec
        assert run([egressip(), document], [host(1)]).states["node1"].excluded == ()


@pytest.mark.parametrize(
    ("excluded", "error"),
    [
        (["10.0.0.1/8"], "egress_ip_excluded_cidrs[0]: '10.0.0.1/8' has host bits set"),
        (["10.0.0.0/8", "x"], "egress_ip_excluded_cidrs[1]: 'x' has no prefix length"),
        (["0.0.0.0/0"], "egress_ip_excluded_cidrs: covers every address"),
        (["0.0.0.0/1", "128.0.0.0/1"], "egress_ip_excluded_cidrs: covers every address"),
    ],
)
def test_wrong_excluded_networks(excluded, error):
    with pytest.raises(InvalidError) as caught:
        run([egressip()], [host(1)], excluded=excluded)
    assert str(caught.value).startswith(error)


def test_wrong_options():
    with pytest.raises(InvalidError, match=r"^egress_ip_tunnel_port: must be an integer from 1 to 65535"):
        run([egressip()], [host(1)], options={"tunnel_port": 0})


def test_a_broken_object_keeps_what_works():
    before = run([egressip(), pod("a", "node1", "10.88.0.2")], [host(1), host(2)])
    entry = {"name": "web", "egressIPs": [A, B], "pods": ["10.88.0.2"]}
    held = {name: [item.to_dict() for item in state.held] for name, state in before.states.items()}
    hosts = [
        host(1, held=held["node1"], recalled=[entry]),
        host(2, held=held["node2"], recalled=[{**entry, "pods": []}]),
    ]
    broken = egressip(namespaceSelector={"matchlabels": {}})
    after = run([broken, pod("a", "node1", "10.88.0.2")], hosts)
    assert {name: (s.egressips, s.pods, s.held) for name, s in after.states.items()} == {
        name: (s.egressips, s.pods, s.held) for name, s in before.states.items()
    }
    assert after.releasing == ()


DATABASE = "203.0.113.0/24"


def for_destinations(name, address, networks):
    document = egressip(name, [address])
    document["metadata"]["annotations"] = {"egress-ip.netops/destinations": networks}
    return document


def test_a_pod_follows_every_object_that_may_apply():
    """Not those that come after one for everywhere and are for everywhere themselves: they never have a say."""
    objects = [egressip("a", [A]), egressip("b", [B]), for_destinations("c", B, DATABASE)]
    rollout = run([*objects, pod("x", "node1", "10.88.0.2")], [host(1), host(2)])
    state = rollout.states["node1"]
    assert [item.destinations.networks for item in state.egressips] == [(), (), (DATABASE,)]
    assert [pod.egressips for pod in state.pods] == [("a", "c")]
    assert NodeState.from_dict(state.to_dict()) == state


def test_a_broken_object_keeps_its_destinations_and_gives_way_to_sound_ones():
    entry = {"name": "a", "egressIPs": [A], "destinations": [DATABASE], "excluded_destinations": []}
    hosts = [host(1, recalled=[{**entry, "pods": ["10.88.0.2", "10.88.0.3"]}])]
    general = {"name": "b", "egressIPs": [B], "pods": ["10.88.0.2"]}
    hosts[0]["observed"]["recalled"].append(general)
    broken = [for_destinations("a", A, "203.0.113.1/24"), egressip("b", [B], namespaceSelector={"x": 1})]
    state = run([*broken, egressip("c", [B]), pod("x", "node1", "10.88.0.2")], hosts).states["node1"]
    assert [item.destinations.networks for item in state.egressips] == [(DATABASE,), (), ()]
    assert [(pod.address, pod.egressips) for pod in state.pods] == [("10.88.0.2", ("c", "a")), ("10.88.0.3", ("a",))]


def test_the_order_of_documents_and_hosts_says_nothing():
    documents = [egressip("b", [B]), egressip("a", [A]), pod("x", "node1", "10.88.0.3"), pod("y", "node2", "10.88.0.2")]
    hosts = [host(1), host(2), host(3)]
    assert run(documents, hosts) == run(documents[::-1], hosts[::-1])


def test_what_is_withheld_is_claimed_by_nobody_and_stays_assigned_for_the_others():
    hosts = [host(1), host(2)]
    told, held_back = (run([egressip()], hosts, withheld=withheld) for withheld in ((), (A,)))
    assert sorted(item.egress_ip for state in told.states.values() for item in state.held) == [A, B]
    assert [item.egress_ip for state in held_back.states.values() for item in state.held] == [B]
    slots = {state.egressips[0].slots for rollout in (told, held_back) for state in rollout.states.values()}
    assert slots == {(A, B)}


def slots_of(state):
    return state["egressips"][0]["slots"]


def test_an_address_that_its_node_could_not_claim_is_used_by_nobody():
    rollout = run([egressip()], [host(1), host(2)])
    [(first, node1), (second, node2)] = [(item["egressIP"], item["node"]) for item in rollout.pending]
    plain = rollout.to_dict()
    done = {node1: {"claimed": [first]}, node2: {"claimed": [second]}}
    assert updates_after(plain, done) == {}
    done[node2] = {"claimed": [], "conflicts": [{"egressIP": second}]}
    updates = updates_after(plain, done)
    assert {name: slots_of(state) for name, state in updates.items()} == {node1: [first] * 2, node2: [first] * 2}
    assert updates[node1]["generation"] == plain["states"][node1]["generation"] + 1
    # A node that failed is not tried again.
    done[node2] = {"failed": True, "msg": "no space left"}
    assert list(updates_after(plain, done)) == [node1]


def test_the_next_run_changes_nothing_until_the_address_can_be_claimed():
    before = run([egressip()], [host(1), host(2)])
    [(first, node1), (second, node2)] = [(item["egressIP"], item["node"]) for item in before.pending]
    left = updates_after(before.to_dict(), {node1: {"claimed": [first]}, node2: {"claimed": []}})
    digests = {name: NodeState.from_dict(state).digest() for name, state in left.items()}
    held = {node1: [{"egressIP": first, "interface": "eth0"}], node2: []}
    hosts = [host(int(name[-1]), digest=digests[name], held=held[name], generation=2) for name in (node1, node2)]
    after = run([egressip()], hosts)
    assert (after.differing, [item["egressIP"] for item in after.pending]) == ((), [second])
    updates = updates_after(after.to_dict(), {node2: {"claimed": [second]}})
    assert {name: set(slots_of(state)) for name, state in updates.items()} == {node1: {A, B}, node2: {A, B}}


def test_an_address_of_a_silent_node_may_work_there():
    silent = {"name": "node3", "labels": LABELS, "observed": {"unreachable": True, "msg": "timed out"}}
    assert run([egressip()], [host(1), host(2), silent]).pending == ()


def test_a_pod_with_an_address_of_another_node_is_no_host_process():
    """One node must not be able to deselect the pods of others by its answer."""
    hosts = [host(1), host(2, addresses=["192.168.126.22", "10.88.0.2"])]
    rollout = run([egressip(), pod("x", "node1", "10.88.0.2"), pod("y", "node2", "192.168.126.22")], hosts)
    assert [[item.address for item in state.pods] for state in rollout.states.values()] == [["10.88.0.2"], []]


def test_pods_of_a_sound_object_are_not_recalled():
    """A node is asked to recall objects with pools too; only of broken ones what it remembers is the truth."""
    manifests = read_manifests([{"source": "m", "document": egressip()}])
    entry = {"name": "web", "egressIPs": [A], "pods": ["10.88.0.9"]}
    fleet = observe_fleet([host(1, recalled=[entry])]).to_dict()
    plan = make_plan(requests_of(manifests.egressips), fleet["nodes"], fleet["current"]).to_dict()
    state = roll_out(plan, manifests, fleet).states["node1"]
    assert state.pods == ()
    assert state.egressips[0].egress_ips == (A, B)


@pytest.mark.parametrize("way", ["excluded", "podCIDRs"])
def test_one_more_pod_changes_its_node_only(way):
    pods = [pod(f"p{n}", f"node{n % 3 + 1}", f"10.88.0.{n}") for n in range(2, 12)]
    documents = [egressip(), *([node_document("node1", "10.88.0.0/16")] if way == "podCIDRs" else [])]
    arguments = {"excluded": ["10.88.0.0/16"]} if way == "excluded" else {}
    before = run([*documents, *pods], [host(number) for number in (1, 2, 3)], **arguments)
    held = {name: [item.egress_ip for item in state.held] for name, state in before.states.items()}
    answers = [
        host(
            number, held=answer(number, *held[f"node{number}"])["held"], digest=before.states[f"node{number}"].digest()
        )
        for number in (1, 2, 3)
    ]
    assert run([*documents, *pods], answers, **arguments).differing == ()
    after = run([*documents, *pods, pod("new", "node2", "10.88.0.99")], answers, **arguments)
    assert after.differing == ("node2",)
    assert {*after.states["node2"].pods} - {*before.states["node2"].pods} == {LocalPod("10.88.0.99", ("web",))}


@pytest.mark.parametrize(
    ("more", "names"),
    [
        ({}, {"node2"}),
        ({"following": ({"egressIP": "10.0.0.9"},)}, {"node1", "node2"}),
        ({"pending": ({"egressIP": "10.0.0.9"},)}, {"node1", "node2"}),
    ],
)
def test_states_of_nodes_that_a_run_cannot_change_are_left_out(more, names):
    made = run([egressip(), pod("a", "node1", "10.88.0.2")], [host(1), host(2)])
    some = replace(made, differing=("node2",), following=(), pending=())
    states = replace(some, **more).to_dict()["states"]
    assert states == {name: made.states[name].to_dict() for name in names}
