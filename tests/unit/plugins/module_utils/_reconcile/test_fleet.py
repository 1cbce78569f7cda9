# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a look at all nodes tells.

golden/fleet/CASE holds hosts.yml (what the inventory says and what the task of node_info left), arguments.yml (the
others, absent without any) and fleet.yml.
"""

from __future__ import annotations

import copy

import pytest
from ansible_collections.netops.egress_ip.plugins.module_utils._common.errors import InventoryError
from ansible_collections.netops.egress_ip.plugins.module_utils._kubernetes.objects import NodeObject, parse_node
from ansible_collections.netops.egress_ip.plugins.module_utils._reconcile.fleet import observe_fleet, required_nodes
from ansible_collections.netops.egress_ip.plugins.module_utils._reconcile.node_answer import NOT_OBSERVED

UNREACHABLE = {"unreachable": True, "msg": "Connection timed out"}
# Recorded from ansible-core 2.19; `exception` is in every failed result.
TIMED_OUT = {
    "changed": False,
    "exception": "(traceback unavailable)",
    "failed": True,
    "msg": "Task failed: Timed out after 1 second(s).",
    "timedout": {"frame": "", "period": 1},
}
RAISED = {
    "changed": False,
    "exception": "(traceback unavailable)",
    "failed": True,
    "msg": "Task failed: Module failed: division by zero",
}
KILLED = {
    "changed": False,
    "exception": "(traceback unavailable)",
    "failed": True,
    "module_stderr": "Killed\n",
    "module_stdout": "",
    "msg": "Module result deserialization failed: No start of json char found",
    "rc": 137,
}
NO_PYTHON = {
    "changed": False,
    "exception": "(traceback unavailable)",
    "failed": True,
    "module_stderr": "/bin/sh: 1: /usr/bin/python3: not found\n",
    "module_stdout": "",
    "msg": "The module interpreter '/usr/bin/python3' was not found.",
    "rc": 127,
}
FAILED = {"changed": False, "exception": "(traceback unavailable)", "failed": True, "msg": "state.json: cannot be read"}


def answer(number, **changes):
    return {
        "problems": [],
        "packages": [],
        "interface": "eth0",
        "endpoints": [f"192.168.126.2{number}"],
        "networks": [{"interface": "eth0", "addresses": [f"192.168.126.2{number}/18"]}],
        "addresses": [f"192.168.126.2{number}"],
        "held": [],
        "generation": 0,
        "digest": "",
        "drift": [],
        "nodes": [],
        "recalled": [],
        **changes,
    }


def host(number, observed=None, **changes):
    return {"name": f"node{number}", "observed": answer(number) if observed is None else observed, **changes}


def names(entries):
    return [entry["name"] for entry in entries]


@pytest.mark.golden("fleet")
def test_observe_fleet(golden):
    hosts, arguments = golden["hosts"][0], golden.get("arguments", [{}])[0]
    before = copy.deepcopy(hosts)
    objects = [parse_node(document) for document in arguments.pop("node_documents", [])]
    fleet = observe_fleet(hosts, objects, **arguments).to_dict()
    golden.check("fleet.yml", fleet)
    assert hosts == before


@pytest.mark.parametrize("observed", [UNREACHABLE, TIMED_OUT, RAISED, KILLED])
def test_a_node_without_an_answer_is_unavailable(observed):
    fleet = observe_fleet([host(1), host(2, observed)])
    assert names(fleet.unavailable) == ["node2"]
    assert fleet.unavailable[0]["reason"].endswith(observed["msg"])
    assert [node["ready"] for node in fleet.nodes] == [True, False]
    assert fleet.stop_reasons == ()


@pytest.mark.parametrize(
    ("observed", "reason"),
    [
        (NO_PYTHON, "ansible_python_interpreter: there is no Python on this host; install the package python3"),
        (FAILED, "state.json: cannot be read"),
        ({"problems": ["a", "b"], "packages": []}, "a; b"),
        (answer(2, generation="abc"), "gives invalid facts: generation: must be an integer from 0 to 9007199254740992"),
        (answer(2, held="x"), "gives invalid facts: held: must be a list, not the string 'x'"),
    ],
)
def test_a_faulty_node_is_set_aside_and_the_others_go_on(observed, reason):
    fleet = observe_fleet([host(1), host(2, observed)])
    [faulty] = fleet.faulty
    assert (faulty["name"], faulty["reason"][: len(reason)]) == ("node2", reason)
    assert (fleet.stop_reasons, fleet.unavailable, list(fleet.observed)) == ((), (), ["node1"])
    assert [node["ready"] for node in fleet.nodes] == [True, False]


def test_every_problem_is_listed_if_too_few_nodes_are_left():
    fleet = observe_fleet([host(1, {"problems": ["a", "b"]}), host(2, {"problems": ["c"]}), host(3, UNREACHABLE)])
    few = "egress_ip_min_available: only 0 of 3 nodes can be used, not 50%"
    assert fleet.stop_reasons == ("node1: a", "node1: b", "node2: c", few)


def test_a_host_that_was_left_out_stops_the_run():
    fleet = observe_fleet([host(1), {"name": "node2", "observed": None}])
    assert fleet.stop_reasons == (f"node2: {NOT_OBSERVED}",)


def known(*numbers):
    return [
        {"name": f"node{n}", "endpoints": [f"192.168.126.2{n}"], "addresses": [f"192.168.126.2{n}"]} for n in numbers
    ]


def test_a_part_of_the_inventory_stops_the_run():
    """Three jobs with one host each: every record knows the other two nodes."""
    fleet = observe_fleet([host(1, answer(1, generation=3, nodes=known(1, 2, 3)))])
    assert [line.partition(": ")[0] for line in fleet.stop_reasons] == ["egress_ip_forget_nodes"] * 2
    assert fleet.stop_reasons[0].partition(": ")[2] == (
        "node2 is in the records of 1 of 1 nodes, but not in egress_ip_group; run with the whole inventory, or list the"
        " node in egress_ip_forget_nodes if it has left"
    )
    assert observe_fleet([host(1, answer(1, nodes=known(1, 2, 3)))], forget=["node2", "node3"]).stop_reasons == ()


def test_the_names_in_a_record_do_not_fill_the_report():
    nodes = [{"name": f"node{number:04}", "endpoints": [], "addresses": []} for number in range(1000)]
    reasons = observe_fleet([host(1, answer(1, nodes=nodes))]).stop_reasons
    assert len(reasons) == 101
    assert reasons[-1] == "egress_ip_forget_nodes: the records have 900 more such nodes"


def test_one_record_among_many_does_not_stop_the_run():
    hosts = [host(n, answer(n, nodes=known(1, 2, 3))) for n in (1, 2)]
    assert observe_fleet([*hosts, host(3, answer(3, nodes=known(1, 2, 3, 9)))]).stop_reasons == ()


@pytest.mark.parametrize("generation", [2**32 + 8, 2**53])
def test_a_node_with_a_generation_far_ahead_is_set_aside(generation):
    fleet = observe_fleet([host(1, answer(1, generation=generation)), host(2, answer(2, generation=7)), host(3)])
    assert fleet.generation == 7
    reason = f"gives invalid facts: generation: {generation} is far ahead of those of the other nodes"
    assert fleet.faulty == ({"name": "node1", "reason": reason},)


def test_a_node_that_was_away_is_behind():
    fleet = observe_fleet([host(1, answer(1, generation=2**31)), host(2, answer(2, generation=0)), host(3)])
    assert (fleet.generation, fleet.faulty) == (2**31, ())


def test_of_two_nodes_with_one_endpoint_the_recorded_one_is_right():
    thief = answer(3, endpoints=["192.168.126.22"], networks=answer(2)["networks"], nodes=known(1))
    hosts = [host(1, answer(1, nodes=known(1, 2))), host(2, answer(2, nodes=known(1, 2))), host(3, thief)]
    fleet = observe_fleet(hosts)
    assert fleet.faulty == (
        {"name": "node3", "reason": "gives invalid facts: endpoints: 192.168.126.22 is the endpoint of node2 too"},
    )
    assert set(observe_fleet([host(2), host(3, thief)]).observed) == set()


def test_a_silent_member_is_what_most_records_say():
    lie = [{"name": "node3", "endpoints": ["203.0.113.9"], "addresses": ["203.0.113.9"]}, {"name": 5}, None]
    hosts = [
        host(1, answer(1, nodes=known(3))),
        host(2, answer(2, nodes=known(3))),
        host(4, answer(4, generation=9, nodes=lie)),
        host(3, UNREACHABLE),
    ]
    assert [member for member in observe_fleet(hosts).members if member["name"] == "node3"] == known(3)


@pytest.mark.parametrize("endpoints", [[], ["203.0.113.9", "203.0.113.10"]], ids=["none", "two"])
def test_a_newer_record_with_endpoints_that_no_node_can_have_does_not_count(endpoints):
    """A state with them would be refused by every node."""
    lie = [{"name": "node3", "endpoints": endpoints, "addresses": []}]
    hosts = [host(1, answer(1, generation=9, nodes=lie)), host(2, answer(2, nodes=known(3))), host(3, UNREACHABLE)]
    assert [member for member in observe_fleet(hosts).members if member["name"] == "node3"] == known(3)


@pytest.mark.parametrize(
    ("min_available", "total", "needed"),
    [
        ("50%", 3, 2),
        ("50%", 4, 2),
        ("50%", 1, 1),
        ("0%", 5, 0),
        ("1%", 5, 1),
        ("100%", 7, 7),
        ("34%", 3, 2),
        ("33%", 3, 1),
        (" 50% ", 2, 1),
        (2, 3, 2),
        ("2", 3, 2),
        (0, 3, 0),
        (9, 3, 3),
    ],
)
def test_required_nodes(min_available, total, needed):
    assert required_nodes(min_available, total) == needed


@pytest.mark.parametrize("value", ["", "%", "101%", "-1", -1, "half", 0.5, "50 %", True, None, [], "²", "5%%"])
def test_required_nodes_refuses_other_values(value):
    with pytest.raises(InventoryError, match=r"^egress_ip_min_available: must be a number"):
        required_nodes(value, 3)


def test_too_few_nodes_stop_the_run():
    hosts = [host(1), host(2, UNREACHABLE), host(3, UNREACHABLE)]
    [line] = observe_fleet(hosts).stop_reasons
    assert line.startswith("egress_ip_min_available: only 1 of 3 nodes can be reached and 50% are needed")
    assert observe_fleet(hosts, min_available=1).stop_reasons == ()


def test_a_group_without_hosts_stops_the_run():
    assert observe_fleet([]).stop_reasons == ("egress_ip_group: the group is empty; add a host to it",)


def test_labels_of_the_inventory_win_over_those_of_node_documents():
    objects = [
        NodeObject("node1", {"zone": "a", "k8s.ovn.org/egress-assignable": ""}),
        NodeObject("node2", {}),
        NodeObject("elsewhere", {}),
    ]
    fleet = observe_fleet([host(1, labels={"zone": "b"}), host(2)], objects)
    assert fleet.nodes[0]["labels"] == {"zone": "b", "k8s.ovn.org/egress-assignable": ""}
    assert fleet.nodes[1]["labels"] == {}


def test_null_in_the_inventory_takes_a_label_of_the_node_object_away():
    objects = [NodeObject("node1", {"zone": "a", "k8s.ovn.org/egress-assignable": ""})]
    label = {"k8s.ovn.org/egress-assignable": None}
    fleet = observe_fleet([host(1, labels=label), host(2, labels=label)], objects)
    assert [each["labels"] for each in fleet.nodes] == [{"zone": "a"}, label]
    assert fleet.eligible == ("node2",)


def test_gateways_are_part_of_a_node():
    assert observe_fleet([host(1, answer(1, gateways=["192.168.126.1"]))]).nodes[0]["gateways"] == ["192.168.126.1"]


@pytest.mark.parametrize(
    ("variables", "message"),
    [
        ({"labels": ["zone=a"]}, "node1: egress_ip_labels: must be a mapping, not a list"),
        ({"labels": ""}, "node1: egress_ip_labels: must be a mapping, not the string ''"),
        ({"labels": []}, "node1: egress_ip_labels: must be a mapping, not a list"),
        ({"labels": "zone=a"}, "node1: egress_ip_labels: must be a mapping, not the string 'zone=a'"),
        ({"capacity": "ten"}, "node1: egress_ip_capacity: must be an integer of 0 or more, or left out for no limit"),
        ({"capacity": -1}, "node1: egress_ip_capacity: must be an integer of 0 or more, or left out for no limit"),
        ({"capacity": True}, "node1: egress_ip_capacity: must be an integer of 0 or more, or left out for no limit"),
        ({"capacity": [3]}, "node1: egress_ip_capacity: must be an integer of 0 or more, or left out for no limit"),
        ({"capacity": {"ipv4": 1.5}}, "node1: egress_ip_capacity.ipv4: must be an integer of 0 or more, or left out"),
        ({"capacity": {"ipv5": 1}}, "node1: egress_ip_capacity.ipv5: unknown field; did you mean ipv6?"),
    ],
)
def test_a_malformed_variable_of_a_host_stops_the_run(variables, message):
    """The planner would take the node for one that holds nothing, and the run would release its addresses."""
    [line] = observe_fleet([host(1, **variables), host(2), host(3)]).stop_reasons
    assert line.startswith(message)


@pytest.mark.parametrize("text", ["egress_ip_platform: must be one of auto, baremetal, not 'x'", NOT_OBSERVED])
@pytest.mark.parametrize("answered", [{"failed": True}, {"failed": False}, {}], ids=str)
def test_no_text_of_a_node_stops_the_run_of_the_others(text, answered):
    fleet = observe_fleet([host(1), host(2), host(3, {**answered, "msg": text})])
    assert (fleet.stop_reasons, names(fleet.faulty)) == ((), ["node3"])


def test_a_drained_node_answers_and_is_not_ready():
    fleet = observe_fleet([host(1, drain=True), host(2), host(3)], drain=["node2"])
    assert [node["ready"] for node in fleet.nodes] == [False, False, True]
    assert set(fleet.observed) == {"node1", "node2", "node3"}


def test_an_unknown_node_to_drain_stops_the_run():
    [line] = observe_fleet([host(1)], drain=["nod1"]).stop_reasons
    assert line == "egress_ip_drain_nodes: must name nodes of the inventory group; 'nod1' is not one"


def test_a_silent_member_is_remembered_by_the_newest_state():
    old = {"name": "node3", "endpoints": ["192.168.126.99"], "addresses": ["192.168.126.99"]}
    new = {"name": "node3", "endpoints": ["192.168.126.23"], "addresses": ["192.168.126.23"]}
    hosts = [
        host(1, answer(1, generation=4, nodes=[new])),
        host(2, answer(2, generation=3, nodes=[old])),
        host(3, UNREACHABLE),
        host(4, UNREACHABLE),
    ]
    fleet = observe_fleet(hosts)
    assert names(fleet.members) == ["node1", "node2", "node3"]
    assert fleet.members[2] == new
    assert fleet.generation == 4


def test_a_node_that_left_the_inventory_is_no_member():
    hosts = [host(1, answer(1, generation=1, nodes=known(9)))]
    assert names(observe_fleet(hosts, forget=["node9"]).members) == ["node1"]


def test_objects_are_recalled_from_all_nodes_and_their_addresses_from_the_newest():
    entry = {"name": "web", "egressIPs": ["192.168.126.101"], "pods": ["10.88.0.2"]}
    newer = {"name": "web", "egressIPs": ["192.168.126.102"], "pods": ["10.88.0.3"]}
    hosts = [
        host(1, answer(1, generation=2, recalled=[newer])),
        host(2, answer(2, generation=1, recalled=[entry])),
        host(3, UNREACHABLE),
    ]
    assert observe_fleet(hosts).recalled == {
        "web": {"egressIPs": ["192.168.126.102"], "pods": {"node1": ["10.88.0.3"], "node2": ["10.88.0.2"]}}
    }


def test_what_nodes_hold_is_current():
    held = [{"egressIP": "192.168.126.101", "interface": "eth0"}]
    fleet = observe_fleet([host(2, answer(2, held=held)), host(1, answer(1, held=held))])
    assert fleet.current == (
        {"egressIP": "192.168.126.101", "node": "node1"},
        {"egressIP": "192.168.126.101", "node": "node2"},
    )


def test_a_fenced_node_answers_and_is_not_ready():
    fleet = observe_fleet([host(1), host(2)], fenced=["node2"])
    assert [node["ready"] for node in fleet.nodes] == [True, False]
    assert observe_fleet([host(1)], fenced=["node2"]).stop_reasons == ()


def test_a_node_that_has_lost_its_network_does_not_stop_the_others():
    lost = {"problems": [], "packages": [], "lost": "eth0 does not exist or has no address of its own"}
    fleet = observe_fleet([host(1), host(2, lost)])
    assert (fleet.stop_reasons, fleet.unavailable[0]["reason"]) == ((), f"has lost its network: {lost['lost']}")
