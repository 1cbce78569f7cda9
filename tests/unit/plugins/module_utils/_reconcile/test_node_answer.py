# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Each field of a node's answer: a malformed one sets the node aside, an undocumented one is dropped."""

from __future__ import annotations

import copy

import pytest
from ansible_collections.netops.egress_ip.plugins.module_utils._reconcile.node_answer import (
    ANSWER,
    FAULTY,
    STOP,
    UNAVAILABLE,
    read_answer,
    read_result,
    valid_fields,
)

A = "192.168.126.101"
USE = {"protocol": "tcp", "connections": 3, "busiest": "203.0.113.5:443", "port_share": 0.1}
COUNTERS = dict.fromkeys(("transmit_packets", "transmit_bytes", "receive_packets", "receive_bytes"), 1)
FACTS = {
    "problems": [],
    "packages": ["nftables"],
    "lost": "",
    "platform": {"name": "vsphere", "uuid": None},
    "interface": "eth0",
    "endpoints": ["192.168.126.21"],
    "networks": [{"interface": "eth0", "addresses": ["192.168.126.21/18"]}],
    "macs": {"eth0": "00:50:56:00:01:01"},
    "addresses": ["192.168.126.21", "10.88.0.1"],
    "gateways": ["192.168.64.1"],
    "routers": {"eth0": ["192.168.64.1"]},
    "bridge_filtered": [4],
    "forward_filters": [{"family": "ip", "table": "filter", "chain": "FORWARD"}],
    "held": [{"egressIP": A, "interface": "eth0", "name": "web"}],
    "generation": 3,
    "digest": "1f6c9b0a4a7de9b2",
    "drift": ["missing ip rules"],
    "nodes": [{"name": "node1", "endpoints": [], "addresses": []}],
    "far_ends": [{"egressIP": A, "endpoint": "192.168.126.21"}],
    "recalled": [{"name": "web", "egressIPs": [A], "pods": ["10.88.0.2"], "destinations": ["10.0.0.0/8"]}],
    "conflicts": [{"egressIP": A, "interface": "eth0", "mac": "52:54:00:12:34:56"}],
    "since": {A: 1_795_955_301},
    "metrics": {"egress_ips": [{"egressIP": A, "object": "web", **COUNTERS, "use": [USE]}], "tunnel": []},
}


def test_valid_facts_are_kept():
    before = copy.deepcopy(FACTS)
    assert read_answer({**FACTS, "changed": False}) == (ANSWER, FACTS, ())
    assert before == FACTS


def test_undocumented_fields_are_dropped():
    extra = {"ansible_facts": {"egress_ip_labels": {}}, "add_host": {}, "zone": "a"}
    held = [{**FACTS["held"][0], "node": "node9"}]
    assert read_answer({**FACTS, **extra, "held": held}).facts == FACTS


# Case: (field, value, message).
MALFORMED = [
    ("since", {A: "today"}, f"since.{A}: must be a number of seconds since 1970, not the string 'today'"),
    ("since", {"evil": 5}, "since: a key: 'evil' is not an IPv4 or IPv6 address"),
    ("problems", "x", "problems: must be a list, not the string 'x'"),
    ("lost", None, "lost: must be a string, not null"),
    ("platform", {"name": 5, "uuid": None}, "platform.name: must be a string, not the integer 5"),
    ("bridge_filtered", [True], "bridge_filtered[0]: must be 4 or 6, not the boolean true"),
    ("forward_filters", [{"family": "ip"}], "forward_filters[0].table: is missing"),
    ("interface", ["eth0"], "interface: must be a string, not a list"),
    ("addresses", ["10.0.0.1"] * 10_001, "addresses: must have at most 10000 entries, not 10001"),
    (
        "named_networks",
        [{"network": "podman:web", "namespace": "", "cidrs": ["10.0.0.0/24"] * 1001, "problem": ""}],
        "named_networks[0].cidrs: must have at most 1000 entries, not 1001",
    ),
    (
        "networks",
        [{"interface": f"eth{n}", "addresses": ["192.168.126.21/18"] * 1251} for n in range(2)],
        "networks: the addresses: must have at most 2500 entries, not 2502",
    ),
    ("drift", ["missing x"] * 52, "drift: must have at most 51 entries, not 52"),
    ("macs", {f"eth{n}": "" for n in range(2501)}, "macs: must have at most 2500 entries, not 2501"),
    ("nodes", [{}] * 20_001, "nodes: must have at most 20000 entries, not 20001"),
    ("held", [{}] * 20_001, "held: must have at most 20000 entries, not 20001"),
    ("endpoints", ["203.0.113.9"], "endpoints[0]: 203.0.113.9 is not one of the addresses in networks"),
    ("endpoints", [], "endpoints: must be one address, or one of each IP version, not 0 addresses"),
    (
        "endpoints",
        ["192.168.126.21", "192.168.126.21"],
        "endpoints: must be one address, or one of each IP version, not 2 addresses",
    ),
    ("recalled", [{"name": 'a" x', "egressIPs": [], "pods": []}], "recalled[0].name: must be the name of an object"),
    ("endpoints", [5], "endpoints[0]: must be a string, not the integer 5; put it in quotes"),
    ("networks", [{"interface": "eth0"}], "networks[0].addresses: is missing"),
    (
        "networks",
        [{"interface": "eth0", "addresses": ["192.168.126.21"]}],
        "networks[0].addresses[0]: '192.168.126.21'",
    ),
    ("macs", [], "macs: must be a mapping, not a list"),
    ("routers", ["x"], "routers: must be a mapping, not a list"),
    ("routers", {"eth0": ["x"]}, "routers.eth0[0]: 'x' is not an IPv4 or IPv6 address"),
    ("addresses", ["10.0.0.0/8"], "addresses[0]: '10.0.0.0/8' has a prefix length; give the address alone"),
    ("held", "x", "held: must be a list, not the string 'x'"),
    ("held", [{"egressIP": A}], "held[0].interface: is missing"),
    ("held", [{"egressIP": "x", "interface": "eth0"}], "held[0].egressIP: 'x' is not an IPv4 or IPv6 address"),
    ("generation", "abc", "generation: must be an integer from 0 to 9007199254740992, not the string 'abc'"),
    ("generation", True, "generation: must be an integer from 0 to 9007199254740992, not the boolean true"),
    ("generation", -1, "generation: must be an integer from 0 to 9007199254740992, not the integer -1"),
    ("generation", 10**30, "generation: must be an integer from 0 to 9007199254740992"),
    ("digest", 5, "digest: must be a string, not the integer 5"),
    ("drift", [None], "drift[0]: must be a string, not null"),
    ("nodes", {}, "nodes: must be a list, not a mapping"),
    ("far_ends", [{"egressIP": A, "endpoint": "x"}], "far_ends[0].endpoint: 'x' is not an IPv4 or IPv6 address"),
    ("recalled", [{"name": "web", "egressIPs": [A]}], "recalled[0].pods: is missing"),
    ("recalled", [{**FACTS["recalled"][0], "egressIPs": ["224.0.0.1"]}], "recalled[0].egressIPs[0]: '224.0.0.1' is"),
    (
        "named_networks",
        [{"network": "bogus", "namespace": "web", "cidrs": [], "problem": ""}],
        "named_networks[0].network: 'bogus' names no known engine",
    ),
    ("recalled", [{**FACTS["recalled"][0], "destinations": ["x"]}], "recalled[0].destinations[0]: 'x' has no prefix"),
    ("conflicts", [5], "conflicts[0]: must be a mapping, not the integer 5"),
    ("tunnel_keys", ["0" * 16] * 33, "tunnel_keys: must have at most 32 entries, not 33"),
    ("tunnel_keys", ["x"], "tunnel_keys[0]: must be 16 hexadecimal digits, not 'x'"),
    ("metrics", {"egress_ips": []}, "metrics.tunnel: is missing"),
    ("metrics", {"egress_ips": [], "tunnel": [{"source": A, "use": "x"}]}, "metrics.tunnel[0].use: must be a list"),
]


@pytest.mark.parametrize(("field", "value", "message"), MALFORMED)
def test_a_malformed_field(field, value, message):
    kind, facts, [reason] = read_answer({**FACTS, field: value})
    assert (kind, facts) == (FAULTY, {})
    assert reason.startswith(f"gives invalid facts: {message}")


@pytest.mark.parametrize("number", [10**400, -1, 2**64, float("nan"), float("inf"), True, None, "1"], ids=str)
@pytest.mark.parametrize("name", ["transmit_bytes", "connections", "port_share"])
def test_a_number_that_no_counter_can_have(name, number):
    changed = {"egressIP": A, **COUNTERS, "use": [USE], **{name: number}}
    if name in USE:
        changed = {"egressIP": A, **COUNTERS, "use": [{**USE, name: number}]}
    kind, _facts, [reason] = read_answer({**FACTS, "metrics": {"egress_ips": [changed], "tunnel": []}})
    assert kind == FAULTY
    assert f"{name}: must be a number from 0 to below 2^64, not " in reason


@pytest.mark.parametrize(
    "entry",
    [
        5,
        None,
        [],
        {},
        {"name": [], "endpoints": [], "addresses": []},
        {"name": "node2\nFailed:", "endpoints": [], "addresses": []},
        {"name": "node2", "endpoints": 5, "addresses": []},
        {"name": "node2", "endpoints": [], "addresses": 5},
        {"name": "node2", "endpoints": [], "addresses": "x"},
        {"name": "node2", "endpoints": [[]], "addresses": []},
        {"name": "node2", "endpoints": [], "addresses": [{}]},
        {"name": "node2", "addresses": []},
    ],
    ids=str,
)
def test_a_malformed_entry_of_a_record_is_dropped(entry):
    assert read_answer({**FACTS, "nodes": [*FACTS["nodes"], entry]}).facts["nodes"] == FACTS["nodes"]


@pytest.mark.parametrize(
    "observed", [None, 5, "x", {}, {"platform": 5, "macs": {"eth0": 5}, "networks": [{}]}], ids=str
)
def test_only_valid_fields(observed):
    assert valid_fields(observed, "platform", "macs", "networks") == {}
    assert valid_fields({**FACTS, "macs": 5, "failed": True}, "macs", "interface") == {"interface": "eth0"}


def test_facts_that_older_programs_lack_are_empty():
    without = {name: value for name, value in FACTS.items() if name not in ("recalled", "drift", "digest", "macs")}
    assert read_answer(without).facts == {**FACTS, "recalled": [], "drift": [], "digest": "", "macs": {}}


def test_a_record_of_several_nodes_is_checked_once():
    record = [{"name": "node1", "endpoints": [], "addresses": []}, "broken"]
    first, second, other = (
        read_answer({**FACTS, "nodes": each}).facts["nodes"] for each in (record, record, [*record])
    )
    assert first is second
    assert first == other == record[:1]
    assert other is not first


@pytest.mark.parametrize("field", ["interface", "networks", "endpoints", "addresses", "held", "generation", "nodes"])
def test_a_missing_field(field):
    facts = {name: value for name, value in FACTS.items() if name != field}
    assert read_answer(facts).kind == FAULTY


@pytest.mark.parametrize(
    ("observed", "kind", "reasons"),
    [
        ({"problems": ["a", "b"]}, FAULTY, ("a", "b")),
        ({"lost": "eth0 is away"}, UNAVAILABLE, ("has lost its network: eth0 is away",)),
        ({"unreachable": True, "msg": "timed out"}, UNAVAILABLE, ("cannot be reached: timed out",)),
        ({"failed": True, "msg": "x", "timedout": {}}, UNAVAILABLE, ("gives no answer: x",)),
        (
            {"failed": True, "msg": "MODULE FAILURE: see stdout"},
            UNAVAILABLE,
            ("gives no answer: MODULE FAILURE: see stdout",),
        ),
        ({"failed": True, "msg": "state.json: is damaged"}, FAULTY, ("state.json: is damaged",)),
        ({"failed": True, "msg": ["x"]}, FAULTY, ("",)),
        (None, STOP, ("the host was left out of the run, which needs all nodes; run without --limit",)),
    ],
)
def test_answers_without_facts(observed, kind, reasons):
    assert read_answer(observed) == (kind, {}, reasons)


LONG = "x" * 3000
SHOWN = "x" * 1997 + "..."


def test_a_long_text_of_a_node_does_not_fill_the_report():
    assert read_answer({"failed": True, "msg": LONG}).reasons == (SHOWN,)
    assert read_answer({"unreachable": True, "msg": LONG}).reasons == (f"cannot be reached: {SHOWN}",)
    assert read_answer({**FACTS, "problems": [LONG] * 30}).reasons == (SHOWN,) * 20
    assert read_answer({**FACTS, "drift": [LONG]}).facts["drift"] == [SHOWN]
    assert read_result({"failed": True, "msg": LONG}) == {"failed": True, "msg": SHOWN}


RESULT = {
    "changed": True,
    "claimed": [A],
    "connections": {A: 3},
    "released": [],
    "unreleased": [],
    "conflicts": [{"egressIP": A, "interface": "eth0", "mac": "52:54:00:12:34:56"}],
}


def test_the_result_of_a_run_keeps_its_documented_fields():
    assert read_result({**RESULT, "diff": {}, "held": [], "invocation": {}}) == RESULT
    assert read_result({"unreachable": True, "msg": "timed out"}) == {"unreachable": True, "msg": "timed out"}
    assert read_result({}) == {}


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("claimed", 5, "claimed: must be a list, not the integer 5"),
        ("claimed", [{}], "claimed[0]: must be a string"),
        ("unreleased", "x", "unreleased: must be a list, not the string 'x'"),
        ("conflicts", [A], "conflicts[0]: must be a mapping"),
        ("conflicts", [{"egressIP": A, "interface": "eth0"}], "conflicts[0].mac: is missing"),
        ("connections", [], "connections: must be a mapping"),
        ("connections", {A: "x"}, f"connections.{A}: must be a number from 0 to below 2^64, not the string 'x'"),
        ("changed", "maybe", "changed: must be true or false, not the string 'maybe'"),
    ],
)
def test_a_malformed_result_of_a_run_is_a_failure_of_its_node(field, value, message):
    done = read_result({**RESULT, field: value})
    assert set(done) == {"failed", "msg"}
    assert done["msg"].startswith(f"gives an invalid result: {message}")


def test_a_version_counts_once():
    assert read_answer({**FACTS, "bridge_filtered": [6, 4, 6, 4]}).facts["bridge_filtered"] == [4, 6]
