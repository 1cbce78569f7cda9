# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Answers of a malicious node: what the other nodes get of them, for both IP versions."""

from __future__ import annotations

import pytest
from ansible_collections.netops.egress_ip.plugins.module_utils._kubernetes.manifests import read_manifests
from ansible_collections.netops.egress_ip.plugins.module_utils._reconcile.credibility import Recorded, confirmed
from ansible_collections.netops.egress_ip.plugins.module_utils._reconcile.fleet import observe_fleet
from ansible_collections.netops.egress_ip.plugins.module_utils._reconcile.picture import picture
from ansible_collections.netops.egress_ip.plugins.module_utils._reconcile.providers import queries
from ansible_collections.netops.egress_ip.plugins.module_utils._reconcile.report import report
from ansible_collections.netops.egress_ip.plugins.module_utils._reconcile.run_plan import RunSettings, plan_run
from ansible_collections.netops.egress_ip.plugins.module_utils._reconcile.traffic import traffic

LABELS = {"k8s.ovn.org/egress-assignable": ""}
EGRESS = {4: "192.168.126.101", 6: "2001:db8:126::101"}
OUTSIDE = {4: "203.0.113.9", 6: "2001:db8:1::9"}
INTERNAL = {4: "10.20.0.5", 6: "fd00:20::5"}
OWN = {n: {4: f"192.168.126.2{n}", 6: f"2001:db8:126::2{n}"} for n in (1, 2, 3)}
PREFIX = {4: "/18", 6: "/64"}
SINGLE = {4: "/32", 6: "/128"}
VERSIONS = pytest.mark.parametrize("version", [4, 6])


def facts(number, *held, **changes):
    own = [f"{address}{PREFIX[version]}" for version, address in OWN[number].items()]
    return {
        "interface": "eth0",
        "endpoints": [*OWN[number].values()],
        "networks": [{"interface": "eth0", "addresses": own}],
        "addresses": ["10.88.0.1", *OWN[number].values()],
        "held": [{"egressIP": ip, "interface": "eth0"} for ip in held],
        "generation": 7,
        "digest": "",
        "drift": [],
        "nodes": [{"name": f"node{n}", "endpoints": [*o.values()], "addresses": [*o.values()]} for n, o in OWN.items()],
        "recalled": [],
        **changes,
    }


def run(*answers, objects=None):
    document = {
        "apiVersion": "k8s.ovn.org/v1",
        "kind": "EgressIP",
        "metadata": {"name": "web"},
        "spec": {"egressIPs": [*EGRESS.values()], "namespaceSelector": {}},
    }
    documents = [document] if objects is None else objects
    manifests = read_manifests([{"source": "m.yml", "document": each} for each in documents]).to_dict()
    hosts = [
        {"name": f"node{number}", "labels": LABELS, "observed": answer} for number, answer in enumerate(answers, 1)
    ]
    return plan_run(hosts, manifests, RunSettings()).to_dict()


def honest(version):
    """Return the answers of two nodes, of which node1 holds the egress IP."""
    return facts(1, EGRESS[version]), facts(2)


def holder(made, version):
    return {item["egressIP"]: item["node"] for item in made["plan"]["assignments"]}.get(EGRESS[version])


def known_of(made, node, version):
    """Return everything that a node excludes of this IP version."""
    state = made["rollout"]["states"][node]
    texts = [*state["excluded"], *(a for each in state["nodes"] for a in each["addresses"])]
    return {text.partition("/")[0] for text in texts if (":" in text) == (version == 6)}


@VERSIONS
@pytest.mark.parametrize("destination", [OUTSIDE, INTERNAL], ids=["of the internet", "of an internal network"])
@pytest.mark.parametrize("length", [{4: "/32", 6: "/128"}, {4: "/24", 6: "/64"}, {4: "/0", 6: "/0"}], ids=str)
def test_a_node_excludes_no_destination_for_others(version, destination, length):
    target = destination[version]
    networks = [*facts(3)["networks"], {"interface": "eth1", "addresses": [target + length[version]]}]
    made = run(*honest(version), facts(3, addresses=[target, *OWN[3].values()], networks=networks))
    for node in ("node1", "node2"):
        assert target not in known_of(made, node, version)
        assert OWN[3][version] in known_of(made, node, version)
    assert target in known_of(made, "node3", version)
    (line,) = [line for line in made["mistakes"] if f"does not contain {target} of node3, in whose networks" in line]
    assert line.endswith("and cannot reach it with those that node3 holds; list it if pods connect to it")


@VERSIONS
def test_an_address_of_no_interface_that_leads_out_counts_on_the_node_alone(version):
    made = run(*honest(version), facts(3, addresses=["10.88.0.1", INTERNAL[version], *OWN[3].values()]))
    assert [INTERNAL[version] in known_of(made, f"node{n}", version) for n in (1, 2, 3)] == [False, False, True]
    assert ["10.88.0.1" in known_of(made, f"node{n}", 4) for n in (1, 2, 3)] == [True, True, True]
    # Not in the mistakes, which fail a strict run: it may be the address of a container network.
    assert not [line for line in made["mistakes"] if "does not contain" in line]
    assert made["notes"] == [
        f"egress_ip_excluded_cidrs: does not contain {INTERNAL[version]} of node3, of interfaces without ARP or without"
        " other hosts; pods of other nodes use egress IPs towards it, and cannot reach it with those that node3 holds;"
        " list it if pods connect to it"
    ]


@VERSIONS
def test_an_address_in_a_network_of_pods_needs_no_line(version):
    """k3s with flannel: each node has the first address of its own pod network, on a device without ARP or with."""
    nodes, answers = [], []
    for n in (1, 2, 3):
        cidr, device, bridge = (f"10.42.{n}.0/24", f"10.42.{n}.0", f"10.42.{n}.1")
        if version == 6:
            cidr, device, bridge = (f"fd00:42:0:{n}::/64", f"fd00:42:0:{n}::", f"fd00:42:0:{n}::1")
        networks = [*facts(n)["networks"], {"interface": "flannel.1", "addresses": [device + SINGLE[version]]}]
        answers.append(facts(n, addresses=[device, bridge, *OWN[n].values()], networks=networks))
        nodes.append(
            {"apiVersion": "v1", "kind": "Node", "metadata": {"name": f"node{n}"}, "spec": {"podCIDRs": [cidr]}}
        )
    made = run(*answers, objects=nodes)
    assert not [line for line in (*made["mistakes"], *made["notes"]) if "does not contain" in line]
    # All nodes exclude the networks, so the states of the nodes share one list.
    assert len({tuple(state["excluded"]) for state in made["rollout"]["states"].values()}) == 1


@VERSIONS
def test_a_second_network_of_several_nodes_counts(version):
    second = {n: INTERNAL[version][:-1] + str(n) for n in (1, 2, 3)}
    answers = [
        facts(
            n,
            addresses=[second[n], *OWN[n].values()],
            networks=[*facts(n)["networks"], {"interface": "eth1", "addresses": [second[n] + PREFIX[version]]}],
        )
        for n in (1, 2, 3)
    ]
    assert known_of(run(*answers), "node1", version) >= {*second.values()}


@VERSIONS
@pytest.mark.parametrize(("recorded", "counts"), [((1, 2), True), ((1,), False), ((), False)], ids=str)
def test_an_address_on_record_counts_while_the_others_of_its_network_are_silent(version, recorded, counts):
    second = INTERNAL[version]
    entry = {"name": "node3", "endpoints": [*OWN[3].values()], "addresses": [second, *OWN[3].values()]}
    records = {n: [entry] if n in recorded else facts(n)["nodes"] for n in (1, 2)}
    networks = [*facts(3)["networks"], {"interface": "eth1", "addresses": [second + PREFIX[version]]}]
    third = facts(3, addresses=[second, *OWN[3].values()], networks=networks, nodes=[entry])
    made = run(facts(1, nodes=records[1]), facts(2, nodes=records[2]), third)
    assert (second in known_of(made, "node1", version)) == counts


@VERSIONS
@pytest.mark.parametrize("field", ["addresses", "networks", "gateways"])
def test_a_node_takes_no_held_address_from_its_holder(version, field):
    taken = EGRESS[version]
    networks = [{"interface": "eth0", "addresses": [*facts(3)["networks"][0]["addresses"], taken + PREFIX[version]]}]
    lies = {"addresses": [taken, *OWN[3].values()], "networks": networks, "gateways": [taken]}
    made = run(*honest(version), facts(3, **{field: lies[field]}))
    assert holder(made, version) == "node1"
    (faulty,) = made["fleet"]["faulty"]
    word = "gateways" if field == "gateways" else "addresses"
    reason = f"gives invalid facts: {word}: {taken} is an egress IP that node1 holds"
    assert faulty == {"name": "node3", "reason": reason}
    assert list(made["rollout"]["states"]) == ["node1", "node2"]


@VERSIONS
def test_a_node_that_says_it_holds_the_address_of_another_node_is_faulty_itself(version):
    made = run(*honest(version), facts(3, OWN[2][version]))
    (faulty,) = made["fleet"]["faulty"]
    assert faulty["name"] == "node3"
    assert "is an address of node2" in faulty["reason"]


@VERSIONS
def test_a_holder_that_was_away_is_not_the_holder_any_more(version):
    made = run(facts(1, EGRESS[version], generation=6), facts(2), facts(3, EGRESS[version]))
    assert holder(made, version) == "node3"
    (current,) = made["fleet"]["current"]
    assert current["node"] == "node3"


@VERSIONS
def test_a_plan_that_nobody_else_has_takes_no_address_from_its_holder(version):
    made = run(*honest(version), facts(3, EGRESS[version], generation=9))
    assert "node1" in {item["node"] for item in made["fleet"]["current"]}


@pytest.mark.parametrize("generation", [7, 99])
def test_a_node_cannot_replace_what_the_others_recall(generation):
    """The manifest of the object has an error, so its addresses and destinations come from the records."""
    mine = {"name": "web", "egressIPs": [EGRESS[4]], "pods": [], "destinations": ["0.0.0.0/0"]}
    false = {**mine, "egressIPs": ["192.168.126.66"], "destinations": ["10.0.0.0/8"], "pods": ["10.88.0.9"]}
    answers = facts(1, EGRESS[4], recalled=[mine]), facts(2, recalled=[mine])
    made = run(*answers, facts(3, recalled=[false], generation=generation), objects=[])
    entry = made["fleet"]["recalled"]["web"]
    assert (entry["egressIPs"], entry["destinations"]) == ([EGRESS[4]], ["0.0.0.0/0"])
    assert entry["pods"] == {"node1": [], "node2": [], "node3": ["10.88.0.9"]}


def test_a_record_counts_if_a_second_node_has_it_or_if_all_differ():
    old, new, false = ({"v": number} for number in range(3))
    assert confirmed([Recorded(1, "a", old), Recorded(2, "b", new), Recorded(2, "c", new)]) == new
    assert confirmed([Recorded(1, "a", old), Recorded(1, "b", old), Recorded(9, "c", false)]) == old
    assert confirmed([Recorded(1, "a", old), Recorded(2, "b", new)]) == new
    assert confirmed([Recorded(5, "a", old)]) == old
    with pytest.raises(ValueError, match="no node"):
        confirmed([])


MAC1, MAC3 = "00:50:56:00:00:01", "00:50:56:00:00:03"


@pytest.mark.parametrize("silent", [True, False], ids=["silent", "here"])
def test_a_fence_cuts_off_no_node_whose_mac_address_another_one_claims(silent):
    """A node could claim the MAC address of another one, and become silent."""
    links = [{"mac": mac, "addresses": [OWN[3][4] + "/18"]} for mac in (MAC1.upper(), MAC3)]
    recorded = [{"name": "node3", "endpoints": [OWN[3][4]], "addresses": [OWN[3][4]], "links": links}]
    networks = [*facts(3)["networks"], {"interface": "eth1", "addresses": ["10.9.0.3/24"]}]
    false = {"eth0": MAC3, "eth1": MAC1.upper()}
    third = {"unreachable": True, "msg": ""} if silent else facts(3, networks=networks, macs=false)
    answers = facts(1, macs={"eth0": MAC1}, nodes=recorded), facts(2, nodes=recorded), third
    hosts = [{"name": f"node{n}", "labels": LABELS, "fence": "f.yml", "observed": a} for n, a in enumerate(answers, 1)]
    found = {each["name"]: [link["mac"] for link in each["links"]] for each in observe_fleet(hosts).members}
    assert found["node3"] == [MAC3]
    assert found["node1"] == []


FORGED = "\x1b[2J bad\nFailed:\n  node2: gone\u202e"


@pytest.mark.parametrize(
    "answer",
    [
        pytest.param(facts(3, problems=[FORGED]), id="problems"),
        pytest.param(facts(3, lost=FORGED), id="lost"),
        pytest.param({"failed": True, "msg": FORGED}, id="an error"),
        pytest.param({"unreachable": True, "msg": FORGED}, id="unreachable"),
        pytest.param(facts(3, digest=FORGED, drift=[FORGED]), id="drift"),
    ],
)
def test_a_node_adds_no_line_to_the_report_and_controls_no_terminal(answer):
    made = run(facts(1), facts(2), answer)
    results = {"node1": {"failed": True, "msg": FORGED}}
    shown = report(made["plan"], {"invalid": [], "ignored": []}, made["fleet"], results)
    for line in (*shown.lines, *shown.failures, *made["stop_reasons"]):
        assert line.isprintable()


MALICIOUS = {
    **facts(3),
    "platform": {"name": "vsphere", "uuid": "42304b1e-9e7b-4f1d-8a52-0c1f6b0f6c11"},
    "macs": {"eth0": MAC3},
    "gateways": ["192.168.64.1"],
    "routers": {"eth0": ["192.168.64.1"]},
    "bridge_filtered": [4],
    "forward_filters": [{"family": "ip", "table": "filter", "chain": "FORWARD"}],
    "held": [{"egressIP": EGRESS[4], "interface": "eth0", "name": "web"}],
    "nodes": [{**facts(3)["nodes"][1], "links": [{"mac": MAC1, "addresses": ["192.168.126.22/18"]}]}],
    "tunnel_keys": ["0" * 16],
    "far_ends": [{"egressIP": EGRESS[4], "endpoint": OWN[3][4]}],
    "standbys": [{"egressIP": EGRESS[4], "order": ["node3", "node1"]}],
    "takeovers": [{"egressIP": EGRESS[4], "from": "node1", "since": 5}],
    "recalled": [{"name": "web", "egressIPs": [EGRESS[4]], "pods": ["10.88.0.2"], "destinations": ["10.0.0.0/8"]}],
    "conflicts": [{"egressIP": EGRESS[4], "interface": "eth0", "mac": MAC1}],
    "metrics": {
        "egress_ips": [
            {
                "egressIP": EGRESS[4],
                **dict.fromkeys(("transmit_packets", "transmit_bytes", "receive_packets", "receive_bytes"), 1),
                "use": [{"protocol": "tcp", "connections": 3, "busiest": "203.0.113.5:443", "port_share": 0.1}],
            }
        ],
        "tunnel": [],
    },
}
FALSE = [None, True, -1, 10**400, float("nan"), "x", "egress_ip_x: must be y", [], [[]], {}, [{}]]


def paths(value, path=()):
    """Yield the path of each value in a document."""
    yield path
    for key, item in value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ():
        yield from paths(item, (*path, key))


def replaced(value, path, new):
    """Return a document with a new value at a path; nothing is there for `...`."""
    if not path:
        return new
    items = dict(value) if isinstance(value, dict) else list(value)
    if new is ... and len(path) == 1:
        del items[path[0]]
    else:
        items[path[0]] = replaced(value[path[0]], path[1:], new)
    return items


@pytest.mark.parametrize("path", list(paths(MALICIOUS))[1:], ids=lambda path: ".".join(map(str, path)))
def test_no_value_in_an_answer_ends_the_run_of_the_others(path):
    for false in (..., *FALSE):
        answers = facts(1, EGRESS[4]), facts(2), replaced(MALICIOUS, path, false)
        made = run(*answers)
        assert made["stop_reasons"] == []
        assert {"node1", "node2"} <= {*made["rollout"]["states"]}
        hosts = [{"name": f"node{n}", "labels": LABELS, "observed": a} for n, a in enumerate(answers, 1)]
        queries(hosts, (), made["fleet"]["members"])
        traffic(made["fleet"], EGRESS.values())
        picture(made, planned=True)
        report(made["plan"], {"invalid": [], "ignored": []}, made["fleet"], {})
